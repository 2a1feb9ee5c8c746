//! The cells. One file each; the list below names them all.

mod conv_gru;
mod conv_lstm;
mod gru;
mod lstm;
mod projected_lstm;
mod simple_rnn;

pub use conv_gru::ConvGruCell;
pub use conv_lstm::ConvLstmCell;
pub use gru::GruCell;
pub use lstm::LstmCell;
pub use projected_lstm::ProjectedLstmCell;
pub use simple_rnn::SimpleRnnCell;

use tapeloop_autograd::{Element, Rng};

use crate::{Cell, ConvGru1d, ConvLstm1d, Gru, Lstm, Padding, SimpleRnn, torch};

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
            build: |input, units, rng| Box::new(($config)(units).cell(input, rng)),
            build_f64: |input, units, rng| Box::new(($config)(units).cell(input, rng)),
        }),*];
    };
}

/// A configuration over grids of one axis, for the list: on a short one.
struct Line<C>(C);

impl Line<ConvGru1d> {
    fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> ConvGruCell<T> {
        self.0.cell([3, input], rng)
    }
}

impl Line<ConvLstm1d> {
    fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> ConvLstmCell<T> {
        self.0.cell([3, input], rng)
    }
}

/// A projected LSTM, for the list.
struct Projected {
    units: usize,
    width: usize,
}

impl Projected {
    fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> ProjectedLstmCell<T> {
        let mut cell = || torch::Lstm::new(self.units).proj_size(self.width).projected_cell(input, rng);
        cell().unwrap_or_else(|error| panic!("{error}"))
    }
}

zoo! {
    conv_gru: |units| Line(ConvGru1d::new(units, 2)), "Ballas et al. 2016, arXiv:1511.06432";
    conv_lstm: |units| Line(ConvLstm1d::new(units, 3).padding(Padding::Same)), "Shi et al. 2015, arXiv:1506.04214";
    gru: Gru::new, "Cho et al. 2014, arXiv:1406.1078; reset after the product as in cuDNN";
    lstm: Lstm::new, "Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 2000";
    projected_lstm: |units| Projected { units: 2 * units, width: units }, "Sak et al. 2014, arXiv:1402.1128";
    simple_rnn: SimpleRnn::new, "Elman 1990";
}
