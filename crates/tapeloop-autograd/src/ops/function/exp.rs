//! y = eˣ;  dy/dx = y

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exp;

impl Pointwise<1> for Exp {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.exp()
    }
}

impl<T: Element> Op<T> for Exp {
    pointwise!("exp");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g * y);
    }
}

impl<T: Element> Var<'_, T> {
    /// eˣ, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, f32::NEG_INFINITY]));
    /// let y = x.exp();
    /// assert_eq!(y.value().to_vec(), [1.0, 0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn exp(self) -> Self {
        self.unary(Exp)
    }
}

impl Examples for Exp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.exp())]
    }
}
