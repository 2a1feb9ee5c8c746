//! An LSTM with a memory controller.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// An LSTM that reads its memory through two gates: o for the output, m for what it hears of itself at the next
    /// step (after the documentation of RecurrentLayers.jl's `MCLSTM`). States: h, which is not read, v and c.
    ///
    /// ```text
    /// i, f, o, m = σ(x W + v U + b), each with its own weights
    /// n = tanh(x W_n + v U_n + b_n)
    /// c′ = f ∘ c + i ∘ n
    /// h′ = o ∘ tanh(c′)
    /// v′ = m ∘ tanh(c′)
    /// ```
    ///
    /// That library's code leaves σ and the first tanh out.
    MemoryControllerLstm(MemoryControllerLstmCell) {
        /// The width of h, v and c.
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

/// What [`MemoryControllerLstm`] builds. The last axis of each weight holds the parts i, f, n, o, m.
#[derive(Clone, Debug)]
pub struct MemoryControllerLstmCell<T: Element = f32> {
    /// Input weights, (input, 5·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 5·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (5·units).
    pub bias: Param<T>,
}
module!(MemoryControllerLstmCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for MemoryControllerLstm {
    type Built<T: Element> = MemoryControllerLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MemoryControllerLstmCell<T>, Error> {
        let mut fresh = Fresh::new("memory_controller_lstm", input, self.units, rng)?;
        Ok(MemoryControllerLstmCell {
            kernel: fresh.kernel(5, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(5, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(5, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
        })
    }
}

impl<T: Element> Cell<T> for MemoryControllerLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 3]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [v, c] = [state[1], state[2]];
        let [i, f, n, o, m] = (x.matmul(&self.kernel) + v.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = f.sigmoid() * c + i.sigmoid() * n.tanh();
        let read = c.tanh();
        smallvec![o.sigmoid() * read, m.sigmoid() * read, c]
    }
}
