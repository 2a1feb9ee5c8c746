//! Dropout of a cell's weights.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Element, Param, Path, Rng, Shape, Tape, Var, module};

use crate::cell::{Split, step_with};
use crate::cells::config::as_inner;
use crate::{BuildCell, Cell, CellConfig, Error, Noise, Rules, State};

/// DropConnect of a cell's recurrent weights (Merity et al. 2017, arXiv:1708.02182): each is 0 in training with this
/// probability, the same ones at every step and for every row, and divided by the probability to stay otherwise.
///
/// ```text
/// U ← U ∘ m / (1 − rate),   m ~ Bernoulli(1 − rate), once for a sequence
/// ```
///
/// ```
/// use tapeloop_layers::{Lstm, Recurrent, Sequential, WeightDropped};
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(WeightDropped::new(Lstm::new(8), 0.5))).build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightDropped {
    /// The cell.
    pub inner: Box<CellConfig>,
    /// The probability. In the paper 0.5.
    pub rate: f64,
    /// The ends of the weights' names. Default `recurrent_kernel`.
    #[serde(default = "recurrent")]
    pub weights: Vec<String>,
}

fn recurrent() -> Vec<String> {
    vec!["recurrent_kernel".into()]
}

impl WeightDropped {
    /// Around this cell, of its recurrent kernel.
    pub fn new(inner: impl Into<CellConfig>, rate: f64) -> Self {
        Self { inner: Box::new(inner.into()), rate, weights: recurrent() }
    }

    /// Which weights are dropped, by the ends of their names.
    pub fn weights<N: Into<String>>(self, weights: impl IntoIterator<Item = N>) -> Self {
        Self { weights: weights.into_iter().map(Into::into).collect(), ..self }
    }
}

impl BuildCell for WeightDropped {
    type Built<T: Element> = WeightDroppedCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<WeightDroppedCell<T>, Error> {
        let inner = self.inner.boxed::<T>(input, rng)?;
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::config("weight_dropped", format!("a rate of {} is not in 0..=1", self.rate)));
        }
        let names = inner.params();
        for wanted in &self.weights {
            if !names.iter().any(|(name, _)| crate::rules::ends(name, wanted)) {
                let names: Vec<_> = names.iter().map(|(name, _)| name.as_str()).collect();
                let problem = format!("weights: there is no `{wanted}`; there are {}", names.join(", "));
                return Err(Error::config("weight_dropped", problem));
            }
        }
        let dropped = names.iter().map(|(name, _)| self.weights.iter().any(|wanted| crate::rules::ends(name, wanted)));
        let dropped = dropped.collect();
        Ok(WeightDroppedCell { dropped, inner, rate: self.rate })
    }

    fn rules(&self) -> Rules {
        self.inner.rules().within("inner")
    }
}

/// What [`WeightDropped`] builds.
pub struct WeightDroppedCell<T: Element = f32> {
    /// The cell.
    pub inner: Box<dyn Cell<T>>,
    /// The probability with which a weight is 0.
    pub rate: f64,
    /// Which of the cell's parameters are dropped, in their order.
    pub dropped: Vec<bool>,
}
module!(WeightDroppedCell<T> { inner } rest { rate, dropped });

impl<T: Element> WeightDroppedCell<T> {
    /// The parameters that are dropped.
    fn weights(&self) -> SmallVec<[&Param<T>; 4]> {
        let (mut weights, mut place) = (SmallVec::new(), 0);
        self.inner.visit(&mut Path::default(), &mut |_, param| {
            if self.rate > 0.0 && self.dropped.get(place) == Some(&true) {
                weights.push(param);
            }
            place += 1;
        });
        weights
    }
}

impl<T: Element> Cell<T> for WeightDroppedCell<T> {
    as_inner! { input_shape state_shapes output output_shape }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.inner.step(x, state)
    }

    fn noises(&self) -> [usize; 2] {
        let [held, each] = self.inner.noises();
        [held + self.weights().len(), each]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let mut own = Noise::none();
        for weight in self.weights() {
            own.held.push(tape.dropout_mask(weight.value().shape(), self.rate, rng).value());
        }
        own.and(self.inner.draw(tape, batch, time, rng))
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let weights = self.weights();
        let Split { own, inner } = Split::of(noise, [weights.len(), 0], self.inner.noises());
        let tape = x.tape();
        let mut thinned = SmallVec::<[(&Param<T>, Var<'t, T>); 4]>::new();
        for (weight, mask) in weights.into_iter().zip(own) {
            thinned.push((weight, tape.param(weight) * mask));
        }
        tape.with_params(&thinned, || step_with(&self.inner, x, state, &inner))
    }
}
