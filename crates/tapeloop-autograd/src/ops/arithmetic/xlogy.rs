//! y = a ln b, 0 where a = 0;  ∂y/∂a = ln b,  ∂y/∂b = a/b

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Xlogy;

impl Pointwise<2> for Xlogy {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        if a == T::ZERO && !b.is_nan() { T::ZERO } else { a * b.ln() }
    }
}

impl<T: Element> Op<T> for Xlogy {
    pointwise!("xlogy");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| {
            // Where a = 0 and b has no logarithm there is no slope either.
            let flat = a.eq(0.0) * b.le(0.0);
            g * (b * (1.0 - flat) + flat).ln()
        });
        back.give(1, |g| g * (a / b));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// a ln b, and 0 where a is 0, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([0.0f32, 2.0]));
    /// let b = tape.leaf(Tensor::from([0.0f32, 1.0]));
    /// assert_eq!(a.xlogy(b).value().to_vec(), [0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn xlogy(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Xlogy, other.on(self.tape()))
    }
}

impl Examples for Xlogy {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: positive [3]] => a.xlogy(b)),
        ]
    }
}
