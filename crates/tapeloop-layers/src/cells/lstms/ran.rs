//! The recurrent additive network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The recurrent additive network (Lee et al. 2017, arXiv:1705.07393): what enters the memory is linear in the
    /// input and does not see the state, so that c is a weighted sum of the inputs. States: h, c.
    ///
    /// ```text
    /// c̃ = x W_c
    /// i = σ(x Wᵢ + h Uᵢ + bᵢ)
    /// f = σ(x W_f + h U_f + b_f)
    /// c′ = i ∘ c̃ + f ∘ c
    /// h′ = tanh(c′)
    /// ```
    Ran(RanCell) {
        /// The width of h and c.
        units,
        /// Of the output: tanh, or linear for the paper's other variant. Default tanh.
        activation: Activation = Activation::Tanh,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Ran`] builds.
#[derive(Clone, Debug)]
pub struct RanCell<T: Element = f32> {
    /// Input weights, (input, 3·units): the parts c, i, f.
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units): the parts i, f.
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units): the parts i, f.
    pub bias: Param<T>,
    /// Of the output.
    pub activation: Activation,
}
module!(RanCell<T> { kernel, recurrent_kernel, bias } rest { activation });

impl BuildCell for Ran {
    type Built<T: Element> = RanCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RanCell<T>, Error> {
        let mut fresh = Fresh::new("ran", input, self.units, rng)?;
        keeps_shape("ran", "activation", self.activation)?;
        Ok(RanCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias: fresh.bias(2, &self.bias_initializer)?,
            activation: self.activation,
        })
    }
}

impl<T: Element> Cell<T> for RanCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [c̃, xi, xf] = x.matmul(&self.kernel).gates();
        let [hi, hf] = (h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = (xi + hi).sigmoid() * c̃ + (xf + hf).sigmoid() * c;
        smallvec![self.activation.apply(c), c]
    }
}
