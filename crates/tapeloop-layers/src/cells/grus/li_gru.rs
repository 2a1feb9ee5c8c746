//! The light GRU.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The light GRU (Ravanelli et al. 2018, arXiv:1803.10225): one gate, and a candidate that may grow. State: h.
    ///
    /// ```text
    /// z = σ(x W_z + h U_z + b_z)
    /// ĥ = relu(x W_h + h U_h + b_h)
    /// h′ = z ∘ h + (1 − z) ∘ ĥ
    /// ```
    ///
    /// The paper normalises x W_z and x W_h over batch and time, which keeps ĥ from growing without bound. A step sees
    /// neither: here is the cell after training, where such a normalisation is part of W and b.
    LiGru(LiGruCell) {
        /// The width of h.
        units,
        /// Of the candidate. Default relu.
        activation: Activation = Activation::Relu,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal, each part by itself.
        recurrent_initializer: Initializer = Initializer::orthogonal_per_gate(2),
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`LiGru`] builds. The last axis of each weight holds the parts z, h.
#[derive(Clone, Debug)]
pub struct LiGruCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
    /// Of the candidate.
    pub activation: Activation,
}
module!(LiGruCell<T> { kernel, recurrent_kernel, bias } rest { activation });

impl BuildCell for LiGru {
    type Built<T: Element> = LiGruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LiGruCell<T>, Error> {
        let mut fresh = Fresh::new("li_gru", input, self.units, rng)?;
        keeps_shape("li_gru", "activation", self.activation)?;
        Ok(LiGruCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
            activation: self.activation,
        })
    }
}

impl<T: Element> Cell<T> for LiGruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [z, ĥ] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let z = z.sigmoid();
        smallvec![z * h + (1.0 - z) * self.activation.apply(ĥ)]
    }
}
