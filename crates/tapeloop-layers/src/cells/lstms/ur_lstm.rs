//! The LSTM with refined gates.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM with uniform initialization and refine gate (Gu et al. 2020, arXiv:1910.09890): r moves the forget gate
    /// f, most of all where σ is steep, and lets it saturate without its gradient vanishing. States: h, c.
    ///
    /// ```text
    /// f, r, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// f̂ = r ∘ (1 − (1 − f)²) + (1 − r) ∘ f²
    /// c′ = f̂ ∘ c + (1 − f̂) ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// The biases of f and r start as b and −b, b = −ln(1/u − 1), u uniform in 1/units..1 − 1/units: the forget gates
    /// of a fresh cell are spread evenly. `bias_initializer` is for those of g and o.
    UrLstm(UrLstmCell) {
        /// The width of h and c.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of the parts g and o of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`UrLstm`] builds. The last axis of each weight holds the parts f, r, g, o.
#[derive(Clone, Debug)]
pub struct UrLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
}
module!(UrLstmCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for UrLstm {
    type Built<T: Element> = UrLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<UrLstmCell<T>, Error> {
        let mut fresh = Fresh::new("ur_lstm", input, self.units, rng)?;
        let units = self.units;
        let mut bias = fresh.bias(4, &self.bias_initializer)?;
        // One unit has no range; its gate is in the middle.
        let low = (1.0 / units as f64).min(0.5);
        let u: Param<T> = fresh.weight("bias", [units], &Initializer::Uniform { low, high: 1.0 - low })?;
        for (k, u) in u.value().to_vec().into_iter().enumerate() {
            let b = -(T::ONE / u - T::ONE).ln();
            bias.value_mut()[k] = b;
            bias.value_mut()[units + k] = -b;
        }
        Ok(UrLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias,
        })
    }
}

impl<T: Element> Cell<T> for UrLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [f, r, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let (f, r) = (f.sigmoid(), r.sigmoid());
        let f̂ = r * (1.0 - (1.0 - f).square()) + (1.0 - r) * f.square();
        let c = f̂ * c + (1.0 - f̂) * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
