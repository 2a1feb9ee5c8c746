//! y = x within low..high, else the bound;  dy/dx = 1 inside, 0 outside and on the bounds

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clamp {
    low: f64,
    high: f64,
}

impl Pointwise<1> for Clamp {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.maximum(T::from_f64(self.low)).minimum(T::from_f64(self.high))
    }
}

impl<T: Element> Op<T> for Clamp {
    pointwise!("clamp");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.inside(self.low, self.high));
    }
}

impl<T: Element> Var<'_, T> {
    /// x, but not below `low` and not above `high`, element by element. On a bound the derivative is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-2.0f32, 0.5, 1.0]));
    /// let y = x.clamp(-1.0, 1.0);
    /// assert_eq!(y.value().to_vec(), [-1.0, 0.5, 1.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.0, 1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If `low` is above `high`.
    #[track_caller]
    pub fn clamp(self, low: f64, high: f64) -> Self {
        assert!(low <= high, "clamp: the lower bound {low} is above the upper bound {high}");
        self.unary(Clamp { low, high })
    }
}

impl Examples for Clamp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => x.clamp(-0.5, 0.6))]
    }
}
