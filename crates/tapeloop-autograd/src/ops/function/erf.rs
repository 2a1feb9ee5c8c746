//! y = erf x = 2/√π ∫₀ˣ e^(−t²) dt;  dy/dx = 2/√π e^(−x²)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Erf;

impl Pointwise<1> for Erf {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.erf()
    }
}

impl<T: Element> Op<T> for Erf {
    pointwise!("erf");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * ((-x.square()).exp() * std::f64::consts::FRAC_2_SQRT_PI));
    }
}

impl<T: Element> Var<'_, T> {
    /// The error function, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 100.0]));
    /// let y = x.erf();
    /// assert_eq!(y.value().to_vec(), [0.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn erf(self) -> Self {
        self.unary(Erf)
    }
}

impl Examples for Erf {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [2, 3]] => x.erf())]
    }
}
