//! y = the nearest integer, ties to even;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Round;

impl Pointwise<1> for Round {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.round_ties_even()
    }
}

impl<T: Element> Op<T> for Round {
    pointwise!("round");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// The nearest integer, ties to even, element by element. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.5f32, 2.5]));
    /// let y = x.round();
    /// assert_eq!(y.value().to_vec(), [2.0, 2.0]);
    /// assert!(!y.needs_grad());
    /// ```
    #[track_caller]
    pub fn round(self) -> Self {
        self.unary(Round)
    }
}

impl Examples for Round {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.round())]
    }
}
