//! Dropout around a cell.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Tape, Var, module};

use super::zoneout::rates;
use crate::cell::{Noises, Split, step_with};
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Noise, Rules, State};

/// Dropout of what goes into any cell: of its input (Zaremba et al. 2014, arXiv:1409.2329, at every step anew), and of its
/// states before the step (the same for a whole sequence, as Gal & Ghahramani 2016, arXiv:1512.05287).
///
/// ```text
/// s′ = cell(m_x ∘ x, m_s ∘ s),   each m 0 with its rate, else 1 / (1 − rate)
/// ```
///
/// A state that a cell also carries past its weights, as a GRU's h or an LSTM's c, loses there what is dropped (as in Moon et
/// al. 2015): a rate for each state says which. [`Lstm`](crate::Lstm) and its like have `dropout` and `recurrent_dropout` of
/// their own, which act on products with weights alone and draw for every gate. What a layer puts out is dropped by a
/// [`Dropout`](crate::Dropout) behind it.
///
/// ```
/// use tapeloop_layers::{Dropped, Mgu, Recurrent, Sequential};
/// let cell = Dropped::new(Mgu::new(8)).input(0.2).states([0.1]).per_sequence(true);
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(cell)).build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// The cell.
    pub inner: Box<CellConfig>,
    /// The rate of the input. Default 0.
    #[serde(default)]
    pub input: f64,
    /// The rate of each state, or one for all. Default none are dropped.
    #[serde(default)]
    pub states: Vec<f64>,
    /// Whether what is dropped is drawn once for a sequence, and not at every step. Default false.
    #[serde(default)]
    pub per_sequence: bool,
}

impl Dropped {
    /// Around this cell, without dropping anything yet.
    pub fn new(inner: impl Into<CellConfig>) -> Self {
        Self { inner: Box::new(inner.into()), input: 0.0, states: Vec::new(), per_sequence: false }
    }

    /// The rate of the input.
    pub fn input(self, input: f64) -> Self {
        Self { input, ..self }
    }

    /// The rate of each state, or one for all.
    pub fn states(self, states: impl Into<Vec<f64>>) -> Self {
        Self { states: states.into(), ..self }
    }

    /// Whether what is dropped is drawn once for a sequence.
    pub fn per_sequence(self, per_sequence: bool) -> Self {
        Self { per_sequence, ..self }
    }
}

impl BuildCell for Dropped {
    type Built<T: Element> = DroppedCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<DroppedCell<T>, Error> {
        let inner = self.inner.boxed::<T>(input, rng)?;
        let states = rates("dropped", "states", &self.states, inner.state_shapes().len())?;
        let mut rates = rates("dropped", "input", &[self.input], 1)?;
        rates.extend(states);
        Ok(DroppedCell { inner, rates, per_sequence: self.per_sequence })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// What [`Dropped`] builds.
pub struct DroppedCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
    /// The rates of the input, and of each state.
    pub rates: Vec<f64>,
    /// Whether what is dropped is drawn once for a sequence.
    pub per_sequence: bool,
}
module!(DroppedCell<T> { inner } rest { rates, per_sequence });

impl<T: Element> DroppedCell<T> {
    /// The number of masks of input and states: held, and of each step.
    fn masks(&self) -> [usize; 2] {
        let count = self.rates.iter().filter(|&&rate| rate > 0.0).count();
        if self.per_sequence { [count, 0] } else { [0, count] }
    }
}

impl<T: Element> Cell<T> for DroppedCell<T> {
    as_inner! { input_shape state_shapes output output_shape }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.inner.step(x, state)
    }

    fn noises(&self) -> [usize; 2] {
        let (own, inner) = (self.masks(), self.inner.noises());
        [0, 1].map(|kind| own[kind] + inner[kind])
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let mut own = Noise::none();
        let lead: &[usize] = if self.per_sequence { &[batch] } else { &[batch, time] };
        let masks = if self.per_sequence { &mut own.held } else { &mut own.each };
        let shapes = [self.input_shape()].into_iter().chain(self.state_shapes());
        for (shape, &rate) in shapes.zip(&self.rates).filter(|(_, rate)| **rate > 0.0) {
            let shape: Shape = lead.iter().chain(shape.iter()).copied().collect();
            masks.push(tape.dropout_mask(shape, rate, rng).value());
        }
        own.and(self.inner.draw(tape, batch, time, rng))
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let Split { own, inner } = Split::of(noise, self.masks(), self.inner.noises());
        let mut own = own.into_iter();
        let mut thinned = Noises::new();
        for (value, &rate) in [x].iter().chain(state).zip(&self.rates) {
            thinned.push(if rate > 0.0 { own.next().map_or(*value, |mask| *value * mask) } else { *value });
        }
        let [x, state @ ..] = &thinned[..] else { unreachable!("there is an input") };
        step_with(&self.inner, *x, state, &inner)
    }
}
