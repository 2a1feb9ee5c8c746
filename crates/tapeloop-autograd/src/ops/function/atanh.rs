//! y = artanh x;  dy/dx = 1/(1 − x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Atanh;

impl Pointwise<1> for Atanh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.atanh()
    }
}

impl<T: Element> Op<T> for Atanh {
    pointwise!("atanh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / (1.0 - x.square()));
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse hyperbolic tangent, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.atanh();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn atanh(self) -> Self {
        self.unary(Atanh)
    }
}

impl Examples for Atanh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: uniform ([2, 3], -0.7, 0.7)] => x.atanh())]
    }
}
