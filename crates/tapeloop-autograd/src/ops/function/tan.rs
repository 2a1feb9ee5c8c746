//! y = tan x;  dy/dx = 1 + y²

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tan;

impl Pointwise<1> for Tan {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.tan()
    }
}

impl<T: Element> Op<T> for Tan {
    pointwise!("tan");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g * (y.square() + 1.0));
    }
}

impl<T: Element> Var<'_, T> {
    /// Tangent of an angle in radians, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.tan();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn tan(self) -> Self {
        self.unary(Tan)
    }
}

impl Examples for Tan {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: uniform ([2, 3], -1.0, 1.0)] => x.tan())]
    }
}
