//! The network with two scalars.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// FastRNN (Kusupati et al. 2018, arXiv:1901.02358): Elman's network around a residual connection, with two more
    /// weights that make training stable. State: h.
    ///
    /// ```text
    /// c = tanh(x W + h U + b)
    /// h′ = σ(α) c + σ(β) h
    /// ```
    ///
    /// α starts at −3 and β at 3: little of the candidate, most of the state. (A program is about that has them the
    /// other way round.)
    FastRnn(FastRnnCell) {
        /// The width of h.
        units,
        /// Where α starts. Default −3.
        alpha: f64 = -3.0,
        /// Where β starts. Default 3.
        beta: f64 = 3.0,
        /// Default tanh.
        activation: Activation = Activation::Tanh,
        /// Of `kernel`. Default normal with deviation 0.1.
        kernel_initializer: Initializer = Initializer::Normal { mean: 0.0, std: 0.1 },
        /// Of `recurrent_kernel`. Default normal with deviation 0.1.
        recurrent_initializer: Initializer = Initializer::Normal { mean: 0.0, std: 0.1 },
        /// Of `bias`. Default ones.
        bias_initializer: Initializer = Initializer::Ones,
    }
}

/// What [`FastRnn`] builds.
#[derive(Clone, Debug)]
pub struct FastRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Param<T>,
    /// α, (1).
    pub alpha: Param<T>,
    /// β, (1).
    pub beta: Param<T>,
    /// tanh.
    pub activation: Activation,
}
module!(FastRnnCell<T> { kernel, recurrent_kernel, bias, alpha, beta } rest { activation });

impl BuildCell for FastRnn {
    type Built<T: Element> = FastRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<FastRnnCell<T>, Error> {
        keeps_shape("fast_rnn", "activation", self.activation)?;
        let mut fresh = Fresh::new("fast_rnn", input, self.units, rng)?;
        Ok(FastRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            alpha: fresh.weight("alpha", [1], &Initializer::Constant { value: self.alpha })?,
            beta: fresh.weight("beta", [1], &Initializer::Constant { value: self.beta })?,
            activation: self.activation,
        })
    }
}

impl<T: Element> Cell<T> for FastRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let (α, β) = (x.tape().param(&self.alpha).sigmoid(), x.tape().param(&self.beta).sigmoid());
        let c = self.activation.apply(x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias);
        smallvec![α * c + β * h]
    }
}
