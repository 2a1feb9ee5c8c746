//! The structurally constrained recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::{keeps_shape, positive};
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The structurally constrained recurrent network (SCRN; Mikolov et al. 2014, arXiv:1412.7753): beside the hidden
    /// units there are context units that change slowly, each a moving average of what it reads. States: h, s.
    ///
    /// ```text
    /// s′ = (1 − α) x B + α s
    /// h′ = σ(s′ P + x A + h R)
    /// y = f(h′ U + s′ V)
    /// ```
    ///
    /// The output is y; in the paper f is the softmax over words. There are no biases. With `learned` every context
    /// unit has an α of its own, σ(β), and β is a weight.
    Scrn(ScrnCell) {
        /// The width of h.
        units,
        /// The width of s. Default none: that of h.
        context: Option<usize> = None,
        /// The width of y. Default none: that of h.
        outputs: Option<usize> = None,
        /// α, or where it starts. Default 0.95.
        alpha: f64 = 0.95,
        /// Whether α is learned. Default false.
        learned: bool = false,
        /// f. Default linear.
        output_activation: Activation = Activation::Linear,
        /// Of A, B, U and V. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of R and P. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
    }
}

/// What [`Scrn`] builds.
#[derive(Clone, Debug)]
pub struct ScrnCell<T: Element = f32> {
    /// A, (input, units).
    pub kernel: Param<T>,
    /// B, (input, context).
    pub context_kernel: Param<T>,
    /// R, (units, units).
    pub recurrent_kernel: Param<T>,
    /// P, (context, units).
    pub context_recurrent_kernel: Param<T>,
    /// U, (units, outputs).
    pub output_kernel: Param<T>,
    /// V, (context, outputs).
    pub context_output_kernel: Param<T>,
    /// β, (context), where it is learned.
    pub beta: Option<Param<T>>,
    /// α, where it is not.
    pub alpha: f64,
    /// f.
    pub output_activation: Activation,
}
module!(ScrnCell<T> {
    kernel, context_kernel, recurrent_kernel, context_recurrent_kernel, output_kernel, context_output_kernel, beta
} rest { alpha, output_activation });

impl BuildCell for Scrn {
    type Built<T: Element> = ScrnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ScrnCell<T>, Error> {
        let (name, units) = ("scrn", self.units);
        let (context, outputs) = (self.context.unwrap_or(units), self.outputs.unwrap_or(units));
        keeps_shape(name, "output_activation", self.output_activation)?;
        let mut fresh = Fresh::new(name, input, units, rng)?;
        positive(name, "context", context)?;
        positive(name, "outputs", outputs)?;
        let α = self.alpha;
        fresh.share("alpha", α)?;
        let beta = match self.learned {
            true if α == 0.0 || α == 1.0 => {
                return Err(fresh.wrong(format!("alpha: {α} is no value of σ, from which it could be learned")));
            }
            true => {
                let value = (α / (1.0 - α)).ln();
                Some(fresh.weight("alpha", [context], &Initializer::Constant { value })?)
            }
            false => None,
        };
        let input = fresh.input;
        let mut of = |setting, rows, columns, from| fresh.weight(setting, [rows, columns], from);
        let (inward, recurrent) = ("kernel_initializer", "recurrent_initializer");
        Ok(ScrnCell {
            kernel: of(inward, input, units, &self.kernel_initializer)?,
            context_kernel: of(inward, input, context, &self.kernel_initializer)?,
            recurrent_kernel: of(recurrent, units, units, &self.recurrent_initializer)?,
            context_recurrent_kernel: of(recurrent, context, units, &self.recurrent_initializer)?,
            output_kernel: of(inward, units, outputs, &self.kernel_initializer)?,
            context_output_kernel: of(inward, context, outputs, &self.kernel_initializer)?,
            beta,
            alpha: α,
            output_activation: self.output_activation,
        })
    }
}

impl<T: Element> Cell<T> for ScrnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel), rows(&self.context_recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, s) = (state[0], state[1]);
        let read = x.matmul(&self.context_kernel);
        let s = match &self.beta {
            Some(beta) => {
                let α = x.tape().param(beta).sigmoid();
                (1.0 - α) * read + α * s
            }
            None => (1.0 - self.alpha) * read + self.alpha * s,
        };
        let context = s.matmul(&self.context_recurrent_kernel);
        let h = (context + x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel)).sigmoid();
        smallvec![h, s]
    }

    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        let parameter = |param| state[0].tape().param(param);
        let weights = Var::concat([parameter(&self.output_kernel), parameter(&self.context_output_kernel)], 0);
        self.output_activation.apply(Var::concat([state[0], state[1]], -1).matmul(weights))
    }

    fn output_shape(&self) -> Shape {
        Shape::from([self.output_kernel.value().shape()[1]])
    }
}
