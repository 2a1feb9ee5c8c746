//! What a loop does to a few rows at a time: functions of elements and of rows, on rows at any distance.

use smallvec::SmallVec;

use super::dispatch::{Kernel, isa, with_simd};
use super::elementwise::Pointwise;
use super::lanes::{Entry, KINDS};
use super::reduce;
use crate::element::Element;

/// Rows of elements: row r, element i lies at `start + r · stride + i`. A stride of 0 repeats one row.
pub(crate) struct Rows<T> {
    pub(crate) start: *mut T,
    pub(crate) stride: usize,
    /// Whether a row is one element, repeated.
    pub(crate) single: bool,
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Rows<T> {}

/// The most inputs an elementwise operation has.
pub(crate) const INPUTS: usize = 3;
/// Elements of the block that a repeated element is spread into.
const SPREAD: usize = 64;

/// A function of rows.
pub(crate) trait Block<T>: Send + Sync {
    /// # Safety
    /// The inputs, as many as the function has, must be valid for reading `rows` rows of `width` elements, `out` for
    /// writing them; `out` must overlap no input.
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>);

    /// The function of elements that it is, if it is one.
    fn function(&self) -> Option<Function> {
        None
    }
}

/// A function of elements, as instructions on lanes.
pub(crate) struct Function {
    pub(super) entries: SmallVec<[Entry; KINDS]>,
    pub(crate) inputs: usize,
    /// What it knows. It lies in its block.
    pub(super) data: *const (),
}

/// An elementwise function, as a block.
pub(crate) struct Elementwise<F, const N: usize>(pub(crate) F);

impl<T: Element, F: Pointwise<N>, const N: usize> Block<T> for Elementwise<F, N> {
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>) {
        let inputs: [Rows<T>; N] = std::array::from_fn(|k| inputs[k]);
        // Rows that follow each other everywhere are one long row.
        let dense = out.stride == width && inputs.iter().all(|x| x.stride == width && !x.single);
        let (rows, width) = if dense { (1, rows * width) } else { (rows, width) };
        with_simd(Apply { f: self.0, rows, width, inputs, out });
    }

    fn function(&self) -> Option<Function> {
        Some(Function { entries: T::function::<F, N>(isa()), inputs: N, data: (&raw const self.0).cast() })
    }
}

struct Apply<F, T, const N: usize> {
    f: F,
    rows: usize,
    width: usize,
    inputs: [Rows<T>; N],
    out: Rows<T>,
}

impl<F: Pointwise<N>, T: Element, const N: usize> Kernel for Apply<F, T, N> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { f, rows, width, inputs, out } = self;
        let spread = inputs.iter().any(|x| x.single);
        for r in 0..rows {
            // SAFETY: the caller of `Block::run` answers for `rows` rows, and that the output overlaps no input.
            let out = unsafe { std::slice::from_raw_parts_mut(out.start.add(r * out.stride), width) };
            if spread {
                // A repeated element fills a short block, against which the others are taken in turn.
                let mut filled = [[T::ZERO; SPREAD]; N];
                for (block, x) in filled.iter_mut().zip(&inputs).filter(|(_, x)| x.single) {
                    // SAFETY: as above; the row is this element.
                    block.fill(unsafe { *x.start.add(r * x.stride) });
                }
                for (i, out) in out.chunks_mut(SPREAD).enumerate() {
                    let x: [&[T]; N] = std::array::from_fn(|k| match inputs[k].single {
                        true => &filled[k][..out.len()],
                        // SAFETY: as above: the chunk lies inside the row.
                        false => unsafe {
                            let row = inputs[k].start.add(r * inputs[k].stride + i * SPREAD);
                            std::slice::from_raw_parts(row, out.len())
                        },
                    });
                    line(f, x, out);
                }
                continue;
            }
            // SAFETY: as above.
            let x: [&[T]; N] = std::array::from_fn(|k| unsafe {
                std::slice::from_raw_parts(inputs[k].start.add(r * inputs[k].stride), width)
            });
            line(f, x, out);
        }
    }
}

