//! Learning rates that change with the step.

mod cosine;
mod decay;
mod one_cycle;
mod piecewise;
mod plateau;
mod warmup;

pub use cosine::{CosineDecay, CosineRestarts};
pub use decay::{ExponentialDecay, InverseTimeDecay, PolynomialDecay, StepDecay};
pub use one_cycle::OneCycle;
pub use piecewise::{Constant, PiecewiseConstant};
pub use plateau::ReduceOnPlateau;
pub use warmup::LinearWarmup;

/// A learning rate for every step. Steps count from 0, so that the next step's rate is
/// `schedule.at(optimizer.iterations())`.
///
/// A closure is one too:
///
/// ```
/// use tapeloop_optim::{ExponentialDecay, Optimizer, Schedule, Sgd};
/// let decay = ExponentialDecay::new(0.4, 10, 0.5);
/// let floored = |step| decay.at(step).max(0.1);
/// let mut optimizer = Sgd::<f32>::default();
/// optimizer.set_learning_rate(floored.at(10));
/// assert_eq!(optimizer.learning_rate(), 0.2);
/// assert_eq!(floored.at(1000), 0.1);
/// ```
pub trait Schedule {
    /// The learning rate of the step of this number.
    fn at(&self, step: u64) -> f64;
}

impl<F: Fn(u64) -> f64> Schedule for F {
    fn at(&self, step: u64) -> f64 {
        self(step)
    }
}

impl Schedule for Box<dyn Schedule> {
    fn at(&self, step: u64) -> f64 {
        (**self).at(step)
    }
}

#[track_caller]
fn require_rate(name: &'static str, value: f64) {
    crate::error::require(crate::error::not_negative(name, value));
}

#[track_caller]
fn require_steps(name: &'static str, value: u64) {
    crate::error::require(crate::error::check(value > 0, name, value as f64, "at least 1"));
}
