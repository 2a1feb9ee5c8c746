//! The GRU with layer normalization.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The GRU with layer normalization (Ba et al. 2016, arXiv:1607.06450) of both products,
    /// LN(z; γ) = γ ∘ (z − mean z) / √(var z + ε); reset after the product. State: h.
    ///
    /// ```text
    /// z_x, r_x, a_x = LN(x W; γ_x) + b, side by side
    /// z_h, r_h, a_h = LN(h U; γ_h), side by side
    /// z = σ(z_x + z_h)
    /// r = σ(r_x + r_h)
    /// ĥ = tanh(a_x + r ∘ (a_h + b′))
    /// h′ = z ∘ h + (1 − z) ∘ ĥ
    /// ```
    ///
    /// In the paper the parts of the gates and those of the candidate are normalized apart; here each product is
    /// normalized as a whole, as for the LSTM.
    LayerNormGru(LayerNormGruCell) {
        /// The width of h.
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
    }
}

/// What [`LayerNormGru`] builds. The last axis of each weight holds the parts z, r, h.
#[derive(Clone, Debug)]
pub struct LayerNormGruCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// b′, (units).
    pub recurrent_bias: Param<T>,
    /// γ_x, (3·units).
    pub kernel_gamma: Param<T>,
    /// γ_h, (3·units).
    pub recurrent_gamma: Param<T>,
    /// ε.
    pub epsilon: f64,
}
module!(LayerNormGruCell<T> {
    kernel, recurrent_kernel, bias, recurrent_bias, kernel_gamma, recurrent_gamma
} rest { epsilon });

impl BuildCell for LayerNormGru {
    type Built<T: Element> = LayerNormGruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LayerNormGruCell<T>, Error> {
        let mut fresh = Fresh::new("layer_norm_gru", input, self.units, rng)?;
        fresh.at_least_0("epsilon", self.epsilon)?;
        let (units, γ) = (self.units, ("gamma_initializer", &self.gamma_initializer));
        Ok(LayerNormGruCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            recurrent_bias: fresh.bias(1, &self.bias_initializer)?,
            kernel_gamma: fresh.weight(γ.0, [3 * units], γ.1)?,
            recurrent_gamma: fresh.weight(γ.0, [3 * units], γ.1)?,
            epsilon: self.epsilon,
        })
    }
}

impl<T: Element> Cell<T> for LayerNormGruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [γx, γh] = [&self.kernel_gamma, &self.recurrent_gamma];
        let zx = x.matmul(&self.kernel).standardize(&[-1], self.epsilon) * γx + &self.bias;
        let zh = h.matmul(&self.recurrent_kernel).standardize(&[-1], self.epsilon) * γh;
        let ([zx, rx, ax], [zh, rh, ah]) = (zx.gates(), zh.gates());
        let z = (zx + zh).sigmoid();
        let r = (rx + rh).sigmoid();
        let ĥ = (ax + r * (ah + &self.recurrent_bias)).tanh();
        smallvec![z * h + (1.0 - z) * ĥ]
    }
}
