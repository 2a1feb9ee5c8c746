//! y = ⌊x⌋;  dy/dx = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Floor;

impl Pointwise<1> for Floor {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.floor()
    }
}

impl<T: Element> Op<T> for Floor {
    pointwise!("floor");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

impl<T: Element> Var<'_, T> {
    /// The largest integer not above x, element by element. No gradient flows through it.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.5f32, -0.5]));
    /// assert_eq!(x.floor().value().to_vec(), [1.0, -1.0]);
    /// assert!(!x.floor().needs_grad());
    /// ```
    #[track_caller]
    pub fn floor(self) -> Self {
        self.unary(Floor)
    }
}

impl Examples for Floor {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.floor())]
    }
}
