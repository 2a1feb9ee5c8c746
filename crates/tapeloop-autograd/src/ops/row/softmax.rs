//! y = eˣ / Σ eˣ over the last axis;  x̄ = y ∘ (ȳ − Σ ȳ ∘ y)

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Softmax;

impl<T: Element> Op<T> for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        run.rowwise(inputs[0], rows::softmax)
    }
    fn form(&self) -> Form<T> {
        Form::row(rows::softmax)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| {
            let weighted = g * y;
            weighted - y * weighted.sum(&[-1], true)
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// eˣ / Σ eˣ over an axis, without overflow.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 0.0, f32::NEG_INFINITY]));
    /// assert_eq!(x.softmax(-1).value().to_vec(), [0.5, 0.5, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn softmax(self, axis: isize) -> Self {
        self.along_last(axis, |x| x.unary(Softmax))
    }
}

impl Examples for Softmax {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.softmax(-1)),
            example!([x: normal [2, 3, 4]] => x.softmax(1)),
        ]
    }
}
