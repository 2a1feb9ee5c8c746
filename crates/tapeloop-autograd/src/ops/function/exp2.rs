//! y = 2ˣ;  dy/dx = y ln 2

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exp2;

impl Pointwise<1> for Exp2 {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.exp2()
    }
}

impl<T: Element> Op<T> for Exp2 {
    pointwise!("exp2");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g * y * std::f64::consts::LN_2);
    }
}

impl<T: Element> Var<'_, T> {
    /// 2ˣ, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([3.0f32, -1.0]));
    /// let y = x.exp2();
    /// assert_eq!(y.value().to_vec(), [8.0, 0.5]);
    /// ```
    #[track_caller]
    pub fn exp2(self) -> Self {
        self.unary(Exp2)
    }
}

impl Examples for Exp2 {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.exp2())]
    }
}
