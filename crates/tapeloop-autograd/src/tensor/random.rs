//! Random tensors from an explicit generator.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Tensor;
use crate::element::Element;
use crate::shape::Shape;

/// A seeded generator of random numbers (PCG XSL RR 128/64).
///
/// Numbers are drawn one after the other in row-major order, so a stream depends on the seed and on
/// what was drawn before, never on threads or machines. Its state can be stored and restored.
///
/// ```
/// use tapeloop_autograd::{Rng, Tensor};
/// let mut rng = Rng::new(42);
/// let x = Tensor::<f32>::normal([2, 3], 0.0, 1.0, &mut rng);
/// assert_eq!(x, Tensor::normal([2, 3], 0.0, 1.0, &mut Rng::new(42)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng(Pcg64);

impl Rng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// A generator of its own for `purpose`, without drawing from this one: the same purpose gives the
    /// same stream.
    pub fn fork(&self, purpose: u64) -> Self {
        let mut parent = self.0.clone();
        // An odd multiplier spreads neighbouring purposes over all bits.
        Self(Pcg64::seed_from_u64(parent.random::<u64>() ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// A uniform index below `n`.
    ///
    /// # Panics
    /// If `n` is 0.
    #[track_caller]
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "below: there is no index below 0");
        self.0.random_range(0..n as u64) as usize
    }

    /// The numbers `0..n` in random order (Fisher–Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i + 1));
        }
        order
    }
}

/// Draws after which the start of a range is taken.
const TRIES: usize = 64;

impl<T: Element> Tensor<T> {
    /// Independent draws of `f`, in row-major order.
    #[track_caller]
    pub(crate) fn drawn(shape: impl Into<Shape>, mut f: impl FnMut() -> f64) -> Self {
        Self::from_fn(shape, |_| T::from_f64(f()))
    }

    /// Uniform in [low, high); `low` where no other number lies between.
    ///
    /// # Panics
    /// If `low` or `high` is not finite.
    #[track_caller]
    pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64, rng: &mut Rng) -> Self {
        assert!(low.is_finite() && high.is_finite(), "uniform: {low} to {high} is no range");
        let (start, end) = (T::from_f64(low), T::from_f64(high));
        if start == end {
            return Self::full(shape, start);
        }
        let width = high - low;
        Self::from_fn(shape, |_| {
            // Rounding may reach the end, which does not belong. Nearly always the second draw is inside; an end may
            // also be so close that none is.
            for _ in 0..TRIES {
                let u = rng.uniform();
                let x = if width.is_finite() { low + width * u } else { low * (1.0 - u) + high * u };
                let x = T::from_f64(x);
                if x < end || low >= high {
                    return x;
                }
            }
            start
        })
    }

    /// Normal with the given mean and standard deviation.
    #[track_caller]
    pub fn normal(shape: impl Into<Shape>, mean: f64, std: f64, rng: &mut Rng) -> Self {
        Self::drawn(shape, || mean + std * rng.normal())
    }

    /// 1 with probability `p`, else 0.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn bernoulli(shape: impl Into<Shape>, p: f64, rng: &mut Rng) -> Self {
        assert!((0.0..=1.0).contains(&p), "bernoulli: {p} is no probability");
        Self::drawn(shape, || if rng.uniform() < p { 1.0 } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_without_numbers_between_and_too_wide_ones_end() {
        let mut rng = Rng::new(1);
        let wide = Tensor::<f64>::uniform([100], -f64::MAX, f64::MAX, &mut rng);
        assert!(wide.all_finite() && wide.to_vec().iter().any(|&x| x < 0.0) && wide.to_vec().iter().any(|&x| x > 0.0));
        // Half a place above 1: nearly every number between rounds to the end.
        let (place, one) = (f64::from(f32::EPSILON), 1.0);
        let low = one + 0.5 * place - 1e-15;
        assert_eq!(Tensor::<f32>::uniform([10], low, one + place, &mut rng).to_vec(), [1.0; 10]);
        assert_eq!(Tensor::<f32>::uniform([3], 2.0, 2.0, &mut rng).to_vec(), [2.0; 3]);
    }
}
