//! The network whose recurrent matrix is antisymmetric.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The antisymmetric network (Chang et al. 2019, arXiv:1902.09689): steps of length ε along a differential equation
    /// whose Jacobian has eigenvalues near the imaginary axis, so that states neither fade nor explode. State: h.
    ///
    /// ```text
    /// A = U − Uᵀ − γ I
    /// h′ = h + ε tanh(x W_h + h A + b_h)
    /// gated: h′ = h + ε σ(x W_z + h A + b_z) ∘ tanh(x W_h + h A + b_h)
    /// ```
    ///
    /// Gate and candidate share A, as the paper has it.
    AntisymmetricRnn(AntisymmetricRnnCell) {
        /// The width of h.
        units,
        /// ε. Default 0.01.
        step_size: f64 = 0.01,
        /// γ, the diffusion. Default 0.01.
        gamma: f64 = 0.01,
        /// Whether there is a gate. Default false.
        gated: bool = false,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default normal with variance 1 / units.
        recurrent_initializer: Initializer = Initializer::VarianceScaling {
            scale: 1.0,
            mode: crate::Fan::FanIn,
            distribution: crate::Distribution::UntruncatedNormal,
        },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`AntisymmetricRnn`] builds. The last axis of `kernel` and `bias` holds the parts z, h; or h alone, without a
/// gate.
#[derive(Clone, Debug)]
pub struct AntisymmetricRnnCell<T: Element = f32> {
    /// Input weights, (input, 2·units) or (input, units).
    pub kernel: Param<T>,
    /// U, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units) or (units).
    pub bias: Param<T>,
    /// ε.
    pub step_size: f64,
    /// γ.
    pub gamma: f64,
    /// Whether there is a gate.
    pub gated: bool,
}
module!(AntisymmetricRnnCell<T> { kernel, recurrent_kernel, bias } rest { step_size, gamma, gated });

impl BuildCell for AntisymmetricRnn {
    type Built<T: Element> = AntisymmetricRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<AntisymmetricRnnCell<T>, Error> {
        let mut fresh = Fresh::new("antisymmetric_rnn", input, self.units, rng)?;
        fresh.positive("step_size", self.step_size)?;
        fresh.finite("gamma", self.gamma)?;
        let gates = if self.gated { 2 } else { 1 };
        Ok(AntisymmetricRnnCell {
            kernel: fresh.kernel(gates, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(gates, &self.bias_initializer)?,
            step_size: self.step_size,
            gamma: self.gamma,
            gated: self.gated,
        })
    }
}

impl<T: Element> Cell<T> for AntisymmetricRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let u = x.tape().param(&self.recurrent_kernel);
        let turned = h.matmul(u - u.t()) - self.gamma * h;
        let x = x.matmul(&self.kernel) + &self.bias;
        let change = if self.gated {
            let [z, new] = x.gates();
            (z + turned).sigmoid() * (new + turned).tanh()
        } else {
            (x + turned).tanh()
        };
        smallvec![h + self.step_size * change]
    }
}
