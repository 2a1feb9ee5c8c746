//! y = x − ln Σ eˣ over the last axis;  x̄ = ȳ − eʸ Σ ȳ

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogSoftmax;

impl<T: Element> Op<T> for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        run.rowwise(inputs[0], rows::log_softmax)
    }
    fn form(&self) -> Form<T> {
        Form::row(rows::log_softmax)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g - y.exp() * g.sum(&[-1], true));
    }
}

impl<T: Element> Var<'_, T> {
    /// x − ln Σ eˣ over an axis: the logarithm of [`softmax`](Self::softmax), without overflow or cancellation.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, -1000.0]));
    /// assert_eq!(x.log_softmax(-1).value().to_vec(), [0.0, -1000.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn log_softmax(self, axis: isize) -> Self {
        self.along_last(axis, |x| x.unary(LogSoftmax))
    }
}

impl Examples for LogSoftmax {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.log_softmax(-1)),
            example!([x: normal [2, 3, 4]] => x.log_softmax(0)),
        ]
    }
}
