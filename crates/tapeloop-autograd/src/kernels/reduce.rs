//! Sums and other folds with a fixed order of operations: sixteen lanes, then a tree, whatever the machine
//! and the number of threads.

use super::dispatch::{Kernel, with_simd};
use super::threads::Threads;
use crate::element::Element;

/// Lanes that are folded side by side.
const LANES: usize = 16;
/// Elements whose sum is kept in the element type; sums of blocks are added in `f64`.
const BLOCK: usize = 512;
/// Rows whose sum is kept in the element type when columns are summed.
const ROWS: usize = 32;
/// Folds of fewer elements than this are not worth a second thread.
const PARALLEL: usize = 1 << 15;

/// Combines two values into one.
pub(crate) trait Combine: Copy + Send + Sync {
    fn call<T: Element>(self, a: T, b: T) -> T;
}

#[derive(Clone, Copy)]
struct Plus;
impl Combine for Plus {
    #[inline(always)]
    fn call<T: Element>(self, a: T, b: T) -> T {
        a + b
    }
}

struct Fold<'a, T, F> {
    x: &'a [T],
    start: T,
    combine: F,
}

impl<T: Element, F: Combine> Kernel for Fold<'_, T, F> {
    type Output = T;
    #[inline(always)]
    fn run(self) -> T {
        let mut lanes = [self.start; LANES];
        let (whole, tail) = self.x.as_chunks::<LANES>();
        for chunk in whole {
            for i in 0..LANES {
                lanes[i] = self.combine.call(lanes[i], chunk[i]);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(tail) {
            *lane = self.combine.call(*lane, x);
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for i in 0..width {
                lanes[i] = self.combine.call(lanes[i], lanes[i + width]);
            }
        }
        lanes[0]
    }
}

/// All elements combined, with `start` neutral.
pub(crate) fn fold<T: Element>(x: &[T], start: T, combine: impl Combine) -> T {
    with_simd(Fold { x, start, combine })
}

/// One sum.
pub(crate) fn sum<T: Element>(x: &[T]) -> T {
    let block = |x| fold(x, T::ZERO, Plus);
    if x.len() <= BLOCK { block(x) } else { T::from_f64(x.chunks(BLOCK).map(|x| block(x).to_f64()).sum()) }
}

/// `f(row, out)` for every row of `n` elements, on all threads.
fn each_row<T: Element>(x: &[T], n: usize, out: &mut [T], threads: &Threads, f: impl Fn(&[T]) -> T + Sync) {
    let rows = |first: usize, out: &mut [T]| {
        for (i, out) in out.iter_mut().enumerate() {
            *out = f(&x[(first + i) * n..][..n]);
        }
    };
    let share = (PARALLEL / 2).div_ceil(n.max(1));
    if x.len() < PARALLEL {
        rows(0, out);
    } else {
        threads.for_chunks(out, share, |chunk, out| rows(chunk * share, out));
    }
}

/// `out[i]` = the sum of elements i·n … (i + 1)·n.
pub(crate) fn sum_each<T: Element>(x: &[T], n: usize, out: &mut [T], threads: &Threads) {
    each_row(x, n, out, threads, sum);
}

/// `out[i]` = elements i·n … (i + 1)·n combined, with `start` neutral.
pub(crate) fn fold_each<T: Element>(
    x: &[T],
    n: usize,
    out: &mut [T],
    start: T,
    combine: impl Combine,
    threads: &Threads,
) {
    each_row(x, n, out, threads, |x| fold(x, start, combine));
}

struct Columns<'a, T> {
    x: &'a [T],
    /// Distance of rows, and where the strip starts in each.
    stride: usize,
    start: usize,
    rows: usize,
    out: &'a mut [T],
}

impl<T: Element> Kernel for Columns<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let n = self.out.len();
        let mut total = [0.0f64; STRIP];
        for first in (0..self.rows).step_by(ROWS) {
            let mut part = [T::ZERO; STRIP];
            for row in first..(first + ROWS).min(self.rows) {
                let x = &self.x[row * self.stride + self.start..][..n];
                part.iter_mut().zip(x).for_each(|(sum, &x)| *sum += x);
            }
            total.iter_mut().zip(&part).for_each(|(total, part)| *total += part.to_f64());
        }
        self.out.iter_mut().zip(&total).for_each(|(out, &total)| *out = T::from_f64(total));
    }
}

/// Columns summed side by side.
const STRIP: usize = 64;

/// `out[j]` = the sum of elements j, j + m, … of `n` rows of m = `out.len()`.
pub(crate) fn sum_columns<T: Element>(x: &[T], n: usize, out: &mut [T], threads: &Threads) {
    let stride = out.len();
    let strip = |k: usize, out: &mut [T]| with_simd(Columns { x, stride, start: k * STRIP, rows: n, out });
    if x.len() < PARALLEL {
        out.chunks_mut(STRIP).enumerate().for_each(|(k, out)| strip(k, out));
    } else {
        threads.for_chunks(out, STRIP, strip);
    }
}

/// `out[j]` = elements j, j + m, … combined, with `start` neutral.
pub(crate) fn fold_columns<T: Element>(x: &[T], out: &mut [T], start: T, combine: impl Combine) {
    out.fill(start);
    for row in x.chunks(out.len().max(1)) {
        out.iter_mut().zip(row).for_each(|(out, &x)| *out = combine.call(*out, x));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_grow_with_the_length() {
        // A million tenths: a plain loop in f32 would be off by one percent. Here no more than 32 roundings
        // follow each other in f32.
        let bound = 32.0 * f64::from(f32::EPSILON) / 2.0;
        let x = vec![0.1f32; 1_000_000];
        let exact = 1e6 * f64::from(0.1f32);
        assert!((f64::from(sum(&x)) - exact).abs() < bound * exact);
        let mut out = [0.0f32; 10];
        sum_columns(&x, 100_000, &mut out, &Threads::new(2));
        assert!(out.iter().all(|&s| (f64::from(s) - exact / 10.0).abs() < bound * exact / 10.0));
    }

    #[test]
    fn same_bits_on_any_number_of_threads() {
        let x: Vec<f32> = (0..200_000).map(|i| (i as f32).sin()).collect();
        let run = |threads: &Threads| {
            let (mut rows, mut columns) = (vec![0.0; 200], vec![0.0; 500]);
            sum_each(&x, 1000, &mut rows, threads);
            sum_columns(&x, 400, &mut columns, threads);
            (rows, columns)
        };
        assert_eq!(run(&Threads::new(1)), run(&Threads::new(3)));
    }
}
