//! y = a − b · ⌊a/b⌋;  ∂y/∂a = 1,  ∂y/∂b = −⌊a/b⌋

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Remainder;

impl Pointwise<2> for Remainder {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        {
            let y = a % b;
            if y != T::ZERO && (y < T::ZERO) != (b < T::ZERO) { y + b } else { y }
        }
    }
}

impl<T: Element> Op<T> for Remainder {
    pointwise!("remainder");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| g);
        back.give(1, |g| -g * (a / b).floor());
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The remainder of a / b with the sign of b, as Python's `%`, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([-3.5f32]));
    /// let b = tape.leaf(Tensor::from([2.0f32]));
    /// assert_eq!(a.remainder(b).value().to_vec(), [0.5]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn remainder(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Remainder, other.on(self.tape()))
    }
}

impl Examples for Remainder {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: distinct [2, 3], b: values ([3], [0.7, -0.9, 0.8])] => (a * 3.0).remainder(b)),
        ]
    }
}
