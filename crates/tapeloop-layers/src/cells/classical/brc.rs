//! The bistable recurrent cell.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The bistable recurrent cell (BRC; Vecoven et al. 2021, arXiv:2006.05252): units that do not see each other, each
    /// with a feedback a: above 1 it has two stable states and remembers for ever, below it forgets. State: h.
    ///
    /// ```text
    /// a = 1 + tanh(x W_a + u_a ∘ h + b_a)
    /// c = σ(x W_c + u_c ∘ h + b_c)
    /// h′ = c ∘ h + (1 − c) ∘ tanh(x W_h + a ∘ h)
    /// ```
    ///
    /// The candidate has no bias.
    Brc(BrcCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default ones.
        recurrent_initializer: Initializer = Initializer::Ones,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Brc`] builds. The last axis of `kernel` holds the parts a, c, h; those of the others a, c.
#[derive(Clone, Debug)]
pub struct BrcCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
}
module!(BrcCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Brc {
    type Built<T: Element> = BrcCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<BrcCell<T>, Error> {
        let mut fresh = Fresh::new("brc", input, self.units, rng)?;
        Ok(BrcCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.weight(
                "recurrent_initializer",
                [self.units.saturating_mul(2)],
                &self.recurrent_initializer,
            )?,
            bias: fresh.bias(2, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for BrcCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([self.bias.value().size() / 2])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xa, xc, xh] = x.matmul(&self.kernel).gates();
        let [ba, bc] = x.tape().param(&self.bias).gates();
        let [ua, uc] = x.tape().param(&self.recurrent_kernel).gates();
        let a = 1.0 + (xa + ua * h + ba).tanh();
        let c = (xc + uc * h + bc).sigmoid();
        smallvec![c * h + (1.0 - c) * (xh + a * h).tanh()]
    }
}
