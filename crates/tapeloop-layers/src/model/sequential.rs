//! The description of a model.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng};

use super::Model;
use super::built::{Built, can_be_held};
use crate::layers::LayerConfig;
use crate::{Error, layer::Axes};

/// The shape of a model's input behind the batch; an unknown length takes any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputShape(pub Axes);

impl<const N: usize> From<[usize; N]> for InputShape {
    fn from(lengths: [usize; N]) -> Self {
        Self(lengths.into_iter().map(Some).collect())
    }
}

impl<const N: usize> From<[Option<usize>; N]> for InputShape {
    fn from(lengths: [Option<usize>; N]) -> Self {
        Self(lengths.into())
    }
}

/// The description of a model: an input shape and layers, as Keras' `Sequential`.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Dense, Lstm, Sequential};
///
/// let model = Sequential::new([10, 1]).add(Lstm::new(128)).add(Dense::new(1)).build::<f32>(42)?;
/// let forecast = model.predict(&Tensor::zeros([32, 10, 1]))?;
/// assert_eq!(forecast.shape(), [32, 1]);
///
/// let json = serde_json::to_string(model.config()).unwrap();
/// let again: Sequential = serde_json::from_str(&json).unwrap();
/// assert_eq!(again.build::<f32>(42)?.predict(&Tensor::zeros([32, 10, 1]))?.to_vec(), forecast.to_vec());
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    input_shape: InputShape,
    layers: Vec<LayerConfig>,
}

impl Sequential {
    /// A model without layers for inputs (batch, …) of this shape.
    pub fn new(input_shape: impl Into<InputShape>) -> Self {
        Self { input_shape: input_shape.into(), layers: Vec::new() }
    }

    /// The same with one more layer.
    #[allow(clippy::should_implement_trait, reason = "Keras' name")]
    pub fn add(mut self, layer: impl Into<LayerConfig>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// The shape of the input behind the batch.
    pub fn input_shape(&self) -> &InputShape {
        &self.input_shape
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[LayerConfig] {
        &self.layers
    }

    /// The model, with fresh weights that follow from `seed` alone.
    ///
    /// # Errors
    /// If there are no layers, one cannot be built as it is configured, or cannot take the output of the one before.
    pub fn build<T: Element>(&self, seed: u64) -> Result<Model<T>, Error> {
        if self.layers.is_empty() {
            return Err(Error::other("a model needs at least one layer"));
        }
        let rng = Rng::new(seed);
        let mut axes = self.input_shape.0.clone();
        let (mut layers, mut outputs) = (Built(Vec::with_capacity(self.layers.len())), Vec::new());
        for (config, name) in self.layers.iter().zip(names(&self.layers)) {
            let named = layers.push(name, config, &axes, &rng)?;
            axes = named.layer.output_shape(&axes).map_err(|error| error.in_layer(&named.name))?;
            can_be_held::<T>(&named.name, &axes)?;
            outputs.push(axes.clone());
        }
        Ok(Model { config: self.clone(), layers, outputs })
    }
}

/// Names as Keras gives them: the kind, and a number from the second one on.
fn names(layers: &[LayerConfig]) -> impl Iterator<Item = String> {
    layers.iter().enumerate().map(|(place, config)| {
        match layers[..place].iter().filter(|other| other.name() == config.name()).count() {
            0 => config.name().to_string(),
            n => format!("{}_{n}", config.name()),
        }
    })
}
