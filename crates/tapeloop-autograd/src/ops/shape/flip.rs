//! y = x in reversed order along an axis;  x̄ is ȳ reversed

use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Flip {
    axis: usize,
}

impl<T: Element> Op<T> for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let n = dense.shape()[self.axis];
        let inner: usize = dense.shape()[self.axis + 1..].iter().product();
        let x = dense.as_slice().unwrap_or_default();
        let block = (n * inner).max(1);
        for (x, out) in x.chunks(block).zip(out.as_mut_slice().chunks_mut(block)) {
            for (x, out) in x.chunks(inner).rev().zip(out.chunks_mut(inner)) {
                out.copy_from_slice(x);
            }
        }
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(Self { axis: self.axis + 1 })
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(*self));
    }
}

impl<T: Element> Var<'_, T> {
    /// Reversed order along `axes`.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.flip(&[0]).value().to_vec(), [3.0, 4.0, 1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn flip(self, axes: &[isize]) -> Self {
        if axes.is_empty() {
            return self;
        }
        let axes = rule::axes("flip", &self.shape(), axes).or_panic();
        let mut flipped = self;
        for &axis in &axes {
            flipped = flipped.unary(Flip { axis });
        }
        flipped
    }
}

impl Examples for Flip {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.flip(&[0])),
            example!([x: normal [2, 3, 2]] => x.flip(&[1, -1])),
        ]
    }
}
