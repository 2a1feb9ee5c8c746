//! Loops over slices. They know no tensors; all `unsafe` of the crate is here.

pub(crate) mod block;
pub mod dispatch;
pub(crate) mod elementwise;
pub(crate) mod fft;
pub mod gemm;
pub(crate) mod lanes;
pub mod math;
pub(crate) mod matrix;
pub(crate) mod pack;
pub(crate) mod panel;
pub(crate) mod patches;
pub(crate) mod program;
pub(crate) mod recurrence;
pub(crate) mod reduce;
pub(crate) mod rows;
pub(crate) mod stream;
pub mod threads;
mod vector;
