//! Long short-term memory.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Activation, Element, Param, Rng, Shape, Tensor, Var, module};

use super::rnn_builder;
use crate::{Cell, Initializer, Rnn, RnnOptions, State};

/// Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000), in
/// Keras' layout: the last axis of `kernel` (input, 4·units), `recurrent_kernel` (units, 4·units) and
/// `bias` (4·units) holds the gates i, f, c, o. States: h, c.
///
/// ```text
/// i = σ(x Wᵢ + h Uᵢ + bᵢ)
/// f = σ(x W_f + h U_f + b_f)
/// g = tanh(x W_c + h U_c + b_c)
/// o = σ(x Wₒ + h Uₒ + bₒ)
/// c′ = f ∘ c + i ∘ g
/// h′ = o ∘ tanh(c′)
/// ```
#[derive(Clone, Debug)]
pub struct LstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Option<Param<T>>,
    /// Of the candidate and the output: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
}
module!(LstmCell<T> { kernel, recurrent_kernel, bias } rest { activation, recurrent_activation });

impl<T: Element> Cell<T> for LstmCell<T> {
    fn input_size(&self) -> usize {
        self.kernel.value().shape()[0]
    }

    fn state_shapes(&self) -> Vec<Shape> {
        let units = self.recurrent_kernel.value().shape()[0];
        vec![Shape::from([units]); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let (h, c) = (state[0], state[1]);
        let mut z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel);
        if let Some(bias) = &self.bias {
            z = z + bias;
        }
        let [i, f, g, o] = z.gates();
        let c = σ.apply(f) * c + σ.apply(i) * τ.apply(g);
        let h = σ.apply(o) * τ.apply(c);
        smallvec![h, c]
    }
}

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
    /// How the layer runs over time.
    #[serde(flatten)]
    pub rnn: RnnOptions,
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
            rnn: RnnOptions::default(),
        }
    }
}

rnn_builder!(Lstm);

impl Lstm {
    /// A cell with fresh weights.
    pub fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> LstmCell<T> {
        let units = self.units;
        let kernel = self.kernel_initializer.param([input, 4 * units], rng);
        let recurrent_kernel = self.recurrent_initializer.param([units, 4 * units], rng);
        let bias = self.use_bias.then(|| {
            let mut bias: Tensor<T> = self.bias_initializer.tensor([4 * units], rng);
            if self.unit_forget_bias {
                bias.as_mut_slice()[units..2 * units].fill(T::ONE);
            }
            Param::new(bias)
        });
        let (activation, recurrent_activation) = (self.activation, self.recurrent_activation);
        LstmCell { kernel, recurrent_kernel, bias, activation, recurrent_activation }
    }

    /// A layer with fresh weights.
    pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Rnn<T, LstmCell<T>> {
        Rnn::new(self.cell(input, rng), self.rnn)
    }
}
