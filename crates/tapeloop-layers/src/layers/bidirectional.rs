//! The configuration of a layer that reads its input both ways.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng};

use super::{Config, LayerConfig, features};
use crate::{BidirectionalLayer, Cell, Error, Layer, Merge, Regularizer, Rnn, RnnOptions};

/// The configuration of a bidirectional layer: Keras' `Bidirectional(layer, merge_mode, backward_layer)`.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Bidirectional, Dense, Lstm, Masking, Sequential};
/// let model = Sequential::new([None, Some(3)])
///     .add(Masking::new(0.0))
///     .add(Bidirectional::new(Lstm::new(8).return_sequences(true)))
///     .add(Bidirectional::new(Lstm::new(8)))
///     .add(Dense::new(1))
///     .build::<f32>(0)?;
/// assert_eq!(model.predict(&Tensor::zeros([2, 10, 3]))?.shape(), [2, 1]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bidirectional {
    /// The layer that goes one way: any recurrent one.
    pub forward_layer: Box<LayerConfig>,
    /// The layer that goes the other way. Default as the first, with weights of its own and the opposite `go_backwards`.
    #[serde(default)]
    pub backward_layer: Option<Box<LayerConfig>>,
    /// How both outputs become one. Default side by side; without one there are two, which a model cannot take.
    #[serde(default = "concat")]
    pub merge_mode: Option<Merge>,
    /// Penalty of the merged output, divided by the batch; those of both layers are theirs. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
}

#[allow(clippy::unnecessary_wraps, reason = "the type of the field")]
fn concat() -> Option<Merge> {
    Some(Merge::Concat)
}

/// Both layers, whichever cells they repeat.
type AnyBidirectional<T> = BidirectionalLayer<T, Box<dyn Cell<T>>, Box<dyn Cell<T>>>;

impl Bidirectional {
    /// `layer` both ways, with outputs side by side.
    pub fn new(layer: impl Into<LayerConfig>) -> Self {
        Self {
            forward_layer: Box::new(layer.into()),
            backward_layer: None,
            merge_mode: concat(),
            activity_regularizer: None,
        }
    }

    /// A penalty of the merged output, divided by the batch.
    pub fn activity_regularizer(self, regularizer: Regularizer) -> Self {
        Self { activity_regularizer: Some(regularizer), ..self }
    }

    /// Another layer for the way back.
    pub fn backward_layer(self, layer: impl Into<LayerConfig>) -> Self {
        Self { backward_layer: Some(Box::new(layer.into())), ..self }
    }

    /// How both outputs become one; `None` for two outputs.
    pub fn merge_mode(self, merge_mode: impl Into<Option<Merge>>) -> Self {
        Self { merge_mode: merge_mode.into(), ..self }
    }

    /// A layer with fresh weights for this many input features.
    ///
    /// # Errors
    /// If one of the layers cannot be built or is no recurrent layer, or they do not go together.
    pub fn try_layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<AnyBidirectional<T>, Error> {
        self.try_layer_on(&[None, Some(input)], rng)
    }

    /// A layer with fresh weights for inputs of these axes behind the batch, time first.
    ///
    /// # Errors
    /// As [`try_layer`](Self::try_layer).
    pub fn try_layer_on<T: Element>(
        &self,
        input: &[Option<usize>],
        rng: &mut Rng,
    ) -> Result<AnyBidirectional<T>, Error> {
        let mut build = |config: &LayerConfig| -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
            config.recurrent(input, rng).map_err(|error| match error.is_config() {
                true => Error::config("bidirectional", error.to_string()),
                false => Error::config("bidirectional", format!("{}: {error}", config.name())),
            })
        };
        let there = build(&self.forward_layer)?;
        let back = match &self.backward_layer {
            Some(config) => build(config)?,
            None => {
                let options = there.options();
                let turned = RnnOptions { go_backwards: !options.go_backwards, ..options };
                build(&self.forward_layer)?.with_options(turned)
            }
        };
        BidirectionalLayer::new(there, back, self.merge_mode)?.with_activity_regularizer(self.activity_regularizer)
    }
}

impl Config for Bidirectional {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        let [_, _, ..] = input else {
            let problem = format!("needs (time, features) behind the batch, got {} axes", input.len());
            return Err(Error::config("bidirectional", problem));
        };
        features("bidirectional", input)?;
        Ok(Box::new(self.try_layer_on::<T>(input, rng)?))
    }
}
