//! A network with fast weights.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// A recurrent network whose state remembers its own past in a matrix (Ba et al. 2016, arXiv:1610.06258). States:
    /// h, and the fast weights A, (units, units).
    ///
    /// ```text
    /// A′ = λ A + η h hᵀ
    /// z = x W + h U
    /// h₀ = relu(z)
    /// hₖ₊₁ = relu(LN(z + A′ hₖ)),   k in 0..inner_steps
    /// h′ = the last of them
    /// ```
    ///
    /// LN is layer normalization with gain γ and shift β. U starts as 0.05 times the identity, as in the paper.
    FastWeights(FastWeightsCell) {
        /// The width of h.
        units,
        /// How much of the fast weights stays: λ. Default 0.95.
        decay: f64 = 0.95,
        /// How fast they learn: η. Default 0.5.
        rate: f64 = 0.5,
        /// How often a step looks into them: at most 64. Default 1.
        inner_steps: usize = 1,
        /// Default relu.
        activation: Activation = Activation::Relu,
        /// The ε of the normalization. Default 1e-5.
        epsilon: f64 = 1e-5,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default 0.05 times the identity.
        recurrent_initializer: Initializer = Initializer::Identity { gain: 0.05 },
    }
}

/// What [`FastWeights`] builds.
#[derive(Clone, Debug)]
pub struct FastWeightsCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// γ, (units). Starts at 1.
    pub gamma: Param<T>,
    /// β, (units). Starts at 0.
    pub beta: Param<T>,
    /// λ.
    pub decay: f64,
    /// η.
    pub rate: f64,
    /// How often a step looks into the fast weights.
    pub inner_steps: usize,
    /// relu.
    pub activation: Activation,
    /// ε.
    pub epsilon: f64,
}
module!(FastWeightsCell<T> {
    kernel, recurrent_kernel, gamma, beta
} rest { decay, rate, inner_steps, activation, epsilon });

impl BuildCell for FastWeights {
    type Built<T: Element> = FastWeightsCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<FastWeightsCell<T>, Error> {
        let mut fresh = Fresh::new("fast_weights", input, self.units, rng)?;
        keeps_shape("fast_weights", "activation", self.activation)?;
        fresh.at_most("inner_steps", self.inner_steps, 64)?;
        fresh.at_least_0("decay", self.decay)?;
        fresh.at_least_0("rate", self.rate)?;
        fresh.at_least_0("epsilon", self.epsilon)?;
        Ok(FastWeightsCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,

            gamma: fresh.weight("gamma", [self.units], &Initializer::Ones)?,
            beta: fresh.weight("beta", [self.units], &Initializer::Zeros)?,
            decay: self.decay,
            rate: self.rate,
            inner_steps: self.inner_steps,
            activation: self.activation,
            epsilon: self.epsilon,
        })
    }
}

impl<T: Element> Cell<T> for FastWeightsCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        let units = rows(&self.recurrent_kernel)[0];
        smallvec![Shape::from([units]), Shape::from([units, units])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, a) = (state[0], state[1]);
        let a = self.decay * a + self.rate * (h.unsqueeze(-1) * h.unsqueeze(1));
        let z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel);
        let mut h = self.activation.apply(z);
        for _ in 0..self.inner_steps {
            let seen = a.matmul(h.unsqueeze(-1)).squeeze(-1);
            let normal = (z + seen).standardize(&[-1], self.epsilon) * &self.gamma + &self.beta;
            h = self.activation.apply(normal);
        }
        smallvec![h, a]
    }
}
