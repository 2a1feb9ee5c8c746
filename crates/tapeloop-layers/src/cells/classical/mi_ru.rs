//! The minion recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The minion recurrent unit (MiRU; as in Zyarah & Kudithipudi 2025, arXiv:2512.17299): a GRU whose update gate is
    /// one number for all units. With `reset` given its reset gate is a number, too (MiRU2); without, it is learned
    /// (MiRU1). State: h.
    ///
    /// ```text
    /// MiRU1: r = σ(x W_r + h U_r + b_r)     MiRU2: r = θ
    /// ĥ = tanh(x W_h + (r ∘ h) U_h + b_h)
    /// h′ = λ h + (1 − λ) ĥ
    /// ```
    MiRu(MiRuCell) {
        /// The width of h.
        units,
        /// λ. Default 0.5.
        update: f64 = 0.5,
        /// θ. Default none: a gate.
        reset: Option<f64> = None,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`MiRu`] builds. The last axis of each weight holds the parts r, h; or h alone, where r is a number.
#[derive(Clone, Debug)]
pub struct MiRuCell<T: Element = f32> {
    /// Input weights, (input, 2·units) or (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units) or (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units) or (units).
    pub bias: Param<T>,
    /// λ.
    pub update: f64,
    /// θ, or none.
    pub reset: Option<f64>,
}
module!(MiRuCell<T> { kernel, recurrent_kernel, bias } rest { update, reset });

impl BuildCell for MiRu {
    type Built<T: Element> = MiRuCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MiRuCell<T>, Error> {
        let mut fresh = Fresh::new("mi_ru", input, self.units, rng)?;
        fresh.share("update", self.update)?;
        fresh.share("reset", self.reset.unwrap_or(0.0))?;
        let gates = if self.reset.is_some() { 1 } else { 2 };
        Ok(MiRuCell {
            kernel: fresh.kernel(gates, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(gates, &self.recurrent_initializer)?,
            bias: fresh.bias(gates, &self.bias_initializer)?,
            update: self.update,
            reset: self.reset,
        })
    }
}

impl<T: Element> Cell<T> for MiRuCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let (x, u) = (x.matmul(&self.kernel) + &self.bias, x.tape().param(&self.recurrent_kernel));
        let ĥ = match self.reset {
            Some(θ) => (x + (θ * h).matmul(u)).tanh(),
            None => {
                let ([xr, xh], [ur, uh]) = (x.gates(), u.gates());
                let r = (xr + h.matmul(ur)).sigmoid();
                (xh + (r * h).matmul(uh)).tanh()
            }
        };
        smallvec![self.update * h + (1.0 - self.update) * ĥ]
    }
}
