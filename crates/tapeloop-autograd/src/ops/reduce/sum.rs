//! y = Σ x over axes;  ∂y/∂x = 1

use crate::element::Element;
use crate::kernels::reduce;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sum {
    axes: Dims,
    keepdims: bool,
}

impl<T: Element> Op<T> for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(rule::reduced(inputs[0], &self.axes, self.keepdims))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        sum(inputs[0], &self.axes, run)
    }
    fn form(&self) -> Form<T> {
        Form::sum(&self.axes)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let shape = back.input(0).shape();
        let kept = rule::reduced(&shape, &self.axes, true);
        back.give(0, |g| g.reshape_to(kept).broadcast_to(shape));
    }
}

/// Σ x over `axes`; the result's shape is the run's.
pub(crate) fn sum<T: Element>(x: &Tensor<T>, axes: &[usize], run: &mut Run<'_, T>) -> Tensor<T> {
    run.fold(x, axes, |x, n, out, run| reduce::sum_each(x, n, out, run.threads), |x, n, out, run| {
        reduce::sum_columns(x, n, out, run.threads);
    })
}

impl<T: Element> Var<'_, T> {
    /// The sum over `axes`, which may count from the end; over all of them if the list is empty.
    /// With `keepdims` they stay, with length 1. The sum of nothing is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.sum(&[-1], false).value().to_vec(), [3.0, 7.0]);
    /// assert_eq!(x.sum(&[0], true).shape(), [1, 2]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn sum(self, axes: &[isize], keepdims: bool) -> Self {
        let axes = rule::axes("sum", &self.shape(), axes).or_panic();
        self.unary(Sum { axes, keepdims })
    }

    /// The sum of all elements, a scalar.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([1.0f32, 2.0])).sum_all().item(), 3.0);
    /// ```
    #[track_caller]
    pub fn sum_all(self) -> Self {
        self.sum(&[], false)
    }
}

impl Examples for Sum {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.sum_all()),
            example!([x: normal [2, 3, 4]] => x.sum(&[0, 2], true)),
            example!([x: normal [2, 3, 4]] => x.sum(&[1], false)),
            example!([x: normal [2, 3]] => x.sum(&[-1], false)),
        ]
    }
}
