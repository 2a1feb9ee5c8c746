//! Dropout of a cell's input and of its state, the same at every step.

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Param, Rng, Tape, Var};

use crate::{Error, Noise};

/// What a cell drops in training (Gal & Ghahramani 2016): features of its input and units of its state, where they meet
/// the weights. What is dropped is drawn once for a sequence, and is the same at every step.
///
/// What stays is divided by the probability to stay, so that inference does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Variational {
    /// The probability with which a feature of the input is dropped.
    pub dropout: f64,
    /// The probability with which a unit of the state is dropped.
    pub recurrent_dropout: f64,
    /// Draws for every gate anew; always so with recurrent dropout, as in Keras.
    pub per_gate: bool,
}

/// The masks of a step: none, one for all gates, or one for each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masks<'n, 't, T: Element> {
    /// Of the input.
    pub(crate) input: &'n [Var<'t, T>],
    /// Of the state.
    pub(crate) state: &'n [Var<'t, T>],
}

impl Variational {
    /// The number of masks of the input and of the state, for a cell with so many gates.
    fn counts(&self, gates: usize) -> [usize; 2] {
        let each = if self.per_gate || self.recurrent_dropout > 0.0 { gates } else { 1 };
        [self.dropout, self.recurrent_dropout].map(|rate| if rate > 0.0 { each } else { 0 })
    }

    /// The number of all masks.
    pub(crate) fn count(&self, gates: usize) -> usize {
        self.counts(gates).iter().sum()
    }

    /// The masks of one pass: those of the input, then those of the state.
    pub(crate) fn draw<T: Element>(
        &self,
        gates: usize,
        [input, state]: [&[usize]; 2],
        tape: &Tape<T>,
        rng: &mut Rng,
    ) -> Noise<T> {
        let [inputs, states] = self.counts(gates);
        let mut held = SmallVec::new();
        held.extend((0..inputs).map(|_| tape.dropout_mask(input, self.dropout, rng).value()));
        held.extend((0..states).map(|_| tape.dropout_mask(state, self.recurrent_dropout, rng).value()));
        Noise { held, ..Noise::none() }
    }

    /// The masks of a step with this noise.
    pub(crate) fn masks<'n, 't, T: Element>(&self, gates: usize, noise: &'n [Var<'t, T>]) -> Masks<'n, 't, T> {
        let [inputs, states] = self.counts(gates);
        let (input, state) = noise.split_at(inputs.min(noise.len()));
        Masks { input, state: &state[..states.min(state.len())] }
    }

    /// # Errors
    /// If a rate is no probability.
    pub(crate) fn check(&self, layer: &str) -> Result<(), Error> {
        for (name, rate) in [("dropout", self.dropout), ("recurrent_dropout", self.recurrent_dropout)] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(Error::config(layer, format!("{name}: a rate of {rate} is not in 0..=1")));
            }
        }
        Ok(())
    }
}

/// x as gate `k` sees it.
#[track_caller]
pub(crate) fn dropped<'t, T: Element>(x: Var<'t, T>, masks: &[Var<'t, T>], k: usize) -> Var<'t, T> {
    match masks {
        [] => x,
        [mask] => x * *mask,
        masks => x * masks[k],
    }
}

/// x W, where every gate's part of W, side by side, meets x as the gate sees it.
#[track_caller]
pub(crate) fn product<'t, T: Element>(x: Var<'t, T>, masks: &[Var<'t, T>], kernel: &Param<T>) -> Var<'t, T> {
    let gates = masks.len();
    if gates < 2 {
        return dropped(x, masks, 0).matmul(kernel);
    }
    let kernel = x.tape().param(kernel);
    let width = (kernel.dim(-1) / gates) as isize;
    let mut parts: SmallVec<[Var<'t, T>; 4]> = SmallVec::new();
    let mut start = 0;
    for mask in masks {
        parts.push((x * *mask).matmul(kernel.slice(-1, start..start + width)));
        start += width;
    }
    Var::concat(parts, -1)
}