/// Elements that are read before any of their results is written. Rows of one buffer may lie between each other: the
/// compiler would see them overlap, and go element by element.
const AHEAD: usize = 32;

#[inline(always)]
fn line<F: Pointwise<N>, T: Element, const N: usize>(f: F, x: [&[T]; N], out: &mut [T]) {
    let n = out.len();
    let x = x.map(|x| &x[..n]);
    let whole = n - n % AHEAD;
    let mut i = 0;
    while i < whole {
        let mut block = [[T::ZERO; AHEAD]; N];
        for k in 0..N {
            block[k].copy_from_slice(&x[k][i..i + AHEAD]);
        }
        let mut y = [T::ZERO; AHEAD];
        for j in 0..AHEAD {
            y[j] = f.call(std::array::from_fn(|k| block[k][j]));
        }
        out[i..i + AHEAD].copy_from_slice(&y);
        i += AHEAD;
    }
    for i in whole..n {
        out[i] = f.call(std::array::from_fn(|k| x[k][i]));
    }
}

/// A function of a whole row, its result as wide.
pub(crate) struct Whole<T>(pub(crate) fn(&[T], &mut [T]));

impl<T: Element> Block<T> for Whole<T> {
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>) {
        for r in 0..rows {
            // SAFETY: the caller answers for `rows` rows, and that they do not overlap.
            let (x, out) = unsafe {
                let x = std::slice::from_raw_parts(inputs[0].start.add(r * inputs[0].stride), width);
                (x, std::slice::from_raw_parts_mut(out.start.add(r * out.stride), width))
            };
            (self.0)(x, out);
        }
    }
}

/// Σ x of each row: `width` elements to one.
pub(crate) struct Total;

impl<T: Element> Block<T> for Total {
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>) {
        for r in 0..rows {
            // SAFETY: the caller answers for `rows` rows.
            unsafe {
                let x = std::slice::from_raw_parts(inputs[0].start.add(r * inputs[0].stride), width);
                *out.start.add(r * out.stride) = reduce::sum(x);
            }
        }
    }
}

/// y = x
pub(crate) struct Same;

impl<T: Element> Block<T> for Same {
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>) {
        for r in 0..rows {
            // SAFETY: the caller answers for `rows` rows, and that they do not overlap.
            unsafe {
                let (x, to) = (inputs[0].start.add(r * inputs[0].stride), out.start.add(r * out.stride));
                if inputs[0].single {
                    std::slice::from_raw_parts_mut(to, width).fill(*x);
                } else {
                    std::ptr::copy_nonoverlapping(x, to, width);
                }
            }
        }
    }
}

/// y += Σ x over the rows
pub(crate) struct AddRows;

impl<T: Element> Block<T> for AddRows {
    unsafe fn run(&self, rows: usize, width: usize, inputs: &[Rows<T>], out: Rows<T>) {
        // SAFETY: the caller answers for `rows` rows, and that the output, one row, overlaps none.
        let sum = unsafe { std::slice::from_raw_parts_mut(out.start, width) };
        for r in 0..rows {
            let x = inputs[0].start.wrapping_add(r * inputs[0].stride);
            // SAFETY: as above.
            unsafe {
                if inputs[0].single {
                    sum.iter_mut().for_each(|sum| *sum += *x);
                } else {
                    with_simd(AddRow { sum: &mut *sum, x: std::slice::from_raw_parts(x, width) });
                }
            }
        }
    }
}

struct AddRow<'a, T> {
    sum: &'a mut [T],
    x: &'a [T],
}

impl<T: Element> Kernel for AddRow<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        self.sum.iter_mut().zip(self.x).for_each(|(sum, &x)| *sum += x);
    }
}

/// y = 0
pub(crate) struct Zero;

impl<T: Element> Block<T> for Zero {
    unsafe fn run(&self, rows: usize, width: usize, _: &[Rows<T>], out: Rows<T>) {
        for r in 0..rows {
            // SAFETY: the caller answers for `rows` rows.
            unsafe { std::slice::from_raw_parts_mut(out.start.add(r * out.stride), width) }.fill(T::ZERO);
        }
    }
}
