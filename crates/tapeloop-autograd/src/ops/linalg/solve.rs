//! X with A X = B;  B̄ = A⁻ᵀ X̄,  Ā = −B̄ Xᵀ

use super::super::matrices::system;
use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Solve;

impl<T: Element> Op<T> for Solve {
    fn name(&self) -> &'static str {
        "solve"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        system("solve", inputs[0], inputs[1])
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Some((&[n, m], batch)) = run.shape.matrix_and_batch() else { unreachable!("the shape rule saw to it") };
        let batch: Shape = batch.into();
        run.matrices(&batch, [inputs[0], inputs[1]], |[a, b]| matrix::solve(a, n, &b, m))
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, x) = (back.input(0), back.output());
        let b_bar = a.t().solve(back.cotangent());
        back.give(0, |_| -b_bar.matmul(x.t()));
        back.give(1, |_| b_bar);
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// X with A X = B, for the matrices of the last two axes; leading axes broadcast. Computed in double precision
    /// by LU factorisation with pivoting. Where A is singular, the result is not finite.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[0.0f32, 2.0], [1.0, 0.0]]));
    /// let b = tape.leaf(Tensor::from([[4.0f32], [3.0]]));
    /// assert_eq!(a.solve(b).value().to_vec(), [3.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If A is not square, B has another number of rows, or leading axes do not broadcast.
    #[track_caller]
    pub fn solve(self, b: impl Operand<'t, T>) -> Self {
        self.binary(Solve, b.on(self.tape()))
    }
}

impl Examples for Solve {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3], b: normal [3, 2]] => (a * 0.2 + &Tensor::eye(3)).solve(b)),
            example!([a: normal [2, 2], b: normal [3, 2, 1]] => (a * 0.2 + &Tensor::eye(2)).solve(b)),
        ]
    }
}
