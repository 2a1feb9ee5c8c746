//! y = 0 but for start, start + step, … of an axis, where it is x;  ∂y/∂x is that part

use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    axis: usize,
    start: usize,
    step: usize,
    length: usize,
}

impl<T: Element> Op<T> for Place {
    fn name(&self) -> &'static str {
        "place"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let count = inputs[0][self.axis];
        if count > 0 && self.start + (count - 1) * self.step >= self.length {
            let rule = format!(
                "axis {} must fit into length {} from {} in steps of {}",
                self.axis, self.length, self.start, self.step
            );
            return Err(ShapeError::new("place", inputs, rule));
        }
        Ok(inputs[0].with(self.axis, self.length))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        out.as_mut_slice().fill(T::ZERO);
        let x = inputs[0];
        if x.size() > 0 {
            let mut strides = out.strides.clone();
            let offset = self.start * strides[self.axis];
            strides[self.axis] *= self.step;
            elementwise::assign_strided(&mut out.as_mut_slice()[offset..], &strides, x.strided(), x.shape());
        }
        out
    }
    fn form(&self) -> Form<T> {
        Form::place(self.axis, self.start, self.step, self.length)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (axis, count) = (self.axis as isize, back.input(0).shape()[self.axis] as isize);
        let (start, step) = (self.start as isize, self.step);
        let end = start + (count - 1).max(0) * step as isize + isize::from(count > 0);
        back.give(0, |g| g.slice(axis, crate::s(start..end).step(step)));
    }
}

impl<T: Element> Var<'_, T> {
    /// Zeros with this value at `start`, `start + step`, … of an axis of the given length: the transpose of
    /// [`slice`](Self::slice).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.place(0, 1, 2, 5).value().to_vec(), [0.0, 1.0, 0.0, 2.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or the value does not fit.
    #[track_caller]
    pub fn place(self, axis: isize, start: usize, step: usize, length: usize) -> Self {
        let axis = rule::axis("place", &self.shape(), axis).or_panic();
        self.unary(Place { axis, start, step, length })
    }
}

impl Examples for Place {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.place(1, 1, 2, 7)),
            example!([x: normal [2, 3]] => x.place(0, 0, 1, 2)),
        ]
    }
}
