//! y = √x;  dy/dx = 1/(2y), 0 at 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Root;

impl Pointwise<1> for Root {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.sqrt()
    }
}

impl<T: Element> Op<T> for Root {
    pointwise!("root");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| {
            let zero = y.eq(0.0);
            g * (1.0 - zero) / (y * 2.0 + zero)
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// Square root with the derivative 0 at 0, as norms and standard deviations need it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([4.0f32, 0.0]));
    /// let y = x.root();
    /// assert_eq!(y.value().to_vec(), [2.0, 0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.25, 0.0]);
    /// ```
    #[track_caller]
    pub fn root(self) -> Self {
        self.unary(Root)
    }
}

impl Examples for Root {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: positive [2, 3]] => x.root())]
    }
}
