//! Narrow and flat results: a register tile per kind of vector.

use super::{BLOCK_A, Out, lend, parts};
use crate::element::Element;
use crate::kernels::pack::{LINE, Mat, pack, rest};
use crate::kernels::threads::Threads;
use crate::kernels::vector::Vector;

/// A microkernel: a tile of `mr` × `nr` results, from panels of A (k × `mr`) and B (k × `nr`).
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Tile<T> {
    mr: usize,
    nr: usize,
    /// `run(k, a, b, c, stride, load)`: C += A B, or C = A B without `load`.
    ///
    /// # Safety
    /// The machine must have the tile's vectors; `a` must hold k · mr elements, `b` k · nr, and `c` must be
    /// valid for `mr` rows of `nr` at distance `stride`.
    run: unsafe fn(usize, *const T, *const T, *mut T, usize, bool),
}

impl<T> Tile<T> {
    /// A kernel of `mr` × `nr` results.
    pub(super) fn new(mr: usize, nr: usize, run: unsafe fn(usize, *const T, *const T, *mut T, usize, bool)) -> Self {
        Self { mr, nr, run }
    }

    /// How many columns it fills.
    pub(super) fn columns(&self) -> usize {
        self.nr
    }
}

/// The depth of a panel: with it a tile's panels lie in the first cache.
const KC: usize = 256;
/// Elements of a packed block of B.
const BLOCK_B: usize = 1 << 17;
/// The widest tile.
const LARGEST: usize = 8 * 48;

/// C = A B or C += A B by register tiles, between packed panels of both factors.
pub(super) fn multiply<T: Element>(
    m: usize,
    k: usize,
    n: usize,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
    c: &mut [T],
    threads: &Threads,
    tile: Tile<T>,
) {
    let c = Out { start: c.as_mut_ptr(), row_stride: n, col_stride: 1 };
    // A narrow result fills the wide side of a tile when it is transposed.
    let wide = n >= m || n >= tile.nr;
    let (m, n, a, b, c) = if wide { (m, n, a, b, c) } else { (n, m, b.transposed(), a.transposed(), c.transposed()) };
    // Rows or columns are split, in whole tiles: sizes decide how, the number of threads does not matter.
    let parts = parts(m, k, n, threads);
    let by_rows = m.div_ceil(tile.mr) >= n.div_ceil(tile.nr);
    let (length, unit) = if by_rows { (m, tile.mr) } else { (n, tile.nr) };
    let share = length.div_ceil(unit).div_ceil(parts) * unit;
    let largest = share.min(length);
    let blocks = if by_rows { Blocks::new(largest, k, n, tile) } else { Blocks::new(m, k, largest, tile) };
    // The caller lends every part its buffers: who works on it then makes no difference, to memory neither.
    let multiply = |part: usize, scratch: &mut [T]| {
        let (from, to) = (part * share, ((part + 1) * share).min(length));
        let (pack_a, pack_b) = scratch.split_at_mut(blocks.of_a());
        let job = if by_rows {
            let a = Mat { data: a.data.get(from * a.row_stride..).unwrap_or_default(), ..a };
            Job { m: to - from, k, n, a, b, c: c.at(from, 0), accumulate, tile }
        } else {
            let b = Mat { data: b.data.get(from * b.col_stride..).unwrap_or_default(), ..b };
            Job { m, k, n: to - from, a, b, c: c.at(0, from), accumulate, tile }
        };
        job.run(blocks, pack_a, pack_b);
    };
    lend(blocks.elements() * length.div_ceil(share), |scratch| {
        threads.for_chunks(scratch, blocks.elements(), multiply);
    });
}

/// How much of A and B is packed at a time.
#[derive(Clone, Copy)]
struct Blocks {
    depth: usize,
    rows: usize,
    cols: usize,
}

impl Blocks {
    fn new<T>(m: usize, k: usize, n: usize, tile: Tile<T>) -> Self {
        let depth = k.clamp(1, KC);
        let rows = (BLOCK_A / depth).next_multiple_of(tile.mr).min(m.next_multiple_of(tile.mr));
        let cols = (BLOCK_B / depth).next_multiple_of(tile.nr).min(n.next_multiple_of(tile.nr));
        Self { depth, rows, cols }
    }

    fn elements(self) -> usize {
        self.of_a() + self.of_b()
    }

    fn of_a(self) -> usize {
        (self.rows * self.depth).next_multiple_of(LINE)
    }

    fn of_b(self) -> usize {
        (self.cols * self.depth).next_multiple_of(LINE)
    }
}

/// One thread's part of a product.
struct Job<'a, T> {
    m: usize,
    k: usize,
    n: usize,
    a: Mat<'a, T>,
    b: Mat<'a, T>,
    c: Out<T>,
    accumulate: bool,
    tile: Tile<T>,
}

