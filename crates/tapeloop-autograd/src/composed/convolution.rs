//! Convolutions over any number of axes: windows, then one matrix product for each group.

use smallvec::SmallVec;

use crate::element::Element;
use crate::kernels::patches::{Axes, Axis};
use crate::ops::{Example, example};
use crate::shape::Shape;
use crate::tape::{Operand, Var};

/// Lengths along the spatial axes. One stands for all of them.
type Lengths = SmallVec<[usize; 3]>;

/// How a window moves over its input.
///
/// Each setting is one number for all spatial axes, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    stride: Lengths,
    padding: Lengths,
    dilation: Lengths,
    groups: usize,
    output_padding: Lengths,
    same: bool,
}

impl Default for Conv {
    fn default() -> Self {
        Self::new()
    }
}

impl Conv {
    /// Stride 1, no padding, no dilation, one group.
    pub fn new() -> Self {
        let one = || Lengths::from_slice(&[1]);
        let zero = || Lengths::from_slice(&[0]);
        Self { stride: one(), padding: zero(), dilation: one(), groups: 1, output_padding: zero(), same: false }
    }

    /// Steps between windows.
    pub fn stride(self, stride: &[usize]) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// Zeros in front of and behind every axis.
    pub fn padding(self, padding: &[usize]) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// As many zeros around every axis of n as give ⌈n / stride⌉ results, the odd one behind it, as in Keras; for
    /// convolutions.
    pub fn same(self) -> Self {
        Self { same: true, ..self }
    }

    /// Distance of neighbours in a window.
    pub fn dilation(self, dilation: &[usize]) -> Self {
        Self { dilation: dilation.into(), ..self }
    }

    /// Channels are divided into groups that do not see each other.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// For transposed convolutions: further elements at the end of every axis.
    pub fn output_padding(self, output_padding: &[usize]) -> Self {
        Self { output_padding: output_padding.into(), ..self }
    }
}

impl Conv {
    /// How windows lie along each axis of a grid. Nothing where one does not fit, or a setting is 0.
    #[track_caller]
    fn grid(&self, spatial: &[usize], window: &[usize]) -> Option<Axes> {
        let axes = spatial.len();
        let mut grid = Axes::new();
        for (axis, (&length, &size)) in spatial.iter().zip(window).enumerate() {
            let [stride, dilation] = [&self.stride, &self.dilation].map(|setting| of("conv", setting, axis, axes));
            if size == 0 || stride == 0 || dilation == 0 {
                return None;
            }
            let (before, after) = self.around(axis, axes, length, size);
            let reach = (size - 1).saturating_mul(dilation).saturating_add(1);
            let count = (before + length + after).checked_sub(reach)? / stride + 1;
            grid.push(Axis { length, count, size, stride, dilation, before });
        }
        Some(grid)
    }

    /// The lengths that axes become under a window. Nothing where it does not fit, or a setting is 0.
    ///
    /// ```
    /// use tapeloop_autograd::Conv;
    /// let lengths = Conv::new().stride(&[2]).lengths(&[7, 5], &[3, 1]).unwrap();
    /// assert_eq!(lengths[..], [3, 3]);
    /// assert!(Conv::new().lengths(&[2], &[3]).is_none());
    /// ```
    ///
    /// # Panics
    /// If a setting has numbers for more or fewer axes.
    #[track_caller]
    pub fn lengths(&self, spatial: &[usize], window: &[usize]) -> Option<SmallVec<[usize; 3]>> {
        Some(self.grid(spatial, window)?.iter().map(|axis| axis.count).collect())
    }

    /// Zeros in front of and behind an axis of `n`, where the window has `size` elements.
    #[track_caller]
    fn around(&self, axis: usize, axes: usize, n: usize, size: usize) -> (usize, usize) {
        let padding = of("padding", &self.padding, axis, axes);
        if !self.same {
            return (padding, padding);
        }
        let [stride, dilation] = [&self.stride, &self.dilation].map(|setting| of("conv", setting, axis, axes));
        let last = n.div_ceil(stride.max(1)).saturating_sub(1) * stride;
        let reach = size.saturating_sub(1).saturating_mul(dilation).saturating_add(last + 1);
        let missing = reach.saturating_sub(n);
        (missing / 2, missing - missing / 2)
    }
}

/// The setting of one axis.
#[track_caller]
pub(super) fn of(name: &str, setting: &[usize], axis: usize, axes: usize) -> usize {
    assert!(
        setting.len() == 1 || setting.len() == axes,
        "{name}: {setting:?} has {} numbers for {axes} spatial axes",
        setting.len()
    );
    setting[if setting.len() == 1 { 0 } else { axis }]
}

