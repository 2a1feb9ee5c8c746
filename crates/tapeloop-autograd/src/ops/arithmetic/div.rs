//! y = a / b;  ∂y/∂a = 1/b,  ∂y/∂b = −y/b

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::Backward;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Div;

impl Pointwise<2> for Div {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a / b
    }
}

impl<T: Element> Op<T> for Div {
    pointwise!("div");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (b, y) = (back.input(1), back.output());
        back.give(0, |g| g / b);
        back.give(1, |g| -g * (y / b));
    }
}

impl Examples for Div {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3, 4], b: positive [3, 1]] => a / b),
            example!([b: positive [3]] => 2.0 / b),
        ]
    }
}
