//! y = det A;  Ā = ȳ cof(A), which is ȳ y A⁻ᵀ where A is regular

use super::super::matrices::square;
use crate::element::Element;
use crate::kernels::matrix;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Det;

impl<T: Element> Op<T> for Det {
    fn name(&self) -> &'static str {
        "det"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        square("det", inputs[0]).map(|(_, batch)| batch)
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let Ok((n, batch)) = square("det", inputs[0].shape()) else { unreachable!("the shape rule saw to it") };
        run.matrices(&batch, [inputs[0]], |[a]| vec![matrix::det(a, n)])
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let a = back.input(0);
        back.give(0, |g| {
            let n = a.dim(-1);
            if n == 0 {
                return g.tape().full(a.shape(), 0.0);
            }
            let mut ones = g.shape();
            ones.0.extend([1, 1]);
            // Each cofactor is a determinant of its own, so a singular matrix needs no special case.
            let minors: Vec<_> = (0..n * n)
                .map(|place| {
                    let (i, j) = (place / n, place % n);
                    let sign = if (i + j) % 2 == 0 { 1.0 } else { -1.0 };
                    without(without(a, -2, i), -1, j).det() * sign
                })
                .collect();
            let cofactors = Var::stack(minors, -1).reshape_to(a.shape());
            cofactors * g.reshape_to(ones)
        });
    }
}

/// The matrices without one row or column.
fn without<T: Element>(a: Var<'_, T>, axis: isize, index: usize) -> Var<'_, T> {
    let index = index as isize;
    Var::concat([a.slice(axis, 0..index), a.slice(axis, index + 1..)], axis)
}

impl<T: Element> Var<'_, T> {
    /// The determinant of the matrices of the last two axes.
    ///
    /// The derivative computes n² minors; for large matrices take [`log_abs_det`](Self::log_abs_det).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// let y = a.det();
    /// assert_eq!(y.item(), -2.0);
    /// assert_eq!(y.backward().wrt(a).unwrap().to_vec(), [4.0, -3.0, -2.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn det(self) -> Self {
        self.unary(Det)
    }
}

impl Examples for Det {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 3]] => a.det()),
            example!([a: normal [2, 2, 2]] => a.det()),
            example!([a: normal [1, 1]] => a.det()),
            example!([a: normal [3, 1]] => a.matmul(a.t()).det()),
        ]
    }
}
