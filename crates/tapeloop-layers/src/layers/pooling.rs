//! Layers that make one step of several: `MaxPooling1d`, `AveragePooling1d`, and of all: `GlobalMaxPooling1d`,
//! `GlobalAveragePooling1d`.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Pad, Pool, Rng, Tensor, Var, module};

use super::{Config, positive};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{DataFormat, Error, Padding};

/// Which axis is time, and which are the channels.
fn places(data_format: DataFormat) -> [isize; 2] {
    match data_format {
        DataFormat::ChannelsLast => [1, 2],
        DataFormat::ChannelsFirst => [2, 1],
    }
}

/// Two axes behind the batch.
fn two(layer: &str, input: &[Option<usize>]) -> Result<[Option<usize>; 2], Error> {
    match input {
        [a, b] => Ok([*a, *b]),
        _ => Err(Error::config(layer, format!("needs (time, features) behind the batch, got {} axes", input.len()))),
    }
}

macro_rules! global_pooling {
    ($(#[$doc:meta])* $config:ident $name:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            /// Where the features lie. Default last.
            pub data_format: DataFormat,
            /// Whether time stays as an axis of length 1. Default false.
            pub keepdims: bool,
        }

        impl $config {
            /// With the features last, without time.
            pub fn new() -> Self {
                Self::default()
            }

            /// Where the features lie.
            pub fn data_format(self, data_format: DataFormat) -> Self {
                Self { data_format, ..self }
            }

            /// Whether time stays as an axis of length 1.
            pub fn keepdims(self, keepdims: bool) -> Self {
                Self { keepdims, ..self }
            }

            /// # Errors
            /// If there is another number of axes, or no step to take from.
            fn axes(self, input: &[Option<usize>]) -> Result<Axes, Error> {
                let axes = two($name, input)?;
                let [time, features] = places(self.data_format).map(|place| axes[place as usize - 1]);
                match (time, self.keepdims, self.data_format) {
                    (Some(0), ..) => Err(Error::config($name, "there is nothing to take of 0 steps")),
                    (_, false, _) => Ok(vec![features]),
                    (_, true, DataFormat::ChannelsLast) => Ok(vec![Some(1), features]),
                    (_, true, DataFormat::ChannelsFirst) => Ok(vec![features, Some(1)]),
                }
            }
        }

        impl Config for $config {
            fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                self.axes(input)?;
                Ok(Box::new(*self))
            }
        }

        module!($config for T {} rest { data_format, keepdims });

        impl<T: Element> Layer<T> for $config {
            #[track_caller]
            fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
                self.over_time(x.into())
            }

            #[track_caller]
            fn forward_masked<'t>(&self, x: Masked<'t, T>, _: &mut Pass) -> Masked<'t, T> {
                Masked { penalty: x.penalty, ..self.over_time(x).into() }
            }

            fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
                self.axes(input)
            }

            fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
                let known: Axes = x.shape()[1..].iter().map(|&n| Some(n)).collect();
                self.axes(&known).map(|_| ())
            }
        }
    };
}

global_pooling! {
    /// The mean of all steps that count: Keras' `GlobalAveragePooling1D`. A row without any is NaN, as in Keras. It is its
    /// own configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{GlobalAveragePooling1d, Layer, Masked, Pass};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f32], [3.0], [f32::NAN]]]));
    /// let y = GlobalAveragePooling1d::new().forward_masked(Masked::with_lengths(x, &[2]), &mut Pass::inference());
    /// assert_eq!(y.value.value().to_vec(), [2.0]);
    /// ```
    GlobalAveragePooling1d "global_average_pooling1d"
}

impl GlobalAveragePooling1d {
    /// With the features first, a mask is of their axis, and says nothing of time.
    #[track_caller]
    fn over_time<'t, T: Element>(&self, x: Masked<'t, T>) -> Var<'t, T> {
        let [time, _] = places(self.data_format);
        let mask = x.mask.filter(|_| self.data_format == DataFormat::ChannelsLast);
        let Some(mask) = mask else { return x.value.mean(&[time], self.keepdims) };
        let counts = mask.unsqueeze(2);
        let kept = counts.if_else(x.value, 0.0);
        kept.sum(&[time], self.keepdims) / counts.sum(&[time], self.keepdims)
    }
}

global_pooling! {
    /// The largest of all steps, feature by feature: Keras' `GlobalMaxPooling1D`. It knows nothing of masks, as there:
    /// padding counts. It is its own configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{GlobalMaxPooling1d, Layer, Pass};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f32, 5.0], [3.0, 2.0]]]));
    /// assert_eq!(GlobalMaxPooling1d::new().forward(x, &mut Pass::inference()).value().to_vec(), [3.0, 5.0]);
    /// ```
    GlobalMaxPooling1d "global_max_pooling1d"
}

impl GlobalMaxPooling1d {
    #[track_caller]
    fn over_time<'t, T: Element>(&self, x: Masked<'t, T>) -> Var<'t, T> {
        x.value.max(&[places(self.data_format)[0]], self.keepdims)
    }
}

