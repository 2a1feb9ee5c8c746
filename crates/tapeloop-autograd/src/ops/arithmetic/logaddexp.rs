//! y = ln(eᵃ + eᵇ);  ∂y/∂a = σ(a − b),  ∂y/∂b = σ(b − a), both 0 where a = b = −∞

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Logaddexp;

impl Pointwise<2> for Logaddexp {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        {
            // Where both are −∞ their difference is no number; the larger is the answer.
            let (m, d) = (a.maximum(b), (a - b).abs());
            if d.is_nan() || !m.is_finite() { m } else { m + (-d).exp().ln_1p() }
        }
    }
}

impl<T: Element> Op<T> for Logaddexp {
    pointwise!("logaddexp");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (a, b) = (back.input(0), back.input(1));
        // −∞ from two −∞ gets no gradient, instead of NaN: σ(−∞ − 0) = 0.
        let neither = back.output().eq(f64::NEG_INFINITY);
        back.give(0, |g| g * (a - neither.if_else(0.0, b)).sigmoid());
        back.give(1, |g| g * (b - neither.if_else(0.0, a)).sigmoid());
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// ln(eᵃ + eᵇ), element by element, without overflow. Of two −∞ it is −∞, and the gradient
    /// is 0, where PyTorch's is NaN: sums of probabilities that begin with impossible ones can be learned.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1000.0f32]));
    /// let b = tape.leaf(Tensor::from([f32::NEG_INFINITY]));
    /// assert_eq!(a.logaddexp(b).value().to_vec(), [1000.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn logaddexp(self, other: impl Operand<'t, T>) -> Self {
        self.binary(Logaddexp, other.on(self.tape()))
    }
}

impl Examples for Logaddexp {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: normal [3]] => a.logaddexp(b)),
        ]
    }
}
