//! X with A X = B, A triangular;  B̄ = A⁻ᵀ X̄,  Ā = the triangle of −B̄ Xᵀ

use super::super::matrices::system;
use crate::element::Element;
use crate::kernels::matrix::{self, Triangle};
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SolveTriangular {
    triangle: Triangle,
}

impl<T: Element> Op<T> for SolveTriangular {
    fn name(&self) -> &'static str {
        "solve_triangular"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        system("solve_triangular", inputs[0], inputs[1])
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Some((&[n, m], batch)) = run.shape.matrix_and_batch() else { unreachable!("the shape rule saw to it") };
        let batch: Shape = batch.into();
        run.matrices(&batch, [inputs[0], inputs[1]], |[a, mut b]| {
            matrix::solve_triangular(&a, n, &mut b, m, self.triangle);
            b
        })
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let Triangle { upper, transposed, unit } = self.triangle;
        let (a, x) = (back.input(0), back.output());
        let opposite = Self { triangle: Triangle { transposed: !transposed, ..self.triangle } };
        let b_bar = a.binary(opposite, back.cotangent());
        back.give(0, |_| {
            let outer = if transposed { x.matmul(b_bar.t()) } else { b_bar.matmul(x.t()) };
            let inside = isize::from(unit);
            -if upper { outer.triu(inside) } else { outer.tril(-inside) }
        });
        back.give(1, |_| b_bar);
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// X with A X = B, where only the lower (or `upper`) triangle of A counts, and its diagonal is taken to be 1 if
    /// `unit`. Leading axes broadcast.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[2.0f32, 0.0], [1.0, 4.0]]));
    /// let b = tape.leaf(Tensor::from([[2.0f32], [9.0]]));
    /// assert_eq!(a.solve_triangular(b, false, false).value().to_vec(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If A is not square, B has another number of rows, or leading axes do not broadcast.
    #[track_caller]
    pub fn solve_triangular(self, b: impl Operand<'t, T>, upper: bool, unit: bool) -> Self {
        let triangle = Triangle { upper, transposed: false, unit };
        self.binary(SolveTriangular { triangle }, b.on(self.tape()))
    }
}

impl Examples for SolveTriangular {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: positive [3, 3], b: normal [3, 2]] => a.solve_triangular(b, false, false)),
            example!([a: positive [3, 3], b: normal [3, 2]] => a.solve_triangular(b, true, false)),
            example!([a: normal [2, 3, 3], b: normal [3, 1]] => a.solve_triangular(b, true, true)),
            example!([a: normal [3, 3], b: normal [2, 3, 1]] => a.solve_triangular(b, false, true)),
        ]
    }
}
