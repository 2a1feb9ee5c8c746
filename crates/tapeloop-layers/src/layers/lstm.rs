//! The configuration of an LSTM layer.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Checkpoint, Element, Rng};

use super::keeps_shape;
use super::recurrent::{implementation, recurrent};
use crate::{Activation, Constraint, Error, Initializer, LstmCell, Regularizer};

/// The configuration of an LSTM layer: Keras' `LSTM(units, …)` with its defaults.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::Lstm;
/// let lstm = Lstm::new(128).return_sequences(true).layer::<f32>(1, &mut Rng::new(0));
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([32, 10, 1])); // batch, time, features
/// assert_eq!(lstm.run(x, None).output.shape(), [32, 10, 128]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lstm {
    /// The width of h and c.
    pub units: usize,
    /// Of the candidate and the output. Default tanh.
    pub activation: Activation,
    /// Of the gates. Default sigmoid.
    pub recurrent_activation: Activation,
    /// Whether there is a bias. Default true.
    pub use_bias: bool,
    /// Of `kernel`. Default Glorot uniform, on the whole matrix.
    pub kernel_initializer: Initializer,
    /// Of `recurrent_kernel`. Default orthogonal, on the whole matrix.
    pub recurrent_initializer: Initializer,
    /// Of `bias`. Default zeros.
    pub bias_initializer: Initializer,
    /// Puts 1 in the forget gate's part of the bias. Default true.
    pub unit_forget_bias: bool,
    /// The probability with which a feature of the input is dropped in training, the same ones at every step. Default 0.
    pub dropout: f64,
    /// The probability with which a unit of the state is dropped in training, the same ones at every step. Default 0.
    pub recurrent_dropout: f64,
    /// 1 draws dropout for every gate anew, as `recurrent_dropout` does anyway; 2 once for all. It changes nothing else.
    /// Default 2.
    pub implementation: u8,
    /// Draws from a generator of the layer's own, which a pass forks by this number. Default none: from the pass's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Penalty of `kernel`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_regularizer: Option<Regularizer>,
    /// Penalty of `recurrent_kernel`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recurrent_regularizer: Option<Regularizer>,
    /// Penalty of `bias`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_regularizer: Option<Regularizer>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// What `kernel` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_constraint: Option<Constraint>,
    /// What `recurrent_kernel` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recurrent_constraint: Option<Constraint>,
    /// What `bias` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_constraint: Option<Constraint>,
    /// Every step's output instead of the last one's. Default false.
    pub return_sequences: bool,
    /// Also the last states. Default false.
    pub return_state: bool,
    /// Also the states after every step. Default false.
    pub return_state_sequences: bool,
    /// From the last step to the first. Default false.
    pub go_backwards: bool,
    /// Each call starts from the states the last one ended with. Default false.
    pub stateful: bool,
    /// Steps that a mask leaves out put out 0 instead of the output before them. Default false.
    pub zero_output_for_mask: bool,
    /// Records every step on the tape instead of one loop, with the same result. Default false.
    pub unroll: bool,
    /// Keeps only some of the loop's states for the backward pass. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Gradients end at every so many steps: truncated backpropagation through time. Default none: at the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated_bptt: Option<NonZeroUsize>,
}

impl Default for Lstm {
    fn default() -> Self {
        Self {
            units: 0,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            recurrent_initializer: Initializer::Orthogonal { gain: 1.0 },
            bias_initializer: Initializer::Zeros,
            unit_forget_bias: true,
            dropout: 0.0,
            recurrent_dropout: 0.0,
            implementation: 2,
            seed: None,
            kernel_regularizer: None,
            recurrent_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            recurrent_constraint: None,
            bias_constraint: None,
            return_sequences: false,
            return_state: false,
            return_state_sequences: false,
            go_backwards: false,
            stateful: false,
            zero_output_for_mask: false,
            unroll: false,
            checkpoint: None,
            truncated_bptt: None,
        }
    }
}

recurrent!(Lstm, LstmCell, "lstm");

impl Lstm {
    /// What is applied to the gates.
    pub fn recurrent_activation(self, recurrent_activation: Activation) -> Self {
        Self { recurrent_activation, ..self }
    }

    /// Puts 1 in the forget gate's part of the bias, so that a fresh cell remembers (Jozefowicz et al. 2015).
    pub fn unit_forget_bias(self, unit_forget_bias: bool) -> Self {
        Self { unit_forget_bias, ..self }
    }

    /// How dropout is drawn: 1 for every gate anew, 2 once for all.
    pub fn implementation(self, implementation: u8) -> Self {
        Self { implementation, ..self }
    }

    /// A cell with fresh weights for this many input features.
    ///
    /// # Errors
    /// If an initializer does not suit its weight, an activation does not keep the shape, or a rate is no probability.
    pub fn try_cell<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<LstmCell<T>, Error> {
        let (name, units) = ("lstm", self.units);
        keeps_shape(name, "activation", self.activation)?;
        keeps_shape(name, "recurrent_activation", self.recurrent_activation)?;
        // Too many are an error of the initializer's, not of the product.
        let width = units.saturating_mul(4);
        let variational = self.variational(self.implementation == 1);
        variational.check(name)?;
        implementation(name, self.implementation)?;
        let kernel = self.kernel_initializer.weight(name, "kernel_initializer", [input, width], rng)?;
        let recurrent_kernel = self.recurrent_initializer.weight(name, "recurrent_initializer", [units, width], rng)?;
        let mut bias = None;
        if self.use_bias {
            let mut fresh = self.bias_initializer.weight(name, "bias_initializer", [width], rng)?;
            if self.unit_forget_bias {
                fresh.value_mut()[units..2 * units].fill(T::ONE);
            }
            bias = Some(fresh);
        }
        let Self { activation, recurrent_activation, .. } = *self;
        Ok(LstmCell { kernel, recurrent_kernel, bias, activation, recurrent_activation, variational })
    }
}
