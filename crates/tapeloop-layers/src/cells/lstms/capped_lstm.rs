//! An LSTM with a capped input gate.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// An LSTM whose input gate is at most what the forget gate leaves (Melis et al. 2017, arXiv:1707.05589), so that c
    /// stays within −1..1 if it starts there. States: h, c.
    ///
    /// ```text
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// c′ = f ∘ c + min(1 − f, i) ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    CappedLstm(CappedLstmCell) {
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

/// What [`CappedLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct CappedLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
}
module!(CappedLstmCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for CappedLstm {
    type Built<T: Element> = CappedLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CappedLstmCell<T>, Error> {
        let mut fresh = Fresh::new("capped_lstm", input, self.units, rng)?;
        Ok(CappedLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
        })
    }
}

impl<T: Element> Cell<T> for CappedLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let f = f.sigmoid();
        let c = f * c + (1.0 - f).minimum(i.sigmoid()) * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
