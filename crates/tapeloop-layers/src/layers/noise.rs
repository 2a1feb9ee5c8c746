//! Layers that act in training alone: `GaussianNoise`, `GaussianDropout`, `AlphaDropout`, `SpatialDropout1d`.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, StreamBuilder, Var, module};

use super::{Config, streamed};
use crate::Error;
use crate::layer::{Axes, Layer, Masked, Pass};

macro_rules! noise {
    ($(#[$doc:meta])* $config:ident { $(#[$field_doc:meta])* $field:ident } $name:literal, $masked:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $config {
            $(#[$field_doc])*
            pub $field: f64,
            /// Draws from a generator of the layer's own, which a pass forks by this number. Default none: from the pass's.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub seed: Option<u64>,
        }

        impl $config {
            /// With this strength, drawn from the pass.
            pub fn new($field: f64) -> Self {
                Self { $field, seed: None }
            }

            /// Draws from a generator of the layer's own, which a pass forks by this number.
            pub fn seed(self, seed: u64) -> Self {
                Self { seed: Some(seed), ..self }
            }
        }

        impl Config for $config {
            fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                self.rule(input)?;
                Ok(Box::new(*self))
            }
        }

        module!($config for T {} rest { $field, seed });

        impl<T: Element> Layer<T> for $config {
            #[track_caller]
            fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
                match (pass.training && self.$field > 0.0, self.seed) {
                    (false, _) => x,
                    (true, None) => self.disturbed(x, &mut pass.rng),
                    (true, Some(seed)) => self.disturbed(x, &mut pass.own(seed)),
                }
            }

            #[track_caller]
            fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
                Masked { value: self.forward(x.value, pass), mask: x.mask.filter(|_| $masked), ..x }
            }

            fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
                $masked && masked[0]
            }

            fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
                Ok(input.to_vec())
            }

            fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
                streamed($name, self, stream)
            }
        }
    };
}

/// The rule for a probability with which something is left over.
fn rate_below_one(layer: &str, rate: f64) -> Result<(), Error> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::config(layer, format!("a rate of {rate} is not in 0..1")))
}

/// Normal numbers of mean 0, as many as `x` has.
#[track_caller]
fn normal<'t, T: Element>(x: Var<'t, T>, std: f64, rng: &mut Rng) -> Var<'t, T> {
    x.tape().drawn(&x.shape(), || T::from_f64(std * rng.normal()))
}

noise! {
    /// x + n, where n is normal with this standard deviation, in training: Keras' `GaussianNoise(stddev)`. It is its own
    /// configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{GaussianNoise, Layer, Pass};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::<f32>::ones([1000]));
    /// let noise = GaussianNoise::new(0.5);
    /// assert_eq!(noise.forward(x, &mut Pass::inference()).value().to_vec(), [1.0; 1000]);
    /// assert!((noise.forward(x, &mut Pass::training(1)).std(&[0], 0.0, false).item() - 0.5).abs() < 0.05);
    /// ```
    GaussianNoise {
        /// The standard deviation.
        stddev
    } "gaussian_noise", true
}

impl GaussianNoise {
    fn rule(self, _: &[Option<usize>]) -> Result<(), Error> {
        if self.stddev >= 0.0 && self.stddev.is_finite() {
            return Ok(());
        }
        Err(Error::config("gaussian_noise", format!("a stddev of {} is none", self.stddev)))
    }

    #[track_caller]
    fn disturbed<'t, T: Element>(&self, x: Var<'t, T>, rng: &mut Rng) -> Var<'t, T> {
        x + normal(x, self.stddev, rng)
    }
}

noise! {
    /// x · n, where n is normal with mean 1 and standard deviation √(rate / (1 − rate)), in training: Keras'
    /// `GaussianDropout(rate)` (Srivastava et al. 2014). It is its own configuration.
    GaussianDropout {
        /// The rate of a dropout whose factors have this deviation.
        rate
    } "gaussian_dropout", true
}

impl GaussianDropout {
    fn rule(self, _: &[Option<usize>]) -> Result<(), Error> {
        rate_below_one("gaussian_dropout", self.rate)
    }

    #[track_caller]
    fn disturbed<'t, T: Element>(&self, x: Var<'t, T>, rng: &mut Rng) -> Var<'t, T> {
        x * (normal(x, (self.rate / (1.0 - self.rate)).sqrt(), rng) + 1.0)
    }
}

noise! {
    /// Each element with probability `rate` the least that SELU gives, then all scaled and shifted so that mean 0 and
    /// variance 1 stay, in training: Keras' `AlphaDropout(rate)` (Klambauer et al. 2017). It is its own configuration.
    AlphaDropout {
        /// The probability of the least value.
        rate
    } "alpha_dropout", true
}

impl AlphaDropout {
    fn rule(self, _: &[Option<usize>]) -> Result<(), Error> {
        rate_below_one("alpha_dropout", self.rate)
    }

    #[track_caller]
    fn disturbed<'t, T: Element>(&self, x: Var<'t, T>, rng: &mut Rng) -> Var<'t, T> {
        let rate = self.rate;
        // −λ α of SELU
        let least = -1.673_263_242_354_377_2 * 1.050_700_987_355_480_5;
        let a = ((1.0 - rate) * (1.0 + rate * least * least)).powf(-0.5);
        let b = -a * least * rate;
        let kept = x.tape().drawn(&x.shape(), || if rng.uniform() < rate { T::ZERO } else { T::ONE });
        kept.if_else(x, least) * a + b
    }
}

noise! {
    /// A feature of (time, features) 0 at all steps with probability `rate`, else divided by 1 − rate, in training: Keras'
    /// `SpatialDropout1D(rate)`. It is its own configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{Layer, Pass, SpatialDropout1d};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::<f32>::ones([2, 3, 4]));
    /// let y = SpatialDropout1d::new(0.5).forward(x, &mut Pass::training(1));
    /// assert_eq!(y.select(1, 0).value().to_vec(), y.select(1, 2).value().to_vec());
    /// ```
    SpatialDropout1d {
        /// The probability of 0.
        rate
    } "spatial_dropout1d", true
}

impl SpatialDropout1d {
    fn rule(self, input: &[Option<usize>]) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::config("spatial_dropout1d", format!("a rate of {} is not in 0..=1", self.rate)));
        }
        match input.len() {
            2 => Ok(()),
            n => Err(Error::config(
                "spatial_dropout1d",
                format!("needs (time, features) behind the batch, got {n} axes"),
            )),
        }
    }

    #[track_caller]
    fn disturbed<'t, T: Element>(&self, x: Var<'t, T>, rng: &mut Rng) -> Var<'t, T> {
        let shape = x.shape();
        assert!(shape.rank() == 3, "spatial_dropout1d: x has shape {shape}; it needs (batch, time, features)");
        x * x.tape().dropout_mask([shape[0], 1, shape[2]], self.rate, rng)
    }
}
