//! The GRU as a differential equation.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows, substeps};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The GRU-ODE (De Brouwer et al. 2019, arXiv:1905.12374), the continuous part of GRU-ODE-Bayes: the difference that a
    /// GRU makes is a derivative, by which h goes on in Euler steps of the length Δ. State: h.
    ///
    /// ```text
    /// z = σ(x W_z + h U_z + b_z)
    /// r = σ(x W_r + h U_r + b_r)
    /// g = tanh(x W_h + (r ∘ h) U_h + b_h)
    /// h′ = h + Δ (1 − z) ∘ (g − h),   `substeps` times
    /// ```
    ///
    /// The `minimal` one has no r: g = tanh(x W_h + (z ∘ h) U_h + b_h). The jumps where something is observed are another
    /// GRU's.
    GruOde(GruOdeCell) {
        /// The width of h.
        units,
        /// Whether z resets, too. Default false.
        minimal: bool = false,
        /// Δ. Default 0.05.
        step_size: f64 = 0.05,
        /// How many Euler steps a step makes. Default 1.
        substeps: usize = 1,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`GruOde`] builds. The last axis of each weight holds the parts z, r, h, or z, h.
#[derive(Clone, Debug)]
pub struct GruOdeCell<T: Element = f32> {
    /// Input weights, (input, 3·units) or (input, 2·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units) or (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units) or (2·units).
    pub bias: Param<T>,
    /// Whether z resets, too.
    pub minimal: bool,
    /// Δ.
    pub step_size: f64,
    /// How many Euler steps a step makes.
    pub substeps: usize,
}
module!(GruOdeCell<T> { kernel, recurrent_kernel, bias } rest { minimal, step_size, substeps });

impl BuildCell for GruOde {
    type Built<T: Element> = GruOdeCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<GruOdeCell<T>, Error> {
        let mut fresh = Fresh::new("gru_ode", input, self.units, rng)?;
        let Self { minimal, step_size, .. } = *self;
        if !(step_size > 0.0 && step_size.is_finite()) {
            return Err(fresh.wrong(format!("step_size {step_size}: must be positive")));
        }
        let substeps = substeps("gru_ode", "substeps", self.substeps)?;
        let gates = if minimal { 2 } else { 3 };
        Ok(GruOdeCell {
            kernel: fresh.kernel(gates, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(gates, &self.recurrent_initializer)?,
            bias: fresh.bias(gates, &self.bias_initializer)?,
            minimal,
            step_size,
            substeps,
        })
    }
}

impl<T: Element> Cell<T> for GruOdeCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let mut h = state[0];
        let xs = x.matmul(&self.kernel) + &self.bias;
        let u = x.tape().param(&self.recurrent_kernel);
        for _ in 0..self.substeps {
            let (z, g) = if self.minimal {
                let ([xz, xh], [uz, uh]) = (xs.gates(), u.gates());
                let z = (xz + h.matmul(uz)).sigmoid();
                (z, xh + (z * h).matmul(uh))
            } else {
                let ([xz, xr, xh], [uz, ur, uh]) = (xs.gates(), u.gates());
                let r = (xr + h.matmul(ur)).sigmoid();
                ((xz + h.matmul(uz)).sigmoid(), xh + (r * h).matmul(uh))
            };
            h = h + self.step_size * (1.0 - z) * (g.tanh() - h);
        }
        smallvec![h]
    }
}
