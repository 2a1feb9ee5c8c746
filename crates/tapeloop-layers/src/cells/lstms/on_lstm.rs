//! The LSTM with ordered neurons.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM with ordered neurons (Shen et al. 2019, arXiv:1810.09536): master gates that rise or fall along the
    /// units decide which are kept and which are written, so that the higher ones hold what lasts longer. States: h, c.
    ///
    /// ```text
    /// f̃ = cumax(x W̃_f + h Ũ_f + b̃_f)
    /// ĩ = 1 − cumax(x W̃ᵢ + h Ũᵢ + b̃ᵢ)
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// ω = f̃ ∘ ĩ
    /// f̂ = f ∘ ω + (f̃ − ω)
    /// î = i ∘ ω + (ĩ − ω)
    /// c′ = f̂ ∘ c + î ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// cumax is the running sum of softmax. Each element of a master gate is for `chunk` neighbouring units.
    OnLstm(OnLstmCell) {
        /// The width of h and c.
        units,
        /// The number of neighbours that share an element of a master gate; divides `units`. Default 10, as in the
        /// paper.
        chunk: usize = 10,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`OnLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct OnLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// Input weights of the master gates, (input, 2·units / chunk): the parts f̃, ĩ.
    pub master_kernel: Param<T>,
    /// Recurrent weights of the master gates, (units, 2·units / chunk).
    pub master_recurrent_kernel: Param<T>,
    /// Bias of the master gates, (2·units / chunk).
    pub master_bias: Param<T>,
    /// 1 where a unit's chunk is at or behind an element of a master gate, (units / chunk, units): running sums,
    /// repeated.
    running: Tensor<T>,
}
module!(OnLstmCell<T> {
    kernel, recurrent_kernel, bias, master_kernel, master_recurrent_kernel, master_bias
} rest { running });

impl BuildCell for OnLstm {
    type Built<T: Element> = OnLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<OnLstmCell<T>, Error> {
        let mut fresh = Fresh::new("on_lstm", input, self.units, rng)?;
        let (units, chunk) = (self.units, self.chunk);
        if chunk == 0 || !units.is_multiple_of(chunk) {
            return Err(fresh.wrong(format!("chunk: {units} units do not divide into parts of {chunk}")));
        }
        let input = fresh.input;
        let master = (units / chunk).saturating_mul(2);
        Ok(OnLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias(4, &self.bias_initializer)?,
            master_kernel: fresh.weight("kernel_initializer", [input, master], &self.kernel_initializer)?,
            master_recurrent_kernel: fresh.weight(
                "recurrent_initializer",
                [units, master],
                &self.recurrent_initializer,
            )?,
            master_bias: fresh.weight("bias_initializer", [master], &self.bias_initializer)?,
            running: Tensor::from_fn([units / chunk, units], |i| {
                T::from_f64(f64::from(u8::from(i[0] <= i[1] / chunk)))
            }),
        })
    }
}

impl<T: Element> Cell<T> for OnLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let master = x.matmul(&self.master_kernel) + h.matmul(&self.master_recurrent_kernel) + &self.master_bias;
        let [mf, mi] = master.gates();
        let f̃ = mf.softmax(-1).matmul(&self.running);
        let ĩ = 1.0 - mi.softmax(-1).matmul(&self.running);
        let ω = f̃ * ĩ;
        let f̂ = f.sigmoid() * ω + (f̃ - ω);
        let î = i.sigmoid() * ω + (ĩ - ω);
        let c = f̂ * c + î * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
