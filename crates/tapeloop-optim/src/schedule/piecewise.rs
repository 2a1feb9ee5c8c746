//! Rates that jump, or never change.

use serde::{Deserialize, Serialize};

use super::{Schedule, require_rate};

/// One rate for all steps.
///
/// ```
/// use tapeloop_optim::{Constant, Schedule};
/// assert_eq!(Constant::new(0.1).at(7), 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constant {
    learning_rate: f64,
}

impl Constant {
    /// This rate.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn new(learning_rate: f64) -> Self {
        require_rate("learning_rate", learning_rate);
        Self { learning_rate }
    }
}

impl Schedule for Constant {
    fn at(&self, _: u64) -> f64 {
        self.learning_rate
    }
}

/// Keras' `PiecewiseConstantDecay`: the first rate up to and including the first boundary, and so on.
/// PyTorch's milestones are the steps after the boundaries.
///
/// ```
/// use tapeloop_optim::{PiecewiseConstant, Schedule};
/// let schedule = PiecewiseConstant::new([100], [0.1, 0.01]);
/// assert_eq!((schedule.at(100), schedule.at(101)), (0.1, 0.01));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Pieces", into = "Pieces")]
pub struct PiecewiseConstant {
    boundaries: Vec<u64>,
    values: Vec<f64>,
}

/// As serialized: lengths and order still to be checked.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pieces {
    boundaries: Vec<u64>,
    values: Vec<f64>,
}

impl PiecewiseConstant {
    /// Boundaries in rising order, and one rate more than there are boundaries.
    ///
    /// # Panics
    /// If they are not so, or a rate is negative or not finite.
    #[track_caller]
    pub fn new(boundaries: impl Into<Vec<u64>>, values: impl Into<Vec<f64>>) -> Self {
        let pieces = Pieces { boundaries: boundaries.into(), values: values.into() };
        match pieces.try_into() {
            Ok(schedule) => schedule,
            Err(error) => panic!("{error}"),
        }
    }
}

impl TryFrom<Pieces> for PiecewiseConstant {
    type Error = String;

    fn try_from(Pieces { boundaries, values }: Pieces) -> Result<Self, String> {
        if values.len() != boundaries.len() + 1 {
            let (n, m) = (boundaries.len(), values.len());
            return Err(format!("{n} boundaries need one rate more than that; {m} were given"));
        }
        if !boundaries.is_sorted() {
            return Err(format!("the boundaries {boundaries:?} do not rise"));
        }
        match values.iter().find(|&&value| !(value >= 0.0 && value.is_finite())) {
            Some(value) => Err(format!("a rate is {value}; it must be finite and at least 0")),
            None => Ok(Self { boundaries, values }),
        }
    }
}

impl From<PiecewiseConstant> for Pieces {
    fn from(PiecewiseConstant { boundaries, values }: PiecewiseConstant) -> Self {
        Self { boundaries, values }
    }
}

impl Schedule for PiecewiseConstant {
    fn at(&self, step: u64) -> f64 {
        self.values[self.boundaries.partition_point(|&boundary| boundary < step)]
    }
}
