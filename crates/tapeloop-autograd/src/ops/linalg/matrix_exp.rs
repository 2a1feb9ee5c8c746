//! Y = eᴬ;  Ā is the upper right block of the exponential of [Aᵀ Ȳ; 0 Aᵀ]

use super::super::matrices::square;
use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MatrixExp;

impl<T: Element> Op<T> for MatrixExp {
    fn name(&self) -> &'static str {
        "matrix_exp"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        square("matrix_exp", inputs[0]).map(|_| inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Ok((n, batch)) = square("matrix_exp", inputs[0].shape()) else { unreachable!("the shape rule saw to it") };
        run.matrices(&batch, [inputs[0]], |[a]| matrix::exp(&a, n))
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let a = back.input(0).t();
        back.give(0, |g| {
            let n = a.dim(-1) as isize;
            // The block is linear in ȳ. A large one would be halved more often than A needs, and squared as often: digits
            // would be lost.
            let size = g.abs().sum(&[-2, -1], true);
            let size = size.gt(0.0).if_else(size, 1.0);
            let above = Var::concat([a, g / size], -1);
            let below = Var::concat([g.tape().full(a.shape(), 0.0), a], -1);
            Var::concat([above, below], -2).matrix_exp().slice(-2, 0..n).slice(-1, n..) * size
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The matrix exponential eᴬ = I + A + A²/2! + …, for the matrices of the last two axes. Computed in double
    /// precision (Higham 2005).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let turn = tape.leaf(Tensor::from([[0.0f64, -1.0], [1.0, 0.0]]));
    /// let y = turn.matrix_exp().value();
    /// assert!((y.at(&[0, 0]) - 1f64.cos()).abs() < 1e-15 && (y.at(&[1, 0]) - 1f64.sin()).abs() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn matrix_exp(self) -> Self {
        self.unary(MatrixExp)
    }
}

impl Examples for MatrixExp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3]] => a.matrix_exp()),
            example!([a: normal [2, 2, 2]] => a.matrix_exp()),
        ]
    }
}
