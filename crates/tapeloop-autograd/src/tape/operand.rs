//! What can stand beside a [`Var`]: another one, a parameter, a tensor, a number; and what can mask it.

use super::{Param, Tape, Var};
use crate::element::Element;
use crate::tensor::Tensor;

/// Something that is, or becomes, a value on a tape.
pub trait Operand<'t, T: Element> {
    /// The value on `tape`.
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T>;
}

impl<'t, T: Element> Operand<'t, T> for Var<'t, T> {
    fn on(self, _: &'t Tape<T>) -> Var<'t, T> {
        self
    }
}

impl<'t, T: Element> Operand<'t, T> for &Param<T> {
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T> {
        tape.param(self)
    }
}

impl<'t, T: Element> Operand<'t, T> for &Tensor<T> {
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T> {
        tape.constant(self.clone())
    }
}

impl<'t, T: Element> Operand<'t, T> for f64 {
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T> {
        tape.scalar(self)
    }
}

/// What says yes or no element by element: a tensor of truth values, or a variable that is 0 for no.
pub trait Mask<'t, T: Element> {
    /// 1 for yes and 0 for no, on `tape`; of a variable, itself.
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T>;
}

impl<'t, T: Element> Mask<'t, T> for Var<'t, T> {
    fn on(self, _: &'t Tape<T>) -> Var<'t, T> {
        self
    }
}

impl<'t, T: Element> Mask<'t, T> for &Tensor<bool> {
    #[track_caller]
    fn on(self, tape: &'t Tape<T>) -> Var<'t, T> {
        tape.mask(self)
    }
}
