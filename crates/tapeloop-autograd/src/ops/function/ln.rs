//! y = ln x;  dy/dx = 1/x

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ln;

impl Pointwise<1> for Ln {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.ln()
    }
}

impl<T: Element> Op<T> for Ln {
    pointwise!("ln");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / x);
    }
}

impl<T: Element> Var<'_, T> {
    /// Natural logarithm, element by element: −∞ of 0, NaN of what is less.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 0.0]));
    /// let y = x.ln();
    /// assert_eq!(y.value().to_vec(), [0.0, f32::NEG_INFINITY]);
    /// ```
    #[track_caller]
    pub fn ln(self) -> Self {
        self.unary(Ln)
    }
}

impl Examples for Ln {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.ln())]
    }
}
