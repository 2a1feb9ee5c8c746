//! The fully connected recurrent network with layer normalization.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The fully connected recurrent network with layer normalization (Ba et al. 2016, arXiv:1607.06450) of each
    /// product, LN(z; γ) = γ ∘ (z − mean z) / √(var z + ε). State: h.
    ///
    /// ```text
    /// h′ = tanh(LN(x W; γ_x) + LN(h U; γ_h) + b)
    /// ```
    ///
    /// The paper normalizes the sum of the products, which a large input drowns the state in; for its LSTM it
    /// normalizes each, as here.
    LayerNormSimpleRnn(LayerNormSimpleRnnCell) {
        /// The width of h.
        units,
        /// Default tanh.
        activation: Activation = Activation::Tanh,
        /// The ε of the normalizations. Default 1e-5.
        epsilon: f64 = 1e-5,
        /// Of the gains γ. Default ones.
        gamma_initializer: Initializer = Initializer::Ones,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`LayerNormSimpleRnn`] builds.
#[derive(Clone, Debug)]
pub struct LayerNormSimpleRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Param<T>,
    /// γ_x, (units).
    pub kernel_gamma: Param<T>,
    /// γ_h, (units).
    pub recurrent_gamma: Param<T>,
    /// tanh.
    pub activation: Activation,
    /// ε.
    pub epsilon: f64,
}
module!(LayerNormSimpleRnnCell<T> {
    kernel, recurrent_kernel, bias, kernel_gamma, recurrent_gamma
} rest { activation, epsilon });

impl BuildCell for LayerNormSimpleRnn {
    type Built<T: Element> = LayerNormSimpleRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LayerNormSimpleRnnCell<T>, Error> {
        let mut fresh = Fresh::new("layer_norm_simple_rnn", input, self.units, rng)?;
        keeps_shape("layer_norm_simple_rnn", "activation", self.activation)?;
        fresh.at_least_0("epsilon", self.epsilon)?;
        let (units, γ) = (self.units, ("gamma_initializer", &self.gamma_initializer));
        Ok(LayerNormSimpleRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            kernel_gamma: fresh.weight(γ.0, [units], γ.1)?,
            recurrent_gamma: fresh.weight(γ.0, [units], γ.1)?,
            activation: self.activation,
            epsilon: self.epsilon,
        })
    }
}

impl<T: Element> Cell<T> for LayerNormSimpleRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [γx, γh] = [&self.kernel_gamma, &self.recurrent_gamma];
        let zx = x.matmul(&self.kernel).standardize(&[-1], self.epsilon) * γx;
        let zh = state[0].matmul(&self.recurrent_kernel).standardize(&[-1], self.epsilon) * γh;
        smallvec![self.activation.apply(zx + zh + &self.bias)]
    }
}
