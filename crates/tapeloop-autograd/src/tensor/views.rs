//! Views: other shapes and strides over the same storage.

use super::Tensor;
use crate::element::Item;
use crate::shape::{Dims, OrPanic, Shape, ShapeError, ShapeResult, rule};

/// Part of an axis: `start`, `start + step`, … below `end`.
///
/// ```
/// use tapeloop_autograd::{Tensor, s};
/// let x = Tensor::<f32>::arange(0.0, 10.0, 1.0);
/// assert_eq!(x.slice(0, s(1..8).step(3)).to_vec(), [1.0, 4.0, 7.0]);
/// assert_eq!(x.slice(0, s(-2..)).to_vec(), [8.0, 9.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    start: isize,
    end: Option<isize>,
    step: usize,
}

/// A [`Slice`] from a range; negative ends count from the end of the axis, as in NumPy.
pub fn s(range: impl Into<Slice>) -> Slice {
    range.into()
}

impl Slice {
    /// Every `step`-th element.
    ///
    /// # Panics
    /// If `step` is 0.
    #[track_caller]
    pub fn step(self, step: usize) -> Self {
        assert!(step > 0, "slice: a step must be at least 1");
        Self { step, ..self }
    }

    /// First index, count and step on an axis of length `n`; ends beyond the axis are clipped.
    pub(crate) fn resolve(self, n: usize) -> (usize, usize, usize) {
        let clip = |i: isize| (if i < 0 { i + n as isize } else { i }).clamp(0, n as isize) as usize;
        let (start, end) = (clip(self.start), self.end.map_or(n, clip));
        (start, end.saturating_sub(start).div_ceil(self.step), self.step)
    }
}

impl From<std::ops::Range<isize>> for Slice {
    fn from(r: std::ops::Range<isize>) -> Self {
        Self { start: r.start, end: Some(r.end), step: 1 }
    }
}
impl From<std::ops::RangeFrom<isize>> for Slice {
    fn from(r: std::ops::RangeFrom<isize>) -> Self {
        Self { start: r.start, end: None, step: 1 }
    }
}
impl From<std::ops::RangeTo<isize>> for Slice {
    fn from(r: std::ops::RangeTo<isize>) -> Self {
        Self { start: 0, end: Some(r.end), step: 1 }
    }
}
impl From<std::ops::RangeFull> for Slice {
    fn from(_: std::ops::RangeFull) -> Self {
        Self { start: 0, end: None, step: 1 }
    }
}

/// The shape that `dims`, of which one may be −1, stands for.
pub(crate) fn reshape_rule(from: &Shape, dims: &[isize]) -> ShapeResult {
    let error = |rule: String| ShapeError::new("reshape", &[from], rule);
    let known: usize = dims.iter().filter(|&&d| d >= 0).map(|&d| d as usize).product();
    let holes = dims.iter().filter(|&&d| d == -1).count();
    if holes > 1 || dims.iter().any(|&d| d < -1) {
        return Err(error(format!("{dims:?} may hold one -1 and no other negative length")));
    }
    if holes == 1 && (known == 0 || !from.size().is_multiple_of(known)) {
        return Err(error(format!("its {} elements leave the -1 of {dims:?} without a length", from.size())));
    }
    let fill = if holes == 1 { from.size() / known } else { 0 };
    let shape: Shape = dims.iter().map(|&d| if d == -1 { fill } else { d as usize }).collect();
    if shape.size() != from.size() {
        return Err(error(format!("its {} elements do not fit {dims:?}", from.size())));
    }
    Ok(shape)
}

/// The order of axes, each exactly once; negative axes count from the end.
pub(crate) fn permute_rule(from: &Shape, axes: &[isize]) -> Result<Dims, ShapeError> {
    let mut order = Dims::new();
    for &a in axes {
        let axis = rule::axis("permute", from, a)?;
        if order.contains(&axis) {
            return Err(ShapeError::new("permute", &[from], format!("axis {a} is named twice in {axes:?}")));
        }
        order.push(axis);
    }
    if order.len() != from.rank() {
        return Err(ShapeError::new("permute", &[from], format!("{axes:?} must name every axis once")));
    }
    Ok(order)
}

impl<T: Item> Tensor<T> {
    fn view(&self, shape: Shape, strides: Dims, offset: usize) -> Self {
        // Nothing lies anywhere: its place must not be beyond the storage.
        let offset = if shape.size() == 0 { 0 } else { self.offset + offset };
        Self { shape, strides, offset, data: std::sync::Arc::clone(&self.data) }
    }

    /// The same elements in row-major order under another shape; one length may be −1.
    /// A view where the strides allow it, else a copy.
    ///
    /// # Panics
    /// If the number of elements would change.
    #[track_caller]
    pub fn reshape(&self, dims: &[isize]) -> Self {
        let shape = reshape_rule(&self.shape, dims).or_panic();
        self.reshaped(&shape).unwrap_or_else(|| Self::from_vec(shape, self.to_vec()))
    }

