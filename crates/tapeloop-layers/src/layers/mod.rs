//! Layers by their configuration. One file each; the list below names them all.

mod activation;
mod bidirectional;
mod conv1d;
mod conv_gru;
mod conv_lstm;
mod convolutional;
mod dense;
mod dropout;
mod embedding;
mod gru;
mod layer_norm;
mod lstm;
mod masking;
mod merge;
mod noise;
mod pooling;
mod recurrent;
mod repeat_vector;
mod reshaping;
mod rnn;
mod simple_rnn;
mod time_distributed;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, StreamBuilder};

use crate::layer::Axes;
use crate::{Activation, Cell, Error, Layer, Pass, Rnn, compiled, torch};

pub use activation::ActivationLayer;
pub use bidirectional::Bidirectional;
pub use conv_gru::{ConvGru, ConvGru1d, ConvGru2d, ConvGru3d};
pub use conv_lstm::{ConvLstm, ConvLstm1d, ConvLstm2d, ConvLstm3d};
pub use conv1d::{Conv1d, Conv1dLayer, TimePadding};
pub use dense::{Dense, DenseLayer};
pub use dropout::{Dropout, DropoutLayer};
pub use embedding::{Embedding, EmbeddingLayer};
pub use gru::Gru;
pub use layer_norm::{LayerNorm, LayerNormLayer};
pub use lstm::Lstm;
pub use masking::Masking;
pub use merge::{Add, Average, Concatenate, Dot, DotAxes, Maximum, Minimum, Multiply, Subtract};
pub use noise::{AlphaDropout, GaussianDropout, GaussianNoise, SpatialDropout1d};
pub use pooling::{AveragePooling1d, GlobalAveragePooling1d, GlobalMaxPooling1d, MaxPooling1d};
pub use repeat_vector::RepeatVector;
pub use reshaping::{Cropping1d, Ends, Flatten, Permute, Reshape, UpSampling1d, ZeroPadding1d};
pub use rnn::Recurrent;
pub use simple_rnn::SimpleRnn;
pub use time_distributed::{TimeDistributed, TimeDistributedLayer};

/// A layer's configuration: data, from which the layer is built.
pub trait Config {
    /// The layer for inputs of a shape (without the batch axis), with fresh weights.
    ///
    /// # Errors
    /// If a setting makes no sense, or the layer cannot take such an input.
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error>;

    /// The same, of a layer that repeats a cell over time.
    ///
    /// # Errors
    /// As [`build`](Self::build), and if this is another layer.
    fn recurrent<T: Element>(&self, _: &[Option<usize>], _: &mut Rng) -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
        Err(Error::other("it repeats no cell over time"))
    }
}

/// Builder methods for the rules of a configuration: of what it puts out, and of each weight.
macro_rules! rule_setters {
    ($($weight:ident: $regularizer:ident, $constraint:ident;)*) => {
        /// A penalty of the output, divided by the batch.
        pub fn activity_regularizer(self, regularizer: $crate::Regularizer) -> Self {
            Self { activity_regularizer: Some(regularizer), ..self }
        }

        $(
            #[doc = concat!("A penalty of `", stringify!($weight), "`.")]
            pub fn $regularizer(self, regularizer: $crate::Regularizer) -> Self {
                Self { $regularizer: Some(regularizer), ..self }
            }

            #[doc = concat!("What `", stringify!($weight), "` is projected to after every step of an optimizer.")]
            pub fn $constraint(self, constraint: $crate::Constraint) -> Self {
                Self { $constraint: Some(constraint), ..self }
            }
        )*
    };
}
pub(crate) use rule_setters;

macro_rules! layers {
    ($($(#[$attribute:meta])* $variant:ident($config:ty) $name:literal;)*) => {
        /// The configuration of any layer, as a model's JSON holds it.
        ///
        /// ```
        /// use tapeloop_layers::{Dense, LayerConfig};
        /// let json = serde_json::to_string(&LayerConfig::from(Dense::new(3))).unwrap();
        /// assert!(json.starts_with(r#"{"layer":"dense","units":3"#), "{json}");
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "layer", rename_all = "snake_case")]
        pub enum LayerConfig {
            $(
                #[doc = concat!("[`", stringify!($config), "`]")]
                $(#[$attribute])*
                $variant($config),
            )*
        }

        impl LayerConfig {
            /// The kind of layer, in a type's spelling.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => stringify!($variant),)*
                }
            }

            /// The kind of layer, in a name's spelling.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }
        }

        impl LayerConfig {
            pub(crate) fn build_here<T: Element>(
                &self,
                input: &[Option<usize>],
                rng: &mut Rng,
            ) -> Result<Box<dyn Layer<T>>, Error> {
                match self {
                    $(Self::$variant(config) => config.build(input, rng),)*
                }
            }

            pub(crate) fn recurrent_here<T: Element>(
                &self,
                input: &[Option<usize>],
                rng: &mut Rng,
            ) -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
                match self {
                    $(Self::$variant(config) => config.recurrent(input, rng),)*
                }
            }
        }

        impl Config for LayerConfig {
            fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                compiled::layer(self, input, rng)
            }

            fn recurrent<T: Element>(
                &self,
                input: &[Option<usize>],
                rng: &mut Rng,
            ) -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
                compiled::recurrent(self, input, rng)
            }
        }

        $(impl From<$config> for LayerConfig {
            fn from(config: $config) -> Self {
                Self::$variant(config)
            }
        })*
    };
}

