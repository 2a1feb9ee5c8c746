//! y = x below (or above) a diagonal, else 0;  x̄ is the same triangle of ȳ

use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Triangle {
    upper: bool,
    offset: isize,
}

impl<T: Element> Op<T> for Triangle {
    fn name(&self) -> &'static str {
        if self.upper { "triu" } else { "tril" }
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        if inputs[0].rank() < 2 {
            return Err(ShapeError::new(Op::<T>::name(self), inputs, "it needs matrices"));
        }
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let shape = dense.shape();
        let (rows, cols) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        let (x, y) = (dense.as_slice().unwrap_or_default(), out.as_mut_slice());
        for (line, (x, y)) in x.chunks(cols.max(1)).zip(y.chunks_mut(cols.max(1))).enumerate() {
            let row = (line % rows.max(1)) as isize;
            // Columns up to row + offset are the lower triangle.
            let cut = (row + self.offset + isize::from(!self.upper)).clamp(0, cols as isize) as usize;
            let (kept, dropped) = if self.upper { (cut..cols, 0..cut) } else { (0..cut, cut..cols) };
            y[kept.clone()].copy_from_slice(&x[kept]);
            y[dropped].fill(T::ZERO);
        }
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(*self));
    }
}

impl<T: Element> Var<'_, T> {
    /// The matrices of the last two axes with everything above the diagonal `offset` set to 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.tril(0).value().to_vec(), [1.0, 0.0, 3.0, 4.0]);
    /// assert_eq!(x.tril(-1).value().to_vec(), [0.0, 0.0, 3.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(self, offset: isize) -> Self {
        self.unary(Triangle { upper: false, offset })
    }

    /// The matrices of the last two axes with everything below the diagonal `offset` set to 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.triu(0).value().to_vec(), [1.0, 2.0, 0.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(self, offset: isize) -> Self {
        self.unary(Triangle { upper: true, offset })
    }
}

impl Examples for Triangle {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.tril(1)),
            example!([x: normal [2, 3, 3]] => x.triu(-1)),
            example!([x: normal [3, 3]] => x.triu(1)),
        ]
    }
}
