//! The LSTM with layer normalization.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM with layer normalization (Ba et al. 2016, arXiv:1607.06450): both products and the memory on its way to
    /// the output are normalized, LN(z; γ) = γ ∘ (z − mean z) / √(var z + ε). States: h, c.
    ///
    /// ```text
    /// i, g, f, o = LN(x W; γ_x) + LN(h U; γ_h) + b, side by side
    /// c′ = σ(f) ∘ c + σ(i) ∘ tanh(g)
    /// h′ = σ(o) ∘ tanh(LN(c′; γ_c) + β_c)
    /// ```
    ///
    /// One b stands for the two shifts of the paper, and a mean goes over all four gates, as there. What is carried is
    /// c′ itself; TensorFlow Addons carries the normalized one, others normalize gate by gate.
    ///
    /// ```
    /// use tapeloop_layers::{LayerNormLstm, Recurrent, Sequential};
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(LayerNormLstm::new(8))).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    LayerNormLstm(LayerNormLstmCell) {
        /// The width of h and c.
        units,
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
        /// Puts 1 in the forget gate's part of the bias. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`LayerNormLstm`] builds. The last axis of each weight holds the parts i, g, f, o.
#[derive(Clone, Debug)]
pub struct LayerNormLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// γ_x, (4·units).
    pub kernel_gamma: Param<T>,
    /// γ_h, (4·units).
    pub recurrent_gamma: Param<T>,
    /// γ_c, (units).
    pub cell_gamma: Param<T>,
    /// β_c, (units).
    pub cell_beta: Param<T>,
    /// ε.
    pub epsilon: f64,
}
module!(LayerNormLstmCell<T> {
    kernel, recurrent_kernel, bias, kernel_gamma, recurrent_gamma, cell_gamma, cell_beta
} rest { epsilon });

impl BuildCell for LayerNormLstm {
    type Built<T: Element> = LayerNormLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LayerNormLstmCell<T>, Error> {
        let mut fresh = Fresh::new("layer_norm_lstm", input, self.units, rng)?;
        fresh.at_least_0("epsilon", self.epsilon)?;
        let (units, γ) = (self.units, ("gamma_initializer", &self.gamma_initializer));
        Ok(LayerNormLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(2))?,
            kernel_gamma: fresh.weight(γ.0, [4 * units], γ.1)?,
            recurrent_gamma: fresh.weight(γ.0, [4 * units], γ.1)?,
            cell_gamma: fresh.weight(γ.0, [units], γ.1)?,
            cell_beta: fresh.weight("cell_beta", [units], &Initializer::Zeros)?,
            epsilon: self.epsilon,
        })
    }
}

impl<T: Element> Cell<T> for LayerNormLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [γx, γh, γc, βc] = [&self.kernel_gamma, &self.recurrent_gamma, &self.cell_gamma, &self.cell_beta];
        let zx = x.matmul(&self.kernel).standardize(&[-1], self.epsilon) * γx;
        let zh = h.matmul(&self.recurrent_kernel).standardize(&[-1], self.epsilon) * γh;
        let [i, g, f, o] = (zx + zh + &self.bias).gates();
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        smallvec![o.sigmoid() * (c.standardize(&[-1], self.epsilon) * γc + βc).tanh(), c]
    }
}
