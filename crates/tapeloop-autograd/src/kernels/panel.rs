//! Products of a few rows with a constant matrix that was packed once: the recurrent product of a loop.
//!
//! As in [`gemm`](super::gemm), every element of the result is one chain of fused multiply-adds over k, ascending: the
//! same bits for any number of rows. Here nothing is packed per call, and rows of A are read where they lie.

use super::dispatch::{Isa, isa};
use super::pack::{Mat, pack, rest};
use super::threads::Threads;
use super::vector::Vector;
#[cfg(target_arch = "aarch64")]
use super::vector::arm;
#[cfg(target_arch = "x86_64")]
use super::vector::x86;
use crate::element::Element;

/// A constant right factor, k × n, packed into panels of neighbouring columns, each k × `width`. The last one is as many
/// vectors wide as it has columns for, and filled with zeros.
///
/// This is the layout only: the elements lie in a buffer of the caller's. At multiples of 64 bytes no vector lies across
/// two cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panels {
    k: usize,
    n: usize,
    width: usize,
    lanes: usize,
    isa: Isa,
}

/// An element type with kernels for panels.
pub trait Panel: Sized + 'static {
    #[doc(hidden)]
    fn kernels(isa: Isa) -> Option<&'static Kernels<Self>>;
}

/// Microkernels of one kind of vector.
#[doc(hidden)]
pub struct Kernels<T: 'static> {
    lanes: usize,
    /// For a panel: `[v − 1][r − 1]` has v vectors and r rows. The last line is for a whole panel.
    single: &'static [[Run<T>; ROWS]],
    /// `[r − 1]` is for a product of r rows, too few to keep the multipliers busy: so many whole panels at once.
    several: &'static [(usize, Run<T>)],
}

type Run<T> = unsafe fn(&Operands<T>);

/// What a microkernel works on: C = init + A B, or A B where `init` is null.
#[doc(hidden)]
pub struct Operands<T> {
    k: usize,
    a: *const T,
    a_stride: usize,
    b: *const T,
    /// The distance of panels.
    panel: usize,
    init: *const T,
    init_stride: usize,
    c: *mut T,
    c_stride: usize,
}

/// The most rows a microkernel takes.
pub(super) const ROWS: usize = 6;
/// The depth of a block: the next rows find its part of a panel in a near cache.
const DEPTH: usize = 512;
/// The widest panel.
const WIDEST: usize = 64;
/// Elements of rows that stay in the second cache.
const BLOCK: usize = 1 << 15;
/// Products below this many multiplications are not worth a second thread.
const PARALLEL: usize = 1 << 17;
/// Elements that are worth a task of their own when they are packed.
const TASK: usize = 1 << 15;

impl Panels {
    /// The layout of a k × n matrix.
    pub(crate) fn new<T: Element>(k: usize, n: usize) -> Self {
        let isa = isa();
        // A single panel is the matrix itself, row-major: what `matrixmultiply` is given.
        let (width, lanes) = T::kernels(isa).map_or((n, 1), |kernels| (kernels.width(), kernels.lanes));
        Self { k, n, width, lanes, isa }
    }

    /// Rows of the matrix: the depth of the product.
    pub(crate) fn depth(&self) -> usize {
        self.k
    }

    /// Columns of the matrix, and of the product.
    pub(crate) fn columns(&self) -> usize {
        self.n
    }

    /// Elements the packed form takes.
    pub(crate) fn len(&self) -> usize {
        self.k * self.n.next_multiple_of(self.lanes)
    }

    /// Packs `b` into `out`.
    ///
    /// # Panics
    /// If `b` does not hold k × n elements, or `out` has another length than [`len`](Self::len).
    pub(crate) fn pack<T: Element>(&self, b: Mat<'_, T>, out: &mut [T], threads: &Threads) {
        let Self { k, n, width, lanes, .. } = *self;
        assert!(b.holds(k, n) && out.len() == self.len(), "pack: a matrix has the wrong length");
        if k == 0 || n == 0 {
            return;
        }
        let panels = (TASK / (k * width)).max(1);
        threads.for_chunks(out, panels * k * width, |task, out| {
            for (i, out) in out.chunks_mut(k * width).enumerate() {
                let first = (task * panels + i) * width;
                let count = width.min(n - first);
                let columns = Mat { data: rest(b.data, first * b.col_stride), ..b };
                pack(k, count, columns.transposed(), count.next_multiple_of(lanes), out);
            }
        });
    }

