//! The addition-subtraction twin-gated recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The addition-subtraction twin-gated recurrent network (Zhang et al. 2018, arXiv:1810.12546): two gates of two
    /// products. State: h.
    ///
    /// ```text
    /// p = x W + b
    /// q = h U
    /// i = σ(p + q)
    /// f = σ(p − q)
    /// h′ = i ∘ p + f ∘ h
    /// ```
    ///
    /// The paper has no bias; b starts at 0.
    Atr(AtrCell) {
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

/// What [`Atr`] builds.
#[derive(Clone, Debug)]
pub struct AtrCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Param<T>,
}
module!(AtrCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Atr {
    type Built<T: Element> = AtrCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<AtrCell<T>, Error> {
        let mut fresh = Fresh::new("atr", input, self.units, rng)?;
        Ok(AtrCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for AtrCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let p = x.matmul(&self.kernel) + &self.bias;
        let q = h.matmul(&self.recurrent_kernel);
        smallvec![(p + q).sigmoid() * p + (p - q).sigmoid() * h]
    }
}
