//! y = arcsin x;  dy/dx = 1/√(1 − x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asin;

impl Pointwise<1> for Asin {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.asin()
    }
}

impl<T: Element> Op<T> for Asin {
    pointwise!("asin");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * (1.0 - x.square()).rsqrt());
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse sine, in radians, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.asin();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn asin(self) -> Self {
        self.unary(Asin)
    }
}

impl Examples for Asin {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: uniform ([2, 3], -0.8, 0.8)] => x.asin())]
    }
}
