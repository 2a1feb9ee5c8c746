//! The minimal gated unit with less of a gate.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

/// The gate of a [`SimpleMgu`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimpleGate {
    /// f = σ(h U_f + b_f)
    #[default]
    Mgu1,
    /// f = σ(h U_f)
    Mgu2,
    /// f = σ(b_f)
    Mgu3,
}

config! {
    /// The minimal gated unit with a gate that does not see the input (Heck & Salem 2017, arXiv:1701.03452): their MGU1,
    /// MGU2 and MGU3. State: h.
    ///
    /// ```text
    /// f = σ(h U_f + b_f),   σ(h U_f)   or   σ(b_f)
    /// ĥ = tanh(x W_h + (f ∘ h) U_h + b_h)
    /// h′ = (1 − f) ∘ h + f ∘ ĥ
    /// ```
    SimpleMgu(SimpleMguCell) {
        /// The width of h.
        units,
        /// What f is made of. Default of the state and a bias.
        gate: SimpleGate = SimpleGate::Mgu1,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel` and `gate_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias` and `gate_bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`SimpleMgu`] builds. It has a `gate_kernel`, a `gate_bias` or both.
#[derive(Clone, Debug)]
pub struct SimpleMguCell<T: Element = f32> {
    /// W_h, (input, units).
    pub kernel: Param<T>,
    /// U_h, (units, units).
    pub recurrent_kernel: Param<T>,
    /// b_h, (units).
    pub bias: Param<T>,
    /// U_f, (units, units).
    pub gate_kernel: Option<Param<T>>,
    /// b_f, (units).
    pub gate_bias: Option<Param<T>>,
}
module!(SimpleMguCell<T> { kernel, recurrent_kernel, bias, gate_kernel, gate_bias });

impl BuildCell for SimpleMgu {
    type Built<T: Element> = SimpleMguCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SimpleMguCell<T>, Error> {
        let mut fresh = Fresh::new("simple_mgu", input, self.units, rng)?;
        let (kernel, bias) = (self.gate != SimpleGate::Mgu3, self.gate != SimpleGate::Mgu2);
        Ok(SimpleMguCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            gate_kernel: if kernel { Some(fresh.recurrent_kernel(1, &self.recurrent_initializer)?) } else { None },
            gate_bias: if bias { Some(fresh.bias(1, &self.bias_initializer)?) } else { None },
        })
    }
}

impl<T: Element> Cell<T> for SimpleMguCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let f = match (&self.gate_kernel, &self.gate_bias) {
            (Some(kernel), Some(bias)) => h.matmul(kernel) + bias,
            (Some(kernel), None) => h.matmul(kernel),
            (None, Some(bias)) => x.tape().param(bias),
            (None, None) => x.tape().scalar(0.0),
        };
        let f = f.sigmoid();
        let ĥ = (x.matmul(&self.kernel) + (f * h).matmul(&self.recurrent_kernel) + &self.bias).tanh();
        smallvec![(1.0 - f) * h + f * ĥ]
    }
}
