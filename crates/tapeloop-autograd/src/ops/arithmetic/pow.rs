//! y = aᵇ;  ∂y/∂a = b aᵇ⁻¹, 0 where b = 0,  ∂y/∂b = y ln a, 0 where a = 0 and b ≥ 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pow;

impl Pointwise<2> for Pow {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a.powf(b)
    }
}

impl<T: Element> Op<T> for Pow {
    pointwise!("pow");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b, y) = (back.input(0), back.input(1), back.output());
        back.give(0, |g| {
            let flat = b.eq(0.0);
            g * (b * a.pow(b - (1.0 - flat)) * (1.0 - flat))
        });
        back.give(1, |g| {
            let flat = a.eq(0.0) * b.ge(0.0);
            g * (y * (a + flat).ln())
        });
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// aᵇ, element by element. The derivatives at 0⁰ are 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([2.0f32, 0.0]));
    /// let b = tape.leaf(Tensor::from([3.0f32, 0.0]));
    /// assert_eq!(a.pow(b).value().to_vec(), [8.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn pow(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Pow, other.on(self.tape()))
    }
}

impl Examples for Pow {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: positive [2, 3], b: normal [3]] => a.pow(b)),
        ]
    }
}
