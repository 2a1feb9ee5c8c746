//! Functions of whole rows: soft maxima and running sums.

use super::dispatch::{Kernel, with_simd};
use super::reduce::{self, Combine};
use super::threads::Threads;
use crate::element::Element;

const PARALLEL: usize = 1 << 14;

/// `f(row of x, row of out)` for rows of `n` and `m` elements, on all threads.
pub(crate) fn each<T: Element>(
    x: &[T],
    n: usize,
    out: &mut [T],
    m: usize,
    threads: &Threads,
    f: impl Fn(&[T], &mut [T]) + Sync,
) {
    if out.is_empty() {
        return;
    }
    let rows = |first: usize, out: &mut [T]| {
        for (i, out) in out.chunks_mut(m).enumerate() {
            f(&x[(first + i) * n..][..n], out);
        }
    };
    let share = (PARALLEL / 2).div_ceil(n.max(m));
    if x.len().max(out.len()) < PARALLEL {
        rows(0, out);
    } else {
        threads.for_chunks(out, share * m, |chunk, out| rows(chunk * share, out));
    }
}

#[derive(Clone, Copy)]
struct Larger;
impl Combine for Larger {
    #[inline(always)]
    fn call<T: Element>(self, a: T, b: T) -> T {
        a.maximum(b)
    }
}

/// The largest element, which is what exponents are shifted by. If it is infinite, all shares are NaN.
fn largest<T: Element>(x: &[T]) -> T {
    reduce::fold(x, -T::INFINITY, Larger)
}

struct ExpOfDifference<'a, T> {
    x: &'a [T],
    shift: T,
    out: &'a mut [T],
}

impl<T: Element> Kernel for ExpOfDifference<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        for (out, &x) in self.out.iter_mut().zip(self.x) {
            *out = (x - self.shift).exp();
        }
    }
}

/// Sum of e^(x − shift), by blocks.
fn sum_exp<T: Element>(x: &[T], shift: T) -> T {
    const BLOCK: usize = 256;
    let mut block = [T::ZERO; BLOCK];
    let part = |x: &[T]| {
        let out = &mut block[..x.len()];
        with_simd(ExpOfDifference { x, shift, out });
        reduce::sum(out).to_f64()
    };
    T::from_f64(x.chunks(BLOCK).map(part).sum())
}

/// ln Σ eˣ, which is infinite where the largest element is.
pub(crate) fn logsumexp<T: Element>(x: &[T]) -> T {
    let largest = largest(x);
    let shift = if largest.is_finite() { largest } else { T::ZERO };
    shift + sum_exp(x, shift).ln()
}

/// eˣ / Σ eˣ
pub(crate) fn softmax<T: Element>(x: &[T], out: &mut [T]) {
    with_simd(ExpOfDifference { x, shift: largest(x), out });
    let sum = reduce::sum(out);
    out.iter_mut().for_each(|y| *y = *y / sum);
}

/// x − ln Σ eˣ
pub(crate) fn log_softmax<T: Element>(x: &[T], out: &mut [T]) {
    let shift = largest(x);
    let log_sum = sum_exp(x, shift).ln();
    // Subtracted one after the other: the shift may be large where the logarithm is small.
    out.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - shift) - log_sum);
}

/// max(x − τ, 0), where τ makes the sum 1: what is below the τ of all elements is left out, then what is below the τ of
/// the rest, until nothing is (Michelot 1986). If the largest is infinite, all are NaN.
pub(crate) fn sparsemax<T: Element>(x: &[T], out: &mut [T]) {
    let shift = largest(x);
    let above = |x: T, threshold: f64| {
        let x = (x - shift).to_f64();
        // NaN is above everything.
        if x <= threshold { None } else { Some(x) }
    };
    let (mut threshold, mut count) = (f64::NEG_INFINITY, 0);
    loop {
        let (mut sum, mut inside) = (0.0, 0);
        for x in x.iter().filter_map(|&x| above(x, threshold)) {
            sum += x;
            inside += 1;
        }
        if inside == count {
            break;
        }
        count = inside;
        let next = (sum - 1.0) / f64::from(inside);
        // It never falls but by rounding, which must not go on for ever.
        let falls = next < threshold;
        if !falls {
            threshold = next;
        }
    }
    out.iter_mut().zip(x).for_each(|(y, &x)| *y = above(x, threshold).map_or(T::ZERO, |x| T::from_f64(x - threshold)));
}

/// Running sums, from either end, kept in `f64`.
pub(crate) fn cumsum<T: Element>(x: &[T], from_end: bool, out: &mut [T]) {
    let mut sum = 0.0;
    let mut step = |(y, x): (&mut T, &T)| {
        sum += x.to_f64();
        *y = T::from_f64(sum);
    };
    if from_end { out.iter_mut().zip(x).rev().for_each(&mut step) } else { out.iter_mut().zip(x).for_each(&mut step) }
}
