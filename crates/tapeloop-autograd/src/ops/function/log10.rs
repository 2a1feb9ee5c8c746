//! y = log₁₀ x;  dy/dx = 1/(x ln 10)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Log10;

impl Pointwise<1> for Log10 {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.log10()
    }
}

impl<T: Element> Op<T> for Log10 {
    pointwise!("log10");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / (x * std::f64::consts::LN_10));
    }
}

impl<T: Element> Var<'_, T> {
    /// Logarithm to base 10, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([100.0f32]));
    /// let y = x.log10();
    /// assert_eq!(y.value().to_vec(), [2.0]);
    /// ```
    #[track_caller]
    pub fn log10(self) -> Self {
        self.unary(Log10)
    }
}

impl Examples for Log10 {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.log10())]
    }
}
