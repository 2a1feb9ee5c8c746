#![forbid(unsafe_code)]
//! What the runners of other Rust libraries have in common: sizes, numbers, the clock and the line they print; the steps
//! of the cells, written once in two-dimensional operations.
//!
//! ```text
//! peer-candle WORKLOAD [--threads N] [--seconds S] [--variant V] [--list]
//! ```
//!
//! Weights and data are those of `../peers/shared.py`, so that all runners print the same first losses.

pub mod cells;
mod job;
mod numbers;
pub mod onnx;

pub use job::{Job, Lists};
pub use numbers::{Array, Cell, Work, classes, lengths, normal, weights};

/// Samples of a stream between two looks at the clock.
pub const CHUNK: usize = 64;

/// What a runner does may fail in its library.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
