//! The minimal gated unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The minimal gated unit (Zhou et al. 2016, arXiv:1603.09420): a GRU whose one gate both forgets and resets. State: h.
    ///
    /// ```text
    /// f = σ(x W_f + h U_f + b_f)
    /// ĥ = tanh(x W_h + (f ∘ h) U_h + b_h)
    /// h′ = (1 − f) ∘ h + f ∘ ĥ
    /// ```
    ///
    /// ```
    /// use tapeloop_layers::{Mgu, Recurrent, Sequential};
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(Mgu::new(8))).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    Mgu(MguCell) {
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

/// What [`Mgu`] builds. The last axis of each weight holds the parts f, h.
#[derive(Clone, Debug)]
pub struct MguCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
}
module!(MguCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Mgu {
    type Built<T: Element> = MguCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MguCell<T>, Error> {
        let mut fresh = Fresh::new("mgu", input, self.units, rng)?;
        Ok(MguCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for MguCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xf, xh] = (x.matmul(&self.kernel) + &self.bias).gates();
        let [uf, uh] = x.tape().param(&self.recurrent_kernel).gates();
        let f = (xf + h.matmul(uf)).sigmoid();
        let ĥ = (xh + (f * h).matmul(uh)).tanh();
        smallvec![(1.0 - f) * h + f * ĥ]
    }
}
