//! y[.., w, .., k] = x[.., w · step + k · dilation, ..];  x̄ adds what overlaps

use super::overlap_add::OverlapAdd;
use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

/// Windows along an axis: how many there are, and how many elements each has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Windows {
    pub(crate) axis: usize,
    pub(crate) count: usize,
    pub(crate) size: usize,
    pub(crate) step: usize,
    pub(crate) dilation: usize,
}

impl Windows {
    /// The same with an axis in front.
    pub(crate) fn later(self) -> Self {
        Self { axis: self.axis + 1, ..self }
    }

    /// Strides of the windowed view of a tensor with `strides`.
    pub(crate) fn strides(&self, strides: &[usize]) -> Dims {
        let mut view = Dims::from_slice(strides);
        let stride = strides[self.axis];
        view[self.axis] = stride * self.step;
        view.push(stride * self.dilation);
        view
    }

    /// The shape of the windowed view of a tensor of `shape`.
    pub(crate) fn shape(&self, shape: &Shape) -> Shape {
        let mut view = shape.with(self.axis, self.count);
        view.0.push(self.size);
        view
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Unfold(pub(crate) Windows);

impl<T: Element> Op<T> for Unfold {
    fn name(&self) -> &'static str {
        "unfold"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(self.0.shape(inputs[0]))
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        let x = inputs[0];
        Tensor {
            shape: self.0.shape(x.shape()),
            strides: self.0.strides(x.strides()),
            offset: x.offset,
            data: x.data.clone(),
        }
    }
    fn form(&self) -> Form<T> {
        Form::along(Self(self.0.later()))
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let length = back.input(0).shape()[self.0.axis];
        back.give(0, |g| g.unary(OverlapAdd { windows: self.0, length }));
    }
}

impl<T: Element> Var<'_, T> {
    /// Windows of `size` elements along an axis, one every `step` elements; a window's elements lie on a new last
    /// axis. A view: nothing is copied.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0, 4.0, 5.0]));
    /// assert_eq!(x.unfold(0, 3, 2).value().to_vec(), [1.0, 2.0, 3.0, 3.0, 4.0, 5.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, `size` is longer than it, or `step` is 0.
    #[track_caller]
    pub fn unfold(self, axis: isize, size: usize, step: usize) -> Self {
        self.windows(axis, size, step, 1)
    }

    /// As [`unfold`](Self::unfold), with `dilation` elements from one element of a window to the next.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0, 4.0]));
    /// assert_eq!(x.windows(0, 2, 1, 2).value().to_vec(), [1.0, 3.0, 2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, a window is longer than it, or `step` or `dilation` is 0.
    #[track_caller]
    pub fn windows(self, axis: isize, size: usize, step: usize, dilation: usize) -> Self {
        let shape = self.shape();
        let axis = rule::axis("unfold", &shape, axis).or_panic();
        let span = dilation * size.saturating_sub(1) + usize::from(size > 0);
        if step == 0 || dilation == 0 || span > shape[axis] {
            let rule = format!(
                "windows of {size} elements at distance {dilation}, one every {step}, must fit into axis {axis}"
            );
            panic!("{}", ShapeError::new("unfold", &[&shape], rule));
        }
        let count = (shape[axis] - span) / step + 1;
        self.unary(Unfold(Windows { axis, count, size, step, dilation }))
    }
}

impl Examples for Unfold {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 7]] => x.unfold(1, 3, 2)),
            example!([x: normal [7, 2]] => x.windows(0, 3, 1, 2)),
        ]
    }
}
