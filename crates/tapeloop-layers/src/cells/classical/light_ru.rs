//! The light recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The light recurrent unit (Ye et al. 2024, "Light recurrent unit: towards an interpretable recurrent neural
    /// network for modeling long-range dependency"): a gate that reads the state, a candidate that does not. State: h.
    ///
    /// ```text
    /// ĥ = tanh(x W_h)
    /// f = σ(x W_f + h U + b)
    /// h′ = (1 − f) ∘ h + f ∘ ĥ
    /// ```
    LightRu(LightRuCell) {
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

/// What [`LightRu`] builds. The last axis of `kernel` holds the parts h, f.
#[derive(Clone, Debug)]
pub struct LightRuCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// U, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias of the gate, (units).
    pub bias: Param<T>,
}
module!(LightRuCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for LightRu {
    type Built<T: Element> = LightRuCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LightRuCell<T>, Error> {
        let mut fresh = Fresh::new("light_ru", input, self.units, rng)?;
        Ok(LightRuCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for LightRuCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [new, f] = x.matmul(&self.kernel).gates();
        let f = (f + h.matmul(&self.recurrent_kernel) + &self.bias).sigmoid();
        smallvec![(1.0 - f) * h + f * new.tanh()]
    }
}
