//! Layers that put the same numbers into another shape, or leave some out: `Flatten`, `Reshape`, `Permute`,
//! `ZeroPadding1d`, `Cropping1d`, `UpSampling1d`.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Element, Pad, Rng, Shape, Var, module};

use super::Config;
use crate::layer::{Axes, Layer, Pass, with_batch};
use crate::{DataFormat, Error};

/// A layer without weights that is its own configuration and ends a mask, as Keras' do here.
macro_rules! reshaping {
    ($config:ident { $($field:ident),* }) => {
        impl Config for $config {
            fn build<T: Element>(&self, input: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                self.axes(input)?;
                Ok(Box::new(self.clone()))
            }
        }

        module!($config for T {} rest { $($field),* });

        impl<T: Element> Layer<T> for $config {
            #[track_caller]
            fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
                self.apply(x)
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

/// The product of lengths that are known.
fn size(axes: &[Option<usize>]) -> Option<usize> {
    axes.iter().try_fold(1usize, |size, n| n.and_then(|n| size.checked_mul(n)))
}

/// (batch, time, features) behind the batch.
fn steps(layer: &str, input: &[Option<usize>]) -> Result<[Option<usize>; 2], Error> {
    match input {
        [time, features] => Ok([*time, *features]),
        _ => Err(Error::config(layer, format!("needs (time, features) behind the batch, got {} axes", input.len()))),
    }
}

/// All axes behind the batch as one: Keras' `Flatten(data_format)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Dense, Flatten, Sequential};
/// let model = Sequential::new([4, 3]).add(Flatten::new()).add(Dense::new(1)).build::<f32>(0)?;
/// assert_eq!(model.layer_names().next(), Some("flatten"));
/// assert_eq!(model.predict(&Tensor::zeros([2, 4, 3]))?.shape(), [2, 1]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flatten {
    /// Where the channels lie; if first, they go last before. Default last.
    pub data_format: DataFormat,
}

impl Flatten {
    /// With the channels last.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the channels lie.
    pub fn data_format(self, data_format: DataFormat) -> Self {
        Self { data_format }
    }

    #[allow(clippy::unnecessary_wraps, reason = "the form of all of them")]
    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        match size(input) {
            None if input.iter().all(Option::is_some) => {
                Err(Error::config("flatten", format!("an input of {} has too many elements", with_batch(input))))
            }
            size => Ok(vec![size]),
        }
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let shape = x.shape();
        let first = self.data_format == DataFormat::ChannelsFirst && shape.rank() > 2;
        let x = if first { x.move_axis(1, -1) } else { x };
        x.reshape_to([shape[0], shape[1..].iter().product()])
    }
}
reshaping!(Flatten { data_format });

/// The same numbers in their order in another shape: Keras' `Reshape(target_shape)`, without the batch; one length may be
/// −1, which is what is left. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Pass, Reshape};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::<f32>::zeros([2, 12]));
/// assert_eq!(Reshape::new([-1, 4]).forward(x, &mut Pass::inference()).shape(), [2, 3, 4]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The lengths behind the batch.
    pub target_shape: SmallVec<[isize; 4]>,
}

impl Reshape {
    /// Into these lengths behind the batch.
    pub fn new<const N: usize>(target_shape: [isize; N]) -> Self {
        Self { target_shape: target_shape.as_slice().into() }
    }

    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let wrong = |problem: String| Err(Error::config("reshape", problem));
        let mut rest = None;
        let mut known: Axes = Vec::new();
        for (place, &n) in self.target_shape.iter().enumerate() {
            match usize::try_from(n) {
                Ok(n) => known.push(Some(n)),
                Err(_) if n == -1 && rest.is_none() => {
                    rest = Some(place);
                    known.push(Some(1));
                }
                Err(_) => return wrong(format!("target_shape: {n}; lengths are 0 or more, and one may be -1")),
            }
        }
        let Some(target) = size(&known) else {
            return wrong(format!("target_shape: {} has too many elements", with_batch(&known)));
        };
        if target == 0 && rest.is_some() {
            return wrong("target_shape: beside a length of 0, -1 could be any".into());
        }
        let open = input.iter().any(Option::is_none);
        match (size(input), rest) {
            (Some(given), Some(place)) if target > 0 && given.is_multiple_of(target) => {
                known[place] = Some(given / target);
            }
            (Some(given), None) if given == target => {}
            (None, Some(place)) if open => known[place] = None,
            (None, None) if open => {}
            _ => {
                let target = Vec::from(self.target_shape.as_slice());
                return wrong(format!("{} has other elements than {target:?} behind the batch", with_batch(input)));
            }
        }
        Ok(known)
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let shape = x.shape();
        let own: Axes = shape[1..].iter().map(|&n| Some(n)).collect();
        match self.axes(&own) {
            Ok(axes) => x.reshape_to(std::iter::once(shape[0]).chain(axes.into_iter().flatten()).collect::<Shape>()),
            Err(error) => panic!("{error}"),
        }
    }
}
reshaping!(Reshape { target_shape });

/// Axes in another order: Keras' `Permute(dims)`, counted from 1, since the batch stays. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Pass, Permute};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::<f32>::zeros([2, 5, 3]));
/// assert_eq!(Permute::new([2, 1]).forward(x, &mut Pass::inference()).shape(), [2, 3, 5]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// Which axis comes to each place.
    pub dims: SmallVec<[usize; 4]>,
}

