//! y = 1 for low < x < high, else 0;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Inside {
    low: f64,
    high: f64,
}

impl Pointwise<1> for Inside {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        let below = x < T::from_f64(self.high) || (self.high == f64::INFINITY && x == T::INFINITY);
        if x > T::from_f64(self.low) && below { T::ONE } else { T::ZERO }
    }
}

impl<T: Element> Op<T> for Inside {
    pointwise!("inside");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// 1 where x lies between `low` and `high`, both excluded, else 0; a `high` of ∞ excludes
    /// nothing. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-1.0f32, 0.0, 1.0]));
    /// let y = x.inside(-1.0, 1.0);
    /// assert_eq!(y.value().to_vec(), [0.0, 1.0, 0.0]);
    /// assert!(!y.needs_grad());
    /// ```
    #[track_caller]
    pub fn inside(self, low: f64, high: f64) -> Self {
        self.unary(Inside { low, high })
    }
}

impl Examples for Inside {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.inside(-1.0, 1.0))]
    }
}
