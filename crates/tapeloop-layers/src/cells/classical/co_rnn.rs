//! The coupled oscillatory network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The coupled oscillatory network (coRNN; Rusch & Mishra 2021, arXiv:2010.00951): y″ = tanh(y W + y′ 𝓦 + x V + b)
    /// − γ y − ε y′, forced and damped oscillators, with steps of length Δt. States: y, z = y′.
    ///
    /// ```text
    /// z′ = z + Δt (tanh(y W + z 𝓦 + x V + b) − γ y − ε z)
    /// y′ = y + Δt z′
    /// ```
    ///
    /// Damping takes the z of the step before, as the authors' programs do. Δt, γ and ε are to be searched for: the
    /// defaults are those for digits read pixel by pixel (256 units, learning rate 0.0021); for the adding problem they
    /// are 0.06, 66 and 15 (128 units, 0.02).
    CoRnn(CoRnnCell) {
        /// The width of y and of z.
        units,
        /// Δt. Default 0.042.
        step_size: f64 = 0.042,
        /// γ, the square of a frequency. Default 2.7.
        gamma: f64 = 2.7,
        /// ε, the damping. Default 4.7.
        epsilon: f64 = 4.7,
        /// Of V, W, 𝓦 and b. Default none: uniform within ±1/√(input + 2·units), as a layer of all three inputs starts
        /// in the authors' programs.
        initializer: Option<Initializer> = None,
    }
}

/// What [`CoRnn`] builds.
#[derive(Clone, Debug)]
pub struct CoRnnCell<T: Element = f32> {
    /// V, (input, units).
    pub kernel: Param<T>,
    /// W, of y, (units, units).
    pub recurrent_kernel: Param<T>,
    /// 𝓦, of z, (units, units).
    pub velocity_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Param<T>,
    /// Δt.
    pub step_size: f64,
    /// γ.
    pub gamma: f64,
    /// ε.
    pub epsilon: f64,
}
module!(CoRnnCell<T> { kernel, recurrent_kernel, velocity_kernel, bias } rest { step_size, gamma, epsilon });

impl BuildCell for CoRnn {
    type Built<T: Element> = CoRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CoRnnCell<T>, Error> {
        let Self { step_size, gamma, epsilon, .. } = *self;
        let mut fresh = Fresh::new("co_rnn", input, self.units, rng)?;
        fresh.positive("step_size", step_size)?;
        fresh.finite("gamma", gamma)?;
        fresh.finite("epsilon", epsilon)?;
        let limit = 1.0 / (fresh.input as f64 + 2.0 * self.units as f64).sqrt();
        let from = self.initializer.clone().unwrap_or(Initializer::Uniform { low: -limit, high: limit });
        let square = [self.units; 2];
        Ok(CoRnnCell {
            kernel: fresh.weight("initializer", [fresh.input, self.units], &from)?,
            recurrent_kernel: fresh.weight("initializer", square, &from)?,
            velocity_kernel: fresh.weight("initializer", square, &from)?,
            bias: fresh.weight("initializer", [self.units], &from)?,
            step_size,
            gamma,
            epsilon,
        })
    }
}

impl<T: Element> Cell<T> for CoRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (y, z) = (state[0], state[1]);
        let coupled = y.matmul(&self.recurrent_kernel) + z.matmul(&self.velocity_kernel);
        let force = (coupled + x.matmul(&self.kernel) + &self.bias).tanh();
        let z = z + self.step_size * (force - self.gamma * y - self.epsilon * z);
        let y = y + self.step_size * z;
        smallvec![y, z]
    }
}
