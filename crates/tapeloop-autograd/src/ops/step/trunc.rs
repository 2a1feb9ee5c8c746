//! y = the integer part of x;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Trunc;

impl Pointwise<1> for Trunc {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.trunc()
    }
}

impl<T: Element> Op<T> for Trunc {
    pointwise!("trunc");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// The integer part, element by element. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.5f32, -1.5]));
    /// let y = x.trunc();
    /// assert_eq!(y.value().to_vec(), [1.0, -1.0]);
    /// assert!(!y.needs_grad());
    /// ```
    #[track_caller]
    pub fn trunc(self) -> Self {
        self.unary(Trunc)
    }
}

impl Examples for Trunc {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.trunc())]
    }
}
