//! y = σ(x) = 1 / (1 + e⁻ˣ);  dy/dx = y (1 − y)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sigmoid;

impl Pointwise<1> for Sigmoid {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.sigmoid()
    }
}

impl<T: Element> Op<T> for Sigmoid {
    pointwise!("sigmoid");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let y = back.output();
        back.give(0, |g| y.sigmoid_vjp(g));
    }
}

impl<T: Element> Var<'_, T> {
    /// The logistic function 1 / (1 + e⁻ˣ), element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, -1000.0]));
    /// let y = x.sigmoid();
    /// assert_eq!(y.value().to_vec(), [0.5, 0.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.25, 0.0]);
    /// ```
    #[track_caller]
    pub fn sigmoid(self) -> Self {
        self.unary(Sigmoid)
    }
}

impl Examples for Sigmoid {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.sigmoid())]
    }
}
