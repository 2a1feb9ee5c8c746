//! y = ln |Γ(x)|;  dy/dx = ψ(x)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lgamma;

impl Pointwise<1> for Lgamma {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.lgamma()
    }
}

impl<T: Element> Op<T> for Lgamma {
    pointwise!("lgamma");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.polygamma(0));
    }
}

impl<T: Element> Var<'_, T> {
    /// The logarithm of the absolute value of the gamma function, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// let y = x.lgamma();
    /// assert_eq!(y.value().to_vec(), [0.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn lgamma(self) -> Self {
        self.unary(Lgamma)
    }
}

impl Examples for Lgamma {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.lgamma())]
    }
}
