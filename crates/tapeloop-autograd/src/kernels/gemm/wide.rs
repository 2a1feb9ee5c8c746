//! Wide results, by the kernels of [`panel`](crate::kernels::panel).

use super::{BLOCK_A, Left, Out, lend, parts};
use crate::element::Element;
use crate::kernels::pack::{LINE, Mat, pack, rest};
use crate::kernels::panel::{Panels, ROWS};
use crate::kernels::threads::Threads;

/// The depth of a block.
const DEEP: usize = 512;

/// The products by the kernels of a loop's recurrent product: B is packed, rows of A are read where they lie. Where they
/// are not dense, some at a time are made so.
pub(super) fn multiply<T: Element>(
    k: usize,
    n: usize,
    b: Mat<'_, T>,
    accumulate: bool,
    lefts: &mut [Left<'_, T>],
    threads: &Threads,
) {
    let depth = k.clamp(1, DEEP);
    // A row more than a power of two apart: neighbours do not meet in the caches.
    let a_stride = depth.next_multiple_of(LINE) + LINE;
    // So many rows that they stay in the second cache while all panels go by.
    let height = (BLOCK_A / depth).next_multiple_of(ROWS);
    let of_part = height * a_stride;
    let of_b = Panels::new::<T>(depth, n).len().next_multiple_of(LINE);
    let most = lefts.iter().map(|left| parts(left.m, k, n, threads)).max().unwrap_or(1);
    lend(of_b + most * of_part, |scratch| {
        let (packed, scratch) = scratch.split_at_mut(of_b);
        // Also for k = 0 there is one pass, which writes the zeros.
        for l in (0..k.max(1)).step_by(DEEP) {
            let depth = DEEP.min(k - l);
            let panels = Panels::new::<T>(depth, n);
            let packed = &mut packed[..panels.len()];
            panels.pack(Mat { data: rest(b.data, l * b.row_stride), ..b }, packed, threads);
            let (packed, accumulate) = (&*packed, accumulate || l > 0);
            for Left { m, a, c } in lefts.iter_mut() {
                let (m, a) = (*m, *a);
                let parts = parts(m, k, n, threads);
                let share = m.div_ceil(parts);
                let height = height.min(share);
                let dense = a.col_stride == 1;
                let c = Out { start: c.as_mut_ptr(), row_stride: n, col_stride: 1 };
                threads.for_chunks(&mut scratch[..parts * of_part], of_part, |part, scratch| {
                    let end = ((part + 1) * share).min(m);
                    for first in (part * share..end).step_by(height) {
                        let count = height.min(end - first);
                        let rows = Mat { data: rest(a.data, first * a.row_stride + l * a.col_stride), ..a };
                        let (rows, row_stride) = if dense {
                            (rows.data, a.row_stride)
                        } else {
                            pack(count, depth, rows.transposed(), a_stride, &mut scratch[..count * a_stride]);
                            (&*scratch, a_stride)
                        };
                        let c = c.at(first, 0).start;
                        let init = accumulate.then_some((c.cast_const(), n));
                        // SAFETY: A holds so many rows of `depth` elements; these rows of C are this part's alone; the
                        // factor was packed above.
                        unsafe { panels.multiply(count, rows.as_ptr(), row_stride, packed.as_ptr(), init, c, n) };
                    }
                });
            }
        }
    });
}
