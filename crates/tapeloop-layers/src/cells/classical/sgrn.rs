//! The simple gated recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The simple gated recurrent network (SGRN; Zu & Wei 2020, "A simple gated recurrent network for detection of
    /// power quality disturbances"): a gate, and a candidate that is the gate's own view of the input. State: h.
    ///
    /// ```text
    /// f = σ(x W + h U + b)
    /// h′ = tanh((1 − f) ∘ (x W) + f ∘ h)
    /// ```
    ///
    /// The bias is the gate's alone. (A program is about that adds it to x W as well.)
    Sgrn(SgrnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Sgrn`] builds.
#[derive(Clone, Debug)]
pub struct SgrnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias of the gate, (units).
    pub bias: Param<T>,
}
module!(SgrnCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Sgrn {
    type Built<T: Element> = SgrnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SgrnCell<T>, Error> {
        let mut fresh = Fresh::new("sgrn", input, self.units, rng)?;
        Ok(SgrnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for SgrnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let new = x.matmul(&self.kernel);
        let f = (new + h.matmul(&self.recurrent_kernel) + &self.bias).sigmoid();
        smallvec![((1.0 - f) * new + f * h).tanh()]
    }
}
