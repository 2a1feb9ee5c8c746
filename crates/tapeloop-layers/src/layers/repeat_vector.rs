//! y[t] = x, for t in 0..n

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Var, module};

use super::Config;
use crate::Error;
use crate::layer::{Axes, Layer, Pass};

/// A vector as a sequence of `n` equal steps: Keras' `RepeatVector(n)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Pass, RepeatVector};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[1.0f32, 2.0]])); // batch, features
/// let y = RepeatVector::new(3).forward(x, &mut Pass::inference()).value();
/// assert_eq!(y.shape(), [1, 3, 2]);
/// assert_eq!(y.to_vec(), [1.0, 2.0].repeat(3));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatVector {
    /// The number of steps.
    pub n: usize,
}

impl RepeatVector {
    /// So many steps.
    pub fn new(n: usize) -> Self {
        Self { n }
    }
}

impl Config for RepeatVector {
    fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        Layer::<T>::output_shape(self, input)?;
        Ok(Box::new(*self))
    }
}

module!(RepeatVector for T {} rest { n });

impl<T: Element> Layer<T> for RepeatVector {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        let shape = x.shape();
        assert!(shape.rank() == 2, "repeat_vector: x has shape {shape}; it needs (batch, features)");
        x.unsqueeze(1).broadcast_to([shape[0], self.n, shape[1]])
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        match input {
            [features] => Ok(vec![Some(self.n), *features]),
            _ => Err(Error::config(
                "repeat_vector",
                format!("needs (features) behind the batch, got {} axes", input.len()),
            )),
        }
    }
}
