//! Optimizers, learning-rate schedules and gradient clipping.
//!
//! ```
//! use tapeloop_autograd::{Param, Tape, Tensor};
//! use tapeloop_optim::{Adam, CosineDecay, Optimizer, Schedule, clip_by_global_norm};
//!
//! let mut w = Param::new(Tensor::from([3.0f32, -2.0]));
//! let mut optimizer = Adam::new(0.1);
//! let schedule = CosineDecay::new(0.1, 100);
//! let mut tape = Tape::new();
//! for _ in 0..100 {
//!     let (_, mut gradients) = tape.value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
//!     clip_by_global_norm(&mut gradients, 1.0);
//!     optimizer.set_learning_rate(schedule.at(optimizer.iterations()));
//!     optimizer.step(&mut w, &gradients);
//! }
//! assert_eq!(optimizer.iterations(), 100);
//! ```

#![forbid(unsafe_code)]

#[macro_use]
mod core;
mod adam;
mod adamw;
mod clip;
mod convention;
mod error;
mod groups;
mod rmsprop;
mod schedule;
mod sgd;
mod state;

pub use adam::{Adam, AdamConfig};
pub use adamw::{AdamW, AdamWConfig};
pub use clip::{clip_by_global_norm, clip_by_norm, clip_by_value, clip_grad_norm, global_norm};
pub use convention::Convention;
pub use core::Optimizer;
pub use error::Error;
pub use groups::{Groups, Rule};
pub use rmsprop::{RmsProp, RmsPropConfig};
pub use schedule::{
    Constant, CosineDecay, CosineRestarts, ExponentialDecay, InverseTimeDecay, LinearWarmup, OneCycle,
    PiecewiseConstant, PolynomialDecay, ReduceOnPlateau, Schedule, StepDecay,
};
pub use sgd::{Sgd, SgdConfig};
pub use state::{OptimizerState, ParamState};
