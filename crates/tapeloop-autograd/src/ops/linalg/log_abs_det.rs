//! y = ln |det A|;  Ā = ȳ A⁻ᵀ

use super::super::matrices::square;
use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogAbsDet;

impl<T: Element> Op<T> for LogAbsDet {
    fn name(&self) -> &'static str {
        "log_abs_det"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        square("log_abs_det", inputs[0]).map(|(_, batch)| batch)
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Ok((n, batch)) = square("log_abs_det", inputs[0].shape()) else { unreachable!("the shape rule saw to it") };
        run.matrices(&batch, [inputs[0]], |[a]| vec![matrix::log_det(a, n).1])
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let a = back.input(0);
        back.give(0, |g| {
            let mut ones = g.shape();
            ones.0.extend([1, 1]);
            a.t().solve(g.reshape_to(ones) * &Tensor::eye(a.dim(-1)))
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The logarithm of the absolute value of the determinant, for the matrices of the last two axes. It neither
    /// overflows nor underflows. Where a matrix is singular, −∞.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::<f32>::eye(3));
    /// assert_eq!(a.log_abs_det().item(), 0.0);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn log_abs_det(self) -> Self {
        self.unary(LogAbsDet)
    }
}

impl Examples for LogAbsDet {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3]] => (a * 0.2 + &Tensor::eye(3)).log_abs_det()),
            example!([a: normal [2, 2, 2]] => (a * 0.2 + &Tensor::eye(2)).log_abs_det()),
        ]
    }
}
