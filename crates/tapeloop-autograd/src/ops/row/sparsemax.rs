//! y = max(x − τ, 0) over the last axis, with the τ of Σ y = 1;  x̄ = ȳ − mean ȳ where y > 0, else 0

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sparsemax;

impl<T: Element> Op<T> for Sparsemax {
    fn name(&self) -> &'static str {
        "sparsemax"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match inputs[0].last() {
            Some(0) => Err(ShapeError::new("sparsemax", inputs, "an axis of length 0 has no point")),
            _ => Ok(inputs[0].clone()),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        run.rowwise(inputs[0], rows::sparsemax)
    }
    fn form(&self) -> Form<T> {
        Form::row(rows::sparsemax)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let support = back.output().gt(0.0);
        back.give(0, |g| {
            let mean = support.if_else(g, 0.0).sum(&[-1], true) / support.sum(&[-1], true);
            support.if_else(g - mean, 0.0)
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The nearest point of the probability simplex: like softmax, with true zeros (Martins and Astudillo 2016).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 0.5, -3.0]));
    /// assert_eq!(x.sparsemax(0).value().to_vec(), [0.75, 0.25, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or has no elements.
    #[track_caller]
    pub fn sparsemax(self, axis: isize) -> Self {
        self.along_last(axis, |x| x.unary(Sparsemax))
    }
}

impl Examples for Sparsemax {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 5]] => x.sparsemax(-1)),
            example!([x: normal [2, 3, 4]] => x.sparsemax(1)),
        ]
    }
}
