//! A slow start before any other schedule.

use serde::{Deserialize, Serialize};

use super::{Schedule, require_rate};

/// Rises linearly to the first rate of another schedule, then follows it from its step 0 (Goyal et al. 2017,
/// [arXiv:1706.02677](https://arxiv.org/abs/1706.02677)): η₀ · (f + (1 − f) · step / n) up to step n, where η₀ is that
/// rate. Over a [`Constant`](crate::Constant), PyTorch's `LinearLR`.
///
/// ```
/// use tapeloop_optim::{Constant, LinearWarmup, Schedule};
/// let schedule = LinearWarmup::new(4, Constant::new(0.8));
/// assert_eq!((schedule.at(0), schedule.at(1), schedule.at(4)), (0.0, 0.2, 0.8));
/// assert_eq!(schedule.start(0.5).at(2), 0.8 * 0.75);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearWarmup<S> {
    steps: u64,
    start: f64,
    then: S,
}

impl<S: Schedule> LinearWarmup<S> {
    /// From 0 in n steps.
    pub fn new(steps: u64, then: S) -> Self {
        Self { steps, start: 0.0, then }
    }

    /// The rate of step 0 as a fraction f of the other schedule's first. Default 0.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn start(self, start: f64) -> Self {
        require_rate("start", start);
        Self { start, ..self }
    }
}

impl<S: Schedule> Schedule for LinearWarmup<S> {
    fn at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.then.at(step - self.steps);
        }
        self.then.at(0) * (self.start + (1.0 - self.start) * step as f64 / self.steps as f64)
    }
}
