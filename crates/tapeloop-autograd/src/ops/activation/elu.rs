//! y = x for x > 0, else α(eˣ − 1);  dy/dx = 1 for x > 0, else y + α

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Elu {
    alpha: f64,
}

impl Pointwise<1> for Elu {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        if x > T::ZERO { x } else { T::from_f64(self.alpha) * x.exp_m1() }
    }
}

impl<T: Element> Op<T> for Elu {
    pointwise!("elu");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| {
            let positive = x.gt(0.0);
            g * (positive + (1.0 - positive) * (x.minimum(0.0).exp() * self.alpha))
        });
    }
}

impl<T: Element> Var<'_, T> {
    /// The exponential linear unit (Clevert et al. 2015): x for x > 0, else α(eˣ − 1), element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.0]));
    /// let y = x.elu(1.0);
    /// assert_eq!(y.value().to_vec(), [2.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn elu(self, alpha: f64) -> Self {
        self.unary(Elu { alpha })
    }
}

impl Examples for Elu {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => x.elu(1.3))]
    }
}
