//! y = √x;  dy/dx = 1/(2y)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sqrt;

impl Pointwise<1> for Sqrt {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.sqrt()
    }
}

impl<T: Element> Op<T> for Sqrt {
    pointwise!("sqrt");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| g / (y * 2.0));
    }
}

impl<T: Element> Var<'_, T> {
    /// Square root, element by element. Its derivative at 0 is infinite; [`root`](Self::root) has 0 there.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([4.0f32]));
    /// let y = x.sqrt();
    /// assert_eq!(y.value().to_vec(), [2.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.25]);
    /// ```
    #[track_caller]
    pub fn sqrt(self) -> Self {
        self.unary(Sqrt)
    }
}

impl Examples for Sqrt {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.sqrt())]
    }
}