    /// A view under a shape of the same size, if strides can express it.
    pub(crate) fn reshaped(&self, shape: &Shape) -> Option<Self> {
        if self.is_contiguous() {
            return Some(self.view(shape.clone(), shape.dense_strides(), 0));
        }
        // Groups of old axes that lie dense in memory are cut into groups of new axes.
        let mut strides = Dims::from_elem(0, shape.rank());
        let old: smallvec::SmallVec<[(usize, usize); 4]> =
            self.shape.iter().copied().zip(self.strides.iter().copied()).filter(|&(n, _)| n != 1).collect();
        let (mut i, mut j) = (0, 0);
        while i < old.len() && j < shape.rank() {
            let (mut size_old, mut end) = (old[i].0, i + 1);
            let first = j;
            let mut size_new = shape[j];
            j += 1;
            while size_old != size_new {
                if size_old < size_new {
                    let (n, stride) = old[end];
                    if old[end - 1].1 != n * stride {
                        return None;
                    }
                    size_old *= n;
                    end += 1;
                } else {
                    size_new *= shape[j];
                    j += 1;
                }
            }
            let mut stride = old[end - 1].1;
            for axis in (first..j).rev() {
                strides[axis] = stride;
                stride *= shape[axis];
            }
            i = end;
        }
        Some(self.view(shape.clone(), strides, 0))
    }

    /// Axes in another order: axis k of the result is axis `axes[k]`.
    ///
    /// # Panics
    /// Unless `axes` names every axis exactly once.
    #[track_caller]
    pub fn permute(&self, axes: &[isize]) -> Self {
        let order = permute_rule(&self.shape, axes).or_panic();
        self.permuted(&order)
    }

    pub(crate) fn permuted(&self, order: &[usize]) -> Self {
        let shape = order.iter().map(|&axis| self.shape[axis]).collect();
        self.view(shape, order.iter().map(|&axis| self.strides[axis]).collect(), 0)
    }

    /// The matrix transpose: the last two axes exchanged.
    ///
    /// # Panics
    /// With fewer than two axes.
    #[track_caller]
    pub fn t(&self) -> Self {
        assert!(self.rank() >= 2, "t: shape {} has fewer than two axes", self.shape);
        let mut order: Dims = (0..self.rank()).collect();
        order.swap(self.rank() - 1, self.rank() - 2);
        self.permuted(&order)
    }

    /// Repeated to `shape` by NumPy's rules, without copying: new and lengthened axes have stride 0.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert!(
            rule::broadcasts_to(&self.shape, &shape),
            "broadcast_to: cannot broadcast {} to {shape}; aligned at the last axis, lengths must be equal or 1",
            self.shape
        );
        self.broadcast(&shape)
    }

    pub(crate) fn broadcast(&self, shape: &Shape) -> Self {
        self.view(shape.clone(), self.broadcast_strides(shape), 0)
    }

    /// Strides of this tensor read under a shape it broadcasts to.
    pub(crate) fn broadcast_strides(&self, shape: &Shape) -> Dims {
        let lead = shape.rank() - self.rank();
        let mut strides = Dims::from_elem(0, shape.rank());
        for axis in 0..self.rank() {
            if self.shape[axis] == shape[lead + axis] {
                strides[lead + axis] = self.strides[axis];
            }
        }
        strides
    }

    /// Part of an axis, as a view.
    ///
    /// # Panics
    /// If the axis does not exist. Ends beyond the axis are clipped, as in NumPy.
    #[track_caller]
    pub fn slice(&self, axis: isize, part: impl Into<Slice>) -> Self {
        let axis = rule::axis("slice", &self.shape, axis).or_panic();
        let (start, count, step) = part.into().resolve(self.shape[axis]);
        self.sliced(axis, start, count, step)
    }

    pub(crate) fn sliced(&self, axis: usize, start: usize, count: usize, step: usize) -> Self {
        let mut strides = self.strides.clone();
        strides[axis] *= step;
        let offset = if count == 0 { 0 } else { start * self.strides[axis] };
        self.view(self.shape.with(axis, count), strides, offset)
    }

    /// One index of an axis, as a view without that axis.
    ///
    /// # Panics
    /// If the axis or the index does not exist.
    #[track_caller]
    pub fn select(&self, axis: isize, index: usize) -> Self {
        let axis = rule::axis("select", &self.shape, axis).or_panic();
        assert!(index < self.shape[axis], "select: index {index} is outside axis {axis} of shape {}", self.shape);
        let mut view = self.sliced(axis, index, 1, 1);
        view.shape.0.remove(axis);
        view.strides.remove(axis);
        view
    }
}
