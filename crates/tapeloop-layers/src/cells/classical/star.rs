//! The stackable recurrent cell.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The stackable recurrent cell (STAR; Turkoglu et al. 2019, arXiv:1911.11033): one gate, and few weights, made for
    /// gradients that neither vanish nor grow in deep stacks. State: h.
    ///
    /// ```text
    /// z = tanh(x W_z + b_z)
    /// k = σ(x W_k + h U + b_k)
    /// h′ = tanh((1 − k) ∘ h + k ∘ z)
    /// ```
    ///
    /// With the longest dependency T given, in steps, b_k starts at −ln u, u ~ U(1, T − 1), as in the paper: gates that
    /// remember for that long (Tallec & Ollivier 2018, arXiv:1804.11188).
    Star(StarCell) {
        /// The width of h.
        units,
        /// T. Default none: b_k starts as b_z does.
        longest: Option<f64> = None,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Star`] builds. The last axis of `kernel` and `bias` holds the parts z, k.
#[derive(Clone, Debug)]
pub struct StarCell<T: Element = f32> {
    /// Input weights, (input, 2·units).
    pub kernel: Param<T>,
    /// U, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2·units).
    pub bias: Param<T>,
}
module!(StarCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for Star {
    type Built<T: Element> = StarCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<StarCell<T>, Error> {
        let mut fresh = Fresh::new("star", input, self.units, rng)?;
        let kernel = fresh.kernel(2, &self.kernel_initializer)?;
        let recurrent_kernel = fresh.recurrent_kernel(1, &self.recurrent_initializer)?;
        let bias = match self.longest {
            Some(longest) => {
                fresh.number("longest", longest, "a number of at least 2", |t| t >= 2.0)?;
                let span = Initializer::Uniform { low: 1.0, high: longest - 1.0 };
                let [z, u] = [&self.bias_initializer, &span].map(|from| fresh.bias::<T>(1, from));
                let (z, u) = (z?.value().to_vec(), u?.value().to_vec());
                let values: Vec<T> =
                    z.into_iter().chain(u.into_iter().map(|u| T::from_f64(-u.to_f64().ln()))).collect();
                Param::new(Tensor::from_vec([values.len()], values))
            }
            None => fresh.bias(2, &self.bias_initializer)?,
        };
        Ok(StarCell { kernel, recurrent_kernel, bias })
    }
}

impl<T: Element> Cell<T> for StarCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [z, k] = (x.matmul(&self.kernel) + &self.bias).gates();
        let (z, k) = (z.tanh(), (k + h.matmul(&self.recurrent_kernel)).sigmoid());
        smallvec![((1.0 - k) * h + k * z).tanh()]
    }
}
