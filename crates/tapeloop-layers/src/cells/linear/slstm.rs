//! The LSTM with exponential gates.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::blocks::{blocks, product};
use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Distribution, Error, Fan, Initializer, State, StateShapes};

/// The forget gate of an [`Slstm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgetGate {
    /// σ
    #[default]
    Sigmoid,
    /// exp
    Exponential,
}

config! {
    /// The sLSTM of xLSTM (Beck et al. 2024, arXiv:2405.04517): a scalar memory with exponential gates, a normaliser n and
    /// a stabiliser m, so that no exponential overflows. States: h, c, n, m.
    ///
    /// ```text
    /// ĩ = x W_i + h R_i + b_i       f̃, z̃, õ likewise
    /// m′ = max(log f + m, ĩ)       log f = log σ(f̃), or f̃ where the gate is exponential
    /// i = exp(ĩ − m′)
    /// f = exp(log f + m − m′)
    /// c′ = f ∘ c + i ∘ tanh(z̃)
    /// n′ = f ∘ n + i
    /// h′ = σ(õ) ∘ c′ / n′
    /// ```
    ///
    /// Where n is 0, as at first, nothing is kept that m′ could scale: there m′ = ĩ. The R have `heads` blocks on their
    /// diagonals, and start from 0; the biases of the forget gate, from long memories to short ones within each head:
    /// 5 − 12 (k / (width − 1))^`forget_power`. Both are the values of the authors' code for a network's first block, the
    /// power for its last one is 1.6.
    ///
    /// The recurrence is not linear, as gates read h.
    Slstm(SlstmCell) {
        /// The width of h.
        units,
        /// The number of blocks of the recurrent weights. Default 1.
        heads: usize = 1,
        /// The forget gate. Default σ.
        forget_gate: ForgetGate = ForgetGate::Sigmoid,
        /// How fast the forget gate's bias falls within a head. Default 0.3.
        forget_power: f64 = 0.3,
        /// Of `kernel`. Default normal with the variance 2 / (5·features).
        kernel_initializer: Initializer = Initializer::VarianceScaling {
            scale: 0.4,
            mode: Fan::FanIn,
            distribution: Distribution::UntruncatedNormal,
        },
        /// Of `recurrent_kernel`. Default zeros.
        recurrent_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Slstm`] builds. The last axis of each weight holds the gates i, f, z, o.
#[derive(Clone, Debug)]
pub struct SlstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (heads, width, 4·width).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// The forget gate.
    pub forget_gate: ForgetGate,
}
module!(SlstmCell<T> { kernel, recurrent_kernel, bias } rest { forget_gate });

impl BuildCell for Slstm {
    type Built<T: Element> = SlstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SlstmCell<T>, Error> {
        let mut fresh = Fresh::new("slstm", input, self.units, rng)?;
        let Self { units, heads, forget_power, .. } = *self;
        let width = blocks("slstm", units, heads)?;
        if !(forget_power > 0.0 && forget_power.is_finite()) {
            return Err(fresh.wrong(format!("forget_power {forget_power}: must be positive")));
        }
        let kernel = fresh.kernel(4, &self.kernel_initializer)?;
        let shape = [heads, width, width.saturating_mul(4)];
        let recurrent_kernel = fresh.weight("recurrent_initializer", shape, &self.recurrent_initializer)?;
        let mut bias = fresh.bias::<T>(4, &Initializer::Zeros)?;
        bias.set(Tensor::from_fn([4 * units], |k| {
            let (gate, unit) = (k[0] / units, k[0] % units % width);
            let share = unit as f64 / (width - 1).max(1) as f64;
            if gate == 1 { T::from_f64(5.0 - 12.0 * share.powf(forget_power)) } else { T::ZERO }
        }));
        Ok(SlstmCell { kernel, recurrent_kernel, bias, forget_gate: self.forget_gate })
    }
}

impl<T: Element> Cell<T> for SlstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 4); 4]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, c, n, m) = (state[0], state[1], state[2], state[3]);
        let [xi, xf, xz, xo] = (x.matmul(&self.kernel) + &self.bias).gates();
        let [hi, hf, hz, ho] = product(h, &self.recurrent_kernel);
        let (i, f) = (xi + hi, xf + hf);
        let log_f = match self.forget_gate {
            ForgetGate::Sigmoid => f.log_sigmoid(),
            ForgetGate::Exponential => f,
        };
        let kept = log_f + m;
        let m = n.eq(0.0).if_else(i, kept.maximum(i));
        let i = (i - m).exp();
        // At most 0 where anything is kept: where nothing is, the exponential must not overflow.
        let f = (kept - m).minimum(0.0).exp();
        let c = f * c + i * (xz + hz).tanh();
        let n = f * n + i;
        smallvec![(xo + ho).sigmoid() * c / n, c, n, m]
    }
}
