//! y = a + b;  ∂y/∂a = 1,  ∂y/∂b = 1

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::Backward;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Add;

impl Pointwise<2> for Add {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a + b
    }
}

impl<T: Element> Op<T> for Add {
    pointwise!("add");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g);
        back.give(1, |g| g);
    }
}

impl Examples for Add {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [3, 4], b: normal [3, 4]] => a + b),
            example!([a: normal [3, 1, 4], b: normal [2, 4]] => a + b),
        ]
    }
}
