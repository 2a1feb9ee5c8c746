//! y = a where c ≠ 0, else b;  ∂y/∂a = 1 where c ≠ 0,  ∂y/∂b = 1 elsewhere,  ∂y/∂c = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Mask, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct IfElse;

impl Pointwise<3> for IfElse {
    #[inline(always)]
    fn call<T: Element>(self, [condition, a, b]: [T; 3]) -> T {
        if condition != T::ZERO { a } else { b }
    }
}

impl<T: Element> Op<T> for IfElse {
    pointwise!("if_else");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let condition = back.input(0);
        // Selected, not multiplied: what was not taken gets 0 also where its own cotangent is NaN.
        back.give(1, |g| condition.if_else(g, 0.0));
        back.give(2, |g| condition.if_else(0.0, g));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// `a` where this is not 0, else `b`, element by element: what others call `where`.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-1.0f32, 4.0]));
    /// assert_eq!(x.gt(0.0).if_else(x.sqrt(), 0.0).value().to_vec(), [0.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn if_else(self, a: impl Operand<'t, T>, b: impl Operand<'t, T>) -> Self {
        let tape = self.tape();
        tape.apply(IfElse, &[self, a.on(tape), b.on(tape)])
    }

    /// `value` where `mask` is true (or not 0), else this, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// let y = x.masked_fill(&Tensor::from([true, false]), -7.0);
    /// assert_eq!(y.value().to_vec(), [-7.0, 2.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [0.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn masked_fill(self, mask: impl Mask<'t, T>, value: impl Operand<'t, T>) -> Self {
        mask.on(self.tape()).if_else(value, self)
    }
}

impl Examples for IfElse {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: normal [3]] => a.tape().constant([1.0, 0.0, 1.0].map(T::from_f64).to_vec().into()).if_else(a, b)),
            example!([a: normal [2, 3]] => a.masked_fill(&crate::Tensor::from([[true], [false]]), 2.0)),
        ]
    }
}
