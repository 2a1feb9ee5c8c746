//! Operations along one axis: it is brought to the end, where it lies dense.

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::Run;
use crate::shape::{OrPanic, rule};
use crate::tape::Var;
use crate::tensor::Tensor;

impl<T: Element> Run<'_, T> {
    /// `f(row, out)` for every row along the last axis.
    pub(crate) fn rowwise(&mut self, x: &Tensor<T>, f: impl Fn(&[T], &mut [T]) + Sync) -> Tensor<T> {
        let mut out = self.output();
        let dense = self.dense(x);
        let n = dense.shape()[dense.rank() - 1];
        rows::each(dense.as_slice().unwrap_or_default(), n, out.as_mut_slice(), n, self.threads, f);
        self.free_dense(dense);
        out
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// `f` with `axis` as the last one. A scalar counts as one element along its only axis.
    #[track_caller]
    pub(crate) fn along_last(self, axis: isize, f: impl FnOnce(Self) -> Self) -> Self {
        let _line = self.tape().called();
        let shape = self.shape();
        if shape.rank() == 0 && (axis == 0 || axis == -1) {
            return f(self.reshape_to([1])).reshape_to(shape);
        }
        let axis = rule::axis("axis", &shape, axis).or_panic();
        if axis + 1 == shape.rank() {
            return f(self);
        }
        f(self.swap_axes(axis as isize, -1)).swap_axes(axis as isize, -1)
    }
}
