//! Matrix products. Wide results go by the kernels of `panel`, which read rows of A where they lie; narrow
//! and flat ones by a register tile per kind of vector, between packed panels of both factors.
//!
//! Every element of the result is one chain of fused multiply-adds over k, ascending, whatever the shapes
//! around it, the blocking, the vectors or the threads: the same numbers give the same bits. Where a machine
//! has no fused multiply-add, `matrixmultiply` computes the product instead.
//!
//! Packing buffers belong to the thread and are used again: a product allocates nothing once they have grown.

use std::cell::RefCell;
use std::thread::LocalKey;

use super::dispatch::{Isa, Kernel, isa, with_simd};
pub use super::pack::Mat;
use super::pack::{LINE, pack, rest};
use super::panel::{Panels, ROWS};
use super::threads::Threads;
use super::vector::Vector;
use crate::element::Element;

/// The packing buffers of the threads that a thread shares its products with.
type Scratch<T> = LocalKey<RefCell<Vec<T>>>;

/// An element type with matrix products.
pub trait Gemm: Sized + 'static {
    #[doc(hidden)]
    fn scratch() -> &'static Scratch<Self>;
    #[doc(hidden)]
    fn tile() -> Option<Tile<Self>>;
    /// What `matrixmultiply` makes of it: `a`, `b` and `c` are a first element, with the distances of neighbours in a
    /// column and in a row.
    ///
    /// # Safety
    /// Every element of the three matrices must be valid; no others are touched.
    #[doc(hidden)]
    unsafe fn portable(
        m: usize,
        k: usize,
        n: usize,
        a: (*const Self, usize, usize),
        b: (*const Self, usize, usize),
        accumulate: bool,
        c: (*mut Self, usize, usize),
    );
}

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

/// The depth of a panel: with it a tile's panels lie in the first cache.
const KC: usize = 256;
/// The depth of a block where rows are read in place.
const DEEP: usize = 512;
/// Elements of a packed block of A, and of B.
const BLOCK_A: usize = 1 << 15;
const BLOCK_B: usize = 1 << 17;
/// The widest tile.
const LARGEST: usize = 8 * 48;
/// Products below this many multiplications are not worth a second thread.
const PARALLEL: usize = 1 << 17;

/// C = A B, or C += A B with `accumulate`: A is m × k, B is k × n, C is m × n, dense and row-major.
///
/// # Panics
/// If a matrix does not hold its elements.
pub fn gemm<T: Element>(
    m: usize,
    k: usize,
    n: usize,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
    c: &mut [T],
    threads: &Threads,
) {
    assert!(a.holds(m, k) && b.holds(k, n) && c.len() == m * n, "gemm: a matrix is too short");
    if m == 0 || n == 0 {
        return;
    }
    let Some(tile) = T::tile() else {
        // SAFETY: every element of the three matrices exists.
        return unsafe { T::portable(m, k, n, a.raw(), b.raw(), accumulate, (c.as_mut_ptr(), n, 1)) };
    };
    if m <= 2 && b.col_stride == 1 {
        for (i, row) in c.chunks_mut(n).enumerate() {
            let a = Mat { data: a.data.get(i * a.row_stride..).unwrap_or_default(), ..a };
            with_simd(RowTimesMatrix { k, a, b, accumulate, c: row });
        }
        return;
    }
    if n >= tile.nr && m >= ROWS {
        return by_rows(m, k, n, a, b, accumulate, c, threads);
    }
    let c = Out { start: c.as_mut_ptr(), row_stride: n, col_stride: 1 };
    // A narrow result fills the wide side of a tile when it is transposed.
    let wide = n >= m || n >= tile.nr;
    let (m, n, a, b, c) = if wide { (m, n, a, b, c) } else { (n, m, b.transposed(), a.transposed(), c.transposed()) };
    // Rows or columns are split, in whole tiles: sizes decide how, the number of threads does not matter.
    let parts = if m * n * k.max(1) < PARALLEL { 1 } else { threads.count() };
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
    T::scratch().with_borrow_mut(|scratch| {
        let needed = blocks.elements() * length.div_ceil(share);
        if scratch.len() < needed + LINE {
            scratch.resize(needed + LINE, T::ZERO);
        }
        // A vector that lies across two cache lines takes two loads.
        let start = scratch.as_ptr().align_offset(64).min(LINE);
        threads.for_chunks(&mut scratch[start..start + needed], blocks.elements(), multiply);
    });
}

