//! Zoneout.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Tape, Var, module};

use crate::cell::{Split, step_with};
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Noise, Rules, State};

/// Zoneout (Krueger et al. 2016, arXiv:1606.01305) around any cell: a unit of a state keeps its value of the step before
/// with probability p, at every step anew. States, output and shapes are the cell's.
///
/// ```text
/// training: s′ = m ∘ s + (1 − m) ∘ s̃,   m ~ Bernoulli(p)
/// else:     s′ = p s + (1 − p) s̃
/// ```
///
/// where s̃ is the cell's next state. The paper's rates for an LSTM are 0.05 for h and 0.5 for c.
///
/// ```
/// use tapeloop_layers::{Lstm, Recurrent, Sequential, Zoneout};
/// let zoneout = Zoneout::new(Lstm::new(8), 0.05).rates([0.05, 0.5]);
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(zoneout)).build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zoneout {
    /// The cell.
    pub inner: Box<CellConfig>,
    /// p of each state, or one for all.
    pub rates: Vec<f64>,
}

impl Zoneout {
    /// Around this cell, with one rate for all states.
    pub fn new(inner: impl Into<CellConfig>, rate: f64) -> Self {
        Self { inner: Box::new(inner.into()), rates: vec![rate] }
    }

    /// A rate for each state.
    pub fn rates(self, rates: impl Into<Vec<f64>>) -> Self {
        Self { rates: rates.into(), ..self }
    }
}

impl BuildCell for Zoneout {
    type Built<T: Element> = ZoneoutCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ZoneoutCell<T>, Error> {
        let inner = self.inner.boxed::<T>(input, rng)?;
        let rates = rates("zoneout", "rates", &self.rates, inner.state_shapes().len())?;
        Ok(ZoneoutCell { inner, rates })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// So many probabilities: as they are given, or one for all, or none of anything.
pub(super) fn rates(wrapper: &str, setting: &str, given: &[f64], count: usize) -> Result<Vec<f64>, Error> {
    if let Some(rate) = given.iter().find(|rate| !(0.0..=1.0).contains(*rate)) {
        return Err(Error::config(wrapper, format!("{setting}: a rate of {rate} is not in 0..=1")));
    }
    match given {
        [] => Ok(vec![0.0; count]),
        [one] => Ok(vec![*one; count]),
        all if all.len() == count => Ok(all.into()),
        all => Err(Error::config(wrapper, format!("{setting}: {} of them for the {count} of its cell", all.len()))),
    }
}

/// What [`Zoneout`] builds.
pub struct ZoneoutCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
    /// p of each state.
    pub rates: Vec<f64>,
}
module!(ZoneoutCell<T> { inner } rest { rates });

impl<T: Element> Cell<T> for ZoneoutCell<T> {
    as_inner! { input_shape state_shapes output output_shape }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let next = self.inner.step(x, state);
        state.iter().zip(next).zip(&self.rates).map(|((&s, next), &p)| p * s + (1.0 - p) * next).collect()
    }

    fn noises(&self) -> [usize; 2] {
        let [held, each] = self.inner.noises();
        [held, each + self.rates.len()]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let mut own = Noise::none();
        for (shape, &p) in self.state_shapes().iter().zip(&self.rates) {
            let shape: Shape = [batch, time].iter().chain(shape.iter()).copied().collect();
            own.each.push(tape.bernoulli(shape, p, rng).value());
        }
        own.and(self.inner.draw(tape, batch, time, rng))
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let Split { own, inner } = Split::of(noise, [0, self.rates.len()], self.inner.noises());
        let next = step_with(&self.inner, x, state, &inner);
        state.iter().zip(next).zip(own).map(|((&s, next), m)| m.if_else(s, next)).collect()
    }
}
