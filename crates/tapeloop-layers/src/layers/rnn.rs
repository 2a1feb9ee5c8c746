//! The configuration of a layer that repeats any cell.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Checkpoint, Element, Rng, Shape};

use super::Config;
use crate::{Cell, CellConfig, Constraint, Error, Layer, Regularizer, Rnn};

/// The configuration of a layer that repeats a cell over time: Keras' `RNN(cell, …)` with its defaults.
///
/// ```
/// use tapeloop_layers::{Dense, Gru, Lstm, Recurrent, Sequential, Stacked, Zoneout};
/// let model = Sequential::new([None, Some(3)])
///     .add(Recurrent::new(Zoneout::new(Lstm::new(8), 0.1)).return_sequences(true))
///     .add(Recurrent::new(Stacked::new([Lstm::new(8).into(), Gru::new(4).into()])))
///     .add(Dense::new(1))
///     .build::<f32>(0)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// The cell.
    pub cell: CellConfig,
    /// Draws from a generator of the layer's own, which a pass forks by this number. Default none: from the pass's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Penalties of weights, by the names they end in, as `recurrent_kernel` or `cells.0.kernel`. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regularizers: BTreeMap<String, Regularizer>,
    /// What weights are projected to, by the names they end in. Default none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub constraints: BTreeMap<String, Constraint>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// Every step's output instead of the last one's. Default false.
    #[serde(default)]
    pub return_sequences: bool,
    /// Also the last states. Default false.
    #[serde(default)]
    pub return_state: bool,
    /// Also the states after every step. Default false.
    #[serde(default)]
    pub return_state_sequences: bool,
    /// From the last step to the first. Default false.
    #[serde(default)]
    pub go_backwards: bool,
    /// Each call starts from the states the last one ended with. Default false.
    #[serde(default)]
    pub stateful: bool,
    /// Steps that a mask leaves out put out 0 instead of the output before them. Default false.
    #[serde(default)]
    pub zero_output_for_mask: bool,
    /// Records every step on the tape instead of one loop, with the same result. Default false.
    #[serde(default)]
    pub unroll: bool,
    /// Keeps only some of the loop's states for the backward pass. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// Gradients end at every so many steps: truncated backpropagation through time. Default none: at the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated_bptt: Option<NonZeroUsize>,
}

impl Recurrent {
    /// Around this cell, with the defaults.
    pub fn new(cell: impl Into<CellConfig>) -> Self {
        Self {
            cell: cell.into(),
            seed: None,
            regularizers: BTreeMap::new(),
            constraints: BTreeMap::new(),
            activity_regularizer: None,
            return_sequences: false,
            return_state: false,
            return_state_sequences: false,
            go_backwards: false,
            stateful: false,
            zero_output_for_mask: false,
            unroll: false,
            checkpoint: None,
            truncated_bptt: None,
        }
    }

    /// Draws from a generator of the layer's own, which a pass forks by this number.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// A penalty of the weights whose names end so.
    pub fn regularizer(mut self, weight: impl Into<String>, regularizer: Regularizer) -> Self {
        self.regularizers.insert(weight.into(), regularizer);
        self
    }

    /// What the weights whose names end so are projected to after every step of an optimizer.
    pub fn constraint(mut self, weight: impl Into<String>, constraint: Constraint) -> Self {
        self.constraints.insert(weight.into(), constraint);
        self
    }

    /// A penalty of the output, divided by the batch.
    pub fn activity_regularizer(self, regularizer: Regularizer) -> Self {
        Self { activity_regularizer: Some(regularizer), ..self }
    }

    super::recurrent::time_setters!();

    /// A layer with fresh weights for a step's input of this shape.
    ///
    /// # Errors
    /// If the cell cannot be built so, or a regularizer or constraint suits no weight.
    pub fn try_layer<T: Element>(
        &self,
        input: impl Into<Shape>,
        rng: &mut Rng,
    ) -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
        let mut rules = self.cell.rules().activity(self.activity_regularizer);
        for (weight, regularizer) in &self.regularizers {
            rules = rules.regularizer(weight.clone(), *regularizer);
        }
        for (weight, constraint) in &self.constraints {
            rules = rules.constraint(weight.clone(), constraint.clone());
        }
        Rnn::new(self.cell.boxed(&input.into(), rng)?, self.options()).ruled("rnn", rules)
    }
}

impl Config for Recurrent {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        Ok(Box::new(self.recurrent::<T>(input, rng)?))
    }

    fn recurrent<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Rnn<T, Box<dyn Cell<T>>>, Error> {
        let [_, step @ ..] = input else {
            return Err(Error::config("rnn", "needs time behind the batch"));
        };
        let Some(step) = step.iter().copied().collect::<Option<Shape>>() else {
            return Err(Error::config("rnn", "the shape of a step's input must be known"));
        };
        self.try_layer(step, rng)
    }
}
