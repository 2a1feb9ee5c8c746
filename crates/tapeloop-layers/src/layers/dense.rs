//! y = f(x W + b)

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, StreamBuilder, Tape, Var, module};

use super::{Config, features, keeps_shape, positive, rule_setters, streamed, with_last};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Activation, Constraint, Error, Initializer, Regularizer, Rules};

/// The configuration of a fully connected layer: Keras' `Dense(units, …)` with its defaults. It acts on the last
/// axis.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{Dense, Pass, Layer};
/// let dense = Dense::new(3).layer::<f32>(2, &mut Rng::new(0));
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([5, 2]));
/// assert_eq!(dense.forward(x, &mut Pass::inference()).shape(), [5, 3]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dense {
    /// The width of the output.
    pub units: usize,
    /// Default linear.
    pub activation: Activation,
    /// Whether there is a bias. Default true.
    pub use_bias: bool,
    /// Of `kernel`. Default Glorot uniform.
    pub kernel_initializer: Initializer,
    /// Of `bias`. Default zeros.
    pub bias_initializer: Initializer,
    /// Penalty of `kernel`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_regularizer: Option<Regularizer>,
    /// Penalty of `bias`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_regularizer: Option<Regularizer>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// What `kernel` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_constraint: Option<Constraint>,
    /// What `bias` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_constraint: Option<Constraint>,
}

impl Default for Dense {
    fn default() -> Self {
        Self {
            units: 0,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
        }
    }
}

impl Dense {
    /// The default configuration with this many units.
    pub fn new(units: usize) -> Self {
        Self { units, ..Self::default() }
    }

    /// What is applied to the product.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Whether there is a bias.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// What `kernel` starts from.
    pub fn kernel_initializer(self, kernel_initializer: Initializer) -> Self {
        Self { kernel_initializer, ..self }
    }

    /// What `bias` starts from.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }

    rule_setters! {
        kernel: kernel_regularizer, kernel_constraint;
        bias: bias_regularizer, bias_constraint;
    }

    /// A layer with fresh weights for this many input features.
    ///
    /// # Panics
    /// Where [`try_layer`](Self::try_layer) returns an error.
    #[track_caller]
    pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> DenseLayer<T> {
        match self.try_layer(input, rng) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A layer with fresh weights for this many input features.
    ///
    /// # Errors
    /// If an initializer, a regularizer or a constraint does not suit its weight, or the activation does not keep the
    /// shape.
    pub fn try_layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<DenseLayer<T>, Error> {
        let (name, units) = ("dense", self.units);
        keeps_shape(name, "activation", self.activation)?;
        let kernel = self.kernel_initializer.weight(name, "kernel_initializer", [input, units], rng)?;
        let bias = match self.use_bias {
            true => Some(self.bias_initializer.weight(name, "bias_initializer", [units], rng)?),
            false => None,
        };
        let rules = Rules::new()
            .regularizer("kernel", self.kernel_regularizer)
            .regularizer("bias", self.bias_regularizer.filter(|_| self.use_bias))
            .activity(self.activity_regularizer)
            .constraint("kernel", self.kernel_constraint.clone())
            .constraint("bias", self.bias_constraint.clone().filter(|_| self.use_bias));
        let layer = DenseLayer { kernel, bias, activation: self.activation, rules };
        layer.rules.check(name, &layer)?;
        Ok(layer)
    }
}

impl Config for Dense {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        positive("dense", "units", self.units)?;
        let layer = self.try_layer(features("dense", input)?, rng)?;
        layer.rules.check_outputs("dense", 1 + input.len())?;
        Ok(Box::new(layer))
    }
}

/// f(x W + b) on the last axis.
#[derive(Clone, Debug)]
pub struct DenseLayer<T: Element = f32> {
    /// Weights, (input, units).
    pub kernel: Param<T>,
    /// Bias, (units).
    pub bias: Option<Param<T>>,
    /// f
    pub activation: Activation,
    /// What the weights and outputs keep to.
    pub rules: Rules,
}
module!(DenseLayer<T> { kernel, bias } rest { activation, rules });

impl<T: Element> Layer<T> for DenseLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        let mut y = x.matmul(&self.kernel);
        if let Some(bias) = &self.bias {
            y = y + bias;
        }
        self.activation.apply(y)
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
        let [width, units] = [0, 1].map(|axis| self.kernel.value().shape()[axis]);
        match features("dense", input)? {
            n if n == width => Ok(with_last(input, units)),
            n => Err(Error::config("dense", format!("needs {width} features, got {n}"))),
        }
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        streamed("dense", self, stream)
    }
}
