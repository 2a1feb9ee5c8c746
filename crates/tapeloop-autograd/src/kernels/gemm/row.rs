//! One or two rows times a matrix.

use crate::element::Element;
use crate::kernels::dispatch::{Kernel, with_simd};
use crate::kernels::pack::{Mat, rest};

/// C = A B or C += A B, a row at a time; rows of B must be dense.
pub(super) fn multiply<T: Element>(k: usize, n: usize, a: Mat<'_, T>, b: Mat<'_, T>, accumulate: bool, c: &mut [T]) {
    for (i, c) in c.chunks_mut(n).enumerate() {
        let a = Mat { data: rest(a.data, i * a.row_stride), ..a };
        with_simd(RowTimesMatrix { k, a, b, accumulate, c });
    }
}

/// One row: c = a B, some rows of B at a time, so that memory is read in long runs.
struct RowTimesMatrix<'a, T> {
    k: usize,
    a: Mat<'a, T>,
    b: Mat<'a, T>,
    accumulate: bool,
    c: &'a mut [T],
}

impl<T: Element> Kernel for RowTimesMatrix<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        /// Results that stay in the first cache.
        const STRIP: usize = 1024;
        const TOGETHER: usize = 8;
        let Self { k, a, b, accumulate, c } = self;
        if !accumulate {
            c.fill(T::ZERO);
        }
        for (j, c) in c.chunks_mut(STRIP).enumerate() {
            let n = c.len();
            let row = |l: usize| &b.data[l * b.row_stride + j * STRIP..][..n];
            let factor = |l: usize| a.data[l * a.col_stride];
            let mut l = 0;
            while l + TOGETHER <= k {
                let x: [T; TOGETHER] = std::array::from_fn(|q| factor(l + q));
                let rows: [&[T]; TOGETHER] = std::array::from_fn(|q| row(l + q));
                for i in 0..n {
                    // Still one chain over k.
                    let mut sum = c[i];
                    for q in 0..TOGETHER {
                        sum = x[q].mul_add(rows[q][i], sum);
                    }
                    c[i] = sum;
                }
                l += TOGETHER;
            }
            for l in l..k {
                let (x, row) = (factor(l), row(l));
                for i in 0..n {
                    c[i] = x.mul_add(row[i], c[i]);
                }
            }
        }
    }
}