    /// C = A B for `rows` rows, dense and row-major; with `init`, a row, C = init + A B.
    ///
    /// # Panics
    /// If the elements of a row of A are no neighbours, or a matrix does not hold its elements.
    pub(crate) fn product<T: Element>(
        &self,
        rows: usize,
        a: Mat<'_, T>,
        packed: &[T],
        init: Option<&[T]>,
        c: &mut [T],
        threads: &Threads,
    ) {
        let Self { k, n, .. } = *self;
        let neighbours = a.col_stride == 1 || k <= 1;
        assert!(neighbours && a.holds(rows, k), "product: the left factor is not what it should be");
        assert!(packed.len() == self.len() && c.len() == rows * n, "product: a matrix has the wrong length");
        assert!(init.is_none_or(|init| init.len() >= n), "product: a row is too short");
        if rows == 0 || n == 0 {
            return;
        }
        let share = if rows * n * k < PARALLEL { rows } else { rows.div_ceil(threads.count()) };
        // So many rows that they stay in the second cache while all panels go by.
        let height = (BLOCK / k.max(1)).next_multiple_of(ROWS);
        threads.for_chunks(c, share * n, |part, c| {
            for (i, c) in c.chunks_mut(height * n).enumerate() {
                let first = part * share + i * height;
                let start = rest(a.data, first * a.row_stride).as_ptr();
                // SAFETY: A holds these rows of k elements, and the chunk of C as many of n; the packed form is of this
                // layout's length.
                unsafe {
                    self.multiply(
                        c.len() / n,
                        start,
                        a.row_stride,
                        packed.as_ptr(),
                        init.map(|row| (row.as_ptr(), 0)),
                        c.as_mut_ptr(),
                        n,
                    )
                };
            }
        });
    }

    /// C = init + A B for `rows` rows, on this thread. The elements of a row are neighbours; rows lie at the distances
    /// `a_stride` and `c_stride`. `init` is 0, or a first row and the distance of the next one: 0 to add the same row to
    /// all. It may be C.
    ///
    /// # Safety
    /// The rows of A must be valid for k elements, those of `init` and of C for n. C must not overlap A or `packed`, and
    /// `init` only if it is C. `packed` must have been filled by [`pack`](Self::pack) of an equal layout, of the same type.
    pub(crate) unsafe fn multiply<T: Element>(
        &self,
        rows: usize,
        a: *const T,
        a_stride: usize,
        packed: *const T,
        init: Option<(*const T, usize)>,
        c: *mut T,
        c_stride: usize,
    ) {
        let Self { k, n, width, lanes, isa } = *self;
        if rows == 0 || n == 0 {
            return;
        }
        let (init, init_stride) = init.unwrap_or((std::ptr::null(), 0));
        let operands = Operands { k, a, a_stride, b: packed, panel: k * width, init, init_stride, c, c_stride };
        let Some(kernels) = T::kernels(isa) else {
            // SAFETY: the caller's promise; the packed form is row-major.
            return unsafe { operands.portable(rows, n) };
        };
        debug_assert_eq!(kernels.lanes, lanes, "multiply: packed for another type");
        let mut from = 0;
        if let Some(&(panels, run)) = kernels.several.get(rows - 1) {
            while from + panels * width <= n {
                // SAFETY: the machine has the vectors of the layout; so many panels and columns of C are left.
                unsafe { run(&operands.columns(from)) };
                from += panels * width;
            }
        }
        while from < n {
            let count = width.min(n - from);
            let run = &kernels.single[count.div_ceil(lanes) - 1];
            // SAFETY: as above; the kernel has the width of the packed panel.
            unsafe { operands.columns(from).panel(rows, count, lanes, run) };
            from += count;
        }
    }
}

impl<T> Kernels<T> {
    fn width(&self) -> usize {
        self.single.len() * self.lanes
    }
}

impl<T: Element> Operands<T> {
    /// From this column on, the first one of a panel.
    fn columns(&self, from: usize) -> Self {
        let init = if self.init.is_null() { self.init } else { self.init.wrapping_add(from) };
        Self { b: self.b.wrapping_add(self.k * from), init, c: self.c.wrapping_add(from), ..*self }
    }

