//! y = x under another shape;  ∂y/∂x = 1

use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;
use crate::tensor::views::reshape_rule;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reshape {
    shape: Shape,
}

impl Reshape {
    pub(crate) fn to(shape: Shape) -> Self {
        Self { shape }
    }
}

impl<T: Element> Op<T> for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match inputs[0].size() == self.shape.size() {
            true => Ok(self.shape.clone()),
            false => Err(ShapeError::new("reshape", &[inputs[0], &self.shape], "they must have equally many elements")),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].reshaped(&self.shape).unwrap_or_else(|| {
            let mut out = run.output();
            elementwise::copy(inputs[0].strided(), inputs[0].shape(), out.as_mut_slice(), run.threads);
            out
        })
    }
    fn form(&self) -> Form<T> {
        Form::reshape()
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let shape = back.input(0).shape();
        back.give(0, |g| g.reshape_to(shape));
    }
}

impl<T: Element> Var<'_, T> {
    /// The same elements in row-major order under another shape; one length may be −1.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::<f32>::zeros([2, 6]));
    /// assert_eq!(x.reshape(&[3, -1]).shape(), [3, 4]);
    /// ```
    ///
    /// # Panics
    /// If the number of elements would change.
    #[track_caller]
    pub fn reshape(self, dims: &[isize]) -> Self {
        self.reshape_to(reshape_rule(&self.shape(), dims).or_panic())
    }

    /// As [`reshape`](Self::reshape), to a shape known in full.
    #[track_caller]
    pub fn reshape_to(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        if shape == self.shape() { self } else { self.unary(Reshape { shape }) }
    }
}

impl Examples for Reshape {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3, 4]] => x.reshape(&[4, -1])),
            example!([x: normal [2, 3]] => x.permute(&[1, 0]).reshape(&[6])),
        ]
    }
}
