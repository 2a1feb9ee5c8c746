//! The chaos-free network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The chaos-free network (Laurent & von Brecht 2016, arXiv:1612.06212): without input its state fades to 0,
    /// whatever the weights. State: h.
    ///
    /// ```text
    /// θ = σ(x W_θ + h U_θ + b_θ)
    /// η = σ(x W_η + h U_η + b_η)
    /// h′ = θ ∘ tanh(h) + η ∘ tanh(x W)
    /// ```
    ///
    /// A fresh b_θ is 1 and a fresh b_η −1, as the paper's.
    Cfn(CfnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
    }
}

/// What [`Cfn`] builds.
#[derive(Clone, Debug)]
pub struct CfnCell<T: Element = f32> {
    /// Input weights, (input, 3·units): the parts θ, η, v.
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units): the parts θ, η.
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units): the parts θ, η.
    pub bias: Param<T>,
}
module!(CfnCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Cfn {
    type Built<T: Element> = CfnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CfnCell<T>, Error> {
        let mut fresh = Fresh::new("cfn", input, self.units, rng)?;
        let mut bias = fresh.bias(2, &Initializer::Constant { value: -1.0 })?;
        bias.value_mut()[..self.units].fill(T::ONE);
        Ok(CfnCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias,
        })
    }
}

impl<T: Element> Cell<T> for CfnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xθ, xη, v] = x.matmul(&self.kernel).gates();
        let [hθ, hη] = (h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        smallvec![(xθ + hθ).sigmoid() * h.tanh() + (xη + hη).sigmoid() * v.tanh()]
    }
}
