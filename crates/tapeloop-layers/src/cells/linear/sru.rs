//! The simple recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Distribution, Error, Fan, Initializer, State, StateShapes};

config! {
    /// The simple recurrent unit (Lei et al. 2018, arXiv:1709.02755): all products are of the input; gates see the state
    /// element by element. States: h, c. h is the output, which no later step reads.
    ///
    /// ```text
    /// f = σ(x W_f + v_f ∘ c + b_f)
    /// r = σ(x W_r + v_r ∘ c + b_r)
    /// c′ = f ∘ c + (1 − f) ∘ x W
    /// h′ = r ∘ g(c′) + (1 − r) ∘ α x̃
    /// ```
    ///
    /// x̃ is x where there are as many features as units, else x W_x. g is the identity, as in the paper's last version,
    /// unless `activation` says otherwise. Both gates read the state before the step.
    Sru(SruCell) {
        /// The width of c.
        units,
        /// g. Default linear.
        activation: Activation = Activation::Linear,
        /// What b_r starts from. Default 0.
        highway_bias: f64 = 0.0,
        /// α. Default √(1 + 2 exp(highway_bias)), with which the variance of h is that of x at first.
        alpha: Option<f64> = None,
        /// Of W and W_x in `kernel`. Default uniform with the variance 1 / features.
        kernel_initializer: Initializer = Initializer::LecunUniform,
        /// Of W_f and W_r in `kernel`. Default uniform with half that variance: the other half is the state's.
        gate_initializer: Initializer = Initializer::VarianceScaling {
            scale: 0.5,
            mode: Fan::FanIn,
            distribution: Distribution::Uniform,
        },
        /// Of `peephole`. Default uniform with the variance ½.
        peephole_initializer: Initializer = Initializer::Uniform { low: -SQRT_1_5, high: SQRT_1_5 },
    }
}

/// √1.5: the end of a uniform distribution around 0 with the variance ½.
const SQRT_1_5: f64 = 1.224_744_871_391_589;

/// What [`Sru`] builds.
#[derive(Clone, Debug)]
pub struct SruCell<T: Element = f32> {
    /// Input weights, (input, 3·units) with the parts W, W_f, W_r; (input, 4·units) with W_x behind them, if there is one.
    pub kernel: Param<T>,
    /// What the gates see of the state, (2·units) with the parts v_f, v_r.
    pub peephole: Param<T>,
    /// Bias of the gates, (2·units) with the parts f, r.
    pub bias: Param<T>,
    /// g.
    pub activation: Activation,
    /// α.
    pub alpha: f64,
}
module!(SruCell<T> { kernel, peephole, bias } rest { activation, alpha });

impl BuildCell for Sru {
    type Built<T: Element> = SruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SruCell<T>, Error> {
        let mut fresh = Fresh::new("sru", input, self.units, rng)?;
        keeps_shape("sru", "activation", self.activation)?;
        let alpha = self.alpha.unwrap_or_else(|| (1.0 + 2.0 * self.highway_bias.exp()).sqrt());
        if !alpha.is_finite() || !self.highway_bias.is_finite() {
            return Err(fresh.wrong(format!("alpha {alpha}, highway_bias {}: must be finite", self.highway_bias)));
        }
        let (own, gates) =
            (("kernel_initializer", &self.kernel_initializer), ("gate_initializer", &self.gate_initializer));
        let parts = [own, gates, gates, own];
        let count = if fresh.input == self.units { 3 } else { 4 };
        let highway = Initializer::Constant { value: self.highway_bias };
        Ok(SruCell {
            kernel: fresh.parts(&[fresh.input], self.units, &parts[..count])?,
            peephole: fresh.weight(
                "peephole_initializer",
                [self.units.saturating_mul(2)],
                &self.peephole_initializer,
            )?,
            bias: fresh.parts(&[], self.units, &[("bias", &Initializer::Zeros), ("highway_bias", &highway)])?,
            activation: self.activation,
            alpha,
        })
    }
}

impl<T: Element> Cell<T> for SruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 2); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let c = state[1];
        let z = x.matmul(&self.kernel);
        let projected = z.dim(-1) != 3 * c.dim(-1);
        let (u, f, r, skip) = if projected {
            let [u, f, r, skip] = z.gates();
            (u, f, r, skip)
        } else {
            let [u, f, r] = z.gates();
            (u, f, r, x)
        };
        let [vf, vr] = x.tape().param(&self.peephole).gates();
        let [bf, br] = x.tape().param(&self.bias).gates();
        let f = (f + vf * c + bf).sigmoid();
        let r = (r + vr * c + br).sigmoid();
        let c = f * c + (1.0 - f) * u;
        let h = r * self.activation.apply(c) + (1.0 - r) * (self.alpha * skip);
        smallvec![h, c]
    }
}
