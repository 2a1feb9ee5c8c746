//! y[.., k, ..] = x[.., index[k], ..];  x̄ adds what was taken more than once

use super::index_place::IndexPlace;
use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexSelect {
    pub(crate) axis: usize,
    /// Dense, within the axis.
    pub(crate) index: Tensor<i64>,
}

impl<T: Element> Op<T> for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].with(self.axis, self.index.size()))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let (x, index) = (dense.as_slice().unwrap_or_default(), self.index.as_slice().unwrap_or_default());
        let n = dense.shape()[self.axis];
        let inner: usize = dense.shape()[self.axis + 1..].iter().product();
        if out.size() > 0 {
            let blocks = out.as_mut_slice().chunks_mut(index.len() * inner);
            for (x, out) in x.chunks(n * inner).zip(blocks) {
                for (out, &i) in out.chunks_mut(inner).zip(index) {
                    out.copy_from_slice(&x[i as usize * inner..][..inner]);
                }
            }
        }
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(Self { axis: self.axis + 1, ..self.clone() })
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let length = back.input(0).shape()[self.axis];
        back.give(0, |g| g.unary(IndexPlace { axis: self.axis, index: self.index.clone(), length }));
    }
}

/// The index as a dense row, every entry within the axis.
#[track_caller]
pub(crate) fn checked(op: &'static str, index: &Tensor<i64>, length: usize, shape: &Shape) -> Tensor<i64> {
    let mut outside = None;
    index.for_each(|i| outside = outside.or(Some(i).filter(|i| !(0..length as i64).contains(i))));
    if let Some(i) = outside {
        panic!("{op}: index {i} is outside 0..{length}, of shape {shape}");
    }
    index.contiguous()
}

impl<T: Element> Var<'_, T> {
    /// The elements of an axis at `index`, in its order; an index may occur more than once.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.index_select(0, &Tensor::from([2i64, 0, 2]));
    /// assert_eq!(y.value().to_vec(), [3.0, 1.0, 3.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, `index` has not one axis, or an entry is outside.
    #[track_caller]
    pub fn index_select(self, axis: isize, index: &Tensor<i64>) -> Self {
        let shape = self.shape();
        let axis = rule::axis("index_select", &shape, axis).or_panic();
        assert!(index.rank() == 1, "index_select: the index has shape {}; it needs one axis", index.shape());
        let index = checked("index_select", index, shape[axis], &shape);
        self.unary(IndexSelect { axis, index })
    }
}

impl Examples for IndexSelect {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [4, 3]] => x.index_select(0, &Tensor::from([1i64, 1, 3]))),
            example!([x: normal [2, 3, 2]] => x.index_select(1, &Tensor::from([2i64, 0, 0, 1]))),
        ]
    }
}
