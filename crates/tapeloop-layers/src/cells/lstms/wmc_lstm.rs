//! The LSTM with working memory connections.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM with working memory connections (Landi et al. 2021, arXiv:2109.00020): its gates see the memory through
    /// matrices and tanh, the output gate the new one. States: h, c.
    ///
    /// ```text
    /// i = σ(x Wᵢ + h Uᵢ + tanh(c Vᵢ) + bᵢ)
    /// f = σ(x W_f + h U_f + tanh(c V_f) + b_f)
    /// g = tanh(x W_g + h U_g + b_g)
    /// c′ = f ∘ c + i ∘ g
    /// o = σ(x Wₒ + h Uₒ + tanh(c′ Vₒ) + bₒ)
    /// h′ = o ∘ tanh(c′)
    /// ```
    WmcLstm(WmcLstmCell) {
        /// The width of h and c.
        units,
        /// Of `memory_kernel`. Default Glorot uniform.
        memory_initializer: Initializer = Initializer::GlorotUniform,
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

/// What [`WmcLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct WmcLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// What i, f and o see of the memory, (units, 3·units).
    pub memory_kernel: Param<T>,
}
module!(WmcLstmCell<T> { kernel, recurrent_kernel, bias, memory_kernel });

impl BuildCell for WmcLstm {
    type Built<T: Element> = WmcLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<WmcLstmCell<T>, Error> {
        let mut fresh = Fresh::new("wmc_lstm", input, self.units, rng)?;
        Ok(WmcLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
            memory_kernel: fresh.weight(
                "memory_initializer",
                [self.units, 3 * self.units],
                &self.memory_initializer,
            )?,
        })
    }
}

impl<T: Element> Cell<T> for WmcLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let [vi, vf, vo] = x.tape().param(&self.memory_kernel).gates();
        let i = (i + c.matmul(vi).tanh()).sigmoid();
        let f = (f + c.matmul(vf).tanh()).sigmoid();
        let c = f * c + i * g.tanh();
        let o = (o + c.matmul(vo).tanh()).sigmoid();
        smallvec![o * c.tanh(), c]
    }
}
