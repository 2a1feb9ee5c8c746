//! The multiplicative LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The multiplicative LSTM (Krause et al. 2016, arXiv:1609.07959): every input has a recurrent matrix of its own,
    /// as m takes the place of the state. States: h, c.
    ///
    /// ```text
    /// m = (x W_m) ∘ (h U_m)
    /// i, f, o = σ(x W + m U + b), each with its own weights
    /// g = tanh(x W_g + m U_g + b_g)
    /// c′ = f ∘ c + i ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    MultiplicativeLstm(MultiplicativeLstmCell) {
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

/// What [`MultiplicativeLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct MultiplicativeLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// W_m, (input, units).
    pub factor_kernel: Param<T>,
    /// U_m, (units, units).
    pub recurrent_factor_kernel: Param<T>,
}
module!(MultiplicativeLstmCell<T> { kernel, recurrent_kernel, bias, factor_kernel, recurrent_factor_kernel });

impl BuildCell for MultiplicativeLstm {
    type Built<T: Element> = MultiplicativeLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MultiplicativeLstmCell<T>, Error> {
        let mut fresh = Fresh::new("multiplicative_lstm", input, self.units, rng)?;
        Ok(MultiplicativeLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
            factor_kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_factor_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for MultiplicativeLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let m = x.matmul(&self.factor_kernel) * h.matmul(&self.recurrent_factor_kernel);
        let [i, f, g, o] = (x.matmul(&self.kernel) + m.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
