//! y = arsinh x;  dy/dx = 1/√(x² + 1)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Asinh;

impl Pointwise<1> for Asinh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.asinh()
    }
}

impl<T: Element> Op<T> for Asinh {
    pointwise!("asinh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * (x.square() + 1.0).rsqrt());
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse hyperbolic sine, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.asinh();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn asinh(self) -> Self {
        self.unary(Asinh)
    }
}

impl Examples for Asinh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.asinh())]
    }
}
