//! A residual connection around a cell.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Var, module};

use crate::cell::step_with;
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Rules, State};

/// Puts out the input and what the cell puts out, added up (He et al. 2015, arXiv:1512.03385; in stacks of recurrent layers
/// Wu et al. 2016, arXiv:1609.08144). States are the cell's; its output must be as wide as its input.
///
/// ```text
/// y = x + cell(x, s)
/// ```
///
/// ```
/// use tapeloop_layers::{Lstm, Recurrent, Residual, Sequential, Stacked};
/// let cells = [Lstm::new(8).into(), Residual::new(Lstm::new(8)).into(), Residual::new(Lstm::new(8)).into()];
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(Stacked::new(cells))).build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The cell.
    pub inner: Box<CellConfig>,
}

impl Residual {
    /// Around this cell.
    pub fn new(inner: impl Into<CellConfig>) -> Self {
        Self { inner: Box::new(inner.into()) }
    }
}

impl BuildCell for Residual {
    type Built<T: Element> = ResidualCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ResidualCell<T>, Error> {
        let inner = self.inner.boxed::<T>(input, rng)?;
        same_width("residual", input, &inner)?;
        Ok(ResidualCell { inner })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// The rule for a cell whose output goes together with its input.
pub(super) fn same_width<T: Element>(wrapper: &str, input: &Shape, inner: &dyn Cell<T>) -> Result<(), Error> {
    let output = inner.output_shape();
    if output == *input {
        return Ok(());
    }
    Err(Error::config(wrapper, format!("its cell takes {input} and puts out {output}, which must be the same")))
}

/// What [`Residual`] builds.
pub struct ResidualCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
}
module!(ResidualCell<T> { inner });

impl<T: Element> Cell<T> for ResidualCell<T> {
    as_inner! { input_shape state_shapes noises draw output_shape }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.inner.step(x, state)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        step_with(&self.inner, x, state, noise)
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        x + self.inner.output(x, state)
    }
}
