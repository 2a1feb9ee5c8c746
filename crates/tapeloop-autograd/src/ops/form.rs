//! What an operation is to a loop: how it treats rows and axes.

use smallvec::SmallVec;

use crate::element::Element;
use crate::kernels::block::{Block, Elementwise, Whole};
use crate::kernels::elementwise::Pointwise;
use crate::ops::AnyOp;
use crate::shape::Dims;

/// What a loop needs to know about an operation.
pub struct Form<T: Element>(pub(crate) Kind<T>);

pub(crate) enum Kind<T: Element> {
    /// Element by element, inputs broadcast.
    Pointwise(Box<dyn Block<T>>),
    /// The matrix product of the last two axes.
    Product,
    /// Part of an axis.
    Slice { axis: usize, start: usize, count: usize, step: usize },
    /// Zeros around it on an axis.
    Place { axis: usize, start: usize, step: usize, length: usize },
    /// The inputs one after the other along an axis.
    Concat { axis: usize },
    /// Axes in another order.
    Permute(Dims),
    /// The same elements in another shape.
    Reshape,
    /// Repeated along axes.
    Broadcast,
    /// Summed over axes.
    Sum(Dims),
    /// Summed over the axes along which its result would be broadcast.
    SumTo,
    /// A function of rows along the last axis, as wide as they are.
    Row(Box<dyn Block<T>>),
    /// Anything else that is this operation for many steps at once, along a new first axis.
    Along(AnyOp<T>),
    /// Anything else.
    Opaque,
}

impl<T: Element> Form<T> {
    pub(crate) fn opaque() -> Self {
        Self(Kind::Opaque)
    }
    pub(crate) fn along(op: impl Into<AnyOp<T>>) -> Self {
        Self(Kind::Along(op.into()))
    }
    pub(crate) fn pointwise<const N: usize>(f: impl Pointwise<N> + 'static) -> Self {
        Self(Kind::Pointwise(Box::new(Elementwise::<_, N>(f))))
    }
    pub(crate) fn product() -> Self {
        Self(Kind::Product)
    }
    pub(crate) fn slice(axis: usize, start: usize, count: usize, step: usize) -> Self {
        Self(Kind::Slice { axis, start, count, step })
    }
    pub(crate) fn place(axis: usize, start: usize, step: usize, length: usize) -> Self {
        Self(Kind::Place { axis, start, step, length })
    }
    pub(crate) fn concat(axis: usize) -> Self {
        Self(Kind::Concat { axis })
    }
    pub(crate) fn permute(order: &[usize]) -> Self {
        Self(Kind::Permute(SmallVec::from_slice(order)))
    }
    pub(crate) fn reshape() -> Self {
        Self(Kind::Reshape)
    }
    pub(crate) fn broadcast() -> Self {
        Self(Kind::Broadcast)
    }
    pub(crate) fn sum(axes: &[usize]) -> Self {
        Self(Kind::Sum(SmallVec::from_slice(axes)))
    }
    pub(crate) fn sum_to() -> Self {
        Self(Kind::SumTo)
    }
    pub(crate) fn row(f: fn(&[T], &mut [T])) -> Self {
        Self(Kind::Row(Box::new(Whole(f))))
    }
}
