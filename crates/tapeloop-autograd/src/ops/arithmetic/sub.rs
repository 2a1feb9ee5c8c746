//! y = a − b;  ∂y/∂a = 1,  ∂y/∂b = −1

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::Backward;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sub;

impl Pointwise<2> for Sub {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a - b
    }
}

impl<T: Element> Op<T> for Sub {
    pointwise!("sub");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g);
        back.give(1, |g| -g);
    }
}

impl Examples for Sub {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: normal []] => a - b),
            example!([a: normal [3], b: normal [2, 3]] => a - b),
        ]
    }
}
