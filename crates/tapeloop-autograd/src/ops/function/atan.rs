//! y = arctan x;  dy/dx = 1/(1 + x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Atan;

impl Pointwise<1> for Atan {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.atan()
    }
}

impl<T: Element> Op<T> for Atan {
    pointwise!("atan");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g / (x.square() + 1.0));
    }
}

impl<T: Element> Var<'_, T> {
    /// Inverse tangent, in radians, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.atan();
    /// assert_eq!(y.value().to_vec(), [0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn atan(self) -> Self {
        self.unary(Atan)
    }
}

impl Examples for Atan {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.atan())]
    }
}
