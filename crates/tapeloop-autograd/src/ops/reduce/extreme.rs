//! y = max x (or min x) over axes;  ∂y/∂x = 1/n at each of the n places where x = y, else 0

use crate::element::Element;
use crate::kernels::reduce::{self, Combine};
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Extreme {
    largest: bool,
    axes: Dims,
    keepdims: bool,
}

#[derive(Clone, Copy)]
struct Further {
    largest: bool,
}

impl Combine for Further {
    #[inline(always)]
    fn call<T: Element>(self, a: T, b: T) -> T {
        if self.largest { a.maximum(b) } else { a.minimum(b) }
    }
}

impl<T: Element> Op<T> for Extreme {
    fn name(&self) -> &'static str {
        if self.largest { "max" } else { "min" }
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let shape = rule::reduced(inputs[0], &self.axes, self.keepdims);
        if shape.size() > 0 && inputs[0].size() == 0 {
            return Err(ShapeError::new(Op::<T>::name(self), inputs, "nothing has no largest or smallest element"));
        }
        Ok(shape)
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let further = Further { largest: self.largest };
        let start = if self.largest { -T::INFINITY } else { T::INFINITY };
        run.fold(
            inputs[0],
            &self.axes,
            |x, n, out, run| reduce::fold_each(x, n, out, start, further, run.threads),
            |x, _, out, _| reduce::fold_columns(x, out, start, further),
        )
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (x, y) = (back.input(0), back.output());
        let kept = rule::reduced(&x.shape(), &self.axes, true);
        let axes: smallvec::SmallVec<[isize; 4]> = self.axes.iter().map(|&axis| axis as isize).collect();
        back.give(0, |g| {
            let ties = x.eq(y.reshape_to(kept.clone()));
            // Without axes there is nothing to share.
            let count = if axes.is_empty() { ties } else { ties.sum(&axes, true) };
            ties * (g.reshape_to(kept) / count)
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The largest element over `axes`, over all of them if the list is empty; NaN if one is NaN. Equal
    /// elements share the gradient. [`max_at`](Self::max_at) gives it all to the first, and tells where it is.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0], [3.0, 0.0]]));
    /// assert_eq!(x.max(&[1], false).value().to_vec(), [3.0, 3.0]);
    /// assert_eq!(x.max(&[], false).backward().wrt(x).unwrap().to_vec(), [0.0, 0.5, 0.5, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice, or there is no element.
    #[track_caller]
    pub fn max(self, axes: &[isize], keepdims: bool) -> Self {
        self.extreme("max", true, axes, keepdims)
    }

    /// The smallest element over `axes`: as [`max`](Self::max).
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 3.0], [3.0, 0.0]]));
    /// assert_eq!(x.min(&[0], true).value().to_vec(), [1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or is named twice, or there is no element.
    #[track_caller]
    pub fn min(self, axes: &[isize], keepdims: bool) -> Self {
        self.extreme("min", false, axes, keepdims)
    }

    #[track_caller]
    fn extreme(self, name: &'static str, largest: bool, axes: &[isize], keepdims: bool) -> Self {
        let axes = rule::axes(name, &self.shape(), axes).or_panic();
        self.unary(Extreme { largest, axes, keepdims })
    }
}

impl Examples for Extreme {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: distinct [3, 4]] => x.max(&[], false)),
            example!([x: distinct [2, 3, 4]] => x.max(&[0, 2], true)),
            example!([x: distinct [2, 3, 4]] => x.min(&[1], false)),
            example!([x: values ([2, 2], [1.0, 2.0, 0.5, 3.0])] => x.min(&[-1], false)),
        ]
    }
}
