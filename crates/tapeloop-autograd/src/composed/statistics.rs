//! Means, variances, norms, products.

use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::{OrPanic, rule};
use crate::tape::Var;

impl<T: Element> Var<'_, T> {
    /// Σ x / n over `axes`, over all of them if the list is empty. The mean of nothing is NaN.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0], [5.0, 7.0]]));
    /// assert_eq!(x.mean(&[0], false).value().to_vec(), [3.0, 5.0]);
    /// assert_eq!(x.mean(&[], false).item(), 4.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn mean(self, axes: &[isize], keepdims: bool) -> Self {
        let n = self.count("mean", axes);
        self.sum(axes, keepdims) / n
    }

    /// The mean of all elements, NaN if there are none.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([1.0f32, 3.0])).mean_all().item(), 2.0);
    /// ```
    #[track_caller]
    pub fn mean_all(self) -> Self {
        self.mean(&[], false)
    }

    /// The number of elements that a reduction over `axes` takes together.
    #[track_caller]
    fn count(self, op: &'static str, axes: &[isize]) -> f64 {
        let shape = self.shape();
        let axes = rule::axes(op, &shape, axes).or_panic();
        axes.iter().map(|&axis| shape[axis]).product::<usize>() as f64
    }

    /// Σ (x − mean x)² / (n − correction) over `axes`, over all of them if the list is empty. A correction of 0
    /// gives the mean square deviation, of 1 the unbiased estimate.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 3.0, 5.0]));
    /// assert_eq!(x.var(&[], 1.0, false).item(), 4.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn var(self, axes: &[isize], correction: f64, keepdims: bool) -> Self {
        let n = self.count("var", axes);
        (self - self.mean(axes, true)).square().sum(axes, keepdims) / (n - correction).max(0.0)
    }

    /// Σ x over `axes`, over all of them if the list is empty; NaN counts as 0 and gets no gradient.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, f32::NAN, 5.0]));
    /// assert_eq!(x.nansum(&[], false).item(), 6.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn nansum(self, axes: &[isize], keepdims: bool) -> Self {
        // Only NaN differs from itself.
        self.ne(self).if_else(0.0, self).sum(axes, keepdims)
    }

    /// The mean over `axes`, over all of them if the list is empty, of what is not NaN; NaN where all is.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, f32::NAN, 5.0]));
    /// assert_eq!(x.nanmean(&[], false).item(), 3.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn nanmean(self, axes: &[isize], keepdims: bool) -> Self {
        self.nansum(axes, keepdims) / self.eq(self).sum(axes, keepdims)
    }

    /// The covariances Σ (xᵢ − mean xᵢ)(xⱼ − mean xⱼ) / (n − correction) of variables in rows and their n observations
    /// in columns: (variables, n) → (variables, variables). A correction of 1 gives the unbiased estimate.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0], [2.0, 0.0]]));
    /// assert_eq!(x.cov(1.0).value().to_vec(), [2.0, -2.0, -2.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn cov(self, correction: f64) -> Self {
        let n = self.dim(-1) as f64;
        assert!(self.rank() >= 2, "cov: shape {} is not (variables, observations)", self.shape());
        let deviation = self - self.mean(&[-1], true);
        deviation.matmul(deviation.t()) / (n - correction).max(0.0)
    }

    /// √[`var`](Self::var). Where the variance is 0, no gradient flows.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 3.0, 5.0]));
    /// assert_eq!(x.std(&[], 1.0, false).item(), 2.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn std(self, axes: &[isize], correction: f64, keepdims: bool) -> Self {
        self.var(axes, correction, keepdims).root()
    }

    /// (Σ |x|ᵖ)^(1/p) over `axes`, over all of them if the list is empty: the largest |x| for p = ∞, the smallest
    /// for p = −∞, how many are not 0 for p = 0. The gradient of a norm
    /// that is 0 is 0, and so is that of an element that is 0, for p < 1 too, where the slope is infinite.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([3.0f32, -4.0]));
    /// assert_eq!(x.norm(2.0, &[], false).item(), 5.0);
    /// assert_eq!(x.norm(f64::INFINITY, &[], false).item(), 4.0);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn norm(self, p: f64, axes: &[isize], keepdims: bool) -> Self {
        if p == 0.0 {
            return self.ne(0.0).sum(axes, keepdims);
        }
        if p == 1.0 {
            return self.abs().sum(axes, keepdims);
        }
        if p == 2.0 {
            return self.square().sum(axes, keepdims).root();
        }
        if p == f64::INFINITY {
            return self.abs().max(axes, keepdims);
        }
        if p == f64::NEG_INFINITY {
            return self.abs().min(axes, keepdims);
        }
        // Zeros are kept out of the power, whose slope there may be infinite.
        let absent = self.eq(0.0);
        let powers = absent.if_else(1.0, self).abs().powf(p);
        let sum = absent.if_else(if p > 0.0 { 0.0 } else { f64::INFINITY }, powers).sum(axes, keepdims);
        let zero = sum.eq(0.0);
        zero.if_else(0.0, zero.if_else(1.0, sum).powf(1.0 / p))
    }

    /// The product over `axes`, over all of them if the list is empty. Zeros need no special case, in the gradient
    /// neither: only products are taken.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.0, 5.0]));
    /// let y = x.prod(&[], false);
    /// assert_eq!(y.item(), 0.0);
    /// assert_eq!(y.backward().wrt(x).unwrap().to_vec(), [0.0, 10.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn prod(self, axes: &[isize], keepdims: bool) -> Self {
        let shape = self.shape();
        let axes = rule::axes("prod", &shape, axes).or_panic();
        let mut x = self;
        for &axis in &axes {
            let axis = axis as isize;
            if shape[axis as usize] == 0 {
                x = x.sum(&[axis], true) + 1.0;
            }
            // Halves are multiplied until one element is left.
            while x.dim(axis) > 1 {
                let half = x.dim(axis) / 2;
                let end = 2 * half as isize;
                let product = x.slice(axis, 0..half as isize) * x.slice(axis, half as isize..end);
                let odd = x.dim(axis) % 2 == 1;
                x = if odd { Self::concat([product, x.slice(axis, end..)], axis) } else { product };
            }
        }
        x.reshape_to(rule::reduced(&shape, &axes, keepdims))
    }

    /// yᵢ = x₀ · … · xᵢ along an axis, by repeated doubling; zeros need no special case.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 3.0, 0.0, 5.0]));
    /// assert_eq!(x.cumprod(0).value().to_vec(), [2.0, 6.0, 0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn cumprod(self, axis: isize) -> Self {
        self.scan_along(axis, |a, b| a * b)
    }

    /// yᵢ = ln(e^x₀ + … + e^xᵢ) along an axis, without overflow.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1000.0f32, 0.0, 1000.0]));
    /// assert_eq!(x.logcumsumexp(0).value().to_vec(), [1000.0, 1000.0, 1000.0 + std::f32::consts::LN_2]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn logcumsumexp(self, axis: isize) -> Self {
        self.scan_along(axis, |a, b| a.logaddexp(b))
    }

    /// All partial results of an associative `f` along an axis, in log₂ n rounds.
    #[track_caller]
    fn scan_along(self, axis: isize, f: impl Fn(Self, Self) -> Self) -> Self {
        if self.rank() == 0 {
            return self.along_last(axis, |x| x);
        }
        let _line = self.tape().called();
        let n = self.dim(axis);
        let (mut x, mut reach) = (self, 1);
        while reach < n {
            let cut = reach as isize;
            let joined = f(x.slice(axis, 0..n as isize - cut), x.slice(axis, cut..));
            x = Self::concat([x.slice(axis, 0..cut), joined], axis);
            reach *= 2;
        }
        x
    }

    /// 1 where any element over `axes` is not 0, else 0.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[0.0f32, 2.0], [0.0, 0.0]]));
    /// assert_eq!(x.any(&[1], false).value().to_vec(), [1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn any(self, axes: &[isize], keepdims: bool) -> Self {
        self.ne(0.0).sum(axes, keepdims).gt(0.0)
    }

    /// 1 where no element over `axes` is 0, else 0.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[0.0f32, 2.0], [1.0, 3.0]]));
    /// assert_eq!(x.all(&[1], false).value().to_vec(), [0.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice.
    #[track_caller]
    pub fn all(self, axes: &[isize], keepdims: bool) -> Self {
        self.eq(0.0).sum(axes, keepdims).eq(0.0)
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [2, 3, 4]] => x.mean(&[0, -1], false)),
        example!([x: normal [3, 4]] => x.var(&[1], 1.0, true)),
        example!([x: normal [3, 4]] => x.std(&[0], 0.0, false)),
        example!([x: normal [3, 4]] => x.nansum(&[0], false)),
        example!([x: normal [3, 4]] => x.nanmean(&[1], true)),
        example!([x: normal [3, 4]] => x.cov(1.0)),
        example!([x: normal [3, 4]] => x.norm(2.0, &[1], false)),
        example!([x: distinct [3, 4]] => x.norm(1.0, &[], false)),
        example!([x: distinct [3, 4]] => x.norm(3.0, &[0], true)),
        example!([x: positive [3, 4]] => x.norm(0.5, &[0], false)),
        example!([x: distinct [3, 4]] => x.norm(-2.0, &[1], false)),
        example!([x: distinct [3, 4]] => x.norm(f64::INFINITY, &[1], false)),
        example!([x: normal [2, 5]] => x.prod(&[1], false)),
        example!([x: values ([2, 3], [2.0, 0.0, 3.0, 0.0, 0.0, 4.0])] => x.prod(&[1], true)),
        example!([x: normal [2, 2, 2]] => x.prod(&[], false)),
        example!([x: normal [5, 2]] => x.cumprod(0)),
        example!([x: values ([4], [2.0, 0.0, 3.0, 0.5])] => x.cumprod(0)),
        example!([x: normal [2, 5]] => x.logcumsumexp(1)),
    ]
}
