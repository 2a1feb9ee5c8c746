//! The undamped independent controlled oscillatory network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Fan, Initializer, Nonlinearity, State, StateShapes};

config! {
    /// UnICORNN (Rusch & Mishra 2021, arXiv:2103.05487): oscillators without damping that do not see each other, each
    /// with a learned pace σ(c), in symplectic steps of length Δt. What units have to do with each other is the next
    /// layer's: it is meant for stacks. States: y, z.
    ///
    /// ```text
    /// z′ = z − Δt σ(c) ∘ (tanh(u ∘ y + x V + b) + α y)
    /// y′ = y + Δt σ(c) ∘ z′
    /// ```
    ///
    /// A step can be inverted, so that a backward pass needs no states from the forward one; that is no part of the
    /// cell, and [`Checkpoint`](tapeloop_autograd::Checkpoint) saves memory instead. Δt and α are to be searched for:
    /// the defaults are those for permuted digits read pixel by pixel (3 layers of 256 units, learning rate 0.00251).
    Unicornn(UnicornnCell) {
        /// The width of y and of z.
        units,
        /// Δt. Default 0.19.
        step_size: f64 = 0.19,
        /// α. Default 30.65.
        alpha: f64 = 30.65,
        /// Of V. Default PyTorch's Kaiming uniform with a slope of 8.
        kernel_initializer: Initializer = Initializer::KaimingUniform {
            a: 8.0,
            mode: Fan::FanIn,
            nonlinearity: Nonlinearity::LeakyRelu,
        },
        /// Of u. Default uniform in 0..1.
        recurrent_initializer: Initializer = Initializer::Uniform { low: 0.0, high: 1.0 },
        /// Of c. Default uniform in −0.1..0.1.
        pace_initializer: Initializer = Initializer::Uniform { low: -0.1, high: 0.1 },
        /// Of b. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Unicornn`] builds.
#[derive(Clone, Debug)]
pub struct UnicornnCell<T: Element = f32> {
    /// V, (input, units).
    pub kernel: Param<T>,
    /// u, (units).
    pub recurrent_kernel: Param<T>,
    /// c, (units).
    pub pace: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// Δt.
    pub step_size: f64,
    /// α.
    pub alpha: f64,
}
module!(UnicornnCell<T> { kernel, recurrent_kernel, pace, bias } rest { step_size, alpha });

impl BuildCell for Unicornn {
    type Built<T: Element> = UnicornnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<UnicornnCell<T>, Error> {
        let mut fresh = Fresh::new("unicornn", input, self.units, rng)?;
        fresh.positive("step_size", self.step_size)?;
        fresh.finite("alpha", self.alpha)?;
        Ok(UnicornnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.weight("recurrent_initializer", [self.units], &self.recurrent_initializer)?,
            pace: fresh.weight("pace_initializer", [self.units], &self.pace_initializer)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            step_size: self.step_size,
            alpha: self.alpha,
        })
    }
}

impl<T: Element> Cell<T> for UnicornnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (y, z) = (state[0], state[1]);
        let pace = self.step_size * x.tape().param(&self.pace).sigmoid();
        let force = (x.matmul(&self.kernel) + y * &self.recurrent_kernel + &self.bias).tanh() + self.alpha * y;
        let z = z - pace * force;
        let y = y + pace * z;
        smallvec![y, z]
    }
}
