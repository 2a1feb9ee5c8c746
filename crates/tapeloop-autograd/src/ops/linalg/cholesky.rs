//! L lower triangular with L Lᵀ = A;  Ā = ½ L⁻ᵀ (Φ + Φᵀ) L⁻¹, Φ the lower triangle of Lᵀ L̄ with its diagonal halved

use super::super::matrices::square;
use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cholesky;

impl<T: Element> Op<T> for Cholesky {
    fn name(&self) -> &'static str {
        "cholesky"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        square("cholesky", inputs[0]).map(|_| inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Ok((n, batch)) = square("cholesky", inputs[0].shape()) else { unreachable!("the shape rule saw to it") };
        run.matrices(&batch, [inputs[0]], |[mut a]| {
            matrix::cholesky(&mut a, n);
            a
        })
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let l = back.output();
        back.give(0, |g| {
            let inner = l.t().matmul(g);
            let symmetric = inner.tril(0) + inner.tril(-1).t();
            let half = l.t().solve_triangular(symmetric, true, false);
            l.t().solve_triangular(half.t(), true, false) * 0.5
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The lower triangular L with L Lᵀ = A, for the matrices of the last two axes. Only the lower triangle of A
    /// is read; its gradient is symmetric. Where A is not positive definite, NaN.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[4.0f32, 2.0], [2.0, 10.0]]));
    /// assert_eq!(a.cholesky().value().to_vec(), [2.0, 0.0, 1.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn cholesky(self) -> Self {
        self.unary(Cholesky)
    }
}

impl Examples for Cholesky {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3]] => (a.matmul(a.t()) + &Tensor::eye(3)).cholesky()),
            example!([a: normal [2, 2, 2]] => (a.matmul(a.t()) + &Tensor::eye(2)).cholesky()),
        ]
    }
}
