//! The fully connected recurrent network.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Activation, Element, Param, Rng, Shape, Var, module};

use super::rnn_builder;
use crate::{Cell, Initializer, Rnn, RnnOptions, State};

/// The fully connected recurrent network (Elman 1990), in Keras' layout: `kernel` (input, units),
/// `recurrent_kernel` (units, units), `bias` (units). State: h.
///
/// ```text
/// h′ = tanh(x W + h U + b)
/// ```
#[derive(Clone, Debug)]
pub struct SimpleRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Option<Param<T>>,
    /// tanh.
    pub activation: Activation,
}
module!(SimpleRnnCell<T> { kernel, recurrent_kernel, bias } rest { activation });

impl<T: Element> Cell<T> for SimpleRnnCell<T> {
    fn input_size(&self) -> usize {
        self.kernel.value().shape()[0]
    }

    fn state_shapes(&self) -> Vec<Shape> {
        vec![Shape::from([self.recurrent_kernel.value().shape()[0]])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let mut z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel);
        if let Some(bias) = &self.bias {
            z = z + bias;
        }
        smallvec![self.activation.apply(z)]
    }
}

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
    /// How the layer runs over time.
    #[serde(flatten)]
    pub rnn: RnnOptions,
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
            rnn: RnnOptions::default(),
        }
    }
}

rnn_builder!(SimpleRnn);

impl SimpleRnn {
    /// A cell with fresh weights.
    pub fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> SimpleRnnCell<T> {
        SimpleRnnCell {
            kernel: self.kernel_initializer.param([input, self.units], rng),
            recurrent_kernel: self.recurrent_initializer.param([self.units, self.units], rng),
            bias: self.use_bias.then(|| self.bias_initializer.param([self.units], rng)),
            activation: self.activation,
        }
    }

    /// A layer with fresh weights.
    pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Rnn<T, SimpleRnnCell<T>> {
        Rnn::new(self.cell(input, rng), self.rnn)
    }
}
