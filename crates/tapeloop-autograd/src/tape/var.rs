//! Handles to values on a tape.

use std::fmt;
use std::panic::Location;

use super::{Gradients, Tape};
use crate::element::Element;
use crate::looping::untraceable;
use crate::ops::AnyOp;
use crate::shape::{OrPanic, Shape};
use crate::tensor::Tensor;

/// A value on a tape: a reference and an index, freely copied.
///
/// Arithmetic reads like the paper: `f * c + i * g`.
pub struct Var<'t, T: Element = f32> {
    pub(super) tape: &'t Tape<T>,
    pub(super) index: u32,
}

impl<T: Element> Clone for Var<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: Element> Copy for Var<'_, T> {}

impl<'t, T: Element> Var<'t, T> {
    /// The tape it lives on.
    pub fn tape(self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether both are one and the same value: not two that are equal.
    pub fn is(self, other: Self) -> bool {
        std::ptr::eq(self.tape, other.tape) && self.index == other.index
    }

    pub(crate) fn node(self) -> u32 {
        self.index
    }

    /// Its value. Cheap: the storage is shared.
    ///
    /// A step of a loop that reads a value cannot be traced: the loop then runs step by step.
    #[track_caller]
    pub fn value(self) -> Tensor<T> {
        let value = self.with_value(Tensor::clone);
        if value.is_hollow() {
            untraceable("reads a value", Location::caller());
        }
        value
    }

    /// Its shape.
    pub fn shape(self) -> Shape {
        self.with_value(|value| value.shape().clone())
    }

    /// The number of axes.
    pub fn rank(self) -> usize {
        self.with_value(Tensor::rank)
    }

    /// The number of elements.
    pub fn size(self) -> usize {
        self.with_value(Tensor::size)
    }

    /// The length of an axis, which may count from the end.
    ///
    /// # Panics
    /// If there is no such axis.
    #[track_caller]
    pub fn dim(self, axis: isize) -> usize {
        let shape = self.shape();
        shape[crate::shape::rule::axis("dim", &shape, axis).or_panic()]
    }

    /// The only element of a value of size 1.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(self) -> T {
        self.value().item()
    }

    /// Whether it depends on a leaf or a trainable parameter.
    pub fn needs_grad(self) -> bool {
        self.tape.state.borrow().nodes[self.index as usize].needs_grad
    }

    /// The same value as a constant: no gradient flows through it.
    #[track_caller]
    pub fn detach(self) -> Self {
        self.tape.constant(self.value())
    }

    /// Gradients of this scalar with respect to every leaf and parameter it depends on. The tape stays: a second call has
    /// the same result.
    ///
    /// # Panics
    /// If it has more than one element (use [`backward_with`](Self::backward_with)), or depends on nothing
    /// that has a gradient.
    #[track_caller]
    pub fn backward(self) -> Gradients<T> {
        assert!(
            self.size() == 1,
            "backward: shape {} is no scalar; reduce it, or give a cotangent to backward_with",
            self.shape()
        );
        let one = self.tape.filled(&self.shape(), T::ONE);
        let gradients = self.tape.backward(&[(self, &one)]);
        self.tape.state.borrow_mut().pool.give(one);
        gradients
    }

    /// Gradients of ⟨self, cotangent⟩.
    ///
    /// # Panics
    /// If the shapes differ, or it depends on nothing that has a gradient.
    #[track_caller]
    pub fn backward_with(self, cotangent: &Tensor<T>) -> Gradients<T> {
        self.tape.backward(&[(self, cotangent)])
    }

    pub(super) fn with_value<R>(self, f: impl FnOnce(&Tensor<T>) -> R) -> R {
        f(&self.tape.state.borrow().nodes[self.index as usize].value)
    }

    /// Records an operation of one input.
    #[track_caller]
    pub(crate) fn unary(self, op: impl Into<AnyOp<T>>) -> Self {
        self.tape.apply(op, &[self])
    }

    /// Records an operation of two inputs.
    #[track_caller]
    pub(crate) fn binary(self, op: impl Into<AnyOp<T>>, other: Self) -> Self {
        self.tape.apply(op, &[self, other])
    }

    /// The line that recorded it.
    pub fn recorded_at(self) -> &'static Location<'static> {
        self.tape.state.borrow().nodes[self.index as usize].at
    }
}

impl<T: Element> fmt::Debug for Var<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_value(|value| match value.is_hollow() {
            true => write!(f, "Var#{} {}", self.index, value.shape()),
            false => write!(f, "Var#{} {value:?}", self.index),
        })
    }
}