impl<T: Element> Job<'_, T> {
    fn run(&self, blocks: Blocks, pack_a: &mut [T], pack_b: &mut [T]) {
        let Tile { mr, nr, .. } = self.tile;
        let Blocks { rows, cols, .. } = blocks;
        for j in (0..self.n).step_by(cols) {
            let n = cols.min(self.n - j);
            // Also for k = 0 there is one pass, which writes the zeros.
            for l in (0..self.k.max(1)).step_by(KC) {
                let k = KC.min(self.k - l);
                let b = Mat { data: rest(self.b.data, l * self.b.row_stride + j * self.b.col_stride), ..self.b };
                pack(k, n, b.transposed(), nr, pack_b);
                for i in (0..self.m).step_by(rows) {
                    let m = rows.min(self.m - i);
                    let a = Mat { data: rest(self.a.data, i * self.a.row_stride + l * self.a.col_stride), ..self.a };
                    pack(k, m, a, mr, pack_a);
                    self.block(m, k, n, pack_a, pack_b, self.c.at(i, j), self.accumulate || l > 0);
                }
            }
        }
    }

    fn block(&self, m: usize, k: usize, n: usize, a: &[T], b: &[T], c: Out<T>, load: bool) {
        let Tile { mr, nr, run } = self.tile;
        let mut edge = [T::ZERO; LARGEST];
        for (j, b) in (0..n).step_by(nr).zip(b.chunks(nr * k.max(1))) {
            let width = nr.min(n - j);
            for (i, a) in (0..m).step_by(mr).zip(a.chunks(mr * k.max(1))) {
                let height = mr.min(m - i);
                let c = c.at(i, j);
                let (a, b) = (a.as_ptr(), b.as_ptr());
                if width == nr && height == mr && c.col_stride == 1 {
                    // SAFETY: `tile` gave a kernel this machine has; the panels hold k · mr and k · nr elements,
                    // and the whole tile lies inside C.
                    unsafe { run(k, a, b, c.start, c.row_stride, load) };
                    continue;
                }
                if load {
                    for (i, row) in edge.chunks_mut(nr).take(height).enumerate() {
                        for (j, x) in row.iter_mut().take(width).enumerate() {
                            // SAFETY: i < height, j < width: inside C.
                            *x = unsafe { *c.at(i, j).start };
                        }
                    }
                }
                // SAFETY: as above; `edge` holds a whole tile.
                unsafe { run(k, a, b, edge.as_mut_ptr(), nr, load) };
                for (i, row) in edge.chunks(nr).take(height).enumerate() {
                    for (j, &x) in row.iter().take(width).enumerate() {
                        // SAFETY: i < height, j < width: inside C, and in no other part.
                        unsafe { *c.at(i, j).start = x };
                    }
                }
            }
        }
    }
}

/// The tile of `MR` rows of `NV` vectors, in registers over all of k.
///
/// # Safety
/// As for [`Tile::run`].
#[inline(always)]
unsafe fn tile<V: Vector, const MR: usize, const NV: usize>(
    k: usize,
    mut a: *const V::Item,
    mut b: *const V::Item,
    c: *mut V::Item,
    stride: usize,
    load: bool,
) where
    V::Item: Element,
{
    // SAFETY: the caller answers for the instructions and all pointers: a advances k times by MR, b by NR, and
    // c is touched in MR rows of NR elements.
    unsafe {
        let mut sums = [[V::splat(V::Item::ZERO); NV]; MR];
        if load {
            for (i, row) in sums.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = V::load(c.add(i * stride + j * V::LANES));
                }
            }
        }
        for _ in 0..k {
            let mut columns = [V::splat(V::Item::ZERO); NV];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = V::load(b.add(j * V::LANES));
            }
            for (i, row) in sums.iter_mut().enumerate() {
                let x = V::splat(*a.add(i));
                for (sum, &column) in row.iter_mut().zip(&columns) {
                    *sum = x.fma(column, *sum);
                }
            }
            a = a.add(MR);
            b = b.add(NV * V::LANES);
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                sum.store(c.add(i * stride + j * V::LANES));
            }
        }
    }
}

macro_rules! microkernel {
    ($name:ident: $vector:ident of $item:ty, $features:literal, $mr:literal x $nv:literal) => {
        /// # Safety
        /// As for [`Tile::run`].
        #[target_feature(enable = $features)]
        pub(in crate::kernels::gemm) unsafe fn $name(
            k: usize,
            a: *const $item,
            b: *const $item,
            c: *mut $item,
            stride: usize,
            load: bool,
        ) {
            // SAFETY: passed on.
            unsafe { tile::<$vector, $mr, $nv>(k, a, b, c, stride, load) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::tile;
    use crate::kernels::vector::x86::*;

    microkernel!(avx512_f32: F32x16 of f32, "avx512f", 8 x 3);
    microkernel!(avx512_f64: F64x8 of f64, "avx512f", 8 x 3);
    microkernel!(avx2_f32: F32x8 of f32, "avx2,fma", 4 x 3);
    microkernel!(avx2_f64: F64x4 of f64, "avx2,fma", 4 x 3);
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use super::tile;
    use crate::kernels::vector::arm::*;

    microkernel!(neon_f32: F32x4 of f32, "neon", 6 x 4);
    microkernel!(neon_f64: F64x2 of f64, "neon", 6 x 4);
}
