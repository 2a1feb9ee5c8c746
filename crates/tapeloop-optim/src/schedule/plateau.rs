//! A rate that falls when nothing gets better.

use serde::{Deserialize, Serialize};

use super::require_rate;
use crate::convention::Convention;
use crate::error::{check, require};

/// Multiplies the learning rate by a factor once a metric, such as the validation loss, has not become smaller for a
/// while. It knows the past, so it is no [`Schedule`](crate::Schedule): it is told the metric and the present rate
/// after every epoch, and says the next one. For a metric that should grow, tell its negative.
///
/// | | Keras `ReduceLROnPlateau` | PyTorch `ReduceLROnPlateau` |
/// | --- | --- | --- |
/// | better | metric < best − δ | metric < best − δ · \|best\| |
/// | falls after | `patience` epochs that are not better | one more |
/// | cooldown of n | n − 1 epochs count for nothing | n epochs |
/// | smallest fall | any | 10⁻⁸ |
///
/// NaN is never better. PyTorch compares with best · (1 − δ), which is the same for a positive best; for a negative
/// one that would take slightly worse for better.
///
/// ```
/// use tapeloop_optim::{Optimizer, ReduceOnPlateau, Sgd};
/// let mut plateau = ReduceOnPlateau::new().factor(0.5).patience(2);
/// let mut optimizer = Sgd::<f32>::new(0.5);
/// for loss in [1.0, 0.8, 0.9, 0.9] {
///     optimizer.set_learning_rate(plateau.next(loss, optimizer.learning_rate()));
/// }
/// assert_eq!(optimizer.learning_rate(), 0.25);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReduceOnPlateau {
    factor: f64,
    patience: u64,
    min_delta: f64,
    cooldown: u64,
    min_learning_rate: f64,
    convention: Convention,
    /// `None` before the first metric: JSON has no infinity.
    best: Option<f64>,
    waited: u64,
    cooling: u64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_learning_rate: 0.0,
            convention: Convention::Keras,
            best: None,
            waited: 0,
            cooling: 0,
        }
    }
}

impl ReduceOnPlateau {
    /// By the factor 0.1 after 10 epochs.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the rate is multiplied by; in [0, 1). Default 0.1.
    ///
    /// # Panics
    /// If it is not in [0, 1).
    #[must_use]
    #[track_caller]
    pub fn factor(self, factor: f64) -> Self {
        require(crate::error::fraction("factor", factor));
        Self { factor, ..self }
    }

    /// Epochs to wait. Default 10.
    #[must_use]
    pub fn patience(self, epochs: u64) -> Self {
        Self { patience: epochs, ..self }
    }

    /// By how much the metric must be better to count, δ. Default 10⁻⁴.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn min_delta(self, min_delta: f64) -> Self {
        require(check(min_delta >= 0.0 && min_delta.is_finite(), "min_delta", min_delta, "finite and at least 0"));
        Self { min_delta, ..self }
    }

    /// Epochs after a fall before waiting starts again. Default 0.
    #[must_use]
    pub fn cooldown(self, epochs: u64) -> Self {
        Self { cooldown: epochs, ..self }
    }

    /// Below this the rate does not fall. Default 0.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[must_use]
    #[track_caller]
    pub fn min_learning_rate(self, learning_rate: f64) -> Self {
        require_rate("min_learning_rate", learning_rate);
        Self { min_learning_rate: learning_rate, ..self }
    }

    /// Whose rules. Default Keras.
    #[must_use]
    pub fn convention(self, convention: Convention) -> Self {
        Self { convention, ..self }
    }

    /// The learning rate after an epoch with this metric, before which it was `learning_rate`.
    pub fn next(&mut self, metric: f64, learning_rate: f64) -> f64 {
        let keras = self.convention == Convention::Keras;
        let better = !metric.is_nan()
            && self
                .best
                .is_none_or(|best| metric < best - if keras { self.min_delta } else { self.min_delta * best.abs() });
        if better {
            self.best = Some(metric);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            // Keras' last epoch of a cooldown is already waited through.
            self.waited = u64::from(keras && self.cooling == 0 && !better);
        }
        let impatient = if keras { self.waited >= self.patience.max(1) } else { self.waited > self.patience };
        if !impatient {
            return learning_rate;
        }
        (self.waited, self.cooling) = (0, self.cooldown);
        let next = (learning_rate * self.factor).max(self.min_learning_rate);
        let smallest_fall = if keras { 0.0 } else { 1e-8 };
        if learning_rate - next > smallest_fall { next } else { learning_rate }
    }
}
