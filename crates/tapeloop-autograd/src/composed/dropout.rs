//! Dropout (Srivastava et al. 2014), inverted: what stays is scaled up, so that inference does nothing.

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::tensor::random::Rng;

impl<T: Element> Tensor<T> {
    /// A dropout mask: 0 with probability `rate`, else 1 / (1 − rate).
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tensor};
    /// let mask = Tensor::<f32>::dropout_mask([100], 0.5, &mut Rng::new(1));
    /// assert!(mask.to_vec().iter().all(|&m| m == 0.0 || m == 2.0));
    /// ```
    ///
    /// # Panics
    /// If the rate is not in 0..=1.
    #[track_caller]
    pub fn dropout_mask(shape: impl Into<crate::Shape>, rate: f64, rng: &mut Rng) -> Self {
        let mut draw = entries(rate, rng);
        Self::from_fn(shape, |_| draw())
    }
}

/// The entries of a mask, one after the other.
#[track_caller]
fn entries<T: Element>(rate: f64, rng: &mut Rng) -> impl FnMut() -> T {
    assert!((0.0..=1.0).contains(&rate), "dropout: a rate of {rate} is not in 0..=1");
    let kept = if rate < 1.0 { T::from_f64(1.0 / (1.0 - rate)) } else { T::ZERO };
    move || if rng.uniform() < rate { T::ZERO } else { kept }
}

impl<T: Element> Tape<T> {
    /// A [dropout mask](Tensor::dropout_mask), in memory that is used again.
    ///
    /// # Panics
    /// If the rate is not in 0..=1.
    #[track_caller]
    pub fn dropout_mask(&self, shape: impl Into<crate::Shape>, rate: f64, rng: &mut Rng) -> Var<'_, T> {
        self.drawn(&shape.into(), entries(rate, rng))
    }

    /// 1 with probability `p`, else 0, as [`Tensor::bernoulli`], in memory that is used again.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn bernoulli(&self, shape: impl Into<crate::Shape>, p: f64, rng: &mut Rng) -> Var<'_, T> {
        assert!((0.0..=1.0).contains(&p), "bernoulli: {p} is no probability");
        self.drawn(&shape.into(), || if rng.uniform() < p { T::ONE } else { T::ZERO })
    }
}

impl<T: Element> Var<'_, T> {
    /// Each element 0 with probability `rate`, else divided by 1 − `rate`.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::<f32>::ones([1000]));
    /// let y = x.dropout(0.25, &mut Rng::new(1));
    /// assert!((y.mean_all().item() - 1.0).abs() < 0.1);
    /// ```
    ///
    /// # Panics
    /// If the rate is not in 0..=1.
    #[track_caller]
    pub fn dropout(self, rate: f64, rng: &mut Rng) -> Self {
        if rate == 0.0 {
            return self;
        }
        self * self.tape().drawn(&self.shape(), entries(rate, rng))
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![example!([x: normal [3, 4]] => x.dropout(0.4, &mut Rng::new(7)))]
}
