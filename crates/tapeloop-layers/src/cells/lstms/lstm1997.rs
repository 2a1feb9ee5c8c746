//! The LSTM of 1997.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM as it was first (Hochreiter & Schmidhuber 1997): without a forget gate. States: h, c.
    ///
    /// ```text
    /// i = σ(x Wᵢ + h Uᵢ + bᵢ)
    /// g = tanh(x W_g + h U_g + b_g)
    /// o = σ(x Wₒ + h Uₒ + bₒ)
    /// c′ = c + i ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// The paper squashes with 4σ(z) − 2 in place of the first tanh and 2σ(z) − 1 in place of the second; tanh is what
    /// has been used since.
    Lstm1997(Lstm1997Cell) {
        /// The width of h and c.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Lstm1997`] builds. The last axis of each weight holds the parts i, g, o.
#[derive(Clone, Debug)]
pub struct Lstm1997Cell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
}
module!(Lstm1997Cell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Lstm1997 {
    type Built<T: Element> = Lstm1997Cell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<Lstm1997Cell<T>, Error> {
        let mut fresh = Fresh::new("lstm1997", input, self.units, rng)?;
        Ok(Lstm1997Cell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for Lstm1997Cell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [i, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = c + i.sigmoid() * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
