//! Dropout: in training, each element 0 with probability `rate`, else scaled up.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, StreamBuilder, Var, module};

use super::{Config, streamed};
use crate::Error;
use crate::layer::{Axes, Layer, Masked, Pass};

/// The configuration of a dropout layer: Keras' `Dropout(rate)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dropout {
    /// The probability of 0.
    pub rate: f64,
}

impl Dropout {
    /// Dropout at this rate.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl Config for Dropout {
    fn build<T: Element>(&self, _: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::config("dropout", format!("a rate of {} is not in 0..=1", self.rate)));
        }
        Ok(Box::new(DropoutLayer { rate: self.rate }))
    }
}

/// Dropout in training, the identity otherwise.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{DropoutLayer, Layer, Pass};
/// let dropout = DropoutLayer { rate: 0.5 };
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::<f32>::ones([4]));
/// assert_eq!(dropout.forward(x, &mut Pass::inference()).value().to_vec(), [1.0; 4]);
/// let y = dropout.forward(x, &mut Pass::training(1)).value();
/// assert!(y.to_vec().iter().all(|&y| y == 0.0 || y == 2.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DropoutLayer {
    /// The probability of 0.
    pub rate: f64,
}

module!(DropoutLayer for T {} rest { rate });

impl<T: Element> Layer<T> for DropoutLayer {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        if pass.training { x.dropout(self.rate, &mut pass.rng) } else { x }
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        Masked { value: self.forward(x.value, pass), ..x }
    }

    fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
        masked[0]
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        Ok(input.to_vec())
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        streamed("dropout", self, stream)
    }
}
