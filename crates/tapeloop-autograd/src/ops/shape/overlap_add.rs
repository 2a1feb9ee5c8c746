//! y[.., w · step + k · dilation, ..] = Σ x[.., w, .., k]: the transpose of `unfold`;  x̄ unfolds ȳ

use super::unfold::{Unfold, Windows};
use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OverlapAdd {
    pub(crate) windows: Windows,
    pub(crate) length: usize,
}

impl<T: Element> Op<T> for OverlapAdd {
    fn name(&self) -> &'static str {
        "overlap_add"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let mut shape = inputs[0].with(self.windows.axis, self.length);
        shape.0.pop();
        Ok(shape)
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let strides = self.windows.strides(&out.strides);
        out.as_mut_slice().fill(T::ZERO);
        elementwise::add_assign_strided(out.as_mut_slice(), &strides, inputs[0].strided(), inputs[0].shape());
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(Self { windows: self.windows.later(), ..*self })
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Unfold(self.windows)));
    }
}

impl<T: Element> Var<'_, T> {
    /// Adds windows, whose elements lie on the last axis, into an axis of `length` elements: the transpose of
    /// [`windows`](Self::windows).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 1.0], [1.0, 1.0]]));
    /// assert_eq!(x.overlap_add(0, 1, 1, 3).value().to_vec(), [1.0, 2.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is the last, or the windows do not fit into `length`.
    #[track_caller]
    pub fn overlap_add(self, axis: isize, step: usize, dilation: usize, length: usize) -> Self {
        let shape = self.shape();
        let axis = rule::axis("overlap_add", &shape, axis).or_panic();
        let (count, size) = (shape[axis], shape[shape.rank() - 1]);
        let fits = count == 0 || size == 0 || (count - 1) * step + (size - 1) * dilation < length;
        if axis + 1 == shape.rank() || !fits {
            let rule = format!("windows along axis {axis}, elements along the last, must fit into length {length}");
            panic!("{}", ShapeError::new("overlap_add", &[&shape], rule));
        }
        self.unary(OverlapAdd { windows: Windows { axis, count, size, step, dilation }, length })
    }
}

impl Examples for OverlapAdd {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3, 3]] => x.overlap_add(1, 2, 1, 8)),
            example!([x: normal [3, 2, 2]] => x.overlap_add(0, 1, 2, 5)),
        ]
    }
}
