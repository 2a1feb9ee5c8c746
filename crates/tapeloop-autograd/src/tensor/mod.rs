//! A value: shape, strides, shared storage. A tensor knows no tape.

pub(crate) mod buffer;
mod create;
mod display;
mod order;
pub(crate) mod random;
mod serde_impl;
pub(crate) mod views;

use std::fmt;
use std::sync::Arc;

use crate::element::{Element, Item};
use crate::kernels::elementwise::Strided;
use crate::shape::{Dims, Shape};
use buffer::Buffer;
pub use create::Nested;

/// An n-dimensional array with shared storage.
///
/// Cloning is cheap (a reference count); slices, transposes and broadcasts are views of the same
/// storage. A tensor never changes under a reader: writing copies unless the storage is its own.
///
/// Indices out of range, shapes that do not fit and the like are the programmer's mistakes and panic at
/// the caller's line.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// let x = Tensor::from([[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// assert_eq!(x.shape(), [2, 3]);
/// assert_eq!(x.permute(&[1, 0]).to_vec(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// assert_eq!(x.at(&[1, 0]), 4.0);
/// ```
pub struct Tensor<T = f32> {
    pub(crate) shape: Shape,
    pub(crate) strides: Dims,
    pub(crate) offset: usize,
    pub(crate) data: Arc<Buffer<T>>,
}

impl<T> Clone for Tensor<T> {
    fn clone(&self) -> Self {
        Self {
            shape: self.shape.clone(),
            strides: Dims::from_slice(&self.strides),
            offset: self.offset,
            data: Arc::clone(&self.data),
        }
    }
}

impl<T: Item> Tensor<T> {
    pub(crate) fn dense(shape: Shape, data: Arc<Buffer<T>>) -> Self {
        debug_assert!(shape.size() <= data.len());
        Self { strides: shape.dense_strides(), shape, offset: 0, data }
    }

    /// A shape without elements: what a tape that computes nothing holds.
    pub(crate) fn hollow(shape: Shape, nothing: Arc<Buffer<T>>) -> Self {
        Self { strides: shape.dense_strides(), shape, offset: 0, data: nothing }
    }

    /// Whether there are no elements behind the shape.
    pub(crate) fn is_hollow(&self) -> bool {
        self.data.len() == 0 && self.size() > 0
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.shape.rank()
    }

    /// The number of elements.
    pub fn size(&self) -> usize {
        self.shape.size()
    }

    /// Distances between neighbours along each axis, in elements; 0 along a broadcast axis.
    pub fn strides(&self) -> &[usize] {
        &self.strides
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&n, &stride)| {
            let fits = n == 1 || stride == expected;
            expected *= n;
            fits
        }) || self.size() == 0
    }

    /// The elements in row-major order, where they lie so; `None` for a view that skips or repeats.
    pub fn as_slice(&self) -> Option<&[T]> {
        self.is_contiguous().then(|| &self.data.as_slice()[self.offset..self.offset + self.size()])
    }

    /// The storage from the first element on: strides count from here.
    pub(crate) fn storage(&self) -> &[T] {
        &self.data.as_slice()[self.offset..]
    }

    /// The elements as kernels read them.
    pub(crate) fn strided(&self) -> Strided<'_, T> {
        Strided { data: self.storage(), strides: &self.strides }
    }

    /// The elements for writing, in row-major order. Copies first if the storage is shared or strided.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        if !self.is_contiguous() || Arc::strong_count(&self.data) > 1 {
            *self = Self::from_vec(self.shape.clone(), self.to_vec());
        }
        let range = self.offset..self.offset + self.size();
        let data = Arc::get_mut(&mut self.data).expect("a fresh or unshared buffer");
        &mut data.as_mut_slice()[range]
    }

    /// Whether writing needs no copy.
    pub(crate) fn is_unique(&self) -> bool {
        self.is_contiguous() && Arc::strong_count(&self.data) == 1
    }

    /// A copy of the elements in row-major order.
    pub fn to_vec(&self) -> Vec<T> {
        match self.as_slice() {
            Some(slice) => slice.to_vec(),
            None => {
                let mut out = Vec::with_capacity(self.size());
                self.for_each(|x| out.push(x));
                out
            }
        }
    }

    /// A dense tensor with the same elements; itself if it is dense already.
    pub fn contiguous(&self) -> Self {
        if self.is_contiguous() { self.clone() } else { Self::from_vec(self.shape.clone(), self.to_vec()) }
    }

    /// Calls `f` with every element in row-major order.
    pub(crate) fn for_each(&self, mut f: impl FnMut(T)) {
        let storage = self.storage();
        walk(&self.shape, &self.strides, |start, n, stride| {
            for i in 0..n {
                f(storage[start + i * stride]);
            }
        });
    }

    /// The element at `index`, one number per axis.
    ///
    /// # Panics
    /// If an index is out of range or their number is not the rank.
    #[track_caller]
    pub fn at(&self, index: &[usize]) -> T {
        assert!(
            index.len() == self.rank() && index.iter().zip(self.shape.iter()).all(|(&i, &n)| i < n),
            "at: index {index:?} is outside shape {}",
            self.shape
        );
        self.storage()[index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>()]
    }

    /// The only element of a tensor of size 1.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> T {
        assert!(self.size() == 1, "item: shape {} has {} elements; it needs exactly 1", self.shape, self.size());
        self.storage()[0]
    }

    /// A dense tensor of `f` of every element, of any type.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let mask = Tensor::from([1.0f32, -2.0]).map(|x| x > 0.0);
    /// assert_eq!(mask.to_vec(), [true, false]);
    /// ```
    pub fn map<U: Item>(&self, mut f: impl FnMut(T) -> U) -> Tensor<U> {
        let mut out = Vec::with_capacity(self.size());
        self.for_each(|x| out.push(f(x)));
        Tensor::from_vec(self.shape.clone(), out)
    }

    /// Bytes of the elements.
    pub fn bytes(&self) -> usize {
        self.size() * size_of::<T>()
    }
}

impl<T: Element> Tensor<T> {
    /// The same values in another precision.
    pub fn cast<U: Element>(&self) -> Tensor<U> {
        self.map(|x| U::from_f64(x.to_f64()))
    }

    /// Whether every element is finite.
    pub fn all_finite(&self) -> bool {
        let mut all = true;
        self.for_each(|x| all &= x.is_finite());
        all
    }
}

impl<T: Item> PartialEq for Tensor<T> {
    /// Equal shapes and equal elements (so NaN differs from itself).
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.to_vec() == other.to_vec()
    }
}

impl<T: Item> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {} {}", T::NAME, self.shape)
    }
}

/// Visits a strided layout in row-major order: `visit(start, count, stride)` for every run along the
/// last axis. A scalar is one run of one.
pub(crate) fn walk(shape: &Shape, strides: &[usize], mut visit: impl FnMut(usize, usize, usize)) {
    if shape.size() == 0 {
        return;
    }
    let Some(last) = shape.rank().checked_sub(1) else {
        return visit(0, 1, 1);
    };
    let mut index = Dims::from_elem(0, last);
    let mut start = 0;
    loop {
        visit(start, shape[last], strides[last]);
        let mut axis = last;
        loop {
            if axis == 0 {
                return;
            }
            axis -= 1;
            index[axis] += 1;
            start += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            start -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
}
