//! Q with A = Q R;  Ā = (Q̄ + Q sym(M)) R⁻ᵀ, M = −Q̄ᵀ Q, sym(M) its lower triangle with the strict part mirrored

use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Orthonormal;

impl<T: Element> Op<T> for Orthonormal {
    fn name(&self) -> &'static str {
        "orthonormal"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match inputs[0].matrix_and_batch() {
            Some((&[m, n], batch)) if m >= n => Ok(Shape::from(batch).with_matrix(m, n)),
            _ => Err(ShapeError::new("orthonormal", inputs, "it needs matrices with at least as many rows as columns")),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Some((&[m, n], batch)) = run.shape.matrix_and_batch() else { unreachable!("the shape rule saw to it") };
        let batch: Shape = batch.into();
        let threads = run.threads;
        run.matrices(&batch, [inputs[0]], |[a]| matrix::orthonormal(a, m, n, threads))
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, q) = (back.input(0), back.output());
        back.give(0, |g| {
            let r = q.t().matmul(a);
            let m = -g.t().matmul(q);
            let symmetric = m.tril(0) + m.tril(-1).t();
            r.solve_triangular((g + q.matmul(symmetric)).t(), true, false).t()
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The orthonormal columns Q of A = Q R, for the matrices of the last two axes, which have at least as many
    /// rows as columns. Signs are those of Householder's method as LAPACK writes it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[3.0f64], [4.0]]));
    /// let q = a.orthonormal().value().to_vec();
    /// assert!((q[0] + 0.6).abs() < 1e-15 && (q[1] + 0.8).abs() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// If there are more columns than rows.
    #[track_caller]
    pub fn orthonormal(self) -> Self {
        self.unary(Orthonormal)
    }
}

impl Examples for Orthonormal {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3]] => (a * 0.2 + &Tensor::eye(3)).orthonormal()),
            example!([a: normal [2, 4, 2]] => (a * 0.2 + &Tensor::eye(4).slice(1, 0..2)).orthonormal()),
        ]
    }
}
