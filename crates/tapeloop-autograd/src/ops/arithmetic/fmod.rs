//! y = a − b · trunc(a/b);  ∂y/∂a = 1,  ∂y/∂b = −trunc(a/b)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fmod;

impl Pointwise<2> for Fmod {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a % b
    }
}

impl<T: Element> Op<T> for Fmod {
    pointwise!("fmod");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| g);
        back.give(1, |g| -g * (a / b).trunc());
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The remainder of a / b with the sign of a, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([-3.5f32]));
    /// let b = tape.leaf(Tensor::from([2.0f32]));
    /// assert_eq!(a.fmod(b).value().to_vec(), [-1.5]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn fmod(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Fmod, other.on(self.tape()))
    }
}

impl Examples for Fmod {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: distinct [2, 3], b: values ([3], [0.7, 0.9, 0.8])] => (a * 3.0).fmod(b)),
        ]
    }
}
