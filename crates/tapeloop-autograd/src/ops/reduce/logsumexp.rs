//! y = ln Σ eˣ over the last axis;  ∂y/∂x = e^(x − y)

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logsumexp;

impl<T: Element> Op<T> for Logsumexp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].with(inputs[0].rank() - 1, 1))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let x = run.dense(inputs[0]);
        let data = x.as_slice().unwrap_or_default();
        let n = x.shape()[x.rank() - 1];
        rows::each(data, n, out.as_mut_slice(), 1, run.threads, |x, out| out[0] = rows::logsumexp(x));
        run.free_dense(x);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (x, y) = (back.input(0), back.output());
        back.give(0, |g| g * (x - y).exp());
    }
}

impl<T: Element> Var<'_, T> {
    /// ln Σ eˣ over `axes`, over all of them if the list is empty, without overflow. Of nothing it is −∞.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1000.0f32, 1000.0]));
    /// assert_eq!(x.logsumexp(&[0], false).item(), 1000.0 + 2f32.ln());
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn logsumexp(self, axes: &[isize], keepdims: bool) -> Self {
        let shape = self.shape();
        let axes = rule::axes("logsumexp", &shape, axes).or_panic();
        let out = rule::reduced(&shape, &axes, keepdims);
        // The reduced axes become one, the last.
        let order: Dims = (0..shape.rank()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
        let n: usize = axes.iter().map(|&axis| shape[axis]).product();
        let moved = if order.windows(2).all(|pair| pair[0] < pair[1]) { self } else { self.permute_to(order) };
        moved.reshape_to([out.size(), n]).unary(Logsumexp).reshape_to(out)
    }
}

impl Examples for Logsumexp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.logsumexp(&[], false)),
            example!([x: normal [2, 3, 4]] => x.logsumexp(&[0, 2], true)),
        ]
    }
}
