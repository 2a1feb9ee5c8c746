//! Rates that fall along half a cosine.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::{Schedule, require_rate, require_steps};

/// Keras' `CosineDecay`: η · ((1 − α) · ½(1 + cos(π step / n)) + α), and ηα from step n on (Loshchilov and Hutter 2017,
/// [arXiv:1608.03983](https://arxiv.org/abs/1608.03983)).
///
/// With a warmup of m steps to the rate ω, it first rises linearly from η to ω, then falls from there as ω for η,
/// counting from step m.
///
/// ```
/// use tapeloop_optim::{CosineDecay, Schedule};
/// let schedule = CosineDecay::new(0.0, 10).warmup(0.5, 4).alpha(0.25);
/// assert_eq!((schedule.at(0), schedule.at(2), schedule.at(4)), (0.0, 0.25, 0.5));
/// assert_eq!((schedule.at(14), schedule.at(99)), (0.125, 0.125));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineDecay {
    initial: f64,
    decay_steps: u64,
    alpha: f64,
    warmup: Option<(f64, u64)>,
}

impl CosineDecay {
    /// From the rate η to 0 in n steps.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `decay_steps` is 0.
    #[track_caller]
    pub fn new(initial: f64, decay_steps: u64) -> Self {
        require_rate("initial", initial);
        require_steps("decay_steps", decay_steps);
        Self { initial, decay_steps, alpha: 0.0, warmup: None }
    }

    /// The last rate as a fraction of the highest, α. Default 0.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn alpha(self, alpha: f64) -> Self {
        require_rate("alpha", alpha);
        Self { alpha, ..self }
    }

    /// Rises to the rate `target` in this many steps before it falls.
    ///
    /// # Panics
    /// If the rate is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn warmup(self, target: f64, steps: u64) -> Self {
        require_rate("target", target);
        Self { warmup: Some((target, steps)), ..self }
    }
}

impl Schedule for CosineDecay {
    fn at(&self, step: u64) -> f64 {
        let (highest, start) = self.warmup.unwrap_or((self.initial, 0));
        if step < start {
            return self.initial + (highest - self.initial) * step as f64 / start as f64;
        }
        let t = (step - start) as f64 / self.decay_steps as f64;
        highest * ((1.0 - self.alpha) * half_wave(t.min(1.0)) + self.alpha)
    }
}

/// Keras' `CosineDecayRestarts`, or SGDR (Loshchilov and Hutter 2017, [arXiv:1608.03983](https://arxiv.org/abs/1608.03983)):
/// in period i, of n·τⁱ steps, η · ((1 − α) · μⁱ · ½(1 + cos(π t)) + α), where t in [0, 1) is the part of the period
/// that is over.
///
/// Periods are added up where Keras takes logarithms, which now and then round a restart to the step after.
///
/// ```
/// use tapeloop_optim::{CosineRestarts, Schedule};
/// let schedule = CosineRestarts::new(0.5, 10).m_mul(0.5);
/// assert_eq!((schedule.at(0), schedule.at(5), schedule.at(10), schedule.at(30)), (0.5, 0.25, 0.25, 0.125));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosineRestarts {
    initial: f64,
    first_decay_steps: u64,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

impl CosineRestarts {
    /// From the rate η to 0 in n steps, then again from η in 2n steps, and so on.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `first_decay_steps` is 0.
    #[track_caller]
    pub fn new(initial: f64, first_decay_steps: u64) -> Self {
        require_rate("initial", initial);
        require_steps("first_decay_steps", first_decay_steps);
        Self { initial, first_decay_steps, t_mul: 2.0, m_mul: 1.0, alpha: 0.0 }
    }

    /// How much longer every period is than the one before, τ. Default 2.
    ///
    /// # Panics
    /// If it is below 1 or not finite.
    #[must_use]
    #[track_caller]
    pub fn t_mul(self, t_mul: f64) -> Self {
        let holds = t_mul >= 1.0 && t_mul.is_finite();
        crate::error::require(crate::error::check(holds, "t_mul", t_mul, "finite and at least 1"));
        Self { t_mul, ..self }
    }

    /// How much higher every period starts than the one before, μ. Default 1.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn m_mul(self, m_mul: f64) -> Self {
        require_rate("m_mul", m_mul);
        Self { m_mul, ..self }
    }

    /// The last rate of every period as a fraction of η, α. Default 0.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn alpha(self, alpha: f64) -> Self {
        require_rate("alpha", alpha);
        Self { alpha, ..self }
    }
}

impl Schedule for CosineRestarts {
    fn at(&self, step: u64) -> f64 {
        let mut t = step as f64 / self.first_decay_steps as f64;
        let (mut length, mut height) = (1.0, 1.0);
        if self.t_mul > 1.0 {
            while t >= length {
                t -= length;
                length *= self.t_mul;
                height *= self.m_mul;
            }
        } else {
            height = self.m_mul.powf(t.floor());
            t = t.fract();
        }
        self.initial * ((1.0 - self.alpha) * height * half_wave(t / length) + self.alpha)
    }
}

/// From 1 at 0 to 0 at 1.
pub(super) fn half_wave(t: f64) -> f64 {
    0.5 * (1.0 + (PI * t).cos())
}
