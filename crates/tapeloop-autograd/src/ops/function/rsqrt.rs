//! y = 1/√x;  dy/dx = −½ y³

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rsqrt;

impl Pointwise<1> for Rsqrt {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        T::ONE / x.sqrt()
    }
}

impl<T: Element> Op<T> for Rsqrt {
    pointwise!("rsqrt");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g * (y * y * y) * -0.5);
    }
}

impl<T: Element> Var<'_, T> {
    /// 1/√x, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([4.0f32]));
    /// let y = x.rsqrt();
    /// assert_eq!(y.value().to_vec(), [0.5]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [-0.0625]);
    /// ```
    #[track_caller]
    pub fn rsqrt(self) -> Self {
        self.unary(Rsqrt)
    }
}

impl Examples for Rsqrt {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.rsqrt())]
    }
}
