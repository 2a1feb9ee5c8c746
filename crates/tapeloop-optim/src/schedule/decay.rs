//! Rates that fall by a formula in step / decay_steps.

use serde::{Deserialize, Serialize};

use super::{Schedule, require_rate, require_steps};

/// η · γ^⌊step / n⌋: PyTorch's `StepLR`.
///
/// ```
/// use tapeloop_optim::{Schedule, StepDecay};
/// let schedule = StepDecay::new(0.8, 10, 0.5);
/// assert_eq!((schedule.at(9), schedule.at(10), schedule.at(20)), (0.8, 0.4, 0.2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDecay {
    initial: f64,
    every: u64,
    factor: f64,
}

impl StepDecay {
    /// From the rate η, by the factor γ every n steps.
    ///
    /// # Panics
    /// If a number is negative or not finite, or `every` is 0.
    #[track_caller]
    pub fn new(initial: f64, every: u64, factor: f64) -> Self {
        require_rate("initial", initial);
        require_steps("every", every);
        require_rate("factor", factor);
        Self { initial, every, factor }
    }
}

impl Schedule for StepDecay {
    fn at(&self, step: u64) -> f64 {
        self.initial * self.factor.powf(fraction(step, self.every).floor())
    }
}

/// Keras' `ExponentialDecay`: η · r^(step / n), as a staircase η · r^⌊step / n⌋. With n = 1, PyTorch's `ExponentialLR`.
///
/// ```
/// use tapeloop_optim::{ExponentialDecay, Schedule};
/// let schedule = ExponentialDecay::new(0.8, 2, 0.25);
/// assert_eq!((schedule.at(1), schedule.at(2)), (0.4, 0.2));
/// assert_eq!(schedule.staircase(true).at(1), 0.8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExponentialDecay {
    initial: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// From the rate η, by the factor r in n steps.
    ///
    /// # Panics
    /// If a number is negative or not finite, or `decay_steps` is 0.
    #[track_caller]
    pub fn new(initial: f64, decay_steps: u64, decay_rate: f64) -> Self {
        require_rate("initial", initial);
        require_steps("decay_steps", decay_steps);
        require_rate("decay_rate", decay_rate);
        Self { initial, decay_steps, decay_rate, staircase: false }
    }

    /// Whether the rate changes only every n steps.
    #[must_use]
    pub fn staircase(self, staircase: bool) -> Self {
        Self { staircase, ..self }
    }
}

impl Schedule for ExponentialDecay {
    fn at(&self, step: u64) -> f64 {
        let t = fraction(step, self.decay_steps);
        self.initial * self.decay_rate.powf(if self.staircase { t.floor() } else { t })
    }
}

/// Keras' `InverseTimeDecay`: η / (1 + r · step / n), as a staircase with ⌊step / n⌋.
///
/// ```
/// use tapeloop_optim::{InverseTimeDecay, Schedule};
/// let schedule = InverseTimeDecay::new(0.6, 10, 0.5);
/// assert_eq!((schedule.at(0), schedule.at(20)), (0.6, 0.3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InverseTimeDecay {
    initial: f64,
    decay_steps: u64,
    decay_rate: f64,
    staircase: bool,
}

impl InverseTimeDecay {
    /// From the rate η, with the decay rate r and the steps n it is per.
    ///
    /// # Panics
    /// If a number is negative or not finite, or `decay_steps` is 0.
    #[track_caller]
    pub fn new(initial: f64, decay_steps: u64, decay_rate: f64) -> Self {
        require_rate("initial", initial);
        require_steps("decay_steps", decay_steps);
        require_rate("decay_rate", decay_rate);
        Self { initial, decay_steps, decay_rate, staircase: false }
    }

    /// Whether the rate changes only every n steps.
    #[must_use]
    pub fn staircase(self, staircase: bool) -> Self {
        Self { staircase, ..self }
    }
}

impl Schedule for InverseTimeDecay {
    fn at(&self, step: u64) -> f64 {
        let t = fraction(step, self.decay_steps);
        self.initial / (1.0 + self.decay_rate * if self.staircase { t.floor() } else { t })
    }
}

/// Keras' `PolynomialDecay`: (η − e) · (1 − step / n)ᵖ + e, and e from step n on. With `cycle`, n is the next multiple
/// of the given one instead, so that the rate starts anew, lower every time. With e = 0, PyTorch's `PolynomialLR`.
///
/// ```
/// use tapeloop_optim::{PolynomialDecay, Schedule};
/// let schedule = PolynomialDecay::new(1.0, 4).end(0.5).power(2.0);
/// assert_eq!((schedule.at(0), schedule.at(2), schedule.at(9)), (1.0, 0.625, 0.5));
/// assert_eq!(PolynomialDecay::new(1.0, 4).end(0.0).cycle(true).at(6), 0.25);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolynomialDecay {
    initial: f64,
    decay_steps: u64,
    end: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// From the rate η to 10⁻⁴ in n steps, linearly.
    ///
    /// # Panics
    /// If the rate is negative or not finite, or `decay_steps` is 0.
    #[track_caller]
    pub fn new(initial: f64, decay_steps: u64) -> Self {
        require_rate("initial", initial);
        require_steps("decay_steps", decay_steps);
        Self { initial, decay_steps, end: 1e-4, power: 1.0, cycle: false }
    }

    /// The last rate, e. Default 10⁻⁴.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn end(self, end: f64) -> Self {
        require_rate("end", end);
        Self { end, ..self }
    }

    /// The exponent p. Default 1.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn power(self, power: f64) -> Self {
        require_rate("power", power);
        Self { power, ..self }
    }

    /// Whether the rate starts anew after n steps. Default no.
    #[must_use]
    pub fn cycle(self, cycle: bool) -> Self {
        Self { cycle, ..self }
    }
}

impl Schedule for PolynomialDecay {
    fn at(&self, step: u64) -> f64 {
        let t = fraction(step, self.decay_steps);
        let t = if self.cycle { t / t.ceil().max(1.0) } else { t.min(1.0) };
        (self.initial - self.end) * (1.0 - t).powf(self.power) + self.end
    }
}

fn fraction(step: u64, of: u64) -> f64 {
    step as f64 / of as f64
}
