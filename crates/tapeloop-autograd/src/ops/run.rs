//! What an operation's forward pass works with.

use std::borrow::Cow;

use crate::element::Element;
use crate::kernels::elementwise;
use crate::kernels::threads::Threads;
use crate::shape::Shape;
use crate::tape::pool::Pool;
use crate::tensor::Tensor;

/// The result's shape, memory for it, and the threads to work on.
pub struct Run<'a, T: Element> {
    pub(crate) pool: &'a mut Pool<T>,
    pub(crate) threads: &'a Threads,
    pub(crate) shape: &'a Shape,
}

impl<T: Element> Run<'_, T> {
    /// The result's shape, as the shape rule gave it.
    pub fn shape(&self) -> &Shape {
        self.shape
    }

    /// The threads to work on.
    pub fn threads(&self) -> &Threads {
        self.threads
    }

    /// A dense tensor of the result's shape, from the tape's buffers. Its elements hold anything: write all.
    pub fn output(&mut self) -> Tensor<T> {
        self.pool.take(self.shape)
    }

    /// A dense tensor of another shape, from the tape's buffers; give it back with [`free`](Self::free).
    pub fn scratch(&mut self, shape: impl Into<Shape>) -> Tensor<T> {
        self.pool.take(&shape.into())
    }

    /// Gives a scratch tensor back.
    pub fn free(&mut self, tensor: Tensor<T>) {
        self.pool.give(tensor);
    }

    /// The same tensor if it is dense, else a dense copy from the tape's buffers. Give an owned one back.
    pub fn dense<'x>(&mut self, x: &'x Tensor<T>) -> Cow<'x, Tensor<T>> {
        if x.is_contiguous() {
            return Cow::Borrowed(x);
        }
        let mut copy = self.pool.take(x.shape());
        elementwise::copy(x.strided(), x.shape(), copy.as_mut_slice(), self.threads);
        Cow::Owned(copy)
    }

    /// Gives back what [`dense`](Self::dense) copied.
    pub fn free_dense(&mut self, x: Cow<'_, Tensor<T>>) {
        if let Cow::Owned(copy) = x {
            self.pool.give(copy);
        }
    }
}
