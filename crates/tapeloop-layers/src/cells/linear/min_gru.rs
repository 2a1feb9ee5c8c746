//! The minimal GRU.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The minimal GRU (Feng et al. 2024, arXiv:2410.01201): a GRU whose gate and candidate see only the input. State: h.
    ///
    /// ```text
    /// z = σ(x W_z + b_z)
    /// ĥ = x W_h + b_h
    /// h′ = (1 − z) ∘ h + z ∘ ĥ
    /// ```
    ///
    /// With `log_space` the candidate is g(x W_h + b_h), which is positive, as the paper has it where the recurrence is
    /// computed from logarithms:
    ///
    /// ```text
    /// g(a) = a + ½ for a ≥ 0, else σ(a)
    /// ```
    MinGru(MinGruCell) {
        /// The width of h.
        units,
        /// Whether the candidate is g of the product. Default false.
        log_space: bool = false,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`MinGru`] builds. The last axis of each weight holds the parts z, h.
#[derive(Clone, Debug)]
pub struct MinGruCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
    /// Whether the candidate is g of the product.
    pub log_space: bool,
}
module!(MinGruCell<T> { kernel, bias } rest { log_space });

impl BuildCell for MinGru {
    type Built<T: Element> = MinGruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MinGruCell<T>, Error> {
        let mut fresh = Fresh::new("min_gru", input, self.units, rng)?;
        Ok(MinGruCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
            log_space: self.log_space,
        })
    }
}

impl<T: Element> Cell<T> for MinGruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 2)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [z, ĥ] = (x.matmul(&self.kernel) + &self.bias).gates();
        let z = z.sigmoid();
        let ĥ = if self.log_space { positive(ĥ) } else { ĥ };
        smallvec![(1.0 - z) * h + z * ĥ]
    }
}

/// g(a): a + ½ for a ≥ 0, else σ(a).
#[track_caller]
pub(super) fn positive<T: Element>(a: Var<'_, T>) -> Var<'_, T> {
    a.ge(0.0).if_else(a + 0.5, a.sigmoid())
}
