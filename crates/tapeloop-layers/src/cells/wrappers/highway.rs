//! A highway around a cell.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use super::residual::same_width;
use crate::cell::step_with;
use crate::cells::config::Fresh;
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Initializer, Rules, State};

/// Puts out the input, or what the cell puts out, as a gate says (Srivastava et al. 2015, arXiv:1505.00387; over depth in
/// recurrent networks Zilly et al. 2016, arXiv:1607.03474). States are the cell's; its output must be as wide as its input.
///
/// ```text
/// t = σ(x W + b)
/// y = t ∘ cell(x, s) + (1 − t) ∘ x
/// ```
///
/// b starts at −2, so that a fresh one mostly carries its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Highway {
    /// The cell.
    pub inner: Box<CellConfig>,
    /// Of W. Default Glorot uniform.
    #[serde(default = "glorot")]
    pub kernel_initializer: Initializer,
    /// Of b. Default −2.
    #[serde(default = "carry")]
    pub bias_initializer: Initializer,
}

fn glorot() -> Initializer {
    Initializer::GlorotUniform
}

fn carry() -> Initializer {
    Initializer::Constant { value: -2.0 }
}

impl Highway {
    /// Around this cell.
    pub fn new(inner: impl Into<CellConfig>) -> Self {
        Self { inner: Box::new(inner.into()), kernel_initializer: glorot(), bias_initializer: carry() }
    }

    /// What `kernel` starts from.
    pub fn kernel_initializer(self, kernel_initializer: Initializer) -> Self {
        Self { kernel_initializer, ..self }
    }

    /// What `bias` starts from.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }
}

impl BuildCell for Highway {
    type Built<T: Element> = HighwayCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<HighwayCell<T>, Error> {
        let inner = self.inner.boxed::<T>(input, rng)?;
        same_width("highway", input, &inner)?;
        let [width] = input[..] else {
            return Err(Error::config("highway", format!("a step's input is a row of features, not of shape {input}")));
        };
        let mut fresh = Fresh::new("highway", input, width, rng)?;
        let kernel = fresh.kernel(1, &self.kernel_initializer)?;
        Ok(HighwayCell { inner, kernel, bias: fresh.bias(1, &self.bias_initializer)? })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// What [`Highway`] builds.
pub struct HighwayCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
    /// Weights of the gate, (input, input).
    pub kernel: Param<T>,
    /// Bias of the gate, (input).
    pub bias: Param<T>,
}
module!(HighwayCell<T> { inner, kernel, bias });

impl<T: Element> Cell<T> for HighwayCell<T> {
    as_inner! { input_shape state_shapes noises draw output_shape }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.inner.step(x, state)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        step_with(&self.inner, x, state, noise)
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        let t = (x.matmul(&self.kernel) + &self.bias).sigmoid();
        t * self.inner.output(x, state) + (1.0 - t) * x
    }
}
