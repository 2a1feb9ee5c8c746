//! JANET.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// Just another network (van der Westhuizen & Lasenby 2018, arXiv:1804.04849): an LSTM of the forget gate alone.
    /// State: c, which is the output, too.
    ///
    /// ```text
    /// s = x W_f + c U_f + b_f
    /// g = tanh(x W_g + c U_g + b_g)
    /// c′ = σ(s) ∘ c + (1 − σ(s − β)) ∘ g
    /// ```
    ///
    /// With `longest`, the length T of the longest dependency, the forget gate's bias starts as ln u, u uniform in
    /// 1..T − 1 (the paper's choice, Tallec & Ollivier 2018), which outweighs `unit_forget_bias`.
    Janet(JanetCell) {
        /// The width of c.
        units,
        /// By how much what is let in falls behind what is forgotten: the paper's β. Default 1.
        beta: f64 = 1.0,
        /// The number of steps the longest dependency is expected to span. Default none.
        longest: Option<f64> = None,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Puts 1 in the forget gate's part of the bias. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`Janet`] builds. The last axis of each weight holds the parts f, g.
#[derive(Clone, Debug)]
pub struct JanetCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
    /// β.
    pub beta: f64,
}
module!(JanetCell<T> { kernel, recurrent_kernel, bias } rest { beta });

impl BuildCell for Janet {
    type Built<T: Element> = JanetCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<JanetCell<T>, Error> {
        let mut fresh = Fresh::new("janet", input, self.units, rng)?;
        let ones = self.unit_forget_bias.then_some(0);
        let mut bias = fresh.bias_with_ones(2, &self.bias_initializer, ones)?;
        if let Some(longest) = self.longest {
            if !(longest > 2.0 && longest.is_finite()) {
                return Err(fresh.wrong(format!("longest: {longest} steps are not more than 2")));
            }
            let spread = Initializer::Uniform { low: 1.0, high: longest - 1.0 };
            let u: Param<T> = fresh.weight("longest", [self.units], &spread)?;
            bias.value_mut()[..self.units].copy_from_slice(&u.value().map(T::ln).to_vec());
        }
        if !self.beta.is_finite() {
            return Err(fresh.wrong(format!("beta: {} is no finite number", self.beta)));
        }
        Ok(JanetCell {
            kernel: fresh.kernel(2, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            bias,
            beta: self.beta,
        })
    }
}

impl<T: Element> Cell<T> for JanetCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let c = state[0];
        let [s, g] = (x.matmul(&self.kernel) + c.matmul(&self.recurrent_kernel) + &self.bias).gates();
        smallvec![s.sigmoid() * c + (1.0 - (s - self.beta).sigmoid()) * g.tanh()]
    }
}
