//! Normalisations: mean 0 and variance 1 over some axes, then a learned scale and shift.

use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::Shape;
use crate::tape::Var;

impl<'t, T: Element> Var<'t, T> {
    /// (x − mean) / √(var + ε) over `axes`, the variance not corrected.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0]]));
    /// assert_eq!(x.standardize(&[-1], 0.0).value().to_vec(), [-1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn standardize(self, axes: &[isize], epsilon: f64) -> Self {
        let centred = self - self.mean(axes, true);
        let variance = centred.square().mean(axes, true);
        centred * (variance + epsilon).rsqrt()
    }

    /// Layer normalisation (Ba et al. 2016): [`standardize`](Self::standardize) over `axes`, scaled by `gamma` and
    /// shifted by `beta`, which broadcast.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0]]));
    /// let gamma = tape.leaf(Tensor::from([2.0f32, 2.0]));
    /// assert_eq!(x.layer_norm(&[-1], Some(gamma), None, 0.0).value().to_vec(), [-2.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist, is named twice, or a shape does not broadcast.
    #[track_caller]
    pub fn layer_norm(self, axes: &[isize], gamma: Option<Self>, beta: Option<Self>, epsilon: f64) -> Self {
        self.standardize(axes, epsilon).scaled(gamma, beta)
    }

    #[track_caller]
    fn scaled(self, gamma: Option<Self>, beta: Option<Self>) -> Self {
        let _line = self.tape().called();
        let y = gamma.map_or(self, |gamma| self * gamma);
        beta.map_or(y, |beta| y + beta)
    }

    /// Root-mean-square normalisation (Zhang and Sennrich 2019): x / √(mean x² + ε) over `axes`, scaled by `gamma`.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[3.0f32, 3.0]]));
    /// assert_eq!(x.rms_norm(&[-1], None, 0.0).value().to_vec(), [1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist, is named twice, or a shape does not broadcast.
    #[track_caller]
    pub fn rms_norm(self, axes: &[isize], gamma: Option<Self>, epsilon: f64) -> Self {
        let scale = (self.square().mean(axes, true) + epsilon).rsqrt();
        (self * scale).scaled(gamma, None)
    }

    /// Mean and variance of each entry of `axis` over all other axes: what batch normalisation trains on, and what
    /// its running statistics average.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 5.0], [3.0, 5.0]]));
    /// let (mean, var) = x.moments(1);
    /// assert_eq!((mean.value().to_vec(), var.value().to_vec()), (vec![2.0, 5.0], vec![1.0, 0.0]));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn moments(self, axis: isize) -> (Self, Self) {
        let rank = self.rank() as isize;
        let axis = if axis < 0 { axis + rank } else { axis };
        let others: Vec<isize> = (0..rank).filter(|&other| other != axis).collect();
        if others.is_empty() {
            return (self, self * 0.0);
        }
        let mean = self.mean(&others, true);
        let variance = (self - mean).square().mean(&others, false);
        (mean.reshape_to(variance.shape()), variance)
    }

    /// Batch normalisation (Ioffe and Szegedy 2015) with given statistics: (x − mean) / √(var + ε) · γ + β, all of
    /// them with one entry for each of `axis`. In training the statistics are the batch's own
    /// [`moments`](Self::moments), in inference running averages.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 5.0], [3.0, 5.0]]));
    /// let (mean, var) = x.moments(1);
    /// let y = x.batch_norm(1, mean, var, None, None, 0.25);
    /// assert!((y.value().at(&[0, 0]) + 1.0 / 1.25f32.sqrt()).abs() < 1e-6);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or a shape does not fit.
    #[track_caller]
    pub fn batch_norm(
        self,
        axis: isize,
        mean: Self,
        var: Self,
        gamma: Option<Self>,
        beta: Option<Self>,
        epsilon: f64,
    ) -> Self {
        let _line = self.tape().called();
        let along = |x: Self| x.along_axis(self.rank(), axis);
        let y = (self - along(mean)) * (along(var) + epsilon).rsqrt();
        y.scaled(gamma.map(along), beta.map(along))
    }

    /// A vector as (1, …, n, …, 1), n at `axis` of `rank` axes.
    #[track_caller]
    fn along_axis(self, rank: usize, axis: isize) -> Self {
        let axis = if axis < 0 { axis + rank as isize } else { axis };
        self.reshape_to((0..rank as isize).map(|a| if a == axis { self.size() } else { 1 }).collect::<Shape>())
    }

    /// Group normalisation (Wu and He 2018): the channels, axis 1, in `groups`, each standardised with all axes
    /// behind. One group for each channel is instance normalisation.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0, 10.0, 14.0]]));
    /// assert_eq!(x.group_norm(2, None, None, 0.0).value().to_vec(), [-1.0, 1.0, -1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the channels do not divide into `groups`, or a shape does not fit.
    #[track_caller]
    pub fn group_norm(self, groups: usize, gamma: Option<Self>, beta: Option<Self>, epsilon: f64) -> Self {
        let _line = self.tape().called();
        let shape = self.shape();
        assert!(
            shape.rank() >= 2 && groups > 0 && shape[1].is_multiple_of(groups),
            "group_norm: axis 1 of shape {shape} does not divide into {groups} groups"
        );
        let rows = shape[0] * groups;
        let grouped = self.reshape_to([rows, shape.size().checked_div(rows).unwrap_or(0)]);
        let y = grouped.standardize(&[1], epsilon).reshape_to(shape.clone());
        let along = |x: Self| x.along_axis(shape.rank(), 1);
        y.scaled(gamma.map(along), beta.map(along))
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [3, 4], g: normal [4], b: normal [4]] => x.layer_norm(&[-1], Some(g), Some(b), 1e-3)),
        example!([x: normal [2, 3, 4]] => x.layer_norm(&[1, 2], None, None, 1e-3)),
        example!([x: normal [3, 4], g: normal [4]] => x.rms_norm(&[-1], Some(g), 1e-3)),
        example!([x: normal [4, 2, 3], g: normal [2], b: normal [2]] => {
            let (mean, var) = x.moments(1);
            x.batch_norm(1, mean, var, Some(g), Some(b), 1e-3)
        }),
        example!([x: normal [2, 4, 3], g: normal [4], b: normal [4]] => x.group_norm(2, Some(g), Some(b), 1e-3)),
    ]
}
