//! y = arccos x;  dy/dx = −1/√(1 − x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Acos;

impl Pointwise<1> for Acos {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.acos()
    }
}

impl<T: Element> Op<T> for Acos {
    pointwise!("acos");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| -g * (1.0 - x.square()).rsqrt());
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse cosine, in radians, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32]));
    /// let y = x.acos();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// ```
    #[track_caller]
    pub fn acos(self) -> Self {
        self.unary(Acos)
    }
}

impl Examples for Acos {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: uniform ([2, 3], -0.8, 0.8)] => x.acos())]
    }
}
