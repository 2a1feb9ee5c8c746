//! z = g (1 − y²), the cotangent of tanh where y = tanh x;  dz/dg = 1 − y²,  dz/dy = −2 g y

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TanhVjp;

impl Pointwise<2> for TanhVjp {
    #[inline(always)]
    fn call<T: Element>(self, [y, g]: [T; 2]) -> T {
        g * (T::ONE - y * y)
    }
}

impl<T: Element> Op<T> for TanhVjp {
    pointwise!("tanh_vjp");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (y, g) = (back.input(0), back.input(1));
        back.give(0, |z| z * g * y * -2.0);
        back.give(1, |z| y.tanh_vjp(z));
    }
}

impl<T: Element> Var<'_, T> {
    /// The cotangent of x, where this is tanh x and its cotangent `g`: one pass instead of three.
    #[track_caller]
    pub(crate) fn tanh_vjp(self, g: Self) -> Self {
        self.binary(TanhVjp, g)
    }
}

impl Examples for TanhVjp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([y: normal [2, 3], g: normal [2, 3]] => y.tanh_vjp(g))]
    }
}
