//! y = sinh x;  dy/dx = cosh x

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sinh;

impl Pointwise<1> for Sinh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.sinh()
    }
}

impl<T: Element> Op<T> for Sinh {
    pointwise!("sinh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.cosh());
    }
}

impl<T: Element> Var<'_, T> {
    /// Hyperbolic sine, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.sinh();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn sinh(self) -> Self {
        self.unary(Sinh)
    }
}

impl Examples for Sinh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.sinh())]
    }
}
