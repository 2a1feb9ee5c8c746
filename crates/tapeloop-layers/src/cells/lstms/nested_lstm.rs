//! The nested LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The nested LSTM (Moniz & Krueger 2018, arXiv:1801.10308): an LSTM whose memory is the output of another one,
    /// which remembers what the outer one need not see. States: h, c and c̃, the memory of the inner one.
    ///
    /// ```text
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// x̃ = i ∘ g, h̃ = f ∘ c
    /// ĩ, f̃, õ = σ(x̃ W̃ + h̃ Ũ + b̃), each with its own weights
    /// g̃ = tanh(x̃ W̃_g + h̃ Ũ_g + b̃_g)
    /// c̃′ = f̃ ∘ c̃ + ĩ ∘ g̃
    /// c′ = õ ∘ tanh(c̃′)
    /// h′ = o ∘ tanh(c′)
    /// ```
    NestedLstm(NestedLstmCell) {
        /// The width of h, c and c̃.
        units,
        /// Of `kernel` and `inner_kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel` and `inner_recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias` and `inner_bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Puts 1 in the forget gates' parts of the biases. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`NestedLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct NestedLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// W̃, (units, 4·units).
    pub inner_kernel: Param<T>,
    /// Ũ, (units, 4·units).
    pub inner_recurrent_kernel: Param<T>,
    /// b̃, (4·units).
    pub inner_bias: Param<T>,
}
module!(NestedLstmCell<T> {
    kernel, recurrent_kernel, bias, inner_kernel, inner_recurrent_kernel, inner_bias
});

impl BuildCell for NestedLstm {
    type Built<T: Element> = NestedLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<NestedLstmCell<T>, Error> {
        let mut fresh = Fresh::new("nested_lstm", input, self.units, rng)?;
        let ones = self.unit_forget_bias.then_some(1);
        Ok(NestedLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, ones)?,
            inner_kernel: fresh.weight("kernel_initializer", [self.units, 4 * self.units], &self.kernel_initializer)?,
            inner_recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            inner_bias: fresh.bias_with_ones(4, &self.bias_initializer, ones)?,
        })
    }
}

impl<T: Element> Cell<T> for NestedLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 3]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c, c̃] = [state[0], state[1], state[2]];
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let x̃ = i.sigmoid() * g.tanh();
        let h̃ = f.sigmoid() * c;
        let inner = x̃.matmul(&self.inner_kernel) + h̃.matmul(&self.inner_recurrent_kernel) + &self.inner_bias;
        let [ĩ, f̃, g̃, õ] = inner.gates();
        let c̃ = f̃.sigmoid() * c̃ + ĩ.sigmoid() * g̃.tanh();
        let c = õ.sigmoid() * c̃.tanh();
        smallvec![o.sigmoid() * c.tanh(), c, c̃]
    }
}
