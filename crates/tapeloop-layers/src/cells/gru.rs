//! The gated recurrent unit.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Activation, Element, Param, Rng, Shape, Var, module};

use super::rnn_builder;
use crate::{Cell, Initializer, Rnn, RnnOptions, State};

/// The gated recurrent unit (Cho et al. 2014), in Keras' layout: the last axis of `kernel` (input, 3·units),
/// `recurrent_kernel` (units, 3·units) and `bias` holds the gates z, r, h. State: h.
///
/// With `reset_after` (cuDNN's form) `bias` is (2, 3·units), row 0 for the input and row 1 for the state;
/// otherwise it is (3·units).
///
/// ```text
/// z = σ(x W_z + h U_z + b_z)
/// r = σ(x Wᵣ + h Uᵣ + bᵣ)
/// ĥ = tanh(x W_h + b_h + r ∘ (h U_h + b′_h))      reset_after
/// ĥ = tanh(x W_h + b_h + (r ∘ h) U_h)             otherwise
/// h′ = z ∘ h + (1 − z) ∘ ĥ
/// ```
#[derive(Clone, Debug)]
pub struct GruCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2, 3·units) with `reset_after`, else (3·units).
    pub bias: Option<Param<T>>,
    /// Of the candidate: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
    /// Whether the reset gate acts after the product with the recurrent weights.
    pub reset_after: bool,
}
module!(GruCell<T> { kernel, recurrent_kernel, bias } rest { activation, recurrent_activation, reset_after });

impl<T: Element> Cell<T> for GruCell<T> {
    fn input_size(&self) -> usize {
        self.kernel.value().shape()[0]
    }

    fn state_shapes(&self) -> Vec<Shape> {
        vec![Shape::from([self.recurrent_kernel.value().shape()[0]])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let h = state[0];
        let mut a = x.matmul(&self.kernel);
        let (z, ĥ);
        if self.reset_after {
            let mut s = h.matmul(&self.recurrent_kernel);
            if let Some(bias) = &self.bias {
                let bias = x.tape().param(bias);
                a = a + bias.select(0, 0);
                s = s + bias.select(0, 1);
            }
            let ([az, ar, ah], [sz, sr, sh]) = (a.gates(), s.gates());
            z = σ.apply(az + sz);
            let r = σ.apply(ar + sr);
            ĥ = τ.apply(ah + r * sh);
        } else {
            if let Some(bias) = &self.bias {
                a = a + bias;
            }
            let ([az, ar, ah], [uz, ur, uh]) = (a.gates(), x.tape().param(&self.recurrent_kernel).gates());
            z = σ.apply(az + h.matmul(uz));
            let r = σ.apply(ar + h.matmul(ur));
            ĥ = τ.apply(ah + (r * h).matmul(uh));
        }
        smallvec![z * h + (1.0 - z) * ĥ]
    }
}

/// The configuration of a GRU layer: Keras' `GRU(units, …)` with its defaults.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::Gru;
/// let gru = Gru::new(64).layer::<f32>(1, &mut Rng::new(0));
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([32, 10, 1])); // batch, time, features
/// assert_eq!(gru.run(x, None).output.shape(), [32, 64]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gru {
    /// The width of h.
    pub units: usize,
    /// Of the candidate. Default tanh.
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
    /// Whether the reset gate acts after the product with the recurrent weights. Default true.
    pub reset_after: bool,
    /// How the layer runs over time.
    #[serde(flatten)]
    pub rnn: RnnOptions,
}

impl Default for Gru {
    fn default() -> Self {
        Self {
            units: 0,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            recurrent_initializer: Initializer::Orthogonal { gain: 1.0 },
            bias_initializer: Initializer::Zeros,
            reset_after: true,
            rnn: RnnOptions::default(),
        }
    }
}

rnn_builder!(Gru);

impl Gru {
    /// Whether the reset gate acts after the product with the recurrent weights.
    pub fn reset_after(self, reset_after: bool) -> Self {
        Self { reset_after, ..self }
    }

    /// A cell with fresh weights.
    pub fn cell<T: Element>(&self, input: usize, rng: &mut Rng) -> GruCell<T> {
        let units = self.units;
        let bias_shape = if self.reset_after { Shape::from([2, 3 * units]) } else { Shape::from([3 * units]) };
        GruCell {
            kernel: self.kernel_initializer.param([input, 3 * units], rng),
            recurrent_kernel: self.recurrent_initializer.param([units, 3 * units], rng),
            bias: self.use_bias.then(|| self.bias_initializer.param(bias_shape, rng)),
            activation: self.activation,
            recurrent_activation: self.recurrent_activation,
            reset_after: self.reset_after,
        }
    }

    /// A layer with fresh weights.
    pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Rnn<T, GruCell<T>> {
        Rnn::new(self.cell(input, rng), self.rnn)
    }
}
