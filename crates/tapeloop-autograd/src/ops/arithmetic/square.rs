//! y = x²;  dy/dx = 2x

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Square;

impl Pointwise<1> for Square {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x * x
    }
}

impl<T: Element> Op<T> for Square {
    pointwise!("square");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x * 2.0);
    }
}

impl<T: Element> Var<'_, T> {
    /// x², element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([3.0f32, -2.0]));
    /// let y = x.square();
    /// assert_eq!(y.value().to_vec(), [9.0, 4.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [6.0, -4.0]);
    /// ```
    #[track_caller]
    pub fn square(self) -> Self {
        self.unary(Square)
    }
}

impl Examples for Square {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.square())]
    }
}
