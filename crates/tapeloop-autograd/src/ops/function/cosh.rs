//! y = cosh x;  dy/dx = sinh x

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cosh;

impl Pointwise<1> for Cosh {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.cosh()
    }
}

impl<T: Element> Op<T> for Cosh {
    pointwise!("cosh");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.sinh());
    }
}

impl<T: Element> Var<'_, T> {
    /// Hyperbolic cosine, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32]));
    /// let y = x.cosh();
    /// assert_eq!(y.value().to_vec(), [1.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.0]);
    /// ```
    #[track_caller]
    pub fn cosh(self) -> Self {
        self.unary(Cosh)
    }
}

impl Examples for Cosh {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.cosh())]
    }
}
