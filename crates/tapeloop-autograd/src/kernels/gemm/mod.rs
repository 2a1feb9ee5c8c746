//! Matrix products: a few rows, wide results, and the rest, each in a file of its own.
//!
//! Every element of the result is one chain of fused multiply-adds over k, ascending, whatever the shapes
//! around it, the blocking, the vectors or the threads: the same numbers give the same bits. Where a machine
//! has no fused multiply-add, `matrixmultiply` computes the product instead.
//!
//! Packing buffers belong to the thread and are used again: a product allocates nothing once they have grown.

mod narrow;
mod row;
mod wide;

use std::cell::RefCell;
use std::thread::LocalKey;

use super::dispatch::{Isa, isa};
use super::pack::LINE;
pub use super::pack::Mat;
use super::panel::ROWS;
use super::threads::Threads;
use crate::element::Element;
pub use narrow::Tile;

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

/// Elements of a block of A that stays in the second cache.
const BLOCK_A: usize = 1 << 15;
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
        row::multiply(k, n, a, b, accumulate, c);
    } else if m >= ROWS && n >= tile.columns() {
        wide::multiply(k, n, b, accumulate, &mut [Left { m, a, c }], threads);
    } else {
        narrow::multiply(m, k, n, a, b, accumulate, c, threads, tile);
    }
}

/// A left factor, m × k, and its product, m × n.
pub(crate) struct Left<'a, T> {
    pub(crate) m: usize,
    pub(crate) a: Mat<'a, T>,
    pub(crate) c: &'a mut [T],
}

/// As [`gemm`] for several left factors, the right one the same: it is packed once.
///
/// # Panics
/// If a matrix does not hold its elements.
pub(crate) fn shared<T: Element>(
    k: usize,
    n: usize,
    b: Mat<'_, T>,
    accumulate: bool,
    lefts: &mut [Left<'_, T>],
    threads: &Threads,
) {
    let wide = T::tile().is_some_and(|tile| n >= tile.columns()) && lefts.iter().all(|left| left.m >= ROWS);
    if wide && n > 0 {
        let held = lefts.iter().all(|Left { m, a, c }| a.holds(*m, k) && c.len() == m * n);
        assert!(held && b.holds(k, n), "gemm: a matrix is too short");
        wide::multiply(k, n, b, accumulate, lefts, threads);
    } else {
        lefts.iter_mut().for_each(|Left { m, a, c }| gemm(*m, k, n, *a, b, accumulate, c, threads));
    }
}

/// Lends `f` so many elements of the calling thread's buffer, from the start of a cache line: a vector that lies across
/// two lines takes two loads.
fn lend<T: Element>(elements: usize, f: impl FnOnce(&mut [T])) {
    T::scratch().with_borrow_mut(|scratch| {
        if scratch.len() < elements + LINE {
            scratch.resize(elements + LINE, T::ZERO);
        }
        let start = scratch.as_ptr().align_offset(64).min(LINE);
        f(&mut scratch[start..start + elements]);
    });
}

/// How many threads are worth their while.
/// Its answer changes where work is cut, no bit of a result.
fn parts(m: usize, k: usize, n: usize, threads: &Threads) -> usize {
    if m * n * k.max(1) < PARALLEL { 1 } else { threads.count() }
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
    Isa::Avx512 => Some(Tile::new(8, 48, narrow::x86::avx512_f32)),
    Isa::Avx2 => Some(Tile::new(4, 24, narrow::x86::avx2_f32)),
});
#[cfg(target_arch = "x86_64")]
element!(f64, matrixmultiply::dgemm, {
    Isa::Avx512 => Some(Tile::new(8, 24, narrow::x86::avx512_f64)),
    Isa::Avx2 => Some(Tile::new(4, 12, narrow::x86::avx2_f64)),
});
#[cfg(target_arch = "aarch64")]
element!(f32, matrixmultiply::sgemm, { Isa::Neon => Some(Tile::new(6, 16, narrow::arm::neon_f32)) });
#[cfg(target_arch = "aarch64")]
element!(f64, matrixmultiply::dgemm, { Isa::Neon => Some(Tile::new(6, 8, narrow::arm::neon_f64)) });
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
            (1, 21, 1100),
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
        let b = Mat { data: &b, row_stride: n, col_stride: 1 };
        for (row_stride, col_stride) in [(k, 1), (1, m)] {
            let a = Mat { data: &a, row_stride, col_stride };
            let mut c = vec![0.0; m * n];
            gemm(m, k, n, a, b, false, &mut c, &Threads::new(2));
            assert!(c == chain(k, n, a, b, &vec![0.0; m * n]));
        }
    }
}
