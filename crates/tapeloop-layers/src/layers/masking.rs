//! y = x at steps that count, else 0; those do whose features are not all the mask value

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Var, module};

use super::Config;
use crate::Error;
use crate::layer::{Axes, Layer, Masked, Pass};

/// Steps all of whose features are `mask_value` do not count for the layers behind: Keras' `Masking(mask_value)`. It is
/// its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Masking, Pass};
/// let masking = Masking::new(-1.0);
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[[1.0f32, -1.0], [-1.0, -1.0]]])); // batch, time, features
/// let y = masking.forward_masked(x.into(), &mut Pass::inference());
/// assert_eq!(y.value.value().to_vec(), [1.0, -1.0, 0.0, 0.0]);
/// assert_eq!(y.mask.unwrap().value().to_vec(), [1.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Masking {
    /// What padding is filled with. Default 0.
    pub mask_value: f64,
}

impl Masking {
    /// Steps of nothing but `mask_value` do not count.
    pub fn new(mask_value: f64) -> Self {
        Self { mask_value }
    }
}

impl Config for Masking {
    fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        match input {
            [_, _, ..] => Ok(Box::new(*self)),
            _ => Err(Error::config("masking", "needs (time, features) behind the batch")),
        }
    }
}

module!(Masking for T {} rest { mask_value });

impl<T: Element> Layer<T> for Masking {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        self.forward_masked(x.into(), pass).value
    }

    /// As in Keras, whatever counted before.
    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, _: &mut Pass) -> Masked<'t, T> {
        let Masked { value: x, penalty, .. } = x;
        let counts = x.ne(self.mask_value).any(&[-1], true);
        // Selected, not multiplied: padding may be infinite.
        Masked { value: counts.if_else(x, 0.0), mask: Some(counts.squeeze(-1)), penalty }
    }

    fn output_mask(&self, _: usize, _: &[bool]) -> bool {
        true
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        Ok(input.to_vec())
    }
}
