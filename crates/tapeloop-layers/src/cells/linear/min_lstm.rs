//! The minimal LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use super::min_gru::positive;
use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The minimal LSTM (Feng et al. 2024, arXiv:2410.01201): gates that see only the input, and whose sum is 1. State: h.
    ///
    /// ```text
    /// f = σ(x W_f + b_f)
    /// i = σ(x W_i + b_i)
    /// ĥ = x W_h + b_h
    /// h′ = f / (f + i) ∘ h + i / (f + i) ∘ ĥ
    /// ```
    ///
    /// With `log_space` the candidate is g(x W_h + b_h), g as of [`MinGru`](crate::MinGru).
    MinLstm(MinLstmCell) {
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

/// What [`MinLstm`] builds. The last axis of each weight holds the parts f, i, h.
#[derive(Clone, Debug)]
pub struct MinLstmCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// Whether the candidate is g of the product.
    pub log_space: bool,
}
module!(MinLstmCell<T> { kernel, bias } rest { log_space });

impl BuildCell for MinLstm {
    type Built<T: Element> = MinLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MinLstmCell<T>, Error> {
        let mut fresh = Fresh::new("min_lstm", input, self.units, rng)?;
        Ok(MinLstmCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            log_space: self.log_space,
        })
    }
}

impl<T: Element> Cell<T> for MinLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 3)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [f, i, ĥ] = (x.matmul(&self.kernel) + &self.bias).gates();
        let ĥ = if self.log_space { positive(ĥ) } else { ĥ };
        // σ(f) / (σ(f) + σ(i)), and 1 minus it, from logarithms: both gates may be 0 in single precision.
        let ratio = f.log_sigmoid() - i.log_sigmoid();
        smallvec![ratio.sigmoid() * h + (-ratio).sigmoid() * ĥ]
    }
}
