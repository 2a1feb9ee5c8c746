//! y = erfc x = 1 − erf x;  dy/dx = −2/√π e^(−x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Erfc;

impl Pointwise<1> for Erfc {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.erfc()
    }
}

impl<T: Element> Op<T> for Erfc {
    pointwise!("erfc");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * ((-x.square()).exp() * -std::f64::consts::FRAC_2_SQRT_PI));
    }
}

impl<T: Element> Var<'_, T> {
    /// The complementary error function 1 − erf x, element by element, without cancellation for large x.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 100.0]));
    /// let y = x.erfc();
    /// assert_eq!(y.value().to_vec(), [1.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn erfc(self) -> Self {
        self.unary(Erfc)
    }
}

impl Examples for Erfc {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.erfc())]
    }
}
