//! y = eˣ − 1;  dy/dx = eˣ

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ExpM1;

impl Pointwise<1> for ExpM1 {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.exp_m1()
    }
}

impl<T: Element> Op<T> for ExpM1 {
    pointwise!("exp_m1");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.exp());
    }
}

impl<T: Element> Var<'_, T> {
    /// eˣ − 1, element by element, without cancellation near 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 1e-20]));
    /// let y = x.exp_m1();
    /// assert_eq!(y.value().to_vec(), [0.0, 1e-20]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn exp_m1(self) -> Self {
        self.unary(ExpM1)
    }
}

impl Examples for ExpM1 {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.exp_m1())]
    }
}
