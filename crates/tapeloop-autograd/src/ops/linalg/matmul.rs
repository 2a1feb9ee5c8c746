//! Y = A B;  Ā = Ȳ Bᵀ,  B̄ = Aᵀ Ȳ

use super::super::matrices::batch_offsets;
use crate::element::Element;
use crate::kernels::gemm::{Mat, gemm};
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matmul;

const RULE: &str = "it needs [.., n, k] and [.., k, m], leading axes broadcasting";

impl<T: Element> Op<T> for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let [a, b] = inputs else { unreachable!("a product has two factors") };
        let error = || ShapeError::new("matmul", inputs, RULE);
        let (Some((&[n, k], batch_a)), Some((&[l, m], batch_b))) = (a.matrix_and_batch(), b.matrix_and_batch())
        else {
            return Err(error());
        };
        if k != l {
            return Err(error());
        }
        let batch = rule::broadcast("matmul", &[&batch_a.into(), &batch_b.into()]).map_err(|_| error())?;
        Ok(batch.with_matrix(n, m))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let rank = out.rank();
        let batch: Shape = out.shape()[..rank - 2].into();
        let (n, m) = (out.shape()[rank - 2], out.shape()[rank - 1]);
        let k = inputs[0].shape()[inputs[0].rank() - 1];
        let [(a, batch_a), (b, batch_b)] = [inputs[0], inputs[1]].map(|x| (x, batch_offsets(x, &batch)));
        if out.size() == 0 {
            return out;
        }
        for (i, out) in out.as_mut_slice().chunks_mut(n * m).enumerate() {
            gemm(n, k, m, matrix(a, batch_a(i)), matrix(b, batch_b(i)), false, out, run.threads);
        }
        out
    }
    fn form(&self) -> Form<T> {
        Form::product()
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| g.matmul(b.t()));
        back.give(1, |g| a.t().matmul(g));
    }
}

fn matrix<T: Element>(x: &Tensor<T>, offset: usize) -> Mat<'_, T> {
    let strides = x.strides();
    let [row_stride, col_stride] = [strides[x.rank() - 2], strides[x.rank() - 1]];
    Mat { data: x.storage().get(offset..).unwrap_or_default(), row_stride, col_stride }
}

impl<'t, T: Element> Var<'t, T> {
    /// The matrix product of the last two axes; leading axes broadcast. A vector is a row on the left and a
    /// column on the right, and its axis disappears, as in NumPy.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// let x = tape.leaf(Tensor::from([1.0f32, 10.0]));
    /// assert_eq!(a.matmul(x).value().to_vec(), [21.0, 43.0]);
    /// ```
    ///
    /// # Panics
    /// If the inner lengths differ, the leading axes do not broadcast, or a factor is a scalar.
    #[track_caller]
    pub fn matmul(self, other: impl Operand<'t, T>) -> Self {
        let (a, b) = (self, other.on(self.tape()));
        let (shape_a, shape_b) = (a.shape(), b.shape());
        match (shape_a.rank(), shape_b.rank()) {
            (1, 1) if shape_a == shape_b => (a * b).sum_all(),
            (1, 1..) => {
                let product = a.reshape_to([1, shape_a[0]]).binary(Matmul, b);
                product.reshape_to(without(&product.shape(), 2))
            }
            (1.., 1) => {
                let product = a.binary(Matmul, b.reshape_to([shape_b[0], 1]));
                product.reshape_to(without(&product.shape(), 1))
            }
            // One product over all leading axes, instead of one for each.
            (3.., 2) if shape_a[shape_a.rank() - 1] == shape_b[0] && shape_b[0] > 0 => {
                let rows = a.reshape_to([shape_a.size() / shape_b[0], shape_b[0]]);
                rows.binary(Matmul, b).reshape_to(shape_a.with(shape_a.rank() - 1, shape_b[1]))
            }
            _ => a.binary(Matmul, b),
        }
    }
}

/// The shape without the axis that lies `from_end` places from the end.
fn without(shape: &Shape, from_end: usize) -> Shape {
    let mut shape = shape.clone();
    shape.0.remove(shape.rank() - from_end);
    shape
}

impl Examples for Matmul {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 4], b: normal [4, 2]] => a.matmul(b)),
            example!([a: normal [4], b: normal [4, 3]] => a.matmul(b)),
            example!([a: normal [5], b: normal [5]] => a.matmul(b)),
            example!([a: normal [2, 3, 4], b: normal [4]] => a.matmul(b)),
            example!([a: normal [2, 1, 3, 4], b: normal [5, 4, 2]] => a.matmul(b)),
            example!([a: normal [2, 3, 4], b: normal [4, 2]] => a.matmul(b)),
            example!([a: normal [4, 3], b: normal [2, 4]] => a.t().matmul(b.t())),
        ]
    }
}