impl<'t, T: Element> Var<'t, T> {
    /// The convolution of (batch, channels, spatial…) with a kernel (out, channels / groups, window…), plus a bias
    /// (out): (batch, out, spatial…). The kernel is not mirrored, as everywhere in this field.
    ///
    /// ```
    /// use tapeloop_autograd::{Conv, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 2.0, 4.0]]]));
    /// let kernel = tape.leaf(Tensor::from([[[-1.0f32, 1.0]]]));
    /// assert_eq!(x.conv(kernel, None, &Conv::new()).value().to_vec(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit, or a padded axis is shorter than the window.
    #[track_caller]
    pub fn conv(self, kernel: impl Operand<'t, T>, bias: Option<Self>, conv: &Conv) -> Self {
        let kernel = kernel.on(self.tape());
        let (shape, window) = (self.shape(), kernel.shape());
        let (rank, groups) = (shape.rank(), conv.groups);
        let fits = rank >= 3
            && window.rank() == rank
            && groups > 0
            && shape[1] == window[1] * groups
            && window[0].is_multiple_of(groups);
        assert!(
            fits,
            "conv: {shape} with a kernel of {window} and {groups} groups; it needs (batch, channels, spatial…) and \
             (out, channels / groups, window…), out divisible by the groups"
        );
        let axes = rank - 2;
        assert!(
            conv.grid(&shape[2..], &window[2..]).is_some(),
            "conv: {shape} with a kernel of {window} and {conv:?}; stride and dilation must be at least 1, and the window fit \
             into every padded axis"
        );
        let mut x = self;
        for axis in 0..axes {
            let (before, after) = conv.around(axis, axes, shape[axis + 2], window[axis + 2]);
            x = x.pad(axis as isize + 2, before, after, crate::Pad::Constant(0.0));
        }
        for axis in 0..axes {
            let [stride, dilation] = [&conv.stride, &conv.dilation].map(|setting| of("conv", setting, axis, axes));
            x = x.windows(axis as isize + 2, window[axis + 2], stride, dilation);
        }
        x.correlate(kernel, axes, groups).with_channel_bias(bias)
    }

    /// As [`conv`](Self::conv), with the channels on the last axis: (batch, spatial…, channels) with a kernel (window…,
    /// channels, out), plus a bias (out): (batch, spatial…, out). There is one group.
    ///
    /// ```
    /// use tapeloop_autograd::{Conv, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32], [2.0], [4.0]]]));
    /// let kernel = tape.leaf(Tensor::from([[[-1.0f32]], [[1.0]]]));
    /// assert_eq!(x.conv_last(kernel, None, &Conv::new().same()).value().to_vec(), [1.0, 2.0, -4.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit, or a padded axis is shorter than the window.
    #[track_caller]
    pub fn conv_last(self, kernel: impl Operand<'t, T>, bias: Option<Self>, conv: &Conv) -> Self {
        let kernel = kernel.on(self.tape());
        let (shape, window) = (self.shape(), kernel.shape());
        let rank = shape.rank();
        let fits = rank >= 3 && window.rank() == rank && shape[rank - 1] == window[rank - 2] && conv.groups == 1;
        assert!(
            fits,
            "conv_last: {shape} with a kernel of {window} and {} groups; it needs (batch, spatial…, channels), (window…, \
             channels, out) and one group",
            conv.groups
        );
        let axes = rank - 2;
        let Some(grid) = conv.grid(&shape[1..=axes], &window[..axes]) else {
            panic!(
                "conv_last: {shape} with a kernel of {window} and {conv:?}; stride and dilation must be at least 1, and the \
                 window fit into every padded axis"
            );
        };
        let out = window[rank - 1];
        let places = grid.iter().map(|axis| axis.count).collect::<SmallVec<[usize; 3]>>();
        let inner = window[..rank - 1].iter().product();
        let rows = shape[0] * places.iter().product::<usize>();
        let x = self.patches(grid).reshape_to([rows, inner]);
        let mut y = x.matmul(kernel.reshape_to([inner, out]));
        if let Some(bias) = bias {
            y = y + bias;
        }
        y.reshape_to([shape[0]].iter().chain(&places).chain(&[out]).copied().collect::<Shape>())
    }

