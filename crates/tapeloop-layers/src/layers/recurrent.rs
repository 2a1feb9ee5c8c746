//! What the configurations of all recurrent layers share.

use tapeloop_autograd::Element;

use super::{features, positive};
use crate::{Cell, Error, Regularizer, Rnn, RnnOptions};

/// The width of the input's features, if a recurrent layer can take such an input.
pub(super) fn input_width(layer: &str, units: usize, input: &[Option<usize>]) -> Result<usize, Error> {
    positive(layer, "units", units)?;
    match input {
        [_, _] => features(layer, input),
        _ => Err(Error::config(layer, format!("needs (time, features) behind the batch, got {} axes", input.len()))),
    }
}

/// The rule for Keras' `implementation`.
pub(super) fn implementation(layer: &str, implementation: u8) -> Result<(), Error> {
    match implementation {
        1 | 2 => Ok(()),
        other => Err(Error::config(layer, format!("implementation: there are 1 and 2, got {other}"))),
    }
}

/// The rule for a configuration that is that of a cell within another: what is the layer's is left as it is.
pub(super) fn of_a_cell(cell: &str, options: RnnOptions, activity: Option<Regularizer>) -> Result<(), Error> {
    if options == RnnOptions::default() && activity.is_none() {
        return Ok(());
    }
    let problem =
        "how it runs over time, its seed and its activity_regularizer are settings of the layer around the cell";
    Err(Error::config(cell, problem))
}

/// The layer that repeats `cell`, whichever it is.
pub(super) fn boxed<T: Element>(cell: impl Cell<T> + 'static, options: RnnOptions) -> Rnn<T, Box<dyn Cell<T>>> {
    Rnn::new(Box::new(cell), options)
}

/// How a layer runs over time, as builder methods.
macro_rules! time_setters {
    () => {
        /// Returns every step's output instead of the last one's.
        pub fn return_sequences(self, return_sequences: bool) -> Self {
            Self { return_sequences, ..self }
        }

        /// Also returns the last states.
        pub fn return_state(self, return_state: bool) -> Self {
            Self { return_state, ..self }
        }

        /// Also returns the states after every step.
        pub fn return_state_sequences(self, return_state_sequences: bool) -> Self {
            Self { return_state_sequences, ..self }
        }

        /// Runs from the last step to the first; outputs are in the order of processing.
        pub fn go_backwards(self, go_backwards: bool) -> Self {
            Self { go_backwards, ..self }
        }

        /// Carries the states from one call to the next.
        pub fn stateful(self, stateful: bool) -> Self {
            Self { stateful, ..self }
        }

        /// Steps that a mask leaves out put out 0 instead of the output before them.
        pub fn zero_output_for_mask(self, zero_output_for_mask: bool) -> Self {
            Self { zero_output_for_mask, ..self }
        }

        /// Records every step on the tape instead of one loop.
        pub fn unroll(self, unroll: bool) -> Self {
            Self { unroll, ..self }
        }

        /// Keeps only some of the loop's states for the backward pass, and computes what lies between again: less
        /// memory for more time.
        pub fn checkpoint(self, checkpoint: tapeloop_autograd::Checkpoint) -> Self {
            Self { checkpoint: Some(checkpoint), ..self }
        }

        /// Ends gradients at every so many steps, counted from the first one processed: truncated backpropagation through
        /// time.
        ///
        /// # Panics
        /// If that is 0.
        #[track_caller]
        pub fn truncated_bptt(self, steps: usize) -> Self {
            let steps =
                std::num::NonZeroUsize::new(steps).expect("truncated_bptt: gradients cannot end at every 0 steps");
            Self { truncated_bptt: Some(steps), ..self }
        }

        /// How the layer runs over time.
        pub fn options(&self) -> $crate::RnnOptions {
            let Self { return_sequences, return_state, return_state_sequences, go_backwards, stateful, .. } = *self;
            let Self { zero_output_for_mask, unroll, checkpoint, truncated_bptt, seed, .. } = *self;
            $crate::RnnOptions {
                return_sequences,
                return_state,
                return_state_sequences,
                go_backwards,
                stateful,
                zero_output_for_mask,
                unroll,
                checkpoint,
                truncated_bptt,
                seed,
            }
        }
    };
}
pub(super) use time_setters;

