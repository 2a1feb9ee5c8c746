#![forbid(unsafe_code)]
#![doc = "Recurrent cells and the driver that repeats them; the other layers a sequence model needs; models."]

mod cell;
pub mod cells;
mod error;
mod initializer;
pub mod layers;
mod model;
mod rnn;

pub use cell::{Cell, State};
pub use cells::{Gru, GruCell, Lstm, LstmCell, SimpleRnn, SimpleRnnCell};
pub use error::Error;
pub use initializer::Initializer;
pub use layers::{ActivationLayer, Dense, Dropout, Embedding, LayerNorm};
pub use model::{InputShape, Layer, LayerConfig, Pass, Sequential, SequentialBuilder, Summary};
pub use rnn::{Rnn, RnnOptions, RnnOutput};
