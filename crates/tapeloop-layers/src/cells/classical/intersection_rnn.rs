//! The intersection network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The intersection network (+RNN; Collins et al. 2016, arXiv:1611.09913): two streams, the state through time and
    /// the input through depth, each of which a gate keeps or replaces. States: y, h; y is the output, and no step
    /// reads it.
    ///
    /// ```text
    /// ŷ = relu(x W_y + h U_y + b_y)           ĥ = tanh(x W_h + h U_h + b_h)
    /// g = σ(x W_g + h U_g + b_g)              f = σ(x W_f + h U_f + b_f)
    /// y′ = g ∘ x + (1 − g) ∘ ŷ                h′ = f ∘ h + (1 − f) ∘ ĥ
    /// ```
    ///
    /// In the paper x is as wide as h. Where it is not, x in y′ becomes x P. (Programs are about in which the gate of h
    /// also serves y.)
    IntersectionRnn(IntersectionRnnCell) {
        /// The width of h and y.
        units,
        /// Of `kernel` and `projection`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of b_y and b_h. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Of b_g and b_f. Default ones: at first both streams flow on.
        gate_bias_initializer: Initializer = Initializer::Ones,
    }
}

/// What [`IntersectionRnn`] builds. The last axis of each weight holds the parts y, h, g, f.
#[derive(Clone, Debug)]
pub struct IntersectionRnnCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// P, (input, units), where both differ.
    pub projection: Option<Param<T>>,
}
module!(IntersectionRnnCell<T> { kernel, recurrent_kernel, bias, projection });

impl BuildCell for IntersectionRnn {
    type Built<T: Element> = IntersectionRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<IntersectionRnnCell<T>, Error> {
        let mut fresh = Fresh::new("intersection_rnn", input, self.units, rng)?;
        let (bias, gate) = (&self.bias_initializer, &self.gate_bias_initializer);
        Ok(IntersectionRnnCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.biases(&[bias, bias, gate, gate])?,
            projection: match fresh.input == self.units {
                true => None,
                false => Some(fresh.kernel(1, &self.kernel_initializer)?),
            },
        })
    }
}

impl<T: Element> Cell<T> for IntersectionRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[1];
        let [y, new, g, f] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let (y, ĥ, g, f) = (y.relu(), new.tanh(), g.sigmoid(), f.sigmoid());
        let x = match &self.projection {
            Some(projection) => x.matmul(projection),
            None => x,
        };
        smallvec![g * x + (1.0 - g) * y, f * h + (1.0 - f) * ĥ]
    }
}
