#![forbid(unsafe_code)]
//! Shared pieces of the examples.

pub mod baselines;
pub mod chart;
pub mod dataset;
pub mod progress;
pub mod series;
pub mod table;
