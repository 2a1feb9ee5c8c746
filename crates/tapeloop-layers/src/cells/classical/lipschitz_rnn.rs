//! The network with a bounded Lipschitz constant.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The Lipschitz network (Erichson et al. 2021, arXiv:2006.12070): steps of length ε along a differential equation
    /// with a linear part and a nonlinear one, each made of a matrix whose symmetric part is kept small. State: h.
    ///
    /// ```text
    /// S(M; β, γ) = β (M − Mᵀ) + (1 − β) (M + Mᵀ) − γ I
    /// A = S(B; β_A, γ_A),   W = S(C; β_W, γ_W)
    /// h′ = h + ε (h A + tanh(h W + x U + b))
    /// gated: h′ = h + ε σ(h W + x E + e) ∘ (h A + tanh(h W + x U + b))
    /// ```
    ///
    /// The gate is that of the authors' programs, and shares W.
    LipschitzRnn(LipschitzRnnCell) {
        /// The width of h.
        units,
        /// ε. Default 0.01.
        step_size: f64 = 0.01,
        /// β_A, in 0..=1. Default 0.8.
        linear_beta: f64 = 0.8,
        /// γ_A. Default 0.01.
        linear_gamma: f64 = 0.01,
        /// β_W, in 0..=1. Default 0.8.
        beta: f64 = 0.8,
        /// γ_W. Default 0.01.
        gamma: f64 = 0.01,
        /// Whether there is a gate. Default false.
        gated: bool = false,
        /// Of U and E, each by itself. Default normal with variance 2 / (input + units).
        kernel_initializer: Initializer = Initializer::XavierNormal { gain: 1.0 },
        /// Of B and C. Default none: normal with deviation 1 / units.
        recurrent_initializer: Option<Initializer> = None,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`LipschitzRnn`] builds. The last axis of `kernel` and `bias` holds the parts of the candidate and, if there is
/// one, of the gate.
#[derive(Clone, Debug)]
pub struct LipschitzRnnCell<T: Element = f32> {
    /// U, E: (input, 2·units), or (input, units).
    pub kernel: Param<T>,
    /// C, (units, units).
    pub recurrent_kernel: Param<T>,
    /// B, (units, units).
    pub linear_kernel: Param<T>,
    /// Bias, (2·units) or (units).
    pub bias: Param<T>,
    /// ε.
    pub step_size: f64,
    /// β_A, γ_A.
    pub linear: [f64; 2],
    /// β_W, γ_W.
    pub nonlinear: [f64; 2],
    /// Whether there is a gate.
    pub gated: bool,
}
module!(LipschitzRnnCell<T> {
    kernel, recurrent_kernel, linear_kernel, bias
} rest { step_size, linear, nonlinear, gated });

impl BuildCell for LipschitzRnn {
    type Built<T: Element> = LipschitzRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LipschitzRnnCell<T>, Error> {
        let mut fresh = Fresh::new("lipschitz_rnn", input, self.units, rng)?;
        fresh.positive("step_size", self.step_size)?;
        fresh.share("linear_beta", self.linear_beta)?;
        fresh.share("beta", self.beta)?;
        fresh.finite("linear_gamma", self.linear_gamma)?;
        fresh.finite("gamma", self.gamma)?;
        let square = Initializer::Normal { mean: 0.0, std: 1.0 / self.units as f64 };
        let square = self.recurrent_initializer.clone().unwrap_or(square);
        let gates = if self.gated { 2 } else { 1 };
        let kernel = Initializer::PerGate { gates, initializer: Box::new(self.kernel_initializer.clone()) };
        Ok(LipschitzRnnCell {
            kernel: fresh.kernel(gates, &kernel)?,
            recurrent_kernel: fresh.recurrent_kernel(1, &square)?,
            linear_kernel: fresh.recurrent_kernel(1, &square)?,
            bias: fresh.bias(gates, &self.bias_initializer)?,
            step_size: self.step_size,
            linear: [self.linear_beta, self.linear_gamma],
            nonlinear: [self.beta, self.gamma],
            gated: self.gated,
        })
    }
}

impl<T: Element> Cell<T> for LipschitzRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let a = balanced(h, x.tape().param(&self.linear_kernel), self.linear);
        let w = balanced(h, x.tape().param(&self.recurrent_kernel), self.nonlinear);
        let x = x.matmul(&self.kernel) + &self.bias;
        let change = if self.gated {
            let [new, gate] = x.gates();
            (w + gate).sigmoid() * (a + (w + new).tanh())
        } else {
            a + (w + x).tanh()
        };
        smallvec![h + self.step_size * change]
    }
}

/// h (β (M − Mᵀ) + (1 − β) (M + Mᵀ) − γ I)
#[track_caller]
fn balanced<'t, T: Element>(h: Var<'t, T>, m: Var<'t, T>, [β, γ]: [f64; 2]) -> Var<'t, T> {
    h.matmul(β * (m - m.t()) + (1.0 - β) * (m + m.t())) - γ * h
}
