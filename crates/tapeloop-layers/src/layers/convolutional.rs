//! What the configurations of convolutional recurrent layers share.

use tapeloop_autograd::Shape;

use crate::Error;

/// The shape of a step's input, if a layer over grids of `axes` axes can take it.
pub(super) fn step_shape(layer: &str, axes: usize, input: &[Option<usize>]) -> Result<Shape, Error> {
    let step = match input {
        [_, step @ ..] if step.len() == axes + 1 => step,
        _ => {
            let problem =
                format!("needs (time, a grid of {axes} axes, channels) behind the batch, got {} axes", input.len());
            return Err(Error::config(layer, problem));
        }
    };
    let unknown = || Error::config(layer, "the lengths of the grid and the number of channels must be known");
    step.iter().copied().collect::<Option<Shape>>().ok_or_else(unknown)
}

/// The builder methods of a configuration over grids, and how it becomes a layer.
macro_rules! convolutional {
    ($config:ident, $cell:ident, $name:literal) => {
        $crate::layers::recurrent::settings!([const N: usize] $config<N>);

        impl<const N: usize> $config<N> {
            /// The default configuration with this many filters, and a window of these lengths.
            pub fn new(filters: usize, kernel_size: impl Into<$crate::PerAxis>) -> Self {
                Self { filters, kernel_size: kernel_size.into(), ..Self::default() }
            }

            /// From one window over the input to the next.
            pub fn strides(self, strides: impl Into<$crate::PerAxis>) -> Self {
                Self { strides: strides.into(), ..self }
            }

            /// What is around the input's grid.
            pub fn padding(self, padding: $crate::Padding) -> Self {
                Self { padding, ..self }
            }

            /// Where the channels lie.
            pub fn data_format(self, data_format: $crate::DataFormat) -> Self {
                Self { data_format, ..self }
            }

            /// From one place of the input's window to the next.
            pub fn dilation_rate(self, dilation_rate: impl Into<$crate::PerAxis>) -> Self {
                Self { dilation_rate: dilation_rate.into(), ..self }
            }

            /// What is applied to the gates.
            pub fn recurrent_activation(self, recurrent_activation: $crate::Activation) -> Self {
                Self { recurrent_activation, ..self }
            }

            fn name() -> String {
                format!("{}{N}d", $name)
            }

            /// A cell with fresh weights for inputs of this shape.
            ///
            /// # Panics
            /// Where [`try_cell`](Self::try_cell) returns an error.
            #[track_caller]
            pub fn cell<T: tapeloop_autograd::Element>(
                &self,
                input: impl Into<tapeloop_autograd::Shape>,
                rng: &mut tapeloop_autograd::Rng,
            ) -> $cell<T> {
                match self.try_cell(input, rng) {
                    Ok(cell) => cell,
                    Err(error) => panic!("{error}"),
                }
            }

            /// A layer with fresh weights for inputs of this shape at every step.
            ///
            /// # Panics
            /// As [`cell`](Self::cell), and if a regularizer or constraint does not suit its weight.
            #[track_caller]
            pub fn layer<T: tapeloop_autograd::Element>(
                &self,
                input: impl Into<tapeloop_autograd::Shape>,
                rng: &mut tapeloop_autograd::Rng,
            ) -> $crate::Rnn<T, $cell<T>> {
                match $crate::Rnn::new(self.cell(input, rng), self.options()).ruled(&Self::name(), self.rules()) {
                    Ok(layer) => layer,
                    Err(error) => panic!("{error}"),
                }
            }
        }

        impl<const N: usize> $crate::cells::BuildCell for $config<N> {
            type Built<T: tapeloop_autograd::Element> = $cell<T>;

            fn cell_for<T: tapeloop_autograd::Element>(
                &self,
                input: &tapeloop_autograd::Shape,
                rng: &mut tapeloop_autograd::Rng,
            ) -> Result<$cell<T>, $crate::Error> {
                $crate::layers::recurrent::of_a_cell(&Self::name(), self.options(), self.activity_regularizer)?;
                self.try_cell(input, rng)
            }

            fn rules(&self) -> $crate::Rules {
                self.rules()
            }
        }

        impl<const N: usize> $crate::layers::Config for $config<N> {
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
                let input = $crate::layers::convolutional::step_shape(&Self::name(), N, input)?;
                let layer = $crate::layers::recurrent::boxed(self.try_cell::<T>(input, rng)?, self.options());
                layer.ruled(&Self::name(), self.rules())
            }
        }
    };
}
pub(super) use convolutional;
