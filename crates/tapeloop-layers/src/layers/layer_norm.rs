//! y = γ (x − mean) / √(var + ε) + β over the last axis

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, StreamBuilder, Tape, Var, module};

use super::{Config, features, rule_setters, streamed};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Constraint, Error, Initializer, Regularizer, Rules};

/// The configuration of layer normalisation over the last axis: Keras' `LayerNormalization()` with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNorm {
    /// ε. Default 10⁻³.
    pub epsilon: f64,
    /// Whether there is a β. Default true.
    pub center: bool,
    /// Whether there is a γ. Default true.
    pub scale: bool,
    /// Of β. Default zeros.
    pub beta_initializer: Initializer,
    /// Of γ. Default ones.
    pub gamma_initializer: Initializer,
    /// Penalty of `gamma`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma_regularizer: Option<Regularizer>,
    /// Penalty of `beta`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_regularizer: Option<Regularizer>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// What `gamma` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gamma_constraint: Option<Constraint>,
    /// What `beta` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta_constraint: Option<Constraint>,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self {
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            gamma_regularizer: None,
            beta_regularizer: None,
            activity_regularizer: None,
            gamma_constraint: None,
            beta_constraint: None,
        }
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

    /// Whether there is a β.
    pub fn center(self, center: bool) -> Self {
        Self { center, ..self }
    }

    /// Whether there is a γ.
    pub fn scale(self, scale: bool) -> Self {
        Self { scale, ..self }
    }

    /// What β starts from.
    pub fn beta_initializer(self, beta_initializer: Initializer) -> Self {
        Self { beta_initializer, ..self }
    }

    /// What γ starts from.
    pub fn gamma_initializer(self, gamma_initializer: Initializer) -> Self {
        Self { gamma_initializer, ..self }
    }

    rule_setters! {
        gamma: gamma_regularizer, gamma_constraint;
        beta: beta_regularizer, beta_constraint;
    }

    /// A layer with fresh weights for this many features.
    ///
    /// # Panics
    /// Where [`try_layer`](Self::try_layer) returns an error.
    #[track_caller]
    pub fn layer<T: Element>(&self, features: usize, rng: &mut Rng) -> LayerNormLayer<T> {
        match self.try_layer(features, rng) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A layer with fresh weights for this many features.
    ///
    /// # Errors
    /// If ε is negative or not finite, or an initializer, a regularizer or a constraint does not suit its weight.
    pub fn try_layer<T: Element>(&self, features: usize, rng: &mut Rng) -> Result<LayerNormLayer<T>, Error> {
        let (name, epsilon) = ("layer_norm", self.epsilon);
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(Error::config(name, format!("an epsilon of {epsilon} is no small number")));
        }
        let mut weight = |wanted: bool, initializer: &Initializer, setting| match wanted {
            true => initializer.weight(name, setting, [features], rng).map(Some),
            false => Ok(None),
        };
        let gamma = weight(self.scale, &self.gamma_initializer, "gamma_initializer")?;
        let beta = weight(self.center, &self.beta_initializer, "beta_initializer")?;
        let rules = Rules::new()
            .regularizer("gamma", self.gamma_regularizer.filter(|_| self.scale))
            .regularizer("beta", self.beta_regularizer.filter(|_| self.center))
            .activity(self.activity_regularizer)
            .constraint("gamma", self.gamma_constraint.clone().filter(|_| self.scale))
            .constraint("beta", self.beta_constraint.clone().filter(|_| self.center));
        let layer = LayerNormLayer { gamma, beta, features, epsilon, rules };
        layer.rules.check(name, &layer)?;
        Ok(layer)
    }
}

impl Config for LayerNorm {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        let layer = self.try_layer(features("layer_norm", input)?, rng)?;
        layer.rules.check_outputs("layer_norm", 1 + input.len())?;
        Ok(Box::new(layer))
    }
}

/// Layer normalisation (Ba et al. 2016) over the last axis.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{Layer, LayerNorm, Pass};
/// let norm = LayerNorm::new().epsilon(0.0).layer::<f32>(2, &mut Rng::new(0));
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
    /// What the weights and outputs keep to.
    pub rules: Rules,
}
module!(LayerNormLayer<T> { gamma, beta } rest { features, epsilon, rules });

impl<T: Element> Layer<T> for LayerNormLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        let param = |param: &Option<Param<T>>| param.as_ref().map(|param| x.tape().param(param));
        x.layer_norm(&[-1], param(&self.gamma), param(&self.beta), self.epsilon)
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let value = self.forward(x.value, pass);
        Masked { value, ..x }.and(self.rules.of_outputs(&[value]))
    }

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.rules.penalty(self, tape)
    }

    fn constrain(&mut self) {
        let rules = std::mem::take(&mut self.rules);
        rules.constrain(self);
        self.rules = rules;
    }

    fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
        masked[0]
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        match features("layer_norm", input)? {
            n if n == self.features => Ok(input.to_vec()),
            n => Err(Error::config("layer_norm", format!("needs {} features, got {n}", self.features))),
        }
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        streamed("layer_norm", self, stream)
    }
}
