//! y = arcosh x;  dy/dx = 1/√(x² − 1)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Acosh;

impl Pointwise<1> for Acosh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.acosh()
    }
}

impl<T: Element> Op<T> for Acosh {
    pointwise!("acosh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * (x.square() - 1.0).rsqrt());
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse hyperbolic cosine, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32]));
    /// let y = x.acosh();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// ```
    #[track_caller]
    pub fn acosh(self) -> Self {
        self.unary(Acosh)
    }
}

impl Examples for Acosh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: uniform ([2, 3], 1.5, 3.0)] => x.acosh())]
    }
}
