//! The MinimalRNN.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The MinimalRNN (Chen 2017, arXiv:1711.06788): the input becomes a latent vector by itself, and one gate mixes it into
    /// the state. State: h.
    ///
    /// ```text
    /// z = tanh(x W_x + b_z)
    /// u = σ(h U_h + z U_z + b_u)
    /// h′ = u ∘ h + (1 − u) ∘ z
    /// ```
    ///
    /// The gate reads the z of this step.
    MinimalRnn(MinimalRnnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel` and `latent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`MinimalRnn`] builds.
#[derive(Clone, Debug)]
pub struct MinimalRnnCell<T: Element = f32> {
    /// W_x, (input, units).
    pub kernel: Param<T>,
    /// U_h, (units, units).
    pub recurrent_kernel: Param<T>,
    /// U_z, (units, units).
    pub latent_kernel: Param<T>,
    /// Bias, (2·units), with the parts z, u.
    pub bias: Param<T>,
}
module!(MinimalRnnCell<T> { kernel, recurrent_kernel, latent_kernel, bias });

impl BuildCell for MinimalRnn {
    type Built<T: Element> = MinimalRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MinimalRnnCell<T>, Error> {
        let mut fresh = Fresh::new("minimal_rnn", input, self.units, rng)?;
        Ok(MinimalRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            latent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for MinimalRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [bz, bu] = x.tape().param(&self.bias).gates();
        let z = (x.matmul(&self.kernel) + bz).tanh();
        let u = (h.matmul(&self.recurrent_kernel) + z.matmul(&self.latent_kernel) + bu).sigmoid();
        smallvec![u * h + (1.0 - u) * z]
    }
}
