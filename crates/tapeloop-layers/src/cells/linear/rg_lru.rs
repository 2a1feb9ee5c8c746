//! The real-gated linear recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::blocks::{blocks, product};
use crate::cells::config::{Fresh, columns, config};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The real-gated linear recurrent unit (De et al. 2024, arXiv:2402.19427), the recurrence of Griffin. It has as many
    /// units as there are features. State: h.
    ///
    /// ```text
    /// r = σ(x W_a + b_a)
    /// i = σ(x W_x + b_x)
    /// log a = −c r ∘ softplus(Λ)
    /// h′ = a ∘ h + √(1 − a²) ∘ (i ∘ x)
    /// ```
    ///
    /// W_a and W_x have `heads` blocks on their diagonals. Λ starts so that exp(−c softplus(Λ)), which is a where r = 1, is
    /// uniform in `a_min..a_max`; weights start normal with the variance 1 / the width of a block. The authors' code differs
    /// in two points: there the first step of a sequence has i ∘ x without the root, while here, as in the paper's equation,
    /// every step is the same; and its Λ starts from a ring of radii without the exponent c.
    RgLru(RgLruCell) {
        /// The width of h: the number of features.
        units,
        /// The number of blocks of the gates' weights. Default 1.
        heads: usize = 1,
        /// c. Default 8.
        c: f64 = 8.0,
        /// The least a at first, where r = 1. Default 0.9.
        a_min: f64 = 0.9,
        /// The greatest a at first, where r = 1. Default 0.999.
        a_max: f64 = 0.999,
    }
}

/// What [`RgLru`] builds.
#[derive(Clone, Debug)]
pub struct RgLruCell<T: Element = f32> {
    /// Weights of the gates, (heads, width, 2·width) with the parts W_a, W_x.
    pub kernel: Param<T>,
    /// Bias of W_a, (units).
    pub recurrence_bias: Param<T>,
    /// Bias of W_x, (units).
    pub input_bias: Param<T>,
    /// Λ, (units).
    pub lambda: Param<T>,
    /// c.
    pub c: f64,
}
module!(RgLruCell<T> { kernel, recurrence_bias, input_bias, lambda } rest { c });

impl BuildCell for RgLru {
    type Built<T: Element> = RgLruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RgLruCell<T>, Error> {
        let mut fresh = Fresh::new("rg_lru", input, self.units, rng)?;
        let Self { units, heads, c, a_min, a_max } = *self;
        if fresh.input != units {
            return Err(fresh.wrong(format!("{units} units for {} features: there must be as many", fresh.input)));
        }
        let width = blocks("rg_lru", units, heads)?;
        if !(c > 0.0 && c.is_finite()) {
            return Err(fresh.wrong(format!("c {c}: must be positive")));
        }
        if !(0.0 < a_min && a_min <= a_max && a_max < 1.0) {
            return Err(fresh.wrong(format!("a_min {a_min}, a_max {a_max}: must be 0 < a_min ≤ a_max < 1")));
        }
        let normal = Initializer::Normal { mean: 0.0, std: (width as f64).powf(-0.5) };
        let a = fresh.weight::<f64>("units", [units], &Initializer::Uniform { low: a_min, high: a_max })?;
        Ok(RgLruCell {
            kernel: fresh.weight("units", [heads, width, width.saturating_mul(2)], &normal)?,
            recurrence_bias: fresh.bias(1, &Initializer::Zeros)?,
            input_bias: fresh.bias(1, &Initializer::Zeros)?,
            // softplus(Λ) = −ln a / c
            lambda: Param::new(a.value().map(|a| (-a.ln() / c).exp_m1().ln()).cast()),
            c,
        })
    }
}

impl<T: Element> Cell<T> for RgLruCell<T> {
    fn input_shape(&self) -> Shape {
        columns(&self.lambda, 1)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.lambda, 1)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [r, i] = product(x, &self.kernel);
        let r = (r + &self.recurrence_bias).sigmoid();
        let i = (i + &self.input_bias).sigmoid();
        let log_a = r * (x.tape().param(&self.lambda).softplus() * -self.c);
        let rest = (-(2.0 * log_a).exp_m1()).sqrt();
        smallvec![log_a.exp() * h + rest * (i * x)]
    }
}
