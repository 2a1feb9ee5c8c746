//! Tensors from numbers.

use std::sync::Arc;

use super::Tensor;
use super::buffer::{Buffer, has_memory};
use crate::element::{Element, Item};
use crate::shape::{OrPanic, Shape, ShapeError};

/// The shape, if there is memory for it.
fn room<T>(shape: &Shape) -> Result<Shape, ShapeError> {
    let shape = Shape::try_new(shape)?;
    match has_memory::<T>(shape.size()) {
        true => Ok(shape),
        false => Err(ShapeError::new("tensor", &[&shape], "there is no memory for so many elements")),
    }
}

impl<T: Item> Tensor<T> {
    /// A tensor of `shape` with `data` in row-major order.
    ///
    /// # Panics
    /// If `data` does not hold one element per place.
    #[track_caller]
    pub fn from_vec(shape: impl Into<Shape>, data: Vec<T>) -> Self {
        Self::try_from_vec(shape, data).or_panic()
    }

    /// As [`from_vec`](Self::from_vec), for data and shapes from outside.
    ///
    /// # Errors
    /// If `data` does not hold one element per place, or the shape is too large to exist.
    pub fn try_from_vec(shape: impl Into<Shape>, data: Vec<T>) -> Result<Self, ShapeError> {
        let shape = Shape::try_new(&shape.into())?;
        if shape.size() != data.len() {
            let rule = format!("it holds {} elements and {} were given", shape.size(), data.len());
            return Err(ShapeError::new("from_vec", &[&shape], rule));
        }
        Ok(Self::dense(shape, Arc::new(Buffer::from_vec(data))))
    }

    /// One value everywhere.
    ///
    /// # Panics
    /// If there is no memory for so many elements.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: T) -> Self {
        let shape = room::<T>(&shape.into()).or_panic();
        let size = shape.size();
        Self::dense(shape, Arc::new(Buffer::from_vec(vec![value; size])))
    }

    /// A scalar: shape `[]`.
    pub fn scalar(value: T) -> Self {
        Self::full(Shape::scalar(), value)
    }

    /// A tensor of `shape` whose element at `index` is `f(index)`.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let table = Tensor::from_fn([2, 2], |i| (10 * i[0] + i[1]) as f32);
    /// assert_eq!(table.to_vec(), [0.0, 1.0, 10.0, 11.0]);
    /// ```
    ///
    /// # Panics
    /// If there is no memory for so many elements.
    #[track_caller]
    pub fn from_fn(shape: impl Into<Shape>, mut f: impl FnMut(&[usize]) -> T) -> Self {
        let shape = room::<T>(&shape.into()).or_panic();
        let mut index = vec![0; shape.rank()];
        let mut data = Vec::with_capacity(shape.size());
        for _ in 0..shape.size() {
            data.push(f(&index));
            for axis in (0..shape.rank()).rev() {
                index[axis] += 1;
                if index[axis] < shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Self::from_vec(shape, data)
    }
}

impl<T: Element> Tensor<T> {
    /// Zeros.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::full(shape, T::ZERO)
    }

    /// Ones.
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Self {
        Self::full(shape, T::ONE)
    }

    /// One value everywhere, in this tensor's shape.
    pub fn full_like(&self, value: T) -> Self {
        Self::full(&self.shape, value)
    }

    /// Zeros of this tensor's shape.
    pub fn zeros_like(&self) -> Self {
        Self::zeros(&self.shape)
    }

    /// Ones of this tensor's shape.
    pub fn ones_like(&self) -> Self {
        Self::ones(&self.shape)
    }

    /// The n×n identity matrix.
    #[track_caller]
    pub fn eye(n: usize) -> Self {
        Self::from_fn([n, n], |i| if i[0] == i[1] { T::ONE } else { T::ZERO })
    }

    /// `start, start + step, …`, up to and without `end`.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// assert_eq!(Tensor::<f32>::arange(0.0, 1.0, 0.25).to_vec(), [0.0, 0.25, 0.5, 0.75]);
    /// ```
    ///
    /// # Panics
    /// If `step` is 0 or the range is not finite.
    #[track_caller]
    pub fn arange(start: f64, end: f64, step: f64) -> Self {
        let count = ((end - start) / step).ceil();
        assert!(count.is_finite(), "arange: {start}..{end} in steps of {step} has no end");
        let data = (0..count.max(0.0) as usize).map(|i| T::from_f64(start + i as f64 * step)).collect::<Vec<_>>();
        Self::from_vec([data.len()], data)
    }

    /// `count` values from `start` to `end`, both included, at equal distances.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// assert_eq!(Tensor::<f32>::linspace(0.0, 1.0, 3).to_vec(), [0.0, 0.5, 1.0]);
    /// ```
    pub fn linspace(start: f64, end: f64, count: usize) -> Self {
        let last = count.saturating_sub(1).max(1) as f64;
        // Counted from the nearer end, so that both ends are exact.
        let value = |i: usize| {
            let (i, step) = (i as f64, (end - start) / last);
            if 2.0 * i <= last { start + i * step } else { end - (last - i) * step }
        };
        Self::from_vec([count], (0..count).map(|i| T::from_f64(value(i))).collect())
    }

    /// 1 at each index and 0 elsewhere, on a new last axis of length `classes`.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let y = Tensor::<f32>::one_hot(&Tensor::from([2i64, 0]), 3);
    /// assert_eq!(y.to_vec(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If an index is not in `0..classes`.
    #[track_caller]
    pub fn one_hot(indices: &Tensor<i64>, classes: usize) -> Self {
        let mut data = vec![T::ZERO; indices.size() * classes];
        for (row, &index) in indices.to_vec().iter().enumerate() {
            assert!((0..classes as i64).contains(&index), "one_hot: index {index} is outside 0..{classes}");
            data[row * classes + index as usize] = T::ONE;
        }
        Self::from_vec(indices.shape.iter().copied().chain([classes]).collect::<Shape>(), data)
    }
}