    /// (batch, channels, places…, window…) with (out, channels / groups, window…): (batch, out, places…).
    #[track_caller]
    fn correlate(self, kernel: Self, axes: usize, groups: usize) -> Self {
        let (shape, window) = (self.shape(), kernel.shape());
        let (batch, places) = (shape[0], &shape[2..2 + axes]);
        let (inner, outer): (usize, usize) = (window[1..].iter().product(), window[0] / groups);
        let rows = batch * places.iter().product::<usize>();
        // (groups, batch, places…, channels / groups, window…)
        let split: Shape = [batch, groups, window[1]].iter().chain(&shape[2..]).copied().collect();
        let order: SmallVec<[isize; 8]> = [1, 0]
            .into_iter()
            .chain(3..3 + axes as isize)
            .chain([2])
            .chain(3 + axes as isize..3 + 2 * axes as isize)
            .collect();
        let x = self.reshape_to(split).permute(&order).reshape_to([groups, rows, inner]);
        let y = x.matmul(kernel.reshape_to([groups, outer, inner]).t());
        // (groups, batch, places…, out / groups) → (batch, groups, out / groups, places…)
        let spread: Shape = [groups, batch].iter().chain(places).chain(&[outer]).copied().collect();
        let order: SmallVec<[isize; 8]> =
            [1, 0, 2 + axes as isize].into_iter().chain(2..2 + axes as isize).collect();
        let joined: Shape = [batch, groups * outer].iter().chain(places).copied().collect();
        y.reshape_to(spread).permute(&order).reshape_to(joined)
    }

    #[track_caller]
    fn with_channel_bias(self, bias: Option<Self>) -> Self {
        let Some(bias) = bias else { return self };
        let ones = (0..self.rank()).map(|axis| if axis == 1 { bias.size() } else { 1 }).collect::<Shape>();
        self + bias.reshape_to(ones)
    }

