//! Convolutions over any number of axes: windows, then one matrix product for each group.

use smallvec::SmallVec;

use crate::element::Element;
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
        Self { stride: one(), padding: zero(), dilation: one(), groups: 1, output_padding: zero() }
    }

    /// Steps between windows.
    pub fn stride(self, stride: &[usize]) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// Zeros in front of and behind every axis.
    pub fn padding(self, padding: &[usize]) -> Self {
        Self { padding: padding.into(), ..self }
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
        let mut x = self;
        for axis in 0..axes {
            let padding = of("padding", &conv.padding, axis, axes);
            x = x.pad(axis as isize + 2, padding, padding, crate::Pad::Constant(0.0));
        }
        for axis in 0..axes {
            let [stride, dilation] = [&conv.stride, &conv.dilation].map(|setting| of("conv", setting, axis, axes));
            x = x.windows(axis as isize + 2, window[axis + 2], stride, dilation);
        }
        x.correlate(kernel, axes, groups).with_channel_bias(bias)
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
        example!([x: normal [1, 2, 5, 3], w: normal [2, 1, 2, 2]] => x.conv_transpose(w, None, &Conv::new().dilation(&[2, 1]).padding(&[3, 0]))),
    ]
}
