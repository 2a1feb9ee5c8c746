//! An activation as a layer of its own.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, StreamBuilder, Var, module};

use super::{Config, streamed};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Activation, Error};

/// An activation: Keras' `Activation(name)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Activation, ActivationLayer, Layer, Pass};
/// let relu = ActivationLayer::new(Activation::Relu);
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([-1.0f32, 2.0]));
/// assert_eq!(relu.forward(x, &mut Pass::inference()).value().to_vec(), [0.0, 2.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivationLayer {
    /// The function.
    pub activation: Activation,
}

impl ActivationLayer {
    /// A layer that applies this function.
    pub fn new(activation: Activation) -> Self {
        Self { activation }
    }
}

impl Config for ActivationLayer {
    fn build<T: Element>(&self, _: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        Ok(Box::new(*self))
    }
}

/// Why there is no nearest point.
const NO_POINT: &str = "an axis of length 0, on which sparsemax has no point";

module!(ActivationLayer for T {} rest { activation });

impl<T: Element> Layer<T> for ActivationLayer {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        self.activation.apply(x)
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        Masked { value: self.forward(x.value, pass), ..x }
    }

    fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
        masked[0]
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        match (self.activation, input) {
            (Activation::Glu, [lead @ .., Some(n)]) if n.is_multiple_of(2) => {
                Ok(lead.iter().copied().chain([Some(n / 2)]).collect())
            }
            (Activation::Glu, _) => Err(Error::config("activation", "glu needs a last axis of even length")),
            (row_wise, []) if row_wise.is_row_wise() => {
                Err(Error::config("activation", format!("{row_wise} goes along a last axis behind the batch")))
            }
            (Activation::Sparsemax, [.., Some(0)]) => Err(Error::config("activation", NO_POINT)),
            _ => Ok(input.to_vec()),
        }
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        match (self.activation, x.shape().last()) {
            (Activation::Sparsemax, Some(0)) => Err(Error::input("a last axis of at least 1", NO_POINT)),
            _ => Ok(()),
        }
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        streamed("activation", self, stream)
    }
}
