//! y = min(a, b);  ∂y/∂a = 1 where a < b, ½ where a = b, else 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Minimum;

impl Pointwise<2> for Minimum {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a.minimum(b)
    }
}

impl<T: Element> Op<T> for Minimum {
    pointwise!("minimum");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| g * (a.lt(b) + a.eq(b) * 0.5));
        back.give(1, |g| g * (b.lt(a) + a.eq(b) * 0.5));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The smaller of two, element by element; NaN if either is. Equal elements share the gradient.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// let b = tape.leaf(Tensor::from([3.0f32, 0.0]));
    /// assert_eq!(a.minimum(b).value().to_vec(), [1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn minimum(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Minimum, other.on(self.tape()))
    }
}

impl Examples for Minimum {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: distinct [2, 3], b: values ([3], [0.01, -0.02, 0.03])] => a.minimum(b)),
        ]
    }
}
