//! The strongly typed GRU.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The strongly typed GRU (Balduzzi & Ghifary 2016, arXiv:1602.02218): gates see this input and the one before, x₋, but
    /// no state. States: h, x₋.
    ///
    /// ```text
    /// z = x W_z + x₋ V_z + b_z
    /// f = σ(x W_f + x₋ V_f + b_f)
    /// o = tanh(x W_o + x₋ V_o + b_o)
    /// h′ = f ∘ h + z ∘ o
    /// ```
    TypedGru(TypedGruCell) {
        /// The width of the state.
        units,
        /// Of `kernel` and `earlier_kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`TypedGru`] builds. The last axis of each weight holds the parts z, f, o.
#[derive(Clone, Debug)]
pub struct TypedGruCell<T: Element = f32> {
    /// Weights of the input, (input, 3·units).
    pub kernel: Param<T>,
    /// Weights of the input of the step before, (input, 3·units).
    pub earlier_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
}
module!(TypedGruCell<T> { kernel, earlier_kernel, bias });

impl BuildCell for TypedGru {
    type Built<T: Element> = TypedGruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<TypedGruCell<T>, Error> {
        let mut fresh = Fresh::new("typed_gru", input, self.units, rng)?;
        Ok(TypedGruCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            earlier_kernel: fresh.kernel(3, &self.kernel_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for TypedGruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        let units = columns(&self.bias, 3);
        smallvec![units, self.input_shape()]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, before) = (state[0], state[1]);
        let sum = x.matmul(&self.kernel) + before.matmul(&self.earlier_kernel) + &self.bias;
        let [z, f, o] = sum.gates();
        smallvec![f.sigmoid() * h + z * o.tanh(), x]
    }
}
