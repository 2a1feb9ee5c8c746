//! The recurrent highway network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The recurrent highway network (RHN; Zilly et al. 2016, arXiv:1607.03474): from one step to the next the state
    /// goes through `depth` highway layers, of which the first reads the input. State: s.
    ///
    /// ```text
    /// for l = 1, …, depth:
    ///     h = tanh([l = 1] x W_h + s U_h,l + b_h,l)
    ///     t = σ([l = 1] x W_t + s U_t,l + b_t,l)
    ///     c = 1 − t,   or not coupled: σ([l = 1] x W_c + s U_c,l + b_c,l)
    ///     s = t ∘ h + c ∘ s
    /// ```
    Rhn(RhnCell) {
        /// The width of s.
        units,
        /// The number of highway layers, up to 1000. Default 5.
        depth: usize = 5,
        /// Whether c is 1 − t. Default true.
        coupled: bool = true,
        /// Where b_t starts, and −b_c where there is one. Default −2: at first the state is kept.
        transform_bias: f64 = -2.0,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of each square part of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of b_h. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Rhn`] builds. The last axis of `kernel` holds the parts h, t and, if it is not coupled, c; the last axes of
/// the others hold these for one layer after the other.
#[derive(Clone, Debug)]
pub struct RhnCell<T: Element = f32> {
    /// Input weights, (input, gates·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, depth·gates·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (depth·gates·units).
    pub bias: Param<T>,
    /// The number of highway layers.
    pub depth: usize,
    /// Whether c is 1 − t.
    pub coupled: bool,
}
module!(RhnCell<T> { kernel, recurrent_kernel, bias } rest { depth, coupled });

impl BuildCell for Rhn {
    type Built<T: Element> = RhnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RhnCell<T>, Error> {
        let mut fresh = Fresh::new("rhn", input, self.units, rng)?;
        if !(1..=1000).contains(&self.depth) {
            return Err(fresh.wrong(format!("depth: {} is not in 1..=1000", self.depth)));
        }
        fresh.finite("transform_bias", self.transform_bias)?;
        let transform = Initializer::Constant { value: self.transform_bias };
        let carry = Initializer::Constant { value: -self.transform_bias };
        let gates = [&self.bias_initializer, &transform, &carry];
        let gates = if self.coupled { &gates[..2] } else { &gates };
        let squares = self.depth * gates.len();
        let recurrent =
            Initializer::PerGate { gates: squares, initializer: Box::new(self.recurrent_initializer.clone()) };
        Ok(RhnCell {
            kernel: fresh.kernel(gates.len(), &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(squares, &recurrent)?,
            bias: fresh.biases(&gates.repeat(self.depth))?,
            depth: self.depth,
            coupled: self.coupled,
        })
    }
}

impl<T: Element> Cell<T> for RhnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let mut s = state[0];
        let (u, b) = (x.tape().param(&self.recurrent_kernel), x.tape().param(&self.bias));
        let width = (u.dim(-1) / self.depth) as isize;
        for layer in 0..self.depth as isize {
            let own = layer * width..(layer + 1) * width;
            let mut z = s.matmul(u.slice(-1, own.clone())) + b.slice(-1, own);
            if layer == 0 {
                z = z + x.matmul(&self.kernel);
            }
            s = if self.coupled {
                let [h, t] = z.gates();
                let t = t.sigmoid();
                t * h.tanh() + (1.0 - t) * s
            } else {
                let [h, t, c] = z.gates();
                t.sigmoid() * h.tanh() + c.sigmoid() * s
            };
        }
        smallvec![s]
    }
}
