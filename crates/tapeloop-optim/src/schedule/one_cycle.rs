//! Up once, and down.

use serde::{Deserialize, Serialize};

use super::cosine::half_wave;
use super::{Schedule, require_rate, require_steps};
use crate::error::{check, require};

/// PyTorch's `OneCycleLR` (Smith and Topin 2018, [arXiv:1708.07120](https://arxiv.org/abs/1708.07120)): from η/25 up to
/// η in the first 30 % of the steps, then down to η/250 000, along half cosines.
///
/// With n steps, of which the fraction p rises, η is reached at step pn − 1 and the last rate at step n − 1,
/// where it stays.
///
/// ```
/// use tapeloop_optim::{OneCycle, Schedule};
/// let schedule = OneCycle::new(1.0, 11).rising(0.5454545454545454).div_factor(4.0).final_div_factor(10.0).linear();
/// assert_eq!((schedule.at(0), schedule.at(5), schedule.at(10)), (0.25, 1.0, 0.025));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneCycle {
    max: f64,
    total_steps: u64,
    rising: f64,
    div_factor: f64,
    final_div_factor: f64,
    linear: bool,
    three_phase: bool,
}

impl OneCycle {
    /// Up to the rate η and down in n steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `total_steps` is 0.
    #[track_caller]
    pub fn new(max: f64, total_steps: u64) -> Self {
        require_rate("max", max);
        require_steps("total_steps", total_steps);
        let (div_factor, final_div_factor) = (25.0, 1e4);
        Self { max, total_steps, rising: 0.3, div_factor, final_div_factor, linear: false, three_phase: false }
    }

    /// The fraction of the steps in which the rate rises, p. Default 0.3.
    ///
    /// # Panics
    /// If it is not between 0 and 1.
    #[must_use]
    #[track_caller]
    pub fn rising(self, fraction: f64) -> Self {
        require(check((0.0..=1.0).contains(&fraction), "rising", fraction, "between 0 and 1"));
        Self { rising: fraction, ..self }
    }

    /// What the highest rate is divided by for the first. Default 25.
    ///
    /// # Panics
    /// If it is not above 0.
    #[must_use]
    #[track_caller]
    pub fn div_factor(self, factor: f64) -> Self {
        require(check(factor > 0.0, "div_factor", factor, "above 0"));
        Self { div_factor: factor, ..self }
    }

    /// What the first rate is divided by for the last. Default 10⁴.
    ///
    /// # Panics
    /// If it is not above 0.
    #[must_use]
    #[track_caller]
    pub fn final_div_factor(self, factor: f64) -> Self {
        require(check(factor > 0.0, "final_div_factor", factor, "above 0"));
        Self { final_div_factor: factor, ..self }
    }

    /// Along lines, not half cosines.
    #[must_use]
    pub fn linear(self) -> Self {
        Self { linear: true, ..self }
    }

    /// Down to the first rate as fast as it came up, and only then to the last.
    #[must_use]
    pub fn three_phase(self) -> Self {
        Self { three_phase: true, ..self }
    }
}

impl Schedule for OneCycle {
    fn at(&self, step: u64) -> f64 {
        let first = self.max / self.div_factor;
        let last = first / self.final_div_factor;
        let (n, up) = (self.total_steps as f64, self.rising * self.total_steps as f64);
        let (two, three);
        // The step each phase ends at, and its rate there.
        let phases: &[(f64, f64)] = if self.three_phase {
            three = [(up - 1.0, self.max), (2.0 * up - 2.0, first), (n - 1.0, last)];
            &three
        } else {
            two = [(up - 1.0, self.max), (n - 1.0, last)];
            &two
        };
        let step = step as f64;
        let (mut start, mut from) = (0.0, first);
        for &(end, to) in phases {
            if step <= end {
                let t = if end > start { (step - start) / (end - start) } else { 1.0 };
                let wave = if self.linear { 1.0 - t } else { half_wave(t) };
                return to + (from - to) * wave;
            }
            (start, from) = (end, to);
        }
        last
    }
}
