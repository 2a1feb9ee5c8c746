//! y = ⌈x⌉;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ceil;

impl Pointwise<1> for Ceil {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.ceil()
    }
}

impl<T: Element> Op<T> for Ceil {
    pointwise!("ceil");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// The smallest integer not below x, element by element. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.5f32, -0.5]));
    /// let y = x.ceil();
    /// assert_eq!(y.value().to_vec(), [2.0, -0.0]);
    /// assert!(!y.needs_grad());
    /// ```
    #[track_caller]
    pub fn ceil(self) -> Self {
        self.unary(Ceil)
    }
}

impl Examples for Ceil {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.ceil())]
    }
}