layers! {
    Activation(ActivationLayer) "activation";
    Add(Add) "add";
    AlphaDropout(AlphaDropout) "alpha_dropout";
    Average(Average) "average";
    AveragePooling1d(AveragePooling1d) "average_pooling1d";
    Bidirectional(Bidirectional) "bidirectional";
    Concatenate(Concatenate) "concatenate";
    Conv1d(Conv1d) "conv1d";
    ConvGru1d(ConvGru1d) "conv_gru1d";
    ConvGru2d(ConvGru2d) "conv_gru2d";
    ConvGru3d(ConvGru3d) "conv_gru3d";
    ConvLstm1d(ConvLstm1d) "conv_lstm1d";
    ConvLstm2d(ConvLstm2d) "conv_lstm2d";
    ConvLstm3d(ConvLstm3d) "conv_lstm3d";
    Cropping1d(Cropping1d) "cropping1d";
    Dense(Dense) "dense";
    Dot(Dot) "dot";
    Dropout(Dropout) "dropout";
    Embedding(Embedding) "embedding";
    Flatten(Flatten) "flatten";
    GaussianDropout(GaussianDropout) "gaussian_dropout";
    GaussianNoise(GaussianNoise) "gaussian_noise";
    GlobalAveragePooling1d(GlobalAveragePooling1d) "global_average_pooling1d";
    GlobalMaxPooling1d(GlobalMaxPooling1d) "global_max_pooling1d";
    Gru(Gru) "gru";
    #[serde(alias = "layer_normalization")]
    LayerNorm(LayerNorm) "layer_norm";
    Lstm(Lstm) "lstm";
    Masking(Masking) "masking";
    MaxPooling1d(MaxPooling1d) "max_pooling1d";
    Maximum(Maximum) "maximum";
    Minimum(Minimum) "minimum";
    Multiply(Multiply) "multiply";
    Permute(Permute) "permute";
    RepeatVector(RepeatVector) "repeat_vector";
    Reshape(Reshape) "reshape";
    Rnn(Recurrent) "rnn";
    SimpleRnn(SimpleRnn) "simple_rnn";
    SpatialDropout1d(SpatialDropout1d) "spatial_dropout1d";
    Subtract(Subtract) "subtract";
    TimeDistributed(TimeDistributed) "time_distributed";
    TorchGru(torch::Gru) "torch_gru";
    TorchLstm(torch::Lstm) "torch_lstm";
    TorchRnn(torch::Rnn) "torch_rnn";
    UpSampling1d(UpSampling1d) "up_sampling1d";
    ZeroPadding1d(ZeroPadding1d) "zero_padding1d";
}

/// The rule for a size that must be at least 1.
pub(crate) fn positive(layer: &str, what: &str, n: usize) -> Result<(), Error> {
    if n == 0 { Err(Error::config(layer, format!("{what} must be at least 1"))) } else { Ok(()) }
}

/// The rule for an activation within a layer.
pub(crate) fn keeps_shape(layer: &str, setting: &str, activation: Activation) -> Result<(), Error> {
    if activation.keeps_shape() {
        return Ok(());
    }
    let problem = format!("{setting}: {activation} halves the last axis, which only a layer of its own can");
    Err(Error::config(layer, problem))
}

/// The last axis of an input, whose length must be known.
pub(crate) fn features(layer: &str, input: &[Option<usize>]) -> Result<usize, Error> {
    match input.last() {
        Some(Some(n)) => Ok(*n),
        Some(None) => Err(Error::config(layer, "the length of the last axis, the features, must be known")),
        None => Err(Error::config(layer, "needs at least one axis behind the batch")),
    }
}

/// `input` with another length of the last axis.
pub(crate) fn with_last(input: &[Option<usize>], last: usize) -> Axes {
    let lead = &input[..input.len().saturating_sub(1)];
    lead.iter().copied().chain([Some(last)]).collect()
}

/// Appends to a stream a layer to which time is one more axis of a batch.
pub(crate) fn streamed<T: Element>(
    name: &str,
    layer: &impl Layer<T>,
    stream: &mut StreamBuilder<T>,
) -> Result<(), Error> {
    layer.output_shape(&[Some(stream.width())])?;
    let appended = stream.map(|x| layer.forward(x, &mut Pass::inference()));
    appended.map_err(|error| Error::config(name, format!("it cannot be streamed: {error}")))
}