    /// The block of some rows from `i` on, `depth` deep from `l` on, in a panel of `width` columns.
    fn block(&self, i: usize, l: usize, depth: usize, width: usize) -> Self {
        let c = self.c.wrapping_add(i * self.c_stride);
        let (init, init_stride) = if l > 0 {
            // The chain goes on where the block before has left it.
            (c.cast_const(), self.c_stride)
        } else if self.init.is_null() {
            (self.init, 0)
        } else {
            (self.init.wrapping_add(i * self.init_stride), self.init_stride)
        };
        let a = self.a.wrapping_add(i * self.a_stride + l);
        Self { k: depth, a, b: self.b.wrapping_add(l * width), init, init_stride, c, ..*self }
    }

    /// One panel, of `count` columns.
    ///
    /// # Safety
    /// Everything must be valid for `rows` rows and `count` columns, and `run` for the machine and the panel's vectors.
    unsafe fn panel(&self, rows: usize, count: usize, lanes: usize, run: &[Run<T>; ROWS]) {
        let width = count.next_multiple_of(lanes);
        let tiles = rows.div_ceil(ROWS);
        // Also for k = 0 there is one pass, which writes `init`.
        for l in (0..self.k.max(1)).step_by(DEPTH) {
            let mut i = 0;
            for tile in 0..tiles {
                // Tiles of nearly the same height: a row alone leaves the multipliers idle.
                let height = rows / tiles + usize::from(tile < rows % tiles);
                let block = self.block(i, l, DEPTH.min(self.k - l), width);
                // SAFETY: the caller's promise, for a part of the rows and of k.
                unsafe {
                    if count == width {
                        run[height - 1](&block);
                    } else {
                        block.edge(height, count, width, run[height - 1]);
                    }
                }
                i += height;
            }
        }
    }

    /// A tile of which only `count` columns exist.
    ///
    /// # Safety
    /// As for [`panel`](Self::panel).
    unsafe fn edge(&self, height: usize, count: usize, width: usize, run: Run<T>) {
        let mut edge = [T::ZERO; ROWS * WIDEST];
        let c = edge.as_mut_ptr();
        // SAFETY: the rows of `init` and C have `count` columns, and `edge` holds a whole tile.
        unsafe {
            if self.init.is_null() {
                run(&Self { c, c_stride: width, ..*self });
            } else {
                for i in 0..height {
                    c.add(i * width).copy_from_nonoverlapping(self.init.add(i * self.init_stride), count);
                }
                run(&Self { init: c, init_stride: width, c, c_stride: width, ..*self });
            }
            for i in 0..height {
                self.c.add(i * self.c_stride).copy_from_nonoverlapping(c.add(i * width), count);
            }
        }
    }

    /// The whole product where there is no fused multiply-add, B row-major.
    ///
    /// # Safety
    /// Everything must be valid for `rows` rows and `n` columns.
    unsafe fn portable(&self, rows: usize, n: usize) {
        // SAFETY: the caller's promise; `init` is C, or does not overlap it.
        unsafe {
            if !self.init.is_null() && self.init != self.c.cast_const() {
                for i in 0..rows {
                    let init = self.init.add(i * self.init_stride);
                    self.c.add(i * self.c_stride).copy_from_nonoverlapping(init, n);
                }
            }
            let (a, b, c) = ((self.a, self.a_stride, 1), (self.b, n, 1), (self.c, self.c_stride, 1));
            T::portable(rows, self.k, n, a, b, !self.init.is_null(), c);
        }
    }
}

/// The tile of `MR` rows of `PANELS` times `NV` vectors, in registers over all of k.
///
/// # Safety
/// The machine must have the vectors; the rows of A must be valid for k elements, `init` (unless null) and C for `MR`
/// rows of the tile, B for `PANELS` panels of k · `NV` vectors.
#[inline(always)]
unsafe fn tile<V: Vector, const MR: usize, const NV: usize, const PANELS: usize>(operands: &Operands<V::Item>)
where
    V::Item: Element,
{
    let &Operands { k, a, a_stride, b, panel, init, init_stride, c, c_stride } = operands;
    // SAFETY: the caller answers for the instructions and all pointers.
    unsafe {
        let mut sums = [[[V::splat(V::Item::ZERO); NV]; PANELS]; MR];
        if !init.is_null() {
            for (i, row) in sums.iter_mut().enumerate() {
                for (j, sum) in row.as_flattened_mut().iter_mut().enumerate() {
                    *sum = V::load(init.add(i * init_stride + j * V::LANES));
                }
            }
        }
        for l in 0..k {
            let mut columns = [[V::splat(V::Item::ZERO); NV]; PANELS];
            for (p, columns) in columns.iter_mut().enumerate() {
                for (j, column) in columns.iter_mut().enumerate() {
                    *column = V::load(b.add(p * panel + (l * NV + j) * V::LANES));
                }
            }
            for (i, row) in sums.iter_mut().enumerate() {
                let x = V::splat(*a.add(i * a_stride + l));
                for (sum, &column) in row.as_flattened_mut().iter_mut().zip(columns.as_flattened()) {
                    *sum = x.fma(column, *sum);
                }
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, &sum) in row.as_flattened().iter().enumerate() {
                sum.store(c.add(i * c_stride + j * V::LANES));
            }
        }
    }
}

