//! The neuromodulated bistable recurrent cell.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The neuromodulated bistable recurrent cell (nBRC; Vecoven et al. 2021, arXiv:2006.05252): as
    /// [`Brc`](crate::Brc), but what a unit remembers, and for how long, depends on all units. State: h.
    ///
    /// ```text
    /// a = 1 + tanh(x W_a + h U_a + b_a)
    /// c = σ(x W_c + h U_c + b_c)
    /// h′ = c ∘ h + (1 − c) ∘ tanh(x W_h + a ∘ h)
    /// ```
    ///
    /// The candidate has no bias.
    Nbrc(NbrcCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal in each part.
        recurrent_initializer: Initializer = Initializer::orthogonal_per_gate(2),
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Nbrc`] builds. The last axis of `kernel` holds the parts a, c, h; those of the others a, c.
#[derive(Clone, Debug)]
pub struct NbrcCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
}
module!(NbrcCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Nbrc {
    type Built<T: Element> = NbrcCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<NbrcCell<T>, Error> {
        let mut fresh = Fresh::new("nbrc", input, self.units, rng)?;
        Ok(NbrcCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for NbrcCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xa, xc, xh] = x.matmul(&self.kernel).gates();
        let [ba, bc] = x.tape().param(&self.bias).gates();
        let [ha, hc] = h.matmul(&self.recurrent_kernel).gates();
        let a = 1.0 + (xa + ha + ba).tanh();
        let c = (xc + hc + bc).sigmoid();
        smallvec![c * h + (1.0 - c) * (xh + a * h).tanh()]
    }
}
