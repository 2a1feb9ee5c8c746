//! y = tanh(x);  dy/dx = 1 − y²

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tanh;

impl Pointwise<1> for Tanh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.tanh()
    }
}

impl<T: Element> Op<T> for Tanh {
    pointwise!("tanh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| y.tanh_vjp(g));
    }
}

impl<T: Element> Var<'_, T> {
    /// Hyperbolic tangent, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 1000.0]));
    /// let y = x.tanh();
    /// assert_eq!(y.value().to_vec(), [0.0, 1.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn tanh(self) -> Self {
        self.unary(Tanh)
    }
}

impl Examples for Tanh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.tanh())]
    }
}
