//! y = |x|;  dy/dx = sign x, 0 at 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Abs;

impl Pointwise<1> for Abs {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.abs()
    }
}

impl<T: Element> Op<T> for Abs {
    pointwise!("abs");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.sign());
    }
}

impl<T: Element> Var<'_, T> {
    /// |x|, element by element. Its derivative at 0 is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-2.0f32, 0.0]));
    /// let y = x.abs();
    /// assert_eq!(y.value().to_vec(), [2.0, 0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [-1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn abs(self) -> Self {
        self.unary(Abs)
    }
}

impl Examples for Abs {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => x.abs())]
    }
}
