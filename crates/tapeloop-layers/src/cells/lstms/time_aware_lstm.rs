//! The LSTM that forgets with time.

use std::f64::consts::E;

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The time-aware LSTM (Baytas et al. 2017, Patient Subtyping via Time-Aware LSTM Networks): a part of the memory, which
    /// is learnt, fades with the time Δ since the step before. The last feature of a step's input is Δ; a negative one
    /// counts as 0. States: h, c.
    ///
    /// ```text
    /// s = tanh(c W_d + b_d)
    /// c* = c − s + s / ln(e + Δ)
    /// c′ = f ∘ c* + i ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// with the gates i, f, g, o of an LSTM. Δ is in units in which 1 is short.
    TimeAwareLstm(TimeAwareLstmCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel` and `decay_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias` and `decay_bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`TimeAwareLstm`] builds. The last axis of `kernel`, `recurrent_kernel` and `bias` holds the gates i, f, g, o.
#[derive(Clone, Debug)]
pub struct TimeAwareLstmCell<T: Element = f32> {
    /// Input weights, (input − 1, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// W_d, (units, units).
    pub decay_kernel: Param<T>,
    /// b_d, (units).
    pub decay_bias: Param<T>,
}
module!(TimeAwareLstmCell<T> { kernel, recurrent_kernel, bias, decay_kernel, decay_bias });

impl BuildCell for TimeAwareLstm {
    type Built<T: Element> = TimeAwareLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<TimeAwareLstmCell<T>, Error> {
        let mut fresh = Fresh::new("time_aware_lstm", input, self.units, rng)?.timed()?;
        Ok(TimeAwareLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias(4, &self.bias_initializer)?,
            decay_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            decay_bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for TimeAwareLstmCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0] + 1])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, c) = (state[0], state[1]);
        let (x, elapsed) = (x.slice(-1, ..-1), x.slice(-1, -1..).relu());
        let s = (c.matmul(&self.decay_kernel) + &self.decay_bias).tanh();
        let c = c - s + s / (elapsed + E).ln();
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        let h = o.sigmoid() * c.tanh();
        smallvec![h, c]
    }
}
