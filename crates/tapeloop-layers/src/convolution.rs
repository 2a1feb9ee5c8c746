//! What convolutional cells share: windows over a grid, with the channels first or last.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Conv, Element, Operand, Param, Shape, Var};

use crate::Error;
use crate::variational::dropped;

/// What is around the grid that a window moves over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Nothing: an axis of n becomes ⌊(n − reach) / stride⌋ + 1.
    #[default]
    Valid,
    /// So many zeros that an axis of n becomes ⌈n / stride⌉.
    Same,
}

/// Where the channels lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataFormat {
    /// (batch, time, grid…, channels).
    #[default]
    ChannelsLast,
    /// (batch, time, channels, grid…).
    ChannelsFirst,
}

/// One number for every axis of a grid, or one for each.
///
/// ```
/// use tapeloop_layers::PerAxis;
/// assert_eq!(serde_json::to_string(&[PerAxis::from(3), [3, 2].into()]).unwrap(), "[3,[3,2]]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PerAxis {
    /// One for all.
    All(usize),
    /// One for each.
    Each(SmallVec<[usize; 3]>),
}

impl From<usize> for PerAxis {
    fn from(n: usize) -> Self {
        Self::All(n)
    }
}

impl<const N: usize> From<[usize; N]> for PerAxis {
    fn from(each: [usize; N]) -> Self {
        Self::Each(each.as_slice().into())
    }
}

impl PerAxis {
    /// The numbers of `axes` axes, each at least 1.
    fn of(&self, layer: &str, setting: &str, axes: usize) -> Result<SmallVec<[usize; 3]>, Error> {
        let numbers = match self {
            Self::All(n) => SmallVec::from_elem(*n, axes),
            Self::Each(each) => each.clone(),
        };
        if numbers.len() != axes {
            let problem = format!("{setting}: {} numbers for a grid of {axes} axes", numbers.len());
            return Err(Error::config(layer, problem));
        }
        if numbers.contains(&0) {
            return Err(Error::config(layer, format!("{setting} must be at least 1")));
        }
        if let Some(n) = numbers.iter().find(|&&n| u32::try_from(n).is_err()) {
            return Err(Error::config(layer, format!("{setting}: {n} is more than any grid has")));
        }
        Ok(numbers)
    }
}

/// The settings of a convolution, as a configuration has them.
pub(crate) struct Settings<'a> {
    pub(crate) filters: usize,
    pub(crate) kernel_size: &'a PerAxis,
    pub(crate) strides: &'a PerAxis,
    pub(crate) padding: Padding,
    pub(crate) data_format: DataFormat,
    pub(crate) dilation_rate: &'a PerAxis,
}

/// A window of a cell's own over grids of known lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct Sliding {
    input: Shape,
    output: Shape,
    window: SmallVec<[usize; 3]>,
    conv: Conv,
    data_format: DataFormat,
}

impl Settings<'_> {
    /// The window over inputs of this shape, without batch and time.
    ///
    /// # Errors
    /// If the settings make no sense, or do not fit the input.
    pub(crate) fn over(&self, layer: &str, axes: usize, input: &Shape) -> Result<Sliding, Error> {
        if self.filters == 0 {
            return Err(Error::config(layer, "filters must be at least 1"));
        }
        let window = self.kernel_size.of(layer, "kernel_size", axes)?;
        let strides = self.strides.of(layer, "strides", axes)?;
        let dilation = self.dilation_rate.of(layer, "dilation_rate", axes)?;
        if strides.iter().any(|&n| n > 1) && dilation.iter().any(|&n| n > 1) {
            return Err(Error::config(layer, "strides and dilation_rate cannot both be more than 1"));
        }
        let first = self.data_format == DataFormat::ChannelsFirst;
        if input.rank() != axes + 1 {
            let order = if first { "(channels, grid…)" } else { "(grid…, channels)" };
            let problem = format!("needs {order} with a grid of {axes} axes at every step, got {input}");
            return Err(Error::config(layer, problem));
        }
        let grid = if first { &input[1..] } else { &input[..axes] };
        let conv = Conv::new().stride(&strides).dilation(&dilation);
        let conv = if self.padding == Padding::Same { conv.same() } else { conv };
        let Some(places) = conv.lengths(grid, &window).filter(|_| !grid.contains(&0)) else {
            let grid = Shape::from(grid);
            let window = Shape::from(&window[..]);
            return Err(Error::config(layer, format!("kernel_size: a window of {window} does not fit into {grid}")));
        };
        let filters = std::iter::once(self.filters);
        let output = if first { filters.chain(places).collect() } else { places.into_iter().chain(filters).collect() };
        Ok(Sliding { input: input.clone(), output, window, conv, data_format: self.data_format })
    }
}

