//! y = a · b;  ∂y/∂a = b,  ∂y/∂b = a

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::Backward;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mul;

impl Pointwise<2> for Mul {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a * b
    }
}

impl<T: Element> Op<T> for Mul {
    pointwise!("mul");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        back.give(0, |g| g * b);
        back.give(1, |g| g * a);
    }
}

impl Examples for Mul {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 1], b: normal [1, 4]] => a * b),
            example!([a: normal [2, 3]] => a * a),
        ]
    }
}
