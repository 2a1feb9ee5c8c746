//! Starts anew within a sequence.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Var, module};

use crate::cell::step_with;
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Rules, State};

/// A cell whose states are zeros again where a segment starts: documents or episodes one behind the other in one row. The
/// last feature of the input is 1 at the first step of a segment and 0 elsewhere; the cell sees the features before it.
///
/// ```text
/// s′ = cell(x, (1 − start) s)
/// ```
///
/// ```
/// use tapeloop_autograd::{Rng, Shape, Tape, Tensor};
/// use tapeloop_layers::{Gru, Recurrent, Restarted};
/// let layer = Recurrent::new(Restarted::new(Gru::new(2))).try_layer::<f32>(Shape::from([2]), &mut Rng::new(0))?;
/// let tape = Tape::inference();
/// let two = tape.constant(Tensor::from([[[0.5f32, 1.0], [0.25, 1.0]]]));
/// let second = tape.constant(Tensor::from([[[0.25f32, 1.0]]]));
/// assert_eq!(layer.run(two, None).output.value().to_vec(), layer.run(second, None).output.value().to_vec());
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restarted {
    /// The cell.
    pub inner: Box<CellConfig>,
}

impl Restarted {
    /// Around this cell, which has one feature less.
    pub fn new(inner: impl Into<CellConfig>) -> Self {
        Self { inner: Box::new(inner.into()) }
    }
}

impl BuildCell for Restarted {
    type Built<T: Element> = RestartedCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RestartedCell<T>, Error> {
        let features = match input[..] {
            [features] if features > 1 => features - 1,
            _ => {
                let problem = format!("needs a row of features and one that says where segments start, got {input}");
                return Err(Error::config("restarted", problem));
            }
        };
        Ok(RestartedCell { inner: self.inner.boxed(&Shape::from([features]), rng)? })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// What [`Restarted`] builds.
pub struct RestartedCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
}
module!(RestartedCell<T> { inner });

impl<T: Element> Cell<T> for RestartedCell<T> {
    as_inner! { state_shapes noises draw output_shape }

    fn input_shape(&self) -> Shape {
        Shape::from([self.inner.input_shape()[0] + 1])
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (x, start) = (x.slice(-1, ..-1), x.slice(-1, -1..));
        let state: State<'t, T> = state.iter().map(|&s| s * over(1.0 - start, s.rank())).collect();
        step_with(&self.inner, x, &state, noise)
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        self.inner.output(x.slice(-1, ..-1), state)
    }
}

/// (batch, 1) with so many axes.
#[track_caller]
fn over<T: Element>(rows: Var<'_, T>, rank: usize) -> Var<'_, T> {
    let mut rows = rows;
    for _ in 2..rank {
        rows = rows.unsqueeze(-1);
    }
    rows
}
