//! y = min(max(x + 3, 0), 6) / 6;  dy/dx = 1/6 inside −3..3, else 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HardSigmoid;

impl Pointwise<1> for HardSigmoid {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        // In this order 0 at −3 and 1 at 3, exactly.
        (x + T::from_f64(3.0)).maximum(T::ZERO).minimum(T::from_f64(6.0)) * T::from_f64(1.0 / 6.0)
    }
}

impl<T: Element> Op<T> for HardSigmoid {
    pointwise!("hard_sigmoid");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * (x.inside(-3.0, 3.0) * (1.0 / 6.0)));
    }
}

impl<T: Element> Var<'_, T> {
    /// relu6(x + 3) / 6, element by element: what Keras 3 and PyTorch call hard sigmoid. At ±3 the derivative is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-4.0f32, 0.0, 4.0]));
    /// let y = x.hard_sigmoid();
    /// assert_eq!(y.value().to_vec(), [0.0, 0.5, 1.0]);
    /// ```
    #[track_caller]
    pub fn hard_sigmoid(self) -> Self {
        self.unary(HardSigmoid)
    }
}

impl Examples for HardSigmoid {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => (x * 5.0).hard_sigmoid())]
    }
}
