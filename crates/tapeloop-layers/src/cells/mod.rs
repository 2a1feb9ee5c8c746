//! The cells. One file each; the list below names them all.

mod gru;
mod lstm;
mod simple_rnn;

pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use simple_rnn::{SimpleRnn, SimpleRnnCell};

use tapeloop_autograd::Rng;

use crate::{Cell, RnnOptions};

/// A row of the [`zoo`]: what tests, benches and documentation know of a cell.
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

/// The keyword arguments that every Keras recurrent layer shares, as builder methods.
macro_rules! rnn_builder {
    ($config:ident) => {
        impl $config {
            /// The default configuration with this many units.
            pub fn new(units: usize) -> Self {
                Self { units, ..Self::default() }
            }

            /// Whether the layer has a bias.
            pub fn use_bias(self, use_bias: bool) -> Self {
                Self { use_bias, ..self }
            }

            /// Returns every step's output instead of the last one's.
            pub fn return_sequences(mut self, yes: bool) -> Self {
                self.rnn.return_sequences = yes;
                self
            }

            /// Also returns the last states.
            pub fn return_state(mut self, yes: bool) -> Self {
                self.rnn.return_state = yes;
                self
            }

            /// Runs from the last step to the first; outputs are in the order of processing.
            pub fn go_backwards(mut self, yes: bool) -> Self {
                self.rnn.go_backwards = yes;
                self
            }

            /// Carries the states from one call to the next.
            pub fn stateful(mut self, yes: bool) -> Self {
                self.rnn.stateful = yes;
                self
            }
        }
    };
}
pub(crate) use rnn_builder;
