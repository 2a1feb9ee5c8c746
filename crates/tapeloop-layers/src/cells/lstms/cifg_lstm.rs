//! An LSTM with coupled input and forget gate.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// An LSTM whose input gate is what the forget gate leaves (Greff et al. 2015, arXiv:1503.04069, who call it CIFG).
    /// States: h, c.
    ///
    /// ```text
    /// f = σ(x W_f + h U_f + b_f)
    /// g = tanh(x W_g + h U_g + b_g)
    /// o = σ(x Wₒ + h Uₒ + bₒ)
    /// c′ = f ∘ c + (1 − f) ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// ONNX's `input_forget` keeps the weights of the other gate, f = 1 − i: that is an option of
    /// [`PeepholeLstm`](crate::PeepholeLstm).
    CifgLstm(CifgLstmCell) {
        /// The width of h and c.
        units,
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

/// What [`CifgLstm`] builds. The last axis of each weight holds the parts f, g, o.
#[derive(Clone, Debug)]
pub struct CifgLstmCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
}
module!(CifgLstmCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for CifgLstm {
    type Built<T: Element> = CifgLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CifgLstmCell<T>, Error> {
        let mut fresh = Fresh::new("cifg_lstm", input, self.units, rng)?;
        Ok(CifgLstmCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(3, &self.bias_initializer, self.unit_forget_bias.then_some(0))?,
        })
    }
}

impl<T: Element> Cell<T> for CifgLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let f = f.sigmoid();
        let c = f * c + (1.0 - f) * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