/// The keyword arguments that every Keras recurrent layer shares, as builder methods.
macro_rules! settings {
    ([$($generics:tt)*] $config:ty) => {
        impl<$($generics)*> $config {
            /// What is applied to the candidate.
            pub fn activation(self, activation: $crate::Activation) -> Self {
                Self { activation, ..self }
            }

            /// Whether the layer has a bias.
            pub fn use_bias(self, use_bias: bool) -> Self {
                Self { use_bias, ..self }
            }

            /// What `kernel` starts from.
            pub fn kernel_initializer(self, kernel_initializer: $crate::Initializer) -> Self {
                Self { kernel_initializer, ..self }
            }

            /// What `recurrent_kernel` starts from.
            pub fn recurrent_initializer(self, recurrent_initializer: $crate::Initializer) -> Self {
                Self { recurrent_initializer, ..self }
            }

            /// What `bias` starts from.
            pub fn bias_initializer(self, bias_initializer: $crate::Initializer) -> Self {
                Self { bias_initializer, ..self }
            }

            /// Drops features of the input in training with this probability, the same ones at every step.
            pub fn dropout(self, dropout: f64) -> Self {
                Self { dropout, ..self }
            }

            /// Drops units of the state in training with this probability, the same ones at every step.
            pub fn recurrent_dropout(self, recurrent_dropout: f64) -> Self {
                Self { recurrent_dropout, ..self }
            }

            /// Draws from a generator of the layer's own, which a pass forks by this number.
            pub fn seed(self, seed: u64) -> Self {
                Self { seed: Some(seed), ..self }
            }

            fn variational(&self, per_gate: bool) -> $crate::Variational {
                let Self { dropout, recurrent_dropout, .. } = *self;
                $crate::Variational { dropout, recurrent_dropout, per_gate }
            }

            $crate::layers::rule_setters! {
                kernel: kernel_regularizer, kernel_constraint;
                recurrent_kernel: recurrent_regularizer, recurrent_constraint;
                bias: bias_regularizer, bias_constraint;
            }

            /// What the weights and outputs of a layer keep to.
            fn rules(&self) -> $crate::Rules {
                let bias = self.use_bias;
                $crate::Rules::new()
                    .regularizer("kernel", self.kernel_regularizer)
                    .regularizer("recurrent_kernel", self.recurrent_regularizer)
                    .regularizer("bias", self.bias_regularizer.filter(|_| bias))
                    .activity(self.activity_regularizer)
                    .constraint("kernel", self.kernel_constraint.clone())
                    .constraint("recurrent_kernel", self.recurrent_constraint.clone())
                    .constraint("bias", self.bias_constraint.clone().filter(|_| bias))
            }

            $crate::layers::recurrent::time_setters!();
        }
    };
}
pub(super) use settings;

/// Those, and how a configuration with units becomes a layer.
macro_rules! recurrent {
    ($config:ident, $cell:ident, $name:literal) => {
        $crate::layers::recurrent::settings!([] $config);

        impl $config {
            /// The default configuration with this many units.
            pub fn new(units: usize) -> Self {
                Self { units, ..Self::default() }
            }

            /// A cell with fresh weights for this many input features.
            ///
            /// # Panics
            /// Where [`try_cell`](Self::try_cell) returns an error.
            #[track_caller]
            pub fn cell<T: tapeloop_autograd::Element>(
                &self,
                input: usize,
                rng: &mut tapeloop_autograd::Rng,
            ) -> $cell<T> {
                let positive = $crate::layers::positive($name, "units", self.units);
                match positive.and_then(|()| self.try_cell(input, rng)) {
                    Ok(cell) => cell,
                    Err(error) => panic!("{error}"),
                }
            }

            /// A layer with fresh weights for this many input features.
            ///
            /// # Panics
            /// As [`cell`](Self::cell), and if a regularizer or constraint does not suit its weight.
            #[track_caller]
            pub fn layer<T: tapeloop_autograd::Element>(
                &self,
                input: usize,
                rng: &mut tapeloop_autograd::Rng,
            ) -> $crate::Rnn<T, $cell<T>> {
                match $crate::Rnn::new(self.cell(input, rng), self.options()).ruled($name, self.rules()) {
                    Ok(layer) => layer,
                    Err(error) => panic!("{error}"),
                }
            }
        }

        impl $crate::cells::BuildCell for $config {
            type Built<T: tapeloop_autograd::Element> = $cell<T>;

            fn cell_for<T: tapeloop_autograd::Element>(
                &self,
                input: &tapeloop_autograd::Shape,
                rng: &mut tapeloop_autograd::Rng,
            ) -> Result<$cell<T>, $crate::Error> {
                $crate::layers::recurrent::of_a_cell($name, self.options(), self.activity_regularizer)?;
                let axes: $crate::Axes = input.iter().map(|&n| Some(n)).collect();
                let [Some(width)] = axes[..] else {
                    let problem = format!("a step's input is a row of features, not of shape {input}");
                    return Err($crate::Error::config($name, problem));
                };
                $crate::layers::recurrent::input_width($name, self.units, &[None, Some(width)])?;
                self.try_cell(width, rng)
            }

            fn rules(&self) -> $crate::Rules {
                self.rules()
            }
        }

        impl $crate::layers::Config for $config {
            fn build<T: tapeloop_autograd::Element>(
                &self,
                input: &[Option<usize>],
                rng: &mut tapeloop_autograd::Rng,
            ) -> Result<Box<dyn $crate::Layer<T>>, $crate::Error> {
                Ok(Box::new(self.recurrent::<T>(input, rng)?))
            }

            fn recurrent<T: tapeloop_autograd::Element>(
                &self,
                input: &[Option<usize>],
                rng: &mut tapeloop_autograd::Rng,
            ) -> Result<$crate::Rnn<T, Box<dyn $crate::Cell<T>>>, $crate::Error> {
                let width = $crate::layers::recurrent::input_width($name, self.units, input)?;
                let layer = $crate::layers::recurrent::boxed(self.try_cell::<T>(width, rng)?, self.options());
                layer.ruled($name, self.rules())
            }
        }
    };
}
pub(super) use recurrent;
