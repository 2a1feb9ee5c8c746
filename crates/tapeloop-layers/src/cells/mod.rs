//! The cells. One file each; the list below names them all.

mod gru;
mod lstm;
mod simple_rnn;

pub use gru::GruCell;
pub use lstm::LstmCell;
pub use simple_rnn::SimpleRnnCell;

use tapeloop_autograd::Rng;

use crate::{Cell, Gru, Lstm, SimpleRnn};

/// A row of the [`ZOO`]: what tests, benches and documentation know of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name of its file.
    pub name: &'static str,
    /// Where its equations come from.
    pub source: &'static str,
    /// Builds it with this many input features and units.
    pub build: fn(input: usize, units: usize, rng: &mut Rng) -> Box<dyn Cell<f32>>,
    /// The same in double precision.
    pub build_f64: fn(input: usize, units: usize, rng: &mut Rng) -> Box<dyn Cell<f64>>,
}

macro_rules! zoo {
    ($($name:ident: $config:expr, $source:literal;)*) => {
        /// Every cell, with its source.
        pub const ZOO: &[Row] = &[$(Row {
            name: stringify!($name),
            source: $source,
            build: |input, units, rng| Box::new($config(units).cell(input, rng)),
            build_f64: |input, units, rng| Box::new($config(units).cell(input, rng)),
        }),*];
    };
}

zoo! {
    gru: Gru::new, "Cho et al. 2014, arXiv:1406.1078; reset after the product as in cuDNN";
    lstm: Lstm::new, "Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 2000";
    simple_rnn: SimpleRnn::new, "Elman 1990";
}
