//! y = the angle of the point (b, a);  ∂y/∂a = b/(a² + b²),  ∂y/∂b = −a/(a² + b²), both 0 at the origin

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Atan2;

impl Pointwise<2> for Atan2 {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a.atan2(b)
    }
}

impl<T: Element> Op<T> for Atan2 {
    pointwise!("atan2");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        let square = a.square() + b.square();
        // At the origin 0/1 instead of 0/0.
        let r = square + square.eq(0.0);
        back.give(0, |g| g * (b / r));
        back.give(1, |g| -g * (a / r));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The angle of the point (`other`, `self`) in radians, in −π..π, element by element. At the origin the
    /// derivatives are 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([0.0f32]));
    /// let b = tape.leaf(Tensor::from([1.0f32]));
    /// assert_eq!(a.atan2(b).value().to_vec(), [0.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn atan2(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Atan2, other.on(self.tape()))
    }
}

impl Examples for Atan2 {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: positive [3]] => a.atan2(b)),
        ]
    }
}
