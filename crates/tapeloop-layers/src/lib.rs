#![forbid(unsafe_code)]
#![allow(mixed_script_confusables, confusable_idents, reason = "a cell is written in the letters of its paper")]
#![doc = "Recurrent cells and the driver that repeats them; the other layers a sequence model needs; models."]

mod activation;
mod bidirectional;
mod cell;
pub mod cells;
mod compiled;
mod constraint;
mod convolution;
mod error;
mod initializer;
mod layer;
pub mod layers;
mod layout;
mod model;
mod named;
mod portable;
mod regularizer;
mod rnn;
mod rules;
pub mod torch;
mod variational;

pub use activation::Activation;
pub use bidirectional::{BidirectionalLayer, BidirectionalOutput, Merge};
pub use cell::{Cell, Noise, State, StateShapes};
pub use cells::*;
pub use constraint::Constraint;
pub use convolution::{DataFormat, Padding, PerAxis, Sliding};
pub use error::Error;
pub use initializer::{Distribution, Fan, Initializer, Nonlinearity};
pub use layer::{Axes, Layer, Masked, Outputs, Pass};
pub use layers::{
    ActivationLayer, Add, AlphaDropout, Average, AveragePooling1d, Bidirectional, Concatenate, Conv1d, Conv1dLayer,
    ConvGru, ConvGru1d, ConvGru2d, ConvGru3d, ConvLstm, ConvLstm1d, ConvLstm2d, ConvLstm3d, Cropping1d, Dense,
    DenseLayer, Dot, DotAxes, Dropout, DropoutLayer, Embedding, EmbeddingLayer, Ends, Flatten, GaussianDropout,
    GaussianNoise, GlobalAveragePooling1d, GlobalMaxPooling1d, Gru, LayerConfig, LayerNorm, LayerNormLayer, Lstm,
    Masking, MaxPooling1d, Maximum, Minimum, Multiply, Permute, Recurrent, RepeatVector, Reshape, SimpleRnn,
    SpatialDropout1d, Subtract, TimeDistributed, TimeDistributedLayer, TimePadding, UpSampling1d, ZeroPadding1d,
};
pub use layout::{Biases, CellWeights, Layout, Library, Recurrence};
pub use model::{
    ByName, Functional, FunctionalModel, FunctionalRun, InputShape, Model, Node, Nodes, Placing, Sequential, Summary,
};
pub use portable::Portable;
pub use regularizer::{Regularizer, Vectors};
pub use rnn::{Rnn, RnnOptions, RnnOutput};
pub use rules::Rules;
pub use variational::Variational;
