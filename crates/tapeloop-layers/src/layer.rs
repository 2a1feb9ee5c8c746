//! A layer: values to values. What a model is a sequence of.

use tapeloop_autograd::{Element, Module, Rng, StreamBuilder, Var};

use crate::Error;

/// What one pass through a model is for.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Whether dropout and the like act.
    pub training: bool,
    /// What they draw from.
    pub rng: Rng,
}

impl Pass {
    /// A training pass: random choices follow from `seed` alone.
    pub fn training(seed: u64) -> Self {
        Self { training: true, rng: Rng::new(seed) }
    }

    /// A pass that makes no random choices.
    pub fn inference() -> Self {
        Self { training: false, rng: Rng::new(0) }
    }
}

/// The lengths of a value's axes behind the batch; `None` where any length will do.
pub type Axes = Vec<Option<usize>>;

/// A layer with its weights.
pub trait Layer<T: Element>: Module<T> + Send {
    /// The output for an input (batch, …).
    ///
    /// # Panics
    /// If the shape does not suit: [`output_shape`](Self::output_shape) says beforehand.
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T>;

    /// The shape of the output, both without the batch axis.
    ///
    /// # Errors
    /// If the layer cannot take such an input.
    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error>;

    /// Whether the layer can take this very value, beyond what its configuration says of shapes. Only what needs numbers
    /// reads them: a model may be part of a step that is traced.
    ///
    /// # Errors
    /// With what is wrong.
    fn check(&self, _: Var<'_, T>) -> Result<(), Error> {
        Ok(())
    }

    /// Forgets what is carried from call to call.
    fn reset_state(&self) {}

    /// Appends to a stream what the layer does to one step of time, in inference.
    ///
    /// # Errors
    /// If it needs more of time than the past, or does what streams do not know. So does a layer that does not say.
    fn stream(&self, _: &mut StreamBuilder<T>) -> Result<(), Error> {
        Err(Error::config("", "it cannot be streamed: it takes all of time at once"))
    }
}