macro_rules! pooling {
    ($(#[$doc:meta])* $config:ident $name:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            /// The steps of a window. Default 2.
            pub pool_size: usize,
            /// From one window to the next. Default the length of a window.
            pub strides: Option<usize>,
            /// What is around time. Default nothing.
            pub padding: Padding,
            /// Where the features lie. Default last.
            pub data_format: DataFormat,
        }

        impl Default for $config {
            fn default() -> Self {
                let (padding, data_format) = (Padding::Valid, DataFormat::ChannelsLast);
                Self { pool_size: 2, strides: None, padding, data_format }
            }
        }

        impl $config {
            /// Windows of this length, side by side.
            pub fn new(pool_size: usize) -> Self {
                Self { pool_size, ..Self::default() }
            }

            /// From one window to the next.
            pub fn strides(self, strides: usize) -> Self {
                Self { strides: Some(strides), ..self }
            }

            /// What is around time.
            pub fn padding(self, padding: Padding) -> Self {
                Self { padding, ..self }
            }

            /// Where the features lie.
            pub fn data_format(self, data_format: DataFormat) -> Self {
                Self { data_format, ..self }
            }

            fn windows(self) -> Windows {
                let strides = self.strides.unwrap_or(self.pool_size);
                Windows { name: $name, size: self.pool_size, strides, padding: self.padding, data_format: self.data_format }
            }
        }

        impl Config for $config {
            fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                self.windows().axes(input)?;
                Ok(Box::new(*self))
            }
        }

        module!($config for T {} rest { pool_size, strides, padding, data_format });

        impl<T: Element> Layer<T> for $config {
            #[track_caller]
            fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
                let windows = self.windows();
                let [time, _] = places(self.data_format);
                // (batch, features, time)
                let y = Self::over_windows(x.move_axis(time, -1), windows);
                y.move_axis(-1, time)
            }

            fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
                self.windows().axes(input)
            }

            fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
                let known: Axes = x.shape()[1..].iter().map(|&n| Some(n)).collect();
                self.windows().axes(&known).map(|_| ())
            }
        }
    };
}

/// Windows over time.
#[derive(Clone, Copy)]
struct Windows {
    name: &'static str,
    size: usize,
    strides: usize,
    padding: Padding,
    data_format: DataFormat,
}

impl Windows {
    /// How many windows there are of `time` steps, and how many steps lie in front and behind.
    fn over(self, time: usize) -> Option<(usize, [usize; 2])> {
        match self.padding {
            Padding::Valid => Some((time.checked_sub(self.size)? / self.strides + 1, [0, 0])),
            Padding::Same => {
                let count = time.div_ceil(self.strides);
                let around = (count.max(1) - 1).checked_mul(self.strides)?.checked_add(self.size)?.saturating_sub(time);
                Some((count, [around / 2, around - around / 2])).filter(|_| time > 0)
            }
        }
    }

    fn axes(self, input: &[Option<usize>]) -> Result<Axes, Error> {
        positive(self.name, "pool_size", self.size)?;
        positive(self.name, "strides", self.strides)?;
        if u32::try_from(self.size.max(self.strides)).is_err() {
            return Err(Error::config(self.name, "pool_size and strides: more than any time has"));
        }
        let mut axes = two(self.name, input)?;
        let time = &mut axes[places(self.data_format)[0] as usize - 1];
        if let Some(n) = *time {
            match self.over(n) {
                Some((count, _)) => *time = Some(count),
                None => {
                    let problem = format!("pool_size: a window of {} does not fit into {n} steps", self.size);
                    return Err(Error::config(self.name, problem));
                }
            }
        }
        Ok(axes.to_vec())
    }

    /// `x`, (batch, features, time), with `beyond` around it.
    #[track_caller]
    fn around<'t, T: Element>(self, x: Var<'t, T>, beyond: f64) -> (Var<'t, T>, Pool) {
        let time = x.dim(-1);
        let Some((_, [before, behind])) = self.over(time) else {
            panic!("{}: a window of {} does not fit into {time} steps", self.name, self.size)
        };
        let x = if before + behind > 0 { x.pad(-1, before, behind, Pad::Constant(beyond)) } else { x };
        (x, Pool::new(&[self.size]).stride(&[self.strides]))
    }
}

pooling! {
    /// The largest step of every window, feature by feature: Keras' `MaxPooling1D(pool_size, strides, padding)`. It ends a
    /// mask. It is its own configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{Layer, MaxPooling1d, Pass};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f32], [3.0], [2.0], [0.0]]]));
    /// assert_eq!(MaxPooling1d::new(2).forward(x, &mut Pass::inference()).value().to_vec(), [3.0, 2.0]);
    /// ```
    MaxPooling1d "max_pooling1d"
}

impl MaxPooling1d {
    #[track_caller]
    fn over_windows<T: Element>(x: Var<'_, T>, windows: Windows) -> Var<'_, T> {
        let (x, pool) = windows.around(x, f64::NEG_INFINITY);
        x.max_pool(&pool)
    }
}

pooling! {
    /// The mean of every window, feature by feature: Keras' `AveragePooling1D(pool_size, strides, padding)`. What is around
    /// time does not count. It ends a mask. It is its own configuration.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{AveragePooling1d, Layer, Padding, Pass};
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f32], [3.0], [2.0]]]));
    /// let pooling = AveragePooling1d::new(2).padding(Padding::Same);
    /// assert_eq!(pooling.forward(x, &mut Pass::inference()).value().to_vec(), [2.0, 2.0]);
    /// ```
    AveragePooling1d "average_pooling1d"
}

impl AveragePooling1d {
    #[track_caller]
    fn over_windows<T: Element>(x: Var<'_, T>, windows: Windows) -> Var<'_, T> {
        let time = x.dim(-1);
        let (x, pool) = windows.around(x, 0.0);
        let y = x.avg_pool(&pool);
        match windows.over(time) {
            Some((count, [before, behind])) if before + behind > 0 => {
                let inside = Tensor::from_fn([count], |at| {
                    let start = at[0] * windows.strides;
                    let end = (start + windows.size).min(before + time);
                    T::from_f64(windows.size as f64 / (end - start.max(before)) as f64)
                });
                y * &inside
            }
            _ => y,
        }
    }
}
