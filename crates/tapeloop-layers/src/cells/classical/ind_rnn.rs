//! The independently recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The independently recurrent network (IndRNN; Li et al. 2018, arXiv:1803.04831): each unit reads of the state
    /// only itself; what the units have to do with each other is the next layer's. State: h.
    ///
    /// ```text
    /// h′ = relu(x W + u ∘ h + b)
    /// ```
    ///
    /// A gradient grows by |u| a step. The paper keeps |u| at no more than γ^(1/T) over T steps, with γ from 2 to 10,
    /// or at 1. That is a constraint here. `recurrent_kernel` is one row, (1, units), so that norms along the first
    /// axis, as constraints have them by default, are those of single weights:
    ///
    /// ```
    /// use tapeloop_layers::{Constraint, IndRnn, Recurrent, Sequential};
    /// let clipped = |cell: IndRnn| {
    ///     Recurrent::new(cell).constraint("recurrent_kernel", Constraint::max_norm(2f64.powf(1.0 / 100.0)))
    /// };
    /// let model = Sequential::new([Some(100), Some(3)])
    ///     .add(clipped(IndRnn::new(8)).return_sequences(true))
    ///     .add(clipped(IndRnn::new(8)))
    ///     .build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// For tasks that remember to the end, the last layer's u starts in ε^(1/T)..1: set `recurrent_initializer`.
    IndRnn(IndRnnCell) {
        /// The width of h.
        units,
        /// Default relu.
        activation: Activation = Activation::Relu,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default uniform in 0..1.
        recurrent_initializer: Initializer = Initializer::Uniform { low: 0.0, high: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`IndRnn`] builds.
#[derive(Clone, Debug)]
pub struct IndRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// u, (1, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Param<T>,
    /// relu.
    pub activation: Activation,
}
module!(IndRnnCell<T> { kernel, recurrent_kernel, bias } rest { activation });

impl BuildCell for IndRnn {
    type Built<T: Element> = IndRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<IndRnnCell<T>, Error> {
        keeps_shape("ind_rnn", "activation", self.activation)?;
        let mut fresh = Fresh::new("ind_rnn", input, self.units, rng)?;
        Ok(IndRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.weight("recurrent_initializer", [1, self.units], &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            activation: self.activation,
        })
    }
}

impl<T: Element> Cell<T> for IndRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.bias)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        smallvec![self.activation.apply(x.matmul(&self.kernel) + h * &self.recurrent_kernel + &self.bias)]
    }
}
