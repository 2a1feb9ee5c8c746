//! y = ln(1 + eˣ);  dy/dx = σ(x)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Softplus;

impl Pointwise<1> for Softplus {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.maximum(T::ZERO) + (-x.abs()).exp().ln_1p()
    }
}

impl<T: Element> Op<T> for Softplus {
    pointwise!("softplus");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.sigmoid());
    }
}

impl<T: Element> Var<'_, T> {
    /// ln(1 + eˣ), element by element, without overflow.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-1000.0f32, 1000.0]));
    /// let y = x.softplus();
    /// assert_eq!(y.value().to_vec(), [0.0, 1000.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn softplus(self) -> Self {
        self.unary(Softplus)
    }
}

impl Examples for Softplus {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.softplus())]
    }
}