impl Permute {
    /// In this order, counted from 1.
    pub fn new<const N: usize>(dims: [usize; N]) -> Self {
        Self { dims: dims.as_slice().into() }
    }

    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let all = (1..=input.len()).all(|axis| self.dims.contains(&axis));
        if self.dims.len() != input.len() || !all {
            let problem = format!("dims: {:?} are not the axes 1 to {}, each once", &self.dims[..], input.len());
            return Err(Error::config("permute", problem));
        }
        Ok(self.dims.iter().map(|&axis| input[axis - 1]).collect())
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let order: SmallVec<[isize; 5]> = std::iter::once(0).chain(self.dims.iter().map(|&n| n as isize)).collect();
        x.permute(&order)
    }
}
reshaping!(Permute { dims });

/// As much at the start as at the end, or so much at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ends {
    /// At the start and at the end.
    Both(usize),
    /// At the start, and at the end.
    Each([usize; 2]),
}

impl From<usize> for Ends {
    fn from(n: usize) -> Self {
        Self::Both(n)
    }
}

impl From<[usize; 2]> for Ends {
    fn from(each: [usize; 2]) -> Self {
        Self::Each(each)
    }
}

impl Ends {
    fn each(self) -> [usize; 2] {
        match self {
            Self::Both(n) => [n, n],
            Self::Each(each) => each,
        }
    }
}

/// Steps of zeros around (time, features): Keras' `ZeroPadding1D(padding)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Pass, ZeroPadding1d};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[[1.0f32], [2.0]]]));
/// let y = ZeroPadding1d::new([1, 0]).forward(x, &mut Pass::inference());
/// assert_eq!(y.value().to_vec(), [0.0, 1.0, 2.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZeroPadding1d {
    /// How many. Default 1 at each end.
    pub padding: Ends,
}

impl Default for ZeroPadding1d {
    fn default() -> Self {
        Self { padding: Ends::Both(1) }
    }
}

impl ZeroPadding1d {
    /// So many at both ends, or at each.
    pub fn new(padding: impl Into<Ends>) -> Self {
        Self { padding: padding.into() }
    }

    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let [time, features] = steps("zero_padding1d", input)?;
        let [before, behind] = self.padding.each();
        let all = |time: usize| time.checked_add(before)?.checked_add(behind);
        if all(time.unwrap_or_default()).is_none() {
            return Err(Error::config("zero_padding1d", format!("padding: {before} and {behind} are too many steps")));
        }
        Ok(vec![time.and_then(all), features])
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let [before, behind] = self.padding.each();
        x.pad(1, before, behind, Pad::Constant(0.0))
    }
}
reshaping!(ZeroPadding1d { padding });

/// (time, features) without steps at the ends: Keras' `Cropping1D(cropping)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Cropping1d, Layer, Pass};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[[1.0f32], [2.0], [3.0]]]));
/// assert_eq!(Cropping1d::new([1, 0]).forward(x, &mut Pass::inference()).value().to_vec(), [2.0, 3.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cropping1d {
    /// How many. Default 1 at each end.
    pub cropping: Ends,
}

impl Default for Cropping1d {
    fn default() -> Self {
        Self { cropping: Ends::Both(1) }
    }
}

impl Cropping1d {
    /// So many at both ends, or at each.
    pub fn new(cropping: impl Into<Ends>) -> Self {
        Self { cropping: cropping.into() }
    }

    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let [time, features] = steps("cropping1d", input)?;
        let [before, behind] = self.cropping.each();
        let Some(time) = time else { return Ok(vec![None, features]) };
        match time.checked_sub(before).and_then(|rest| rest.checked_sub(behind)) {
            Some(rest) if rest > 0 => Ok(vec![Some(rest), features]),
            _ => Err(Error::config(
                "cropping1d",
                format!("cropping: {before} and {behind} leave nothing of {time} steps"),
            )),
        }
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let [before, behind] = self.cropping.each();
        x.slice(1, before as isize..x.dim(1) as isize - behind as isize)
    }
}
reshaping!(Cropping1d { cropping });

/// Every step of (time, features) `size` times: Keras' `UpSampling1D(size)`. It is its own configuration.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::{Layer, Pass, UpSampling1d};
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[[1.0f32], [2.0]]]));
/// assert_eq!(UpSampling1d::new(2).forward(x, &mut Pass::inference()).value().to_vec(), [1.0, 1.0, 2.0, 2.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpSampling1d {
    /// How often. Default 2.
    pub size: usize,
}

impl Default for UpSampling1d {
    fn default() -> Self {
        Self { size: 2 }
    }
}

impl UpSampling1d {
    /// So often.
    pub fn new(size: usize) -> Self {
        Self { size }
    }

    fn axes(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        super::positive("up_sampling1d", "size", self.size)?;
        let [time, features] = steps("up_sampling1d", input)?;
        Ok(vec![time.map(|time| time.saturating_mul(self.size)), features])
    }

    #[track_caller]
    fn apply<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        x.repeat_interleave(self.size, 1)
    }
}
reshaping!(UpSampling1d { size });
