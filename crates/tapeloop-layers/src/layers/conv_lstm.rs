//! The configuration of a convolutional LSTM layer.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Checkpoint, Element, Rng, Shape};

use super::convolutional::convolutional;
use super::keeps_shape;
use crate::convolution::Settings;
use crate::{Activation, Constraint, ConvLstmCell, DataFormat, Error, Initializer, Padding, PerAxis, Regularizer};

/// The configuration of a convolutional LSTM layer over grids of `N` axes: Keras' `ConvLSTM1D(filters, kernel_size, …)`,
/// `ConvLSTM2D` and `ConvLSTM3D` with their defaults.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{ConvLstm2d, Padding};
/// let config = ConvLstm2d::new(16, 3).padding(Padding::Same).return_sequences(true);
/// let layer = config.layer::<f32>([8, 6, 1], &mut Rng::new(0)); // height, width, channels
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([2, 5, 8, 6, 1])); // batch, time, height, width, channels
/// assert_eq!(layer.run(x, None).output.shape(), [2, 5, 8, 6, 16]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, bound = "")]
pub struct ConvLstm<const N: usize> {
    /// The channels of h and c.
    pub filters: usize,
    /// The lengths of the window.
    pub kernel_size: PerAxis,
    /// From one window over the input to the next. Default 1.
    pub strides: PerAxis,
    /// What is around the input's grid. Default nothing.
    pub padding: Padding,
    /// Where the channels lie. Default last.
    pub data_format: DataFormat,
    /// From one place of the input's window to the next. Default 1.
    pub dilation_rate: PerAxis,
    /// Of the candidate and the output. Default tanh.
    pub activation: Activation,
    /// Of the gates. Default sigmoid.
    pub recurrent_activation: Activation,
    /// Whether there is a bias. Default true.
    pub use_bias: bool,
    /// Of `kernel`. Default Glorot uniform.
    pub kernel_initializer: Initializer,
    /// Of `recurrent_kernel`. Default orthogonal, as a matrix with a row for every element of a window.
    pub recurrent_initializer: Initializer,
    /// Of `bias`. Default zeros.
    pub bias_initializer: Initializer,
    /// Puts 1 in the forget gate's part of the bias. Default true.
    pub unit_forget_bias: bool,
    /// The probability with which an element of the input is dropped in training, the same ones at every step but others for
    /// every gate. Default 0.
    pub dropout: f64,
    /// The same of the state. Default 0.
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

/// [`ConvLstm`] over grids of one axis.
pub type ConvLstm1d = ConvLstm<1>;
/// [`ConvLstm`] over grids of two axes.
pub type ConvLstm2d = ConvLstm<2>;
/// [`ConvLstm`] over grids of three axes.
pub type ConvLstm3d = ConvLstm<3>;

impl<const N: usize> Default for ConvLstm<N> {
    fn default() -> Self {
        Self {
            filters: 0,
            kernel_size: PerAxis::All(0),
            strides: PerAxis::All(1),
            padding: Padding::Valid,
            data_format: DataFormat::ChannelsLast,
            dilation_rate: PerAxis::All(1),
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            recurrent_initializer: Initializer::Orthogonal { gain: 1.0 },
            bias_initializer: Initializer::Zeros,
            unit_forget_bias: true,
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

convolutional!(ConvLstm, ConvLstmCell, "conv_lstm");

impl<const N: usize> ConvLstm<N> {
    /// Puts 1 in the forget gate's part of the bias, so that a fresh cell remembers (Jozefowicz et al. 2015).
    pub fn unit_forget_bias(self, unit_forget_bias: bool) -> Self {
        Self { unit_forget_bias, ..self }
    }

    /// A cell with fresh weights for inputs of this shape: a grid of `N` axes, and the channels where the data format says.
    ///
    /// # Errors
    /// If the settings do not fit each other or the input, an initializer does not suit its weight, an activation does not
    /// keep the shape, or a rate is no probability.
    pub fn try_cell<T: Element>(&self, input: impl Into<Shape>, rng: &mut Rng) -> Result<ConvLstmCell<T>, Error> {
        let (name, filters) = (Self::name(), self.filters);
        keeps_shape(&name, "activation", self.activation)?;
        keeps_shape(&name, "recurrent_activation", self.recurrent_activation)?;
        let variational = self.variational(true);
        variational.check(&name)?;
        let Self { kernel_size, strides, padding, data_format, dilation_rate, .. } = self;
        let (padding, data_format) = (*padding, *data_format);
        let settings = Settings { filters, kernel_size, strides, padding, data_format, dilation_rate };
        let sliding = settings.over(&name, N, &input.into())?;
        let [kernel, recurrent_kernel] = sliding.weights(filters, 4);
        let kernel = self.kernel_initializer.weight(&name, "kernel_initializer", kernel, rng)?;
        let recurrent_kernel =
            self.recurrent_initializer.weight(&name, "recurrent_initializer", recurrent_kernel, rng)?;
        let width = filters.saturating_mul(4);
        let mut bias = None;
        if self.use_bias {
            let mut fresh = self.bias_initializer.weight(&name, "bias_initializer", [width], rng)?;
            if self.unit_forget_bias {
                fresh.value_mut()[filters..2 * filters].fill(T::ONE);
            }
            bias = Some(fresh);
        }
        let Self { activation, recurrent_activation, .. } = *self;
        Ok(ConvLstmCell { kernel, recurrent_kernel, bias, sliding, activation, recurrent_activation, variational })
    }
}
