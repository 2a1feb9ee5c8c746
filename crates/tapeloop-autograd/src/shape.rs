//! Shapes, and the rules that say which shapes an operation accepts.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// The lengths of a tensor's axes, outermost first. A scalar has no axes: `[]`.
///
/// Up to four axes are stored without touching the heap.
///
/// ```
/// use tapeloop_autograd::Shape;
/// let shape = Shape::from([2, 3, 4]);
/// assert_eq!(shape.rank(), 3);
/// assert_eq!(shape.size(), 24);
/// assert_eq!(shape.to_string(), "[2, 3, 4]");
/// ```
#[derive(Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shape(pub(crate) Dims);

impl Clone for Shape {
    #[inline]
    fn clone(&self) -> Self {
        // A copy of memory, where the vector's own clone goes element by element.
        Self(Dims::from_slice(&self.0))
    }
}

/// One number per axis.
pub(crate) type Dims = SmallVec<[usize; 4]>;

/// Ends a call whose rule was broken at the caller's line: a closure would be a line of ours.
pub(crate) trait OrPanic<R> {
    #[track_caller]
    fn or_panic(self) -> R;
}

impl<R> OrPanic<R> for Result<R, ShapeError> {
    #[track_caller]
    fn or_panic(self) -> R {
        match self {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Shape {
    /// The shape of a scalar, `[]`.
    pub const fn scalar() -> Self {
        Self(SmallVec::new_const())
    }

    /// A shape whose number of elements fits into memory's address range.
    ///
    /// # Errors
    /// When the product of the lengths overflows `isize`.
    pub fn try_new(dims: &[usize]) -> Result<Self, ShapeError> {
        let product = dims.iter().filter(|&&n| n != 0).try_fold(1usize, |size, &n| size.checked_mul(n));
        match product {
            Some(size) if size <= isize::MAX as usize / 8 => Ok(Self(Dims::from_slice(dims))),
            _ => Err(ShapeError::new(
                "shape",
                &[&Self(Dims::from_slice(dims))],
                "the number of elements must fit into the address range",
            )),
        }
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements: the product of all lengths.
    pub fn size(&self) -> usize {
        self.0.iter().product()
    }

    /// The lengths as a slice.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Strides of a dense row-major tensor of this shape, in elements.
    pub(crate) fn dense_strides(&self) -> Dims {
        let mut strides = Dims::from_slice(&self.0);
        let mut stride = 1;
        for n in strides.iter_mut().rev() {
            stride *= std::mem::replace(n, stride);
        }
        strides
    }

    /// This shape with `axis` replaced by `length`.
    pub(crate) fn with(&self, axis: usize, length: usize) -> Self {
        let mut shape = self.clone();
        shape.0[axis] = length;
        shape
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.dims(), f)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(Dims::from_slice(&dims))
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(Dims::from_slice(dims))
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims.into())
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(dims: I) -> Self {
        Self(dims.into_iter().collect())
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, other: &[usize]) -> bool {
        self.dims() == other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.dims() == other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for &Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.dims() == other
    }
}

/// An operation was given shapes it cannot combine.
///
/// Its text names the operation, every shape and the rule:
/// `matmul: cannot combine shapes [1, 4] and [3, 4]; it needs [.., n, k] and [.., k, m]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    op: &'static str,
    shapes: Vec<Shape>,
    rule: String,
}

impl ShapeError {
    /// The error of operation `op`, given `shapes`, that broke `rule`.
    pub fn new(op: &'static str, shapes: &[&Shape], rule: impl Into<String>) -> Self {
        Self { op, shapes: shapes.iter().map(|&shape| shape.clone()).collect(), rule: rule.into() }
    }

    /// The name of the operation.
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// The shapes it was given.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The rule they broke.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.op)?;
        match self.shapes.as_slice() {
            [] => {}
            [one] => write!(f, "cannot take shape {one}; ")?,
            [first @ .., last] => {
                write!(f, "cannot combine shapes ")?;
                for (i, shape) in first.iter().enumerate() {
                    write!(f, "{}{shape}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, " and {last}; ")?;
            }
        }
        write!(f, "{}", self.rule)
    }
}

impl std::error::Error for ShapeError {}

/// What a shape rule returns.
pub type ShapeResult = Result<Shape, ShapeError>;

/// The shape rules that several operations share.
pub(crate) mod rule {
    use super::{Dims, Shape, ShapeError, ShapeResult};

    /// NumPy's broadcasting: axes are aligned at the end; lengths must be equal or 1.
    pub(crate) fn broadcast(op: &'static str, shapes: &[&Shape]) -> ShapeResult {
        if let [first, rest @ ..] = shapes
            && rest.iter().all(|shape| shape == first)
        {
            return Ok((*first).clone());
        }
        let rank = shapes.iter().map(|shape| shape.rank()).max().unwrap_or(0);
        let mut out = Dims::from_elem(1, rank);
        for shape in shapes {
            let lead = rank - shape.rank();
            for (axis, &n) in shape.iter().enumerate() {
                let slot = &mut out[lead + axis];
                if *slot == 1 {
                    *slot = n;
                } else if n != 1 && n != *slot {
                    return Err(ShapeError::new(op, shapes, "aligned at the last axis, lengths must be equal or 1"));
                }
            }
        }
        Ok(Shape(out))
    }

    /// Whether a tensor of shape `from` can be broadcast to exactly `to`.
    pub(crate) fn broadcasts_to(from: &Shape, to: &Shape) -> bool {
        from.rank() <= to.rank() && from.iter().rev().zip(to.iter().rev()).all(|(&from, &to)| from == to || from == 1)
    }

    /// An axis that may count from the end, as an index below `rank`.
    pub(crate) fn axis(op: &'static str, shape: &Shape, axis: isize) -> Result<usize, ShapeError> {
        let rank = shape.rank() as isize;
        let index = if axis < 0 { axis + rank } else { axis };
        if (0..rank).contains(&index) {
            Ok(index as usize)
        } else {
            Err(ShapeError::new(op, &[shape], format!("axis {axis} is out of range: it must lie in {}..{rank}", -rank)))
        }
    }

    /// Several axes, each at most once, sorted. An empty list means all axes.
    pub(crate) fn axes(op: &'static str, shape: &Shape, axes: &[isize]) -> Result<Dims, ShapeError> {
        if axes.is_empty() {
            return Ok((0..shape.rank()).collect());
        }
        let mut out = Dims::new();
        for &a in axes {
            let index = axis(op, shape, a)?;
            if out.contains(&index) {
                return Err(ShapeError::new(op, &[shape], format!("axis {a} is named twice")));
            }
            out.push(index);
        }
        out.sort_unstable();
        Ok(out)
    }

    /// The shape after reducing over `axes` (sorted, distinct).
    pub(crate) fn reduced(shape: &Shape, axes: &[usize], keepdims: bool) -> Shape {
        let kept = shape.iter().enumerate().filter_map(|(axis, &n)| match (axes.contains(&axis), keepdims) {
            (true, true) => Some(1),
            (true, false) => None,
            (false, _) => Some(n),
        });
        kept.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting() {
        let ok = |a: &[usize], b: &[usize]| rule::broadcast("add", &[&a.into(), &b.into()]).unwrap();
        assert_eq!(ok(&[3, 1, 4], &[2, 4]), [3, 2, 4]);
        assert_eq!(ok(&[], &[2]), [2]);
        assert_eq!(ok(&[0, 3], &[1, 3]), [0, 3]);
        let error = rule::broadcast("add", &[&[3, 4].into(), &[2, 4].into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "add: cannot combine shapes [3, 4] and [2, 4]; aligned at the last axis, lengths must be equal or 1"
        );
    }

    #[test]
    fn too_many_elements() {
        assert!(Shape::try_new(&[1 << 33, 1 << 33]).is_err());
        assert!(Shape::try_new(&[0, 1 << 40]).is_ok());
    }
}
