//! y = max(x, 0);  dy/dx = 1 for x > 0, else 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Relu;

impl Pointwise<1> for Relu {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.maximum(T::ZERO)
    }
}

impl<T: Element> Op<T> for Relu {
    pointwise!("relu");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.inside(0.0, f64::INFINITY));
    }
}

impl<T: Element> Var<'_, T> {
    /// The rectified linear unit max(x, 0), element by element. The derivative at 0 is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.0, -1.0]));
    /// let y = x.relu();
    /// assert_eq!(y.value().to_vec(), [2.0, 0.0, 0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn relu(self) -> Self {
        self.unary(Relu)
    }
}

impl Examples for Relu {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => x.relu())]
    }
}
