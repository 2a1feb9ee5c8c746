//! The cell found by architecture search.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The cell that neural architecture search found (Zoph & Le 2016, arXiv:1611.01578). States: h, c.
    ///
    /// ```text
    /// a = x W, m = h U (+ b), each of eight parts
    /// l₀ = σ(a₀ + m₀), l₁ = relu(a₁ + m₁), l₂ = σ(a₂ + m₂), l₃ = relu(a₃ ∘ m₃)
    /// l₄ = tanh(a₄ + m₄), l₅ = σ(a₅ + m₅), l₆ = tanh(a₆ + m₆), l₇ = σ(a₇ + m₇)
    /// p₀ = tanh(l₀ ∘ l₁), p₁ = tanh(l₂ + l₃), p₂ = tanh(l₄ ∘ l₅), p₃ = σ(l₆ + l₇)
    /// c′ = tanh(p₀ + c) ∘ p₁
    /// h′ = tanh(c′ ∘ tanh(p₂ + p₃))
    /// ```
    ///
    /// The fourth is a product of a₃ and m₃, unlike the others; b is added to m₃ before. A fresh b is 0.
    Nas(NasCell) {
        /// The width of h and c.
        units,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Nas`] builds. The last axis of each weight holds the parts 0, 1, 2, 3, 4, 5, 6, 7.
#[derive(Clone, Debug)]
pub struct NasCell<T: Element = f32> {
    /// Input weights, (input, 8·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 8·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (8·units).
    pub bias: Param<T>,
}
module!(NasCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Nas {
    type Built<T: Element> = NasCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<NasCell<T>, Error> {
        let mut fresh = Fresh::new("nas", input, self.units, rng)?;
        Ok(NasCell {
            kernel: fresh.kernel(8, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(8, &self.recurrent_initializer)?,
            bias: fresh.bias(8, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for NasCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let [a0, a1, a2, a3, a4, a5, a6, a7] = x.matmul(&self.kernel).gates();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = (h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let p0 = ((a0 + m0).sigmoid() * (a1 + m1).relu()).tanh();
        let p1 = ((a2 + m2).sigmoid() + (a3 * m3).relu()).tanh();
        let p2 = ((a4 + m4).tanh() * (a5 + m5).sigmoid()).tanh();
        let p3 = ((a6 + m6).tanh() + (a7 + m7).sigmoid()).sigmoid();
        let c = (p0 + c).tanh() * p1;
        smallvec![(c * (p2 + p3).tanh()).tanh(), c]
    }
}
