//! y = ln(1 + x);  dy/dx = 1/(1 + x)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ln1p;

impl Pointwise<1> for Ln1p {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.ln_1p()
    }
}

impl<T: Element> Op<T> for Ln1p {
    pointwise!("ln_1p");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / (x + 1.0));
    }
}

impl<T: Element> Var<'_, T> {
    /// ln(1 + x), element by element, without cancellation near 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 1e-20]));
    /// let y = x.ln_1p();
    /// assert_eq!(y.value().to_vec(), [0.0, 1e-20]);
    /// ```
    #[track_caller]
    pub fn ln_1p(self) -> Self {
        self.unary(Ln1p)
    }
}

impl Examples for Ln1p {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.ln_1p())]
    }
}
