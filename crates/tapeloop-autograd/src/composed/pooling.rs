//! Pooling: windows reduced to their largest element or their mean.

use smallvec::SmallVec;

use super::convolution::of;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::Shape;
use crate::tape::Var;

/// How a pooling window moves over (batch, channels, spatial…).
///
/// Each setting is one number for all spatial axes, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    window: SmallVec<[usize; 3]>,
    stride: SmallVec<[usize; 3]>,
    padding: SmallVec<[usize; 3]>,
    dilation: SmallVec<[usize; 3]>,
    ceil: bool,
    count_padding: bool,
}

impl Pool {
    /// Windows of this length, side by side.
    pub fn new(window: &[usize]) -> Self {
        Self {
            window: window.into(),
            stride: window.into(),
            padding: SmallVec::from_slice(&[0]),
            dilation: SmallVec::from_slice(&[1]),
            ceil: false,
            count_padding: true,
        }
    }

    /// Steps between windows.
    pub fn stride(self, stride: &[usize]) -> Self {
        Self { stride: stride.into(), ..self }
    }

    /// Elements in front of and behind every axis: −∞ for the largest, 0 for the mean.
    pub fn padding(self, padding: &[usize]) -> Self {
        Self { padding: padding.into(), ..self }
    }

    /// Distance of neighbours in a window.
    pub fn dilation(self, dilation: &[usize]) -> Self {
        Self { dilation: dilation.into(), ..self }
    }

    /// Whether a last window that begins inside but reaches beyond the end counts.
    pub fn ceil(self, ceil: bool) -> Self {
        Self { ceil, ..self }
    }

    /// Whether padding counts in a mean's denominator.
    pub fn count_padding(self, count_padding: bool) -> Self {
        Self { count_padding, ..self }
    }
}

