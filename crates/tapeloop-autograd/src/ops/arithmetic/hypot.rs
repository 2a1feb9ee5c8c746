//! y = √(a² + b²);  ∂y/∂a = a/y,  ∂y/∂b = b/y

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hypot;

impl Pointwise<2> for Hypot {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a.hypot(b)
    }
}

impl<T: Element> Op<T> for Hypot {
    pointwise!("hypot");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b, y) = (back.input(0), back.input(1), back.output());
        back.give(0, |g| g * (a / y));
        back.give(1, |g| g * (b / y));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// √(a² + b²), element by element, without overflow.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([3.0f32]));
    /// let b = tape.leaf(Tensor::from([4.0f32]));
    /// assert_eq!(a.hypot(b).value().to_vec(), [5.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn hypot(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Hypot, other.on(self.tape()))
    }
}

impl Examples for Hypot {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: positive [3]] => a.hypot(b)),
        ]
    }
}
