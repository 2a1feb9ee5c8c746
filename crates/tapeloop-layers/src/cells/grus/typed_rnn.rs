//! The strongly typed RNN.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The strongly typed RNN (Balduzzi & Ghifary 2016, arXiv:1602.02218): the state is an average of products of the
    /// inputs. State: h.
    ///
    /// ```text
    /// z = x W
    /// f = σ(x V + b)
    /// h′ = f ∘ h + (1 − f) ∘ z
    /// ```
    TypedRnn(TypedRnnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`TypedRnn`] builds.
#[derive(Clone, Debug)]
pub struct TypedRnnCell<T: Element = f32> {
    /// Input weights, (input, 2·units), with the parts W, V.
    pub kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
}
module!(TypedRnnCell<T> { kernel, bias });

impl BuildCell for TypedRnn {
    type Built<T: Element> = TypedRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<TypedRnnCell<T>, Error> {
        let mut fresh = Fresh::new("typed_rnn", input, self.units, rng)?;
        Ok(TypedRnnCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for TypedRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 1)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [z, f] = x.matmul(&self.kernel).gates();
        let f = (f + &self.bias).sigmoid();
        smallvec![f * h + (1.0 - f) * z]
    }
}
