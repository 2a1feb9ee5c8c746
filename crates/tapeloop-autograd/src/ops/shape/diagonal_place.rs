//! y[.., i, i + offset] = x[.., i], zero elsewhere: the transpose of `diagonal`;  x̄ is the diagonal of ȳ

use super::diagonal::{Diagonal, extent};
use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DiagonalPlace {
    pub(crate) offset: isize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl<T: Element> Op<T> for DiagonalPlace {
    fn name(&self) -> &'static str {
        "diagonal_place"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let lead = &inputs[0][..inputs[0].rank() - 1];
        Ok(lead.iter().copied().chain([self.rows, self.cols]).collect())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        out.as_mut_slice().fill(T::ZERO);
        let (row, col, n) = extent(self.offset, self.rows, self.cols);
        if n > 0 && out.size() > 0 {
            let mut strides = Dims::from_slice(&out.strides[..out.rank() - 2]);
            strides.push(self.cols + 1);
            let to = &mut out.as_mut_slice()[row * self.cols + col..];
            elementwise::assign_strided(to, &strides, inputs[0].strided(), inputs[0].shape());
        }
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Diagonal { offset: self.offset }));
    }
}

impl<T: Element> Var<'_, T> {
    /// Matrices, on two new last axes, with this last axis on the diagonal `offset` above the main one and zeros
    /// elsewhere.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.diag_embed(0).value().to_vec(), [1.0, 0.0, 0.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// For a scalar.
    #[track_caller]
    pub fn diag_embed(self, offset: isize) -> Self {
        let n = self.dim(-1) + offset.unsigned_abs();
        self.unary(DiagonalPlace { offset, rows: n, cols: n })
    }
}

impl Examples for DiagonalPlace {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.diag_embed(0)),
            example!([x: normal [3]] => x.diag_embed(-1)),
        ]
    }
}
