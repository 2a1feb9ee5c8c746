//! Reductions over any axes, brought to two loops: over rows, or over columns of a block.

use smallvec::SmallVec;

use crate::element::Element;
use crate::ops::Run;
use crate::shape::Dims;
use crate::tensor::Tensor;

impl<T: Element> Run<'_, T> {
    /// Reduces `axes` (sorted, distinct). `rows(x, n, out)`: each element of `out` from `n` neighbours of `x`.
    /// `columns(x, n, out)`: element j of `out` from elements j, j + out.len(), … of `x`.
    pub(crate) fn fold(
        &mut self,
        x: &Tensor<T>,
        axes: &[usize],
        rows: impl Fn(&[T], usize, &mut [T], &Self),
        columns: impl Fn(&[T], usize, &mut [T], &Self),
    ) -> Tensor<T> {
        let mut out = self.output();
        if out.size() == 0 {
            return out;
        }
        let n: usize = axes.iter().map(|&axis| x.shape()[axis]).product();
        // Neighbouring axes are one axis: (outer, n, inner). Others are brought to the end first.
        let neighbours = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let inner = match (neighbours, axes.last()) {
            (true, Some(&last)) => x.shape()[last + 1..].iter().product(),
            _ => 1,
        };
        let order: Dims = (0..x.rank()).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
        let arranged = if neighbours { x.clone() } else { x.permuted(&order) };
        let dense = self.dense(&arranged);
        let data = dense.as_slice().unwrap_or_default();
        if inner == 1 {
            rows(data, n, out.as_mut_slice(), self);
        } else if n == 0 {
            columns(&[], 0, out.as_mut_slice(), self);
        } else {
            for (block, out) in data.chunks(n * inner).zip(out.as_mut_slice().chunks_mut(inner)) {
                columns(block, n, out, self);
            }
        }
        self.free_dense(dense);
        out
    }
}

/// The axes that broadcasting `to` back to `from` repeats: leading ones and those of length 1.
pub(crate) fn broadcast_axes(from: &[usize], to: &[usize]) -> SmallVec<[usize; 4]> {
    let lead = from.len() - to.len();
    (0..from.len()).filter(|&axis| axis < lead || (to[axis - lead] == 1 && from[axis] != 1)).collect()
}
