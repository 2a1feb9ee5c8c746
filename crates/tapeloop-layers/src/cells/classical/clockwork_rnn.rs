//! The clockwork network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The clockwork network (CW-RNN; Koutník et al. 2014, arXiv:1402.3511): groups of units, each with a period; at a
    /// step whose number is no multiple of it a group keeps its state. A group reads itself and those with longer
    /// periods. States: h, and t, the number of steps so far, of width 1.
    ///
    /// ```text
    /// ĥ = tanh(x W + h (U ∘ M) + b),   Mⱼᵢ = 1 where Tⱼ ≥ Tᵢ, else 0
    /// h′ᵢ = ĥᵢ where t mod Tᵢ = 0, else hᵢ
    /// t′ = t + 1
    /// ```
    ///
    /// Steps are counted from 0, so that the first one moves all groups. Groups are as equal in size as units divide; t
    /// starts again at the least common multiple of all periods.
    ClockworkRnn(ClockworkRnnCell) {
        /// The width of h.
        units,
        /// The period of each group. Default 1, 2, 4, 8.
        periods: Vec<usize> = vec![1, 2, 4, 8],
        /// Default tanh.
        activation: Activation = Activation::Tanh,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`ClockworkRnn`] builds.
#[derive(Clone, Debug)]
pub struct ClockworkRnnCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// U, (units, units). What M leaves out does nothing.
    pub recurrent_kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// Tanh.
    pub activation: Activation,
    /// The period of each unit, (units).
    pub periods: Tensor<T>,
    /// M, (units, units).
    pub mask: Tensor<T>,
    /// Where t starts again.
    pub cycle: f64,
}
module!(ClockworkRnnCell<T> { kernel, recurrent_kernel, bias } rest { activation, periods, mask, cycle });

impl BuildCell for ClockworkRnn {
    type Built<T: Element> = ClockworkRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ClockworkRnnCell<T>, Error> {
        /// Counts up to here are exact in single precision.
        const MOST: usize = 1 << 24;
        let (name, units) = ("clockwork_rnn", self.units);
        keeps_shape(name, "activation", self.activation)?;
        let mut fresh = Fresh::new(name, input, units, rng)?;
        if self.periods.is_empty() || self.periods.contains(&0) {
            return Err(fresh.wrong("periods: there must be at least one, and each at least 1"));
        }
        let mut cycle = 1usize;
        for &period in &self.periods {
            cycle = cycle / divisor(cycle, period) * period.min(MOST + 1);
            if cycle > MOST {
                return Err(fresh.wrong(format!("periods: they meet again only after more than {MOST} steps")));
            }
        }
        let kernel = fresh.kernel(1, &self.kernel_initializer)?;
        let recurrent_kernel = fresh.recurrent_kernel(1, &self.recurrent_initializer)?;
        let groups = self.periods.len() as u128;
        let period = |unit: usize| self.periods[(unit as u128 * groups / units as u128) as usize];
        Ok(ClockworkRnnCell {
            kernel,
            recurrent_kernel,
            bias: fresh.bias(1, &self.bias_initializer)?,
            activation: self.activation,
            periods: Tensor::from_fn([units], |i| T::from_f64(period(i[0]) as f64)),
            mask: Tensor::from_fn([units; 2], |i| T::from_f64(f64::from(period(i[0]) >= period(i[1])))),
            cycle: cycle as f64,
        })
    }
}

/// The greatest common divisor.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

impl<T: Element> Cell<T> for ClockworkRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel), Shape::from([1])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, t) = (state[0], state[1]);
        let u = x.tape().param(&self.recurrent_kernel) * &self.mask;
        let new = self.activation.apply(x.matmul(&self.kernel) + h.matmul(u) + &self.bias);
        let due = t.remainder(&self.periods).lt(1.0);
        smallvec![due.if_else(new, h), (t + 1.0).remainder(self.cycle)]
    }
}
