//! The linear recurrent unit.

use std::f64::consts::TAU;

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The linear recurrent unit (Orvieto et al. 2023, arXiv:2303.06349): a complex diagonal recurrence, whose output is as
    /// wide as its input. States: the real and the imaginary part of h.
    ///
    /// ```text
    /// λ = exp(−exp(ν) + i exp(θ))
    /// h′ = λ ∘ h + exp(γ) ∘ x B
    /// y = Re(h′ C) + D ∘ x
    /// ```
    ///
    /// ν, θ and γ start so that λ is uniform in a ring, |λ| in `r_min..r_max` with phases in `0..max_phase`, and that h has
    /// the variance of x B: exp(γ) = √(1 − |λ|²). For long sequences the paper takes 0.9..0.999 and a phase of π/10. B is
    /// normal with the variance 1 / (2·features) of each of its parts, C with 1 / units, D with 1.
    Lru(LruCell) {
        /// The width of h.
        units,
        /// The least |λ|. Default 0.
        r_min: f64 = 0.0,
        /// The greatest |λ|. Default 1.
        r_max: f64 = 1.0,
        /// The greatest phase of λ. Default 2π.
        max_phase: f64 = TAU,
    }
}

/// What [`Lru`] builds.
#[derive(Clone, Debug)]
pub struct LruCell<T: Element = f32> {
    /// The logarithm of how fast |λ| decays, (units).
    pub nu: Param<T>,
    /// The logarithm of λ's phase, (units).
    pub theta: Param<T>,
    /// The logarithm of the input's scale, (units).
    pub gamma: Param<T>,
    /// B, (input, 2·units): its real and its imaginary part.
    pub kernel: Param<T>,
    /// C, (units, 2·input): its real and its imaginary part.
    pub projection: Param<T>,
    /// D, (input).
    pub skip: Param<T>,
}
module!(LruCell<T> { nu, theta, gamma, kernel, projection, skip });

impl BuildCell for Lru {
    type Built<T: Element> = LruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LruCell<T>, Error> {
        let mut fresh = Fresh::new("lru", input, self.units, rng)?;
        let Self { units, r_min, r_max, max_phase } = *self;
        if !(0.0 <= r_min && r_min < r_max && r_max <= 1.0) {
            return Err(fresh.wrong(format!("r_min {r_min}, r_max {r_max}: must be 0 ≤ r_min < r_max ≤ 1")));
        }
        if !(max_phase > 0.0 && max_phase.is_finite()) {
            return Err(fresh.wrong(format!("max_phase {max_phase}: must be positive")));
        }
        // Inside of 0..1, so that no logarithm is infinite.
        let inside = Initializer::Uniform { low: 1e-12, high: 1.0 - 1e-12 };
        let square = fresh.weight::<f64>("units", [units], &inside)?;
        let square = square.value().map(|u| u * (r_max * r_max - r_min * r_min) + r_min * r_min);
        let phase = fresh.weight::<f64>("units", [units], &inside)?;
        let param = |value: Tensor<f64>| Param::new(value.cast());
        let normal = |variance: f64| Initializer::Normal { mean: 0.0, std: variance.sqrt() };
        let features = fresh.input;
        Ok(LruCell {
            nu: param(square.map(|r2| (-0.5 * r2.ln()).ln())),
            theta: param(phase.value().map(|u| (max_phase * u).ln())),
            gamma: param(square.map(|r2| 0.5 * (-r2).ln_1p())),
            kernel: fresh.kernel(2, &normal(0.5 / features.max(1) as f64))?,
            projection: fresh.weight("units", [units, features.saturating_mul(2)], &normal(1.0 / units as f64))?,
            skip: fresh.weight("units", [features], &normal(1.0))?,
        })
    }
}

impl<T: Element> Cell<T> for LruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.nu, 1); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (re, im) = (state[0], state[1]);
        let tape = x.tape();
        let length = (-tape.param(&self.nu).exp()).exp();
        let angle = tape.param(&self.theta).exp();
        let (λre, λim) = (length * angle.cos(), length * angle.sin());
        let scale = tape.param(&self.gamma).exp();
        let [bre, bim] = x.matmul(&self.kernel).gates();
        smallvec![λre * re - λim * im + scale * bre, λre * im + λim * re + scale * bim]
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        let [cre, cim] = x.tape().param(&self.projection).gates();
        state[0].matmul(cre) - state[1].matmul(cim) + x * &self.skip
    }

    fn output_shape(&self) -> Shape {
        self.input_shape()
    }
}
