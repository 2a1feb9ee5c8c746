//! z = g y (1 − y), the cotangent of σ where y = σ(x);  dz/dg = y (1 − y),  dz/dy = g (1 − 2 y)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SigmoidVjp;

impl Pointwise<2> for SigmoidVjp {
    #[inline(always)]
    fn call<T: Element>(self, [y, g]: [T; 2]) -> T {
        g * (y * (T::ONE - y))
    }
}

impl<T: Element> Op<T> for SigmoidVjp {
    pointwise!("sigmoid_vjp");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (y, g) = (back.input(0), back.input(1));
        back.give(0, |z| z * g * (1.0 - y * 2.0));
        back.give(1, |z| y.sigmoid_vjp(z));
    }
}

impl<T: Element> Var<'_, T> {
    /// The cotangent of x, where this is σ(x) and its cotangent `g`: one pass instead of three.
    #[track_caller]
    pub(crate) fn sigmoid_vjp(self, g: Self) -> Self {
        self.binary(SigmoidVjp, g)
    }
}

impl Examples for SigmoidVjp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([y: normal [2, 3], g: normal [2, 3]] => y.sigmoid_vjp(g))]
    }
}
