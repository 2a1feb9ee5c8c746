//! y[i, j, ..] = x[index[i, j, ..], j, ..] for axis 0, and so for any axis;  x̄ adds what was taken more than once

use super::scatter_place::ScatterPlace;
use crate::element::Element;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gather {
    pub(crate) axis: usize,
    /// Dense, within the axis.
    pub(crate) index: Tensor<i64>,
}

/// Calls `f(place in the index, place in the tensor)` for every entry of `index`: places count dense elements of
/// `index` and of a tensor of `shape`.
pub(crate) fn pairs(axis: usize, index: &Tensor<i64>, shape: &Shape, mut f: impl FnMut(usize, usize)) {
    let mut strides = shape.dense_strides();
    let along = std::mem::take(&mut strides[axis]);
    let entries = index.as_slice().unwrap_or_default();
    let mut place = 0;
    crate::tensor::walk(index.shape(), &strides, |start, n, stride| {
        for k in 0..n {
            f(place, start + k * stride + entries[place] as usize * along);
            place += 1;
        }
    });
}

impl<T: Element> Op<T> for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }
    fn shape(&self, _: &[&Shape]) -> ShapeResult {
        Ok(self.index.shape().clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let (x, y) = (dense.as_slice().unwrap_or_default(), out.as_mut_slice());
        pairs(self.axis, &self.index, dense.shape(), |to, from| y[to] = x[from]);
        run.free_dense(dense);
        out
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let shape = back.input(0).shape();
        back.give(0, |g| g.unary(ScatterPlace { axis: self.axis, index: self.index.clone(), shape }));
    }
}

/// The rule for an index: as many axes, none longer but along `axis`, every entry within it.
#[track_caller]
pub(crate) fn checked(op: &'static str, axis: isize, index: &Tensor<i64>, shape: &Shape) -> (usize, Tensor<i64>) {
    let axis = rule::axis(op, shape, axis).or_panic();
    let fits = index.rank() == shape.rank() && (0..shape.rank()).all(|a| a == axis || index.shape()[a] <= shape[a]);
    if !fits {
        let rule = format!("the index needs as many axes, none longer but axis {axis}");
        panic!("{}", ShapeError::new(op, &[shape, index.shape()], rule));
    }
    (axis, super::index_select::checked(op, index, shape[axis], shape))
}

impl<T: Element> Var<'_, T> {
    /// One element along an axis for every entry of `index`: the result has its shape.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.gather(1, &Tensor::from([[1i64], [0]])).value().to_vec(), [2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, `index` has another number of axes or is longer on another one, or an entry
    /// is outside.
    #[track_caller]
    pub fn gather(self, axis: isize, index: &Tensor<i64>) -> Self {
        let (axis, index) = checked("gather", axis, index, &self.shape());
        self.unary(Gather { axis, index })
    }
}

impl Examples for Gather {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.gather(1, &Tensor::from([[0i64, 0, 3, 1, 2], [1, 1, 1, 1, 1]]))),
            example!([x: normal [3, 2]] => x.gather(0, &Tensor::from([[2i64, 0]]))),
        ]
    }
}