impl Sliding {
    /// The shape of the input, without the batch.
    pub fn input(&self) -> Shape {
        self.input.clone()
    }

    /// The shape of the state, without the batch.
    pub fn output(&self) -> Shape {
        self.output.clone()
    }

    /// The shapes of `kernel` and `recurrent_kernel` of so many gates.
    pub(crate) fn weights(&self, filters: usize, gates: usize) -> [Shape; 2] {
        let channels = match self.data_format {
            DataFormat::ChannelsLast => self.input[self.input.rank() - 1],
            DataFormat::ChannelsFirst => self.input[0],
        };
        // Too many are an error of the initializer's.
        [channels, filters].map(|n| self.window.iter().copied().chain([n, filters.saturating_mul(gates)]).collect())
    }

    /// (batch, grid…, channels) of a value.
    #[track_caller]
    pub(crate) fn channels_last<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match self.data_format {
            DataFormat::ChannelsLast => x,
            DataFormat::ChannelsFirst => x.move_axis(1, -1),
        }
    }

    /// A value (batch, grid…, channels) in the order that the configuration wants.
    #[track_caller]
    pub(crate) fn as_wanted<'t, T: Element>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match self.data_format {
            DataFormat::ChannelsLast => x,
            DataFormat::ChannelsFirst => x.move_axis(-1, 1),
        }
    }

    /// x ∗ W + b, with the channels last; where there is a mask for every gate, each part of W meets x as its gate sees it.
    #[track_caller]
    pub(crate) fn over_input<'t, T: Element>(
        &self,
        x: Var<'t, T>,
        masks: &[Var<'t, T>],
        kernel: &Param<T>,
        bias: Option<&Param<T>>,
    ) -> Var<'t, T> {
        let tape = x.tape();
        let bias = match bias {
            Some(bias) => Some(tape.param(bias)),
            None => None,
        };
        self.convolution(x, masks, tape.param(kernel), bias, &self.conv)
    }

    /// h ∗ U, as [`over_input`](Self::over_input), on the same grid.
    #[track_caller]
    pub(crate) fn over_state<'t, T: Element>(
        &self,
        h: Var<'t, T>,
        masks: &[Var<'t, T>],
        kernel: impl Operand<'t, T>,
    ) -> Var<'t, T> {
        self.convolution(h, masks, kernel.on(h.tape()), None, &Conv::new().same())
    }

    #[track_caller]
    fn convolution<'t, T: Element>(
        &self,
        x: Var<'t, T>,
        masks: &[Var<'t, T>],
        kernel: Var<'t, T>,
        bias: Option<Var<'t, T>>,
        conv: &Conv,
    ) -> Var<'t, T> {
        if masks.len() < 2 {
            return self.channels_last(dropped(x, masks, 0)).conv_last(kernel, bias, conv);
        }
        let width = (kernel.dim(-1) / masks.len()) as isize;
        let mut parts: SmallVec<[Var<'t, T>; 4]> = SmallVec::new();
        let mut start = 0;
        for mask in masks {
            let part = kernel.slice(-1, start..start + width);
            parts.push(self.channels_last(x * *mask).conv_last(part, None, conv));
            start += width;
        }
        let all = Var::concat(parts, -1);
        match bias {
            Some(bias) => all + bias,
            None => all,
        }
    }
}

/// `shape` with the batch in front.
pub(crate) fn beside(batch: usize, shape: &Shape) -> Shape {
    std::iter::once(batch).chain(shape.iter().copied()).collect()
}
