//! The configuration of a fully connected recurrent layer.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Checkpoint, Element, Rng};

use super::keeps_shape;
use super::recurrent::recurrent;
use crate::{Activation, Constraint, Error, Initializer, Regularizer, SimpleRnnCell};

/// The configuration of a fully connected recurrent layer: Keras' `SimpleRNN(units, …)` with its defaults.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::SimpleRnn;
/// let rnn = SimpleRnn::new(8).layer::<f32>(3, &mut Rng::new(0));
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([2, 5, 3])); // batch, time, features
/// assert_eq!(rnn.run(x, None).output.shape(), [2, 8]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleRnn {
    /// The width of h.
    pub units: usize,
    /// Default tanh.
    pub activation: Activation,
    /// Whether there is a bias. Default true.
    pub use_bias: bool,
    /// Of `kernel`. Default Glorot uniform.
    pub kernel_initializer: Initializer,
    /// Of `recurrent_kernel`. Default orthogonal.
    pub recurrent_initializer: Initializer,
    /// Of `bias`. Default zeros.
    pub bias_initializer: Initializer,
    /// The probability with which a feature of the input is dropped in training, the same ones at every step. Default 0.
    pub dropout: f64,
    /// The probability with which a unit of the state is dropped in training, the same ones at every step. Default 0.
    pub recurrent_dropout: f64,
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
    /// Also the last state. Default false.
    pub return_state: bool,
    /// Also the states after every step. Default false.
    pub return_state_sequences: bool,
    /// From the last step to the first. Default false.
    pub go_backwards: bool,
    /// Each call starts from the state the last one ended with. Default false.
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

impl Default for SimpleRnn {
    fn default() -> Self {
        Self {
            units: 0,
            activation: Activation::Tanh,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            recurrent_initializer: Initializer::Orthogonal { gain: 1.0 },
            bias_initializer: Initializer::Zeros,
            dropout: 0.0,
            recurrent_dropout: 0.0,
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

recurrent!(SimpleRnn, SimpleRnnCell, "simple_rnn");

impl SimpleRnn {
    /// A cell with fresh weights for this many input features.
    ///
    /// # Errors
    /// If an initializer does not suit its weight, the activation does not keep the shape, or a rate is no probability.
    pub fn try_cell<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<SimpleRnnCell<T>, Error> {
        let (name, units) = ("simple_rnn", self.units);
        keeps_shape(name, "activation", self.activation)?;
        let variational = self.variational(false);
        variational.check(name)?;
        let kernel = self.kernel_initializer.weight(name, "kernel_initializer", [input, units], rng)?;
        let recurrent_kernel = self.recurrent_initializer.weight(name, "recurrent_initializer", [units, units], rng)?;
        let bias = match self.use_bias {
            true => Some(self.bias_initializer.weight(name, "bias_initializer", [units], rng)?),
            false => None,
        };
        Ok(SimpleRnnCell { kernel, recurrent_kernel, bias, activation: self.activation, variational })
    }
}
