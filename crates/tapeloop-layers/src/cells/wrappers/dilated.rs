//! Skips over steps.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Var, module};

use crate::cell::step_with;
use crate::cells::config::as_inner;
use crate::layers::positive;
use crate::{BuildCell, Cell, CellConfig, Error, Rules, State, StateShapes};

/// A cell that goes on from its states of some steps ago (Chang et al. 2017, arXiv:1710.02224): long ways are shorter, by
/// that factor. In the paper's stacks the distances are 1, 2, 4, …. States: those of the last steps, the oldest first.
///
/// ```text
/// s(t) = cell(x(t), s(t − distance))
/// ```
///
/// ```
/// use tapeloop_layers::{Dilated, Gru, Recurrent, Sequential, Stacked};
/// let cells = [1, 2, 4].map(|distance| Dilated::new(Gru::new(8), distance).into());
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(Stacked::new(cells))).build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dilated {
    /// The cell.
    pub inner: Box<CellConfig>,
    /// How many steps ago.
    pub distance: usize,
}

impl Dilated {
    /// Around this cell, so many steps apart.
    pub fn new(inner: impl Into<CellConfig>, distance: usize) -> Self {
        Self { inner: Box::new(inner.into()), distance }
    }
}

/// More are a mistake: all of them are carried.
const FARTHEST: usize = 1 << 16;

impl BuildCell for Dilated {
    type Built<T: Element> = DilatedCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<DilatedCell<T>, Error> {
        positive("dilated", "distance", self.distance)?;
        if self.distance > FARTHEST {
            return Err(Error::config("dilated", format!("distance: {} is more than {FARTHEST}", self.distance)));
        }
        Ok(DilatedCell { inner: self.inner.boxed(input, rng)?, distance: self.distance })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// What [`Dilated`] builds.
pub struct DilatedCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
    /// How many steps ago.
    pub distance: usize,
}
module!(DilatedCell<T> { inner } rest { distance });

impl<T: Element> Cell<T> for DilatedCell<T> {
    as_inner! { input_shape noises draw output_shape }

    fn state_shapes(&self) -> StateShapes {
        (0..self.distance).flat_map(|_| self.inner.state_shapes()).collect()
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (oldest, younger) = state.split_at(state.len() / self.distance);
        let next = step_with(&self.inner, x, oldest, noise);
        younger.iter().copied().chain(next).collect()
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        self.inner.output(x, &state[state.len() - state.len() / self.distance..])
    }
}
