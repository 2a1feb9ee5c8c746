//! y = γ (x − mean) / √(var + ε) + β over the last axis

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, Tensor, Var, module};

use super::{Config, features};
use crate::Error;
use crate::layer::{Axes, Layer, Pass};

/// The configuration of layer normalisation over the last axis: Keras' `LayerNormalization()` with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNorm {
    /// ε. Default 10⁻³.
    pub epsilon: f64,
    /// Whether there is a β. Default true.
    pub center: bool,
    /// Whether there is a γ. Default true.
    pub scale: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-3, center: true, scale: true }
    }
}

impl LayerNorm {
    /// The default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another ε.
    pub fn epsilon(self, epsilon: f64) -> Self {
        Self { epsilon, ..self }
    }

    /// A layer for this many features, with γ = 1 and β = 0.
    pub fn layer<T: Element>(&self, features: usize) -> LayerNormLayer<T> {
        LayerNormLayer {
            gamma: self.scale.then(|| Param::new(Tensor::ones([features]))),
            beta: self.center.then(|| Param::new(Tensor::zeros([features]))),
            features,
            epsilon: self.epsilon,
        }
    }
}

impl Config for LayerNorm {
    fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(Error::config("layer_norm", format!("an epsilon of {} is no small number", self.epsilon)));
        }
        Ok(Box::new(self.layer(features("layer_norm", input)?)))
    }
}

/// Layer normalisation (Ba et al. 2016) over the last axis.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, LayerNorm, Pass};
/// let norm = LayerNorm::new().epsilon(0.0).layer::<f32>(2);
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[1.0f32, 3.0]]));
/// assert_eq!(norm.forward(x, &mut Pass::inference()).value().to_vec(), [-1.0, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct LayerNormLayer<T: Element = f32> {
    /// γ, (features).
    pub gamma: Option<Param<T>>,
    /// β, (features).
    pub beta: Option<Param<T>>,
    /// The length of the last axis.
    pub features: usize,
    /// ε
    pub epsilon: f64,
}
module!(LayerNormLayer<T> { gamma, beta } rest { features, epsilon });

impl<T: Element> Layer<T> for LayerNormLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        let param = |param: &Option<Param<T>>| param.as_ref().map(|param| x.tape().param(param));
        x.layer_norm(&[-1], param(&self.gamma), param(&self.beta), self.epsilon)
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        match features("layer_norm", input)? {
            n if n == self.features => Ok(input.to_vec()),
            n => Err(Error::config("layer_norm", format!("needs {} features, got {n}", self.features))),
        }
    }
}