impl<T: Element> Var<'_, T> {
    /// The largest element of every window; of equal ones the first gets the gradient.
    ///
    /// ```
    /// use tapeloop_autograd::{Pool, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 3.0, 2.0, 0.0]]]));
    /// assert_eq!(x.max_pool(&Pool::new(&[2])).value().to_vec(), [3.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than three axes, or a padded axis is shorter than the window.
    #[track_caller]
    pub fn max_pool(self, pool: &Pool) -> Self {
        self.pooled(pool, f64::NEG_INFINITY).max_at(-1, false).0
    }

    /// The mean of every window.
    ///
    /// ```
    /// use tapeloop_autograd::{Pool, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 3.0, 2.0, 0.0]]]));
    /// assert_eq!(x.avg_pool(&Pool::new(&[2])).value().to_vec(), [2.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than three axes, or a padded axis is shorter than the window.
    #[track_caller]
    pub fn avg_pool(self, pool: &Pool) -> Self {
        let sums = self.pooled(pool, 0.0).sum(&[-1], false);
        let mut ones = self.tape().full(self.shape(), 1.0);
        let mut inside = pool.clone();
        if pool.count_padding {
            // Padding counts, what lies beyond it does not.
            let axes = self.rank() - 2;
            for axis in 0..axes {
                let padding = of("padding", &pool.padding, axis, axes);
                ones = ones.pad(axis as isize + 2, padding, padding, crate::Pad::Constant(1.0));
            }
            inside = inside.padding(&[0]);
        }
        sums / ones.pooled(&inside, 0.0).sum(&[-1], false)
    }

    /// (batch, channels, places…, elements of the window)
    #[track_caller]
    fn pooled(self, pool: &Pool, beyond: f64) -> Self {
        let rank = self.rank();
        assert!(rank >= 3, "pooling: shape {} is not (batch, channels, spatial…)", self.shape());
        let axes = rank - 2;
        let mut x = self;
        for axis in 0..axes {
            let at = axis as isize + 2;
            let setting = |setting: &[usize]| of("pooling", setting, axis, axes);
            let (window, stride) = (setting(&pool.window), setting(&pool.stride));
            let (padding, dilation) = (setting(&pool.padding), setting(&pool.dilation));
            let n = self.shape()[axis + 2];
            let reach = dilation * (window - 1) + 1;
            let mut further = 0;
            if pool.ceil && stride > 0 && n + 2 * padding >= reach {
                let last = (n + 2 * padding - reach).div_ceil(stride) * stride;
                // A window must begin in the input or in the padding in front.
                if last < n + padding {
                    further = (last + reach).saturating_sub(n + 2 * padding);
                }
            }
            x = x.pad(at, padding, padding + further, crate::Pad::Constant(beyond));
            x = x.windows(at, window, stride, dilation);
        }
        let shape = x.shape();
        let elements = shape[rank..].iter().product();
        x.reshape_to(shape[..rank].iter().copied().chain([elements]).collect::<Shape>())
    }

    /// The mean over equal parts of every spatial axis, so that axis k has length `lengths[k]`.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 3.0, 5.0]]]));
    /// assert_eq!(x.adaptive_avg_pool(&[2]).value().to_vec(), [2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there is not one length for each spatial axis.
    #[track_caller]
    pub fn adaptive_avg_pool(self, lengths: &[usize]) -> Self {
        self.adaptive("adaptive_avg_pool", lengths, false)
    }

    /// The largest element of equal parts of every spatial axis, so that axis k has length `lengths[k]`; of equal ones
    /// the first gets the gradient.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[[1.0f32, 3.0, 5.0]]]));
    /// assert_eq!(x.adaptive_max_pool(&[2]).value().to_vec(), [3.0, 5.0]);
    /// ```
    ///
    /// # Panics
    /// If there is not one length for each spatial axis.
    #[track_caller]
    pub fn adaptive_max_pool(self, lengths: &[usize]) -> Self {
        self.adaptive("adaptive_max_pool", lengths, true)
    }

    /// One axis after the other: a mean of means over equal counts is a mean, the largest of largest the largest, and
    /// the first in row-major order, taken from the last axis on.
    #[track_caller]
    fn adaptive(self, op: &'static str, lengths: &[usize], largest: bool) -> Self {
        assert!(
            self.rank() == lengths.len() + 2,
            "{op}: {lengths:?} is not one length for each spatial axis of {}",
            self.shape()
        );
        let mut x = self;
        for (axis, &length) in lengths.iter().enumerate().rev() {
            let (at, n) = (axis as isize + 2, x.shape()[axis + 2]);
            let mut parts = Vec::with_capacity(length);
            for k in 0..length {
                let (start, end) = (k * n / length, ((k + 1) * n).div_ceil(length));
                let part = x.slice(at, start as isize..end as isize);
                parts.push(if largest { part.max_at(at, true).0 } else { part.mean(&[at], true) });
            }
            x = Self::concat(parts, at);
        }
        x
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: distinct [2, 1, 7]] => x.max_pool(&Pool::new(&[3]).stride(&[2]).padding(&[1]))),
        example!([x: distinct [1, 2, 4, 5]] => x.max_pool(&Pool::new(&[2, 3]).stride(&[2]).ceil(true))),
        example!([x: normal [1, 2, 6]] => x.avg_pool(&Pool::new(&[3]).stride(&[2]).padding(&[1]))),
        example!([x: normal [1, 1, 4, 5]] => x.avg_pool(&Pool::new(&[2]).padding(&[1]).ceil(true).count_padding(false))),
        example!([x: normal [1, 2, 7]] => x.adaptive_avg_pool(&[3])),
        example!([x: normal [1, 1, 3, 2, 5]] => x.adaptive_avg_pool(&[2, 1, 3])),
        example!([x: distinct [1, 2, 4, 5]] => x.adaptive_max_pool(&[3, 2])),
        example!([x: distinct [1, 1, 3, 2, 3]] => x.adaptive_max_pool(&[2, 1, 2])),
    ]
}