macro_rules! microkernel {
    ($name:ident, $features:literal) => {
        /// # Safety
        /// As for [`tile`].
        #[target_feature(enable = $features)]
        unsafe fn $name<V: Vector, const MR: usize, const NV: usize, const PANELS: usize>(operands: &Operands<V::Item>)
        where
            V::Item: Element,
        {
            // SAFETY: passed on.
            unsafe { tile::<V, MR, NV, PANELS>(operands) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
microkernel!(avx512, "avx512f");
#[cfg(target_arch = "x86_64")]
microkernel!(avx2, "avx2,fma");
#[cfg(target_arch = "aarch64")]
microkernel!(neon, "neon");

/// Kernels `$run` of `$vector`, for `[1, 2 … vectors of a panel]`, and for several panels `[rows: panels x vectors]`.
macro_rules! kernels {
    ($run:ident::<$vector:ty>, [$($nv:literal),*], [$($mr:literal: $panels:literal x $whole:literal),*]) => {
        Some(const {
            &Kernels {
                lanes: <$vector>::LANES,
                single: &[$([
                    $run::<$vector, 1, $nv, 1>,
                    $run::<$vector, 2, $nv, 1>,
                    $run::<$vector, 3, $nv, 1>,
                    $run::<$vector, 4, $nv, 1>,
                    $run::<$vector, 5, $nv, 1>,
                    $run::<$vector, 6, $nv, 1>,
                ]),*],
                several: &[$(($panels, $run::<$vector, $mr, $whole, $panels>)),*],
            }
        })
    };
}

macro_rules! element {
    ($t:ident, { $($isa:pat => $kernels:expr),* $(,)? }) => {
        impl Panel for $t {
            fn kernels(isa: Isa) -> Option<&'static Kernels<Self>> {
                match isa {
                    $($isa => $kernels,)*
                    _ => None,
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
element!(f32, {
    Isa::Avx512 => kernels!(avx512::<x86::F32x16>, [1, 2, 3, 4], [1: 2 x 4, 2: 2 x 4]),
    Isa::Avx2 => kernels!(avx2::<x86::F32x8>, [1, 2], [1: 4 x 2, 2: 2 x 2]),
});
#[cfg(target_arch = "x86_64")]
element!(f64, {
    Isa::Avx512 => kernels!(avx512::<x86::F64x8>, [1, 2, 3, 4], [1: 2 x 4, 2: 2 x 4]),
    Isa::Avx2 => kernels!(avx2::<x86::F64x4>, [1, 2], [1: 4 x 2, 2: 2 x 2]),
});
#[cfg(target_arch = "aarch64")]
element!(f32, { Isa::Neon => kernels!(neon::<arm::F32x4>, [1, 2, 3, 4], [1: 4 x 4, 2: 2 x 4]) });
#[cfg(target_arch = "aarch64")]
element!(f64, { Isa::Neon => kernels!(neon::<arm::F64x2>, [1, 2, 3, 4], [1: 4 x 4, 2: 2 x 4]) });
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f32, {});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f64, {});

#[cfg(test)]
mod tests {
    use super::super::gemm::tests::{chain, random};
    use super::*;
    use crate::tensor::random::Rng;

    fn packed<T: Element>(panels: &Panels, b: Mat<'_, T>, threads: usize) -> Vec<T> {
        let mut out = vec![T::NAN; panels.len()];
        panels.pack(b, &mut out, &Threads::new(threads));
        out
    }

    /// Fused chains are equal; `matrixmultiply` adds up to the same within its rounding.
    fn assert_equal<T: Element>(k: usize, actual: &[T], expected: &[T], case: &str) {
        if isa() != Isa::Portable {
            return assert!(actual == expected, "{case}");
        }
        // Products of normal numbers below 40 and their sums, in 2 · k roundings that partly cancel.
        let bound = T::EPSILON.to_f64() * 40.0 * (k as f64 + 4.0).sqrt() * 4.0;
        for (x, y) in actual.iter().zip(expected) {
            assert!((*x - *y).abs().to_f64() < bound, "{case}: {x} instead of {y}");
        }
    }

    /// Rows of A and C `gap` farther apart than they are long; `init`: none, one row for all, a matrix, C itself.
    fn check<T: Element>(rows: usize, k: usize, n: usize, gap: usize, rng: &mut Rng) {
        let (a_stride, c_stride) = (k + gap, n + gap);
        let (a, b) = (random::<T>(rows * a_stride, rng), random::<T>(k * n, rng));
        let (old, inits) = (random::<T>(rows * c_stride, rng), random::<T>(rows * n, rng));
        let row_major = Mat { data: &b, row_stride: n, col_stride: 1 };
        let panels = Panels::new::<T>(k, n);
        for b in [row_major, Mat { row_stride: 1, col_stride: k, ..row_major }] {
            let packed = packed(&panels, b, 1);
            for kind in ["none", "row", "matrix", "in place"] {
                let start: Vec<T> = (0..rows * n)
                    .map(|e| match kind {
                        "none" => T::ZERO,
                        "row" => inits[e % n],
                        "matrix" => inits[e],
                        _ => old[e / n * c_stride + e % n],
                    })
                    .collect();
                let a = Mat { data: &a, row_stride: a_stride, col_stride: 1 };
                let mut expected = old.clone();
                for (e, x) in chain(k, n, a, b, &start).into_iter().enumerate() {
                    expected[e / n * c_stride + e % n] = x;
                }
                let (mut c, a) = (old.clone(), a.data.as_ptr());
                let out = c.as_mut_ptr();
                let init = match kind {
                    "none" => None,
                    "row" => Some((inits.as_ptr(), 0)),
                    "matrix" => Some((inits.as_ptr(), n)),
                    _ => Some((out.cast_const(), c_stride)),
                };
                // SAFETY: the vectors hold all rows; `packed` comes from the same layout.
                unsafe { panels.multiply(rows, a, a_stride, packed.as_ptr(), init, out, c_stride) };
                // What lies between the rows has stayed.
                assert_equal(k, &c, &expected, &format!("{rows}x{k}x{n} gap {gap} init {kind}"));
            }
        }
    }

    #[test]
    fn every_element_is_the_chain_from_init() {
        let mut rng = Rng::new(1);
        for rows in [1, 2, 3, 4, 5, 6, 7, 13, 16] {
            for (k, n) in [(1, 1), (0, 5), (3, 8), (5, 31), (9, 64), (16, 97), (33, 150), (20, 256)] {
                for gap in [0, 3] {
                    check::<f32>(rows, k, n, gap, &mut rng);
                    check::<f64>(rows, k, n, gap, &mut rng);
                }
            }
        }
    }

    #[test]
    fn deeper_than_a_block() {
        let mut rng = Rng::new(2);
        for (rows, k, n) in [(1, 2 * DEPTH + 1, 70), (2, DEPTH + 7, 300), (8, DEPTH, 65), (20, 2 * DEPTH + 100, 81)] {
            check::<f32>(rows, k, n, 1, &mut rng);
            check::<f64>(rows, k, n, 1, &mut rng);
        }
    }

    #[test]
    fn nothing_to_do() {
        let mut rng = Rng::new(3);
        check::<f32>(0, 4, 5, 0, &mut rng);
        check::<f32>(3, 4, 0, 2, &mut rng);
    }

    #[test]
    fn packing_does_not_depend_on_threads() {
        let mut rng = Rng::new(4);
        for (k, n) in [(1, 1), (0, 7), (300, 530), (2000, 100)] {
            let b = random::<f32>(k * n, &mut rng);
            let panels = Panels::new::<f32>(k, n);
            for (row_stride, col_stride) in [(n, 1), (1, k)] {
                let b = Mat { data: &b, row_stride, col_stride };
                let one = packed(&panels, b, 1);
                assert!(one.iter().all(|x| x.is_finite()), "{k}x{n}: every element is written");
                for threads in [2, 3] {
                    assert!(packed(&panels, b, threads) == one, "{k}x{n} {threads}");
                }
            }
        }
    }
}