    /// The transpose of [`conv`](Self::conv) as a linear map: (batch, channels, spatial…) with a kernel (channels,
    /// out / groups, window…), plus a bias (out). An axis of n becomes (n − 1) · stride − 2 · padding +
    /// dilation · (window − 1) + 1 + output padding.
    ///
    /// ```
    /// use tapeloop_autograd::{Conv, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 2.0]]]));
    /// let kernel = tape.leaf(Tensor::from([[[1.0f32, 10.0]]]));
    /// let y = x.conv_transpose(kernel, None, &Conv::new().stride(&[2]));
    /// assert_eq!(y.value().to_vec(), [1.0, 10.0, 2.0, 20.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn conv_transpose(self, kernel: impl Operand<'t, T>, bias: Option<Self>, conv: &Conv) -> Self {
        let kernel = kernel.on(self.tape());
        let (shape, window) = (self.shape(), kernel.shape());
        let (rank, groups) = (shape.rank(), conv.groups);
        let fits = rank >= 3
            && window.rank() == rank
            && groups > 0
            && shape[1] == window[0]
            && window[0].is_multiple_of(groups);
        assert!(
            fits,
            "conv_transpose: {shape} with a kernel of {window} and {groups} groups; it needs (batch, channels, \
             spatial…) and (channels, out / groups, window…), channels divisible by the groups"
        );
        let axes = rank - 2;
        assert!(
            conv.grid(&shape[2..], &window[2..]).is_some(),
            "conv: {shape} with a kernel of {window} and {conv:?}; stride and dilation must be at least 1, and the window fit \
             into every padded axis"
        );
        let mut x = self;
        for axis in 0..axes {
            let at = axis as isize + 2;
            let setting = |setting: &Lengths| of("conv_transpose", setting, axis, axes);
            let (stride, dilation) = (setting(&conv.stride), setting(&conv.dilation));
            let (padding, further) = (setting(&conv.padding) as isize, setting(&conv.output_padding) as isize);
            let n = shape[axis + 2];
            let reach = (dilation * (window[axis + 2] - 1)) as isize;
            // Zeros between the elements, then as many around as a full correlation needs.
            if stride > 1 && n > 0 {
                x = x.place(at, 0, stride, (n - 1) * stride + 1);
            }
            let (before, after) = (reach - padding, reach - padding + further);
            x = x.pad(at, before.max(0) as usize, after.max(0) as usize, crate::Pad::Constant(0.0));
            if before < 0 {
                x = x.slice(at, -before..);
            }
            if after < 0 {
                x = x.slice(at, 0..x.dim(at) as isize + after);
            }
            x = x.windows(at, window[axis + 2], 1, dilation);
        }
        // The kernel mirrored, with its channels exchanged: (out, channels / groups, window…).
        let mirrored: SmallVec<[isize; 8]> = (2..rank as isize).collect();
        let split: Shape = [groups, window[0] / groups].iter().chain(&window[1..]).copied().collect();
        let joined: Shape = [groups * window[1], window[0] / groups].iter().chain(&window[2..]).copied().collect();
        let kernel = kernel.flip(&mirrored).reshape_to(split).swap_axes(1, 2).reshape_to(joined);
        x.correlate(kernel, axes, groups).with_channel_bias(bias)
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [2, 4, 7], w: normal [6, 2, 3], b: normal [6]] => x.conv(w, Some(b), &Conv::new().groups(2).stride(&[2]).padding(&[3]).dilation(&[2]))),
        example!([x: normal [1, 2, 4, 3], w: normal [2, 2, 2, 3], b: normal [2]] => x.conv(w, Some(b), &Conv::new().stride(&[2, 1]).padding(&[1]))),
        example!([x: normal [1, 1, 3, 3, 3], w: normal [2, 1, 2, 2, 2]] => x.conv(w, None, &Conv::new())),
        example!([x: normal [2, 4, 3], w: normal [4, 3, 3], b: normal [6]] => x.conv_transpose(w, Some(b), &Conv::new().groups(2).stride(&[2]).padding(&[1]).output_padding(&[1]))),
        example!([x: normal [1, 2, 5, 4], w: normal [3, 2, 2, 3]] => x.conv(w, None, &Conv::new().stride(&[2, 1]).same())),
        example!([x: normal [2, 7, 2], w: normal [3, 2, 3], b: normal [3]] => x.conv_last(w, Some(b), &Conv::new().dilation(&[2]).padding(&[1]))),
        example!([x: normal [1, 5, 4, 2], w: normal [3, 2, 2, 3]] => x.conv_last(w, None, &Conv::new().stride(&[2, 1]).same())),
        example!([x: normal [1, 3, 3, 3, 1], w: normal [2, 2, 2, 1, 2]] => x.conv_last(w, None, &Conv::new())),
        example!([x: normal [1, 2, 5, 3], w: normal [2, 1, 2, 2]] => x.conv_transpose(w, None, &Conv::new().dilation(&[2, 1]).padding(&[3, 0]))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::random::Rng;
    use crate::tape::Tape;
    use crate::tensor::Tensor;

    /// Patches against windows: the same convolution with the channels elsewhere.
    #[test]
    fn channels_lie_where_they_are_wanted() {
        let mut rng = Rng::new(1);
        let settings = [Conv::new(), Conv::new().same(), Conv::new().padding(&[2]), Conv::new().dilation(&[2])];
        let settings = settings.iter().flat_map(|conv| [conv.clone(), conv.clone().stride(&[2])]);
        for conv in settings.chain([Conv::new().same().dilation(&[3]), Conv::new().same().stride(&[4])]) {
            for (spatial, window) in [(&[7][..], &[3][..]), (&[5, 6], &[2, 3]), (&[4, 5, 3], &[1, 2, 2])] {
                let shape = |parts: [&[usize]; 3]| parts.concat().into_iter().collect::<Shape>();
                let tape = Tape::<f64>::new();
                let x = tape.leaf(Tensor::normal(shape([&[2], spatial, &[3]]), 0.0, 1.0, &mut rng));
                let kernel = tape.leaf(Tensor::normal(shape([window, &[3], &[2]]), 0.0, 1.0, &mut rng));
                let bias = tape.leaf(Tensor::normal([2], 0.0, 1.0, &mut rng));
                let axes = spatial.len() as isize;
                let last = x.conv_last(kernel, Some(bias), &conv);
                let middle: Vec<isize> = (1..=axes).collect();
                let x_first: Vec<isize> = [0, axes + 1].into_iter().chain(middle.clone()).collect();
                let kernel_first: Vec<isize> = [axes + 1, axes].into_iter().chain(0..axes).collect();
                let back: Vec<isize> = [0].into_iter().chain(2..axes + 2).chain([1]).collect();
                let first = x.permute(&x_first).conv(kernel.permute(&kernel_first), Some(bias), &conv).permute(&back);
                assert_eq!(last.shape(), first.shape(), "{conv:?}");
                let difference = (last - first).abs().max(&[], false).item();
                assert!(difference < 1e-13, "{conv:?} over {spatial:?}: {difference}");
            }
        }
    }
}
