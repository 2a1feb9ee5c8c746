//! y = −1, 0 or 1;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sign;

impl Pointwise<1> for Sign {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        {
            let y = if x > T::ZERO { T::ONE } else { T::ZERO };
            let y = if x < T::ZERO { -T::ONE } else { y };
            if x.is_nan() { x } else { y }
        }
    }
}

impl<T: Element> Op<T> for Sign {
    pointwise!("sign");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// −1, 0 or 1, element by element; NaN stays. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-3.0f32, 0.0, 2.0]));
    /// let y = x.sign();
    /// assert_eq!(y.value().to_vec(), [-1.0, 0.0, 1.0]);
    /// assert!(!y.needs_grad());
    /// ```
    #[track_caller]
    pub fn sign(self) -> Self {
        self.unary(Sign)
    }
}

impl Examples for Sign {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.sign())]
    }
}
