//! Long expressive memory.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Distribution, Error, Fan, Initializer, State, StateShapes};

config! {
    /// Long expressive memory (LEM; Rusch et al. 2022, arXiv:2110.04744): two states that each move at a learned pace,
    /// the second through the first. States: y, z.
    ///
    /// ```text
    /// Δ₁ = Δt σ(x W₁ + y U₁ + b₁)
    /// Δ₂ = Δt σ(x W₂ + y U₂ + b₂)
    /// z′ = (1 − Δ₁) ∘ z + Δ₁ ∘ tanh(x W_z + y U_z + b_z)
    /// y′ = (1 − Δ₂) ∘ y + Δ₂ ∘ tanh(x W_y + z′ U_y + b_y)
    /// ```
    ///
    /// In the authors' programs Δ₁ and Δ₂ have each other's names.
    ///
    /// Δt is 1 unless one searches for it; the adding problem over 10,000 steps was learned with 0.0242 (128 units,
    /// learning rate 0.0026).
    Lem(LemCell) {
        /// The width of y and of z.
        units,
        /// Δt. Default 1.
        step_size: f64 = 1.0,
        /// Of `kernel`. Default uniform within ±1/√units.
        kernel_initializer: Initializer = within(Fan::FanOut, 4),
        /// Of `recurrent_kernel` and `memory_kernel`. Default uniform within ±1/√units.
        recurrent_initializer: Initializer = within(Fan::FanIn, 1),
        /// Of `bias`. Default uniform within ±1/√units.
        bias_initializer: Initializer = within(Fan::FanOut, 4),
    }
}

/// Uniform within ±1/√fan, of each part.
fn within(mode: Fan, gates: usize) -> Initializer {
    let initializer = Initializer::VarianceScaling { scale: 1.0 / 3.0, mode, distribution: Distribution::Uniform };
    match gates {
        1 => initializer,
        gates => Initializer::PerGate { gates, initializer: Box::new(initializer) },
    }
}

/// What [`Lem`] builds. The last axis of `kernel` and `bias` holds the parts Δ₁, Δ₂, z, y; that of `recurrent_kernel`,
/// of y's own weights, the first three.
#[derive(Clone, Debug)]
pub struct LemCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// U_y, (units, units).
    pub memory_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// Δt.
    pub step_size: f64,
}
module!(LemCell<T> { kernel, recurrent_kernel, memory_kernel, bias } rest { step_size });

impl BuildCell for Lem {
    type Built<T: Element> = LemCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LemCell<T>, Error> {
        let mut fresh = Fresh::new("lem", input, self.units, rng)?;
        fresh.positive("step_size", self.step_size)?;
        Ok(LemCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            memory_kernel: fresh.recurrent_kernel(1, &self.recurrent_initializer)?,
            bias: fresh.bias(4, &self.bias_initializer)?,
            step_size: self.step_size,
        })
    }
}

impl<T: Element> Cell<T> for LemCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (y, z) = (state[0], state[1]);
        let [x1, x2, xz, xy] = (x.matmul(&self.kernel) + &self.bias).gates();
        let [y1, y2, yz] = y.matmul(&self.recurrent_kernel).gates();
        let (δ1, δ2) = (self.step_size * (x1 + y1).sigmoid(), self.step_size * (x2 + y2).sigmoid());
        let z = (1.0 - δ1) * z + δ1 * (xz + yz).tanh();
        let y = (1.0 - δ2) * y + δ2 * (xy + z.matmul(&self.memory_kernel)).tanh();
        smallvec![y, z]
    }
}
