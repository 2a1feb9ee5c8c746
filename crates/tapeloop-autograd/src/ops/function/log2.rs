//! y = log₂ x;  dy/dx = 1/(x ln 2)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Log2;

impl Pointwise<1> for Log2 {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.log2()
    }
}

impl<T: Element> Op<T> for Log2 {
    pointwise!("log2");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / (x * std::f64::consts::LN_2));
    }
}

impl<T: Element> Var<'_, T> {
    /// Logarithm to base 2, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([8.0f32]));
    /// let y = x.log2();
    /// assert_eq!(y.value().to_vec(), [3.0]);
    /// ```
    #[track_caller]
    pub fn log2(self) -> Self {
        self.unary(Log2)
    }
}

impl Examples for Log2 {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.log2())]
    }
}
