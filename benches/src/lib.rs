#![forbid(unsafe_code)]
//! What the benches measure: the workloads, built once for all of them, and the clock of the runner; and how they are
//! compared with other libraries.

pub mod arguments;
pub mod compare;
mod min_gru;
mod peephole;
mod spec;
mod timing;
mod workload;

pub use min_gru::{MinGru, MinGruNetwork};
pub use peephole::{Network, Peephole};
pub use spec::{Kind, Recurrence, Spec};
pub use timing::Times;
pub use workload::Workload;
