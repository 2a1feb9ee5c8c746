//! Jordan's network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::{keeps_shape, positive};
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// Jordan's network (Jordan 1986, "Serial order: a parallel distributed processing approach"): the hidden layer
    /// reads the last output, where Elman's reads itself. State: y, as wide as the output.
    ///
    /// ```text
    /// h = tanh(x W + y U + b)
    /// y′ = h V + c
    /// ```
    ///
    /// His state units could also keep a share of themselves; here they are the last output alone.
    JordanRnn(JordanRnnCell) {
        /// The width of h.
        units,
        /// The width of y. Default none: that of h.
        outputs: Option<usize> = None,
        /// Of h. Default tanh.
        activation: Activation = Activation::Tanh,
        /// Of y. Default linear.
        output_activation: Activation = Activation::Linear,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `output_kernel`. Default Glorot uniform.
        output_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias` and `output_bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`JordanRnn`] builds.
#[derive(Clone, Debug)]
pub struct JordanRnnCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// U, (outputs, units).
    pub recurrent_kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// V, (units, outputs).
    pub output_kernel: Param<T>,
    /// c, (outputs).
    pub output_bias: Param<T>,
    /// Of h.
    pub activation: Activation,
    /// Of y.
    pub output_activation: Activation,
}
module!(JordanRnnCell<T> {
    kernel, recurrent_kernel, bias, output_kernel, output_bias
} rest { activation, output_activation });

impl BuildCell for JordanRnn {
    type Built<T: Element> = JordanRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<JordanRnnCell<T>, Error> {
        let (name, units) = ("jordan_rnn", self.units);
        let outputs = self.outputs.unwrap_or(units);
        keeps_shape(name, "activation", self.activation)?;
        keeps_shape(name, "output_activation", self.output_activation)?;
        let mut fresh = Fresh::new(name, input, units, rng)?;
        positive(name, "outputs", outputs)?;
        Ok(JordanRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.weight("recurrent_initializer", [outputs, units], &self.recurrent_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            output_kernel: fresh.weight("output_initializer", [units, outputs], &self.output_initializer)?,
            output_bias: fresh.weight("bias_initializer", [outputs], &self.bias_initializer)?,
            activation: self.activation,
            output_activation: self.output_activation,
        })
    }
}

impl<T: Element> Cell<T> for JordanRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let y = state[0];
        let h = self.activation.apply(x.matmul(&self.kernel) + y.matmul(&self.recurrent_kernel) + &self.bias);
        smallvec![self.output_activation.apply(h.matmul(&self.output_kernel) + &self.output_bias)]
    }
}
