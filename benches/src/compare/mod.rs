//! Ours beside the peers: runners that take turns, their results in a file, and what is written from them.

mod chart;
mod files;
mod flops;
mod line;
mod machine;
mod race;
mod report;
mod results;

pub use chart::{Bar, Series, bars, curves};
pub use files::replace;
pub use flops::products;
pub use line::{Line, Peak, median};
pub use machine::Machine;
pub use race::{Contestant, Course, Runner};
pub use report::{ABLATED, ABLATION, Document, ablated, document};
pub use results::{Entry, Peaks, Record, Results, Row};
