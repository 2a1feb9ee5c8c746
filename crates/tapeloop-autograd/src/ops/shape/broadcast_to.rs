//! y = x, repeated along new axes and axes of length 1;  ∂y/∂x sums them

use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BroadcastTo {
    shape: Shape,
}

impl<T: Element> Op<T> for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match rule::broadcasts_to(inputs[0], &self.shape) {
            true => Ok(self.shape.clone()),
            false => Err(ShapeError::new(
                "broadcast_to",
                &[inputs[0], &self.shape],
                "aligned at the last axis, lengths must be equal or the first's 1",
            )),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].broadcast(&self.shape)
    }
    fn form(&self) -> Form<T> {
        Form::broadcast()
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        // The cotangent is summed to the input's shape, which is all there is to do.
        back.give(0, |g| g);
    }
}

impl<T: Element> Var<'_, T> {
    /// Repeats new leading axes and axes of length 1, by NumPy's rules. A view: nothing is copied.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.broadcast_to([2, 2]).value().to_vec(), [1.0, 2.0, 1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn broadcast_to(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape == self.shape() { self } else { self.unary(BroadcastTo { shape }) }
    }
}

impl Examples for BroadcastTo {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [3, 1]] => x.broadcast_to([2, 3, 4]))]
    }
}