/// The product by the kernels of a loop's recurrent product: B is packed, rows of A are read where they lie. Where they
/// are not dense, some at a time are made so.
fn by_rows<T: Element>(
    m: usize,
    k: usize,
    n: usize,
    a: Mat<'_, T>,
    b: Mat<'_, T>,
    accumulate: bool,
    c: &mut [T],
    threads: &Threads,
) {
    let parts = if m * n * k.max(1) < PARALLEL { 1 } else { threads.count() };
    let share = m.div_ceil(parts);
    let depth = k.clamp(1, DEEP);
    // So many rows that they stay in the second cache while all panels go by.
    let height = (BLOCK_A / depth).next_multiple_of(ROWS).min(share);
    let dense = a.col_stride == 1;
    // A row more than a power of two apart: neighbours do not meet in the caches.
    let a_stride = depth.next_multiple_of(LINE) + LINE;
    let of_part = if dense { LINE } else { height * a_stride };
    let of_b = Panels::new::<T>(depth, n).len().next_multiple_of(LINE);
    let c = Out { start: c.as_mut_ptr(), row_stride: n, col_stride: 1 };
    T::scratch().with_borrow_mut(|scratch| {
        let needed = of_b + parts * of_part;
        if scratch.len() < needed + LINE {
            scratch.resize(needed + LINE, T::ZERO);
        }
        // A vector that lies across two cache lines takes two loads.
        let start = scratch.as_ptr().align_offset(64).min(LINE);
        let (packed, scratch) = scratch[start..start + needed].split_at_mut(of_b);
        // Also for k = 0 there is one pass, which writes the zeros.
        for l in (0..k.max(1)).step_by(DEEP) {
            let depth = DEEP.min(k - l);
            let panels = Panels::new::<T>(depth, n);
            let packed = &mut packed[..panels.len()];
            panels.pack(Mat { data: rest(b.data, l * b.row_stride), ..b }, packed, threads);
            let (packed, accumulate) = (&*packed, accumulate || l > 0);
            threads.for_chunks(scratch, of_part, |part, scratch| {
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

/// Where results go.
struct Out<T> {
    start: *mut T,
    row_stride: usize,
    col_stride: usize,
}

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}
// SAFETY: parts of a product write disjoint elements.
unsafe impl<T: Send> Sync for Out<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Out<T> {}

impl<T> Out<T> {
    fn at(self, i: usize, j: usize) -> Self {
        Self { start: self.start.wrapping_add(i * self.row_stride + j * self.col_stride), ..self }
    }

    fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
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
        pub(super) unsafe fn $name(
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
mod x86 {
    use super::super::vector::x86::*;
    use super::tile;

    microkernel!(avx512_f32: F32x16 of f32, "avx512f", 8 x 3);
    microkernel!(avx512_f64: F64x8 of f64, "avx512f", 8 x 3);
    microkernel!(avx2_f32: F32x8 of f32, "avx2,fma", 4 x 3);
    microkernel!(avx2_f64: F64x4 of f64, "avx2,fma", 4 x 3);
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::super::vector::arm::*;
    use super::tile;

    microkernel!(neon_f32: F32x4 of f32, "neon", 6 x 4);
    microkernel!(neon_f64: F64x2 of f64, "neon", 6 x 4);
}

macro_rules! element {
    ($t:ident, $multiply:path, { $($isa:pat => $tile:expr),* $(,)? }) => {
        impl Gemm for $t {
            fn scratch() -> &'static Scratch<Self> {
                thread_local! {
                    static BUFFERS: RefCell<Vec<$t>> = const { RefCell::new(Vec::new()) };
                }
                &BUFFERS
            }

            fn tile() -> Option<Tile<Self>> {
                match isa() {
                    $($isa => $tile,)*
                    _ => None,
                }
            }

            unsafe fn portable(
                m: usize,
                k: usize,
                n: usize,
                a: (*const Self, usize, usize),
                b: (*const Self, usize, usize),
                accumulate: bool,
                c: (*mut Self, usize, usize),
            ) {
                let beta = if accumulate { 1.0 } else { 0.0 };
                let signed = |x: usize| x as isize;
                // SAFETY: the caller answers for the elements.
                unsafe {
                    $multiply(
                        m, k, n, 1.0,
                        a.0, signed(a.1), signed(a.2),
                        b.0, signed(b.1), signed(b.2),
                        beta, c.0, signed(c.1), signed(c.2),
                    );
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
element!(f32, matrixmultiply::sgemm, {
    Isa::Avx512 => Some(Tile { mr: 8, nr: 48, run: x86::avx512_f32 }),
    Isa::Avx2 => Some(Tile { mr: 4, nr: 24, run: x86::avx2_f32 }),
});
#[cfg(target_arch = "x86_64")]
element!(f64, matrixmultiply::dgemm, {
    Isa::Avx512 => Some(Tile { mr: 8, nr: 24, run: x86::avx512_f64 }),
    Isa::Avx2 => Some(Tile { mr: 4, nr: 12, run: x86::avx2_f64 }),
});
#[cfg(target_arch = "aarch64")]
element!(f32, matrixmultiply::sgemm, { Isa::Neon => Some(Tile { mr: 6, nr: 16, run: arm::neon_f32 }) });
#[cfg(target_arch = "aarch64")]
element!(f64, matrixmultiply::dgemm, { Isa::Neon => Some(Tile { mr: 6, nr: 8, run: arm::neon_f64 }) });
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f32, matrixmultiply::sgemm, {});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f64, matrixmultiply::dgemm, {});

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tensor::random::Rng;

    pub(in super::super) fn random<T: Element>(len: usize, rng: &mut Rng) -> Vec<T> {
        (0..len).map(|_| T::from_f64(rng.normal())).collect()
    }

    /// The chain every element must be.
    pub(in super::super) fn chain<T: Element>(k: usize, n: usize, a: Mat<'_, T>, b: Mat<'_, T>, start: &[T]) -> Vec<T> {
        let element = |i: usize, j: usize| {
            (0..k).fold(start[i * n + j], |sum, l| {
                a.data[i * a.row_stride + l * a.col_stride].mul_add(b.data[l * b.row_stride + j * b.col_stride], sum)
            })
        };
        (0..start.len()).map(|e| element(e / n, e % n)).collect()
    }

    fn check<T: Element>(m: usize, k: usize, n: usize, rng: &mut Rng) {
        let (a, b, old) = (random::<T>(m * k, rng), random::<T>(k * n, rng), random::<T>(m * n, rng));
        let layouts = |rows, cols| [(cols, 1), (1, rows)];
        for (ars, acs) in layouts(m, k) {
            for (brs, bcs) in layouts(k, n) {
                for accumulate in [false, true] {
                    let a = Mat { data: &a, row_stride: ars, col_stride: acs };
                    let b = Mat { data: &b, row_stride: brs, col_stride: bcs };
                    let start = if accumulate { old.clone() } else { vec![T::ZERO; m * n] };
                    let expected = chain(k, n, a, b, &start);
                    for threads in [Threads::new(1), Threads::new(2), Threads::new(3)] {
                        let mut c = if accumulate { old.clone() } else { vec![T::NAN; m * n] };
                        gemm(m, k, n, a, b, accumulate, &mut c, &threads);
                        assert!(c == expected, "{m}x{k}x{n} {accumulate} {threads:?}");
                    }
                    let mut c = old.clone();
                    // SAFETY: the vectors hold the matrices.
                    unsafe { T::portable(m, k, n, a.raw(), b.raw(), accumulate, (c.as_mut_ptr(), n, 1)) };
                    for (x, y) in c.iter().zip(&expected) {
                        let error = (*x - *y).abs().to_f64();
                        let bound = T::EPSILON.to_f64() * 40.0 * (k as f64 + 4.0).sqrt() * 4.0;
                        assert!(error < bound, "{m}x{k}x{n}: matrixmultiply says {x}, this says {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn equals_the_chain_bit_for_bit_and_matrixmultiply_nearly() {
        if f32::tile().is_none() {
            return;
        }
        let mut rng = Rng::new(1);
        let sizes = [
            (1, 1, 1),
            (1, 5, 70),
            (2, 9, 130),
            (3, 0, 4),
            (7, 3, 49),
            (8, 48, 48),
            (9, 300, 50),
            (70, 5, 1),
            (33, 257, 100),
        ];
        for (m, k, n) in sizes {
            check::<f32>(m, k, n, &mut rng);
            check::<f64>(m, k, n, &mut rng);
        }
    }

    #[test]
    fn blocks_larger_than_the_caches() {
        if f32::tile().is_none() {
            return;
        }
        let mut rng = Rng::new(2);
        let (m, k, n) = (150, 600, 530);
        let (a, b) = (random::<f32>(m * k, &mut rng), random::<f32>(k * n, &mut rng));
        let a = Mat { data: &a, row_stride: k, col_stride: 1 };
        let b = Mat { data: &b, row_stride: n, col_stride: 1 };
        let mut c = vec![0.0; m * n];
        gemm(m, k, n, a, b, false, &mut c, &Threads::new(2));
        assert!(c == chain(k, n, a, b, &vec![0.0; m * n]));
    }
}
