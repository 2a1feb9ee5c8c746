//! Operations on the matrices of the last two axes, one by one, in double precision.

use crate::element::Element;
use crate::kernels::matrix::Matrix;
use crate::ops::Run;
use crate::shape::{Dims, Shape, ShapeError, ShapeResult, rule};
use crate::tensor::Tensor;

impl Shape {
    /// The last two lengths and those before them.
    pub(crate) fn matrix_and_batch(&self) -> Option<(&[usize; 2], &[usize])> {
        self.split_last_chunk::<2>().map(|(batch, matrix)| (matrix, batch))
    }

    /// The shape of a batch of n × m matrices.
    pub(crate) fn with_matrix(mut self, n: usize, m: usize) -> Self {
        self.0.extend([n, m]);
        self
    }
}

/// The rule for square matrices: their side and the leading axes.
pub(crate) fn square(op: &'static str, shape: &Shape) -> Result<(usize, Shape), ShapeError> {
    match shape.matrix_and_batch() {
        Some((&[n, m], batch)) if n == m => Ok((n, batch.into())),
        _ => Err(ShapeError::new(op, &[shape], "it needs square matrices, [.., n, n]")),
    }
}

/// The rule for a system of equations: A [.., n, n], B [.., n, m], leading axes broadcasting.
pub(crate) fn system(op: &'static str, a: &Shape, b: &Shape) -> ShapeResult {
    let error = || ShapeError::new(op, &[a, b], "it needs [.., n, n] and [.., n, m], leading axes broadcasting");
    let (n, batch_a) = square(op, a).map_err(|_| error())?;
    match b.matrix_and_batch() {
        Some((&[rows, m], batch_b)) if rows == n => {
            Ok(rule::broadcast(op, &[&batch_a, &batch_b.into()]).map_err(|_| error())?.with_matrix(n, m))
        }
        _ => Err(error()),
    }
}

/// Where the i-th matrix of a broadcast batch starts.
pub(crate) fn batch_offsets<T: Element>(x: &Tensor<T>, batch: &Shape) -> impl Fn(usize) -> usize + use<T> {
    let mut strides = Dims::from_elem(0, batch.rank());
    let own = x.rank() - 2;
    let lead = batch.rank() - own;
    for axis in 0..own {
        if x.shape()[axis] == batch[lead + axis] {
            strides[lead + axis] = x.strides()[axis];
        }
    }
    let batch = batch.clone();
    move |mut i| {
        let mut offset = 0;
        for axis in (0..batch.rank()).rev() {
            offset += i % batch[axis] * strides[axis];
            i /= batch[axis];
        }
        offset
    }
}

impl<T: Element> Run<'_, T> {
    /// `f` of the i-th matrix of every input, for every i of the result's `batch`.
    pub(crate) fn matrices<const N: usize>(
        &mut self,
        batch: &Shape,
        inputs: [&Tensor<T>; N],
        f: impl Fn([Matrix; N]) -> Matrix,
    ) -> Tensor<T> {
        let mut out = self.output();
        let size: usize = out.size() / batch.size().max(1);
        if size == 0 {
            return out;
        }
        let offsets = inputs.map(|x| batch_offsets(x, batch));
        for (i, out) in out.as_mut_slice().chunks_mut(size).enumerate() {
            let result = f(std::array::from_fn(|k| read(inputs[k], offsets[k](i))));
            for (out, x) in out.iter_mut().zip(result) {
                *out = T::from_f64(x);
            }
        }
        out
    }
}

/// The matrix that starts at `offset`.
fn read<T: Element>(x: &Tensor<T>, offset: usize) -> Matrix {
    let rank = x.rank();
    let (n, m) = (x.shape()[rank - 2], x.shape()[rank - 1]);
    let (row, col) = (x.strides()[rank - 2], x.strides()[rank - 1]);
    let place = move |i: usize| (0..m).map(move |j| offset + i * row + j * col);
    (0..n).flat_map(place).map(|at| x.storage()[at].to_f64()).collect()
}
