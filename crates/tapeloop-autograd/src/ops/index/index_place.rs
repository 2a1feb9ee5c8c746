//! y[.., index[k], ..] = Σ x[.., k, ..], zero elsewhere: the transpose of `index_select`;  x̄ selects from ȳ

use super::index_select::{IndexSelect, checked};
use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexPlace {
    pub(crate) axis: usize,
    /// Dense, within the axis.
    pub(crate) index: Tensor<i64>,
    pub(crate) length: usize,
}

impl<T: Element> Op<T> for IndexPlace {
    fn name(&self) -> &'static str {
        "index_place"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].with(self.axis, self.length))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        out.as_mut_slice().fill(T::ZERO);
        let dense = run.dense(inputs[0]);
        let (x, index) = (dense.as_slice().unwrap_or_default(), self.index.as_slice().unwrap_or_default());
        let inner: usize = dense.shape()[self.axis + 1..].iter().product();
        if !x.is_empty() {
            let blocks = out.as_mut_slice().chunks_mut(self.length * inner);
            for (x, out) in x.chunks(index.len() * inner).zip(blocks) {
                for (x, &i) in x.chunks(inner).zip(index) {
                    let out = &mut out[i as usize * inner..][..inner];
                    out.iter_mut().zip(x).for_each(|(out, &x)| *out += x);
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
        back.give(0, |g| g.unary(IndexSelect { axis: self.axis, index: self.index.clone() }));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// This, with the elements of `source` added along an axis at `index`; an index may occur more than once.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.index_add(0, &Tensor::from([2i64, 2]), &Tensor::from([10.0f32, 20.0]));
    /// assert_eq!(y.value().to_vec(), [1.0, 2.0, 33.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, an entry of `index` is outside, or `source` does not fit.
    #[track_caller]
    pub fn index_add(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let (shape, source) = (self.shape(), source.on(self.tape()));
        let axis = rule::axis("index_add", &shape, axis).or_panic();
        let index = checked("index_add", index, shape[axis], &shape);
        let expected = shape.with(axis, index.size());
        assert!(
            index.rank() == 1 && source.shape() == expected,
            "index_add: the source has shape {}, the index {}; it needs {expected} and one axis",
            source.shape(),
            index.shape()
        );
        self + source.unary(IndexPlace { axis, index, length: shape[axis] })
    }
}

impl Examples for IndexPlace {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: normal [3, 2], y: normal [4, 2]] => x.index_add(0, &Tensor::from([0i64, 2, 2, 1]), y))]
    }
}
