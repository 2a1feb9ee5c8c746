//! y = cos x;  dy/dx = −sin x

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cos;

impl Pointwise<1> for Cos {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.cos()
    }
}

impl<T: Element> Op<T> for Cos {
    pointwise!("cos");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| -g * x.sin());
    }
}

impl<T: Element> Var<'_, T> {
    /// Cosine of an angle in radians, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.cos();
    /// assert_eq!(y.value().to_vec(), [1.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [-0.0]);
    /// ```
    #[track_caller]
    pub fn cos(self) -> Self {
        self.unary(Cos)
    }
}

impl Examples for Cos {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.cos())]
    }
}