impl<T: Item> Tensor<T> {
    /// The matrices of the last two axes with everything above the diagonal `offset` set to 0 (or false).
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// assert_eq!(Tensor::<f32>::ones([2, 2]).tril(0).to_vec(), [1.0, 0.0, 1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn tril(&self, offset: isize) -> Self {
        self.triangle(|row, col| col <= row + offset)
    }

    /// The matrices of the last two axes with everything below the diagonal `offset` set to 0 (or false).
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// assert_eq!(Tensor::<f32>::ones([2, 2]).triu(1).to_vec(), [0.0, 1.0, 0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn triu(&self, offset: isize) -> Self {
        self.triangle(|row, col| col >= row + offset)
    }

    #[track_caller]
    fn triangle(&self, keep: impl Fn(isize, isize) -> bool) -> Self {
        let rank = self.rank();
        assert!(rank >= 2, "a triangle needs matrices; the shape is {}", self.shape());
        let (rows, cols) = (self.shape[rank - 2], self.shape[rank - 1]);
        let mut data = self.to_vec();
        for (place, x) in data.iter_mut().enumerate() {
            if !keep((place / cols % rows) as isize, (place % cols) as isize) {
                *x = T::default();
            }
        }
        Self::from_vec(&self.shape, data)
    }
}

/// Arrays of arrays, or a plain number: what `Tensor::from` accepts.
pub trait Nested {
    /// The innermost type.
    type Item: Item;
    /// Appends the lengths, outermost first.
    fn dims(dims: &mut Vec<usize>);
    /// Appends the elements in row-major order.
    fn flatten(self, out: &mut Vec<Self::Item>);
}

macro_rules! nested {
    ($($t:ty),*) => {$(
        impl Nested for $t {
            type Item = $t;
            fn dims(_: &mut Vec<usize>) {}
            fn flatten(self, out: &mut Vec<$t>) {
                out.push(self);
            }
        }
    )*};
}
nested!(f32, f64, i64, bool);

impl<N: Nested, const LEN: usize> Nested for [N; LEN] {
    type Item = N::Item;
    fn dims(dims: &mut Vec<usize>) {
        dims.push(LEN);
        N::dims(dims);
    }
    fn flatten(self, out: &mut Vec<N::Item>) {
        for part in self {
            part.flatten(out);
        }
    }
}

impl<N: Nested> From<N> for Tensor<N::Item> {
    fn from(nested: N) -> Self {
        let (mut dims, mut data) = (Vec::new(), Vec::new());
        N::dims(&mut dims);
        nested.flatten(&mut data);
        Self::from_vec(dims, data)
    }
}

impl<T: Item> From<Vec<T>> for Tensor<T> {
    fn from(data: Vec<T>) -> Self {
        Self::from_vec([data.len()], data)
    }
}
