//! y = Σ x over the axes along which y would be broadcast to x;  ∂y/∂x = 1

use crate::ops::fold::broadcast_axes;
use super::sum::sum;
use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SumTo {
    shape: Shape,
}

impl<T: Element> Op<T> for SumTo {
    fn name(&self) -> &'static str {
        "sum_to"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match rule::broadcasts_to(&self.shape, inputs[0]) {
            true => Ok(self.shape.clone()),
            false => Err(ShapeError::new(
                "sum_to",
                &[inputs[0], &self.shape],
                "the second must broadcast to the first",
            )),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        sum(inputs[0], &broadcast_axes(inputs[0].shape(), &self.shape), run)
    }
    fn form(&self) -> Form<T> {
        Form::sum_to()
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let shape = back.input(0).shape();
        back.give(0, |g| g.broadcast_to(shape));
    }
}

impl<T: Element> Var<'_, T> {
    /// Sums the axes along which `shape` would be broadcast to this shape: the transpose of
    /// [`broadcast_to`](Self::broadcast_to).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.sum_to([1, 2]).value().to_vec(), [4.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// If `shape` does not broadcast to this shape.
    #[track_caller]
    pub fn sum_to(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape == self.shape() { self } else { self.unary(SumTo { shape }) }
    }
}

impl Examples for SumTo {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.sum_to([1, 3])),
            example!([x: normal [2, 3, 4]] => x.sum_to([3, 1])),
        ]
    }
}
