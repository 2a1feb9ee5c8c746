//! The update gate network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The update gate network (UGRNN; Collins et al. 2016, arXiv:1611.09913): Elman's network with one gate, which
    /// mixes the state with its candidate. State: h.
    ///
    /// ```text
    /// c = tanh(x W_c + h U_c + b_c)
    /// g = σ(x W_g + h U_g + b_g)
    /// h′ = g ∘ h + (1 − g) ∘ c
    /// ```
    Ugrnn(UgrnnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of b_c. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Of b_g. Default ones: at first the state is kept.
        gate_bias_initializer: Initializer = Initializer::Ones,
    }
}

/// What [`Ugrnn`] builds. The last axis of each weight holds the parts c, g.
#[derive(Clone, Debug)]
pub struct UgrnnCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
}
module!(UgrnnCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Ugrnn {
    type Built<T: Element> = UgrnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<UgrnnCell<T>, Error> {
        let mut fresh = Fresh::new("ugrnn", input, self.units, rng)?;
        Ok(UgrnnCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias: fresh.biases(&[&self.bias_initializer, &self.gate_bias_initializer])?,
        })
    }
}

impl<T: Element> Cell<T> for UgrnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [c, g] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let (c, g) = (c.tanh(), g.sigmoid());
        smallvec![g * h + (1.0 - g) * c]
    }
}
