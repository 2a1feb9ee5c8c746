//! y = −t max(ln p, −100) − (1 − t) max(ln(1 − p), −100);  ∂y/∂p = (p − t) / max(p (1 − p), 10⁻¹²),
//! ∂y/∂t = max(ln(1 − p), −100) − max(ln p, −100)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BinaryCrossEntropy;

const LEAST: f64 = -100.0;

impl Pointwise<2> for BinaryCrossEntropy {
    #[inline(always)]
    fn call<T: Element>(self, [p, t]: [T; 2]) -> T {
        let log = |x: T| x.maximum(T::from_f64(LEAST));
        (t - T::ONE) * log((-p).ln_1p()) - t * log(p.ln())
    }
}

impl<T: Element> Op<T> for BinaryCrossEntropy {
    pointwise!("binary_cross_entropy");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (p, t) = (back.input(0), back.input(1));
        back.give(0, |g| g * ((p - t) / (p * (1.0 - p)).maximum(1e-12)));
        back.give(1, |g| g * ((-p).ln_1p().maximum(LEAST) - p.ln().maximum(LEAST)));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The cross-entropy of this probability p and a target t, element by element: −t ln p − (1 − t) ln(1 − p), the
    /// logarithms not below −100, the derivative's denominator not below 10⁻¹².
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let p = tape.leaf(Tensor::from([1.0f32, 0.0]));
    /// assert_eq!(p.binary_cross_entropy(1.0).value().to_vec(), [0.0, 100.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn binary_cross_entropy(self, target: impl Operand<'t, T>) -> Self {
        self.binary(BinaryCrossEntropy, target.on(self.tape()))
    }
}

impl Examples for BinaryCrossEntropy {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([p: uniform ([2, 3], 0.1, 0.9), t: uniform ([3], 0.0, 1.0)] => p.binary_cross_entropy(t))]
    }
}
