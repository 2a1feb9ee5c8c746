//! y[index[i, j, ..], j, ..] = Σ x[i, j, ..] for axis 0, zero elsewhere: the transpose of `gather`;  x̄ gathers ȳ

use super::gather::{Gather, checked, pairs};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScatterPlace {
    pub(crate) axis: usize,
    /// Dense, within the axis.
    pub(crate) index: Tensor<i64>,
    pub(crate) shape: Shape,
}

impl<T: Element> Op<T> for ScatterPlace {
    fn name(&self) -> &'static str {
        "scatter_place"
    }
    fn shape(&self, _: &[&Shape]) -> ShapeResult {
        Ok(self.shape.clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        out.as_mut_slice().fill(T::ZERO);
        let dense = run.dense(inputs[0]);
        let (x, y) = (dense.as_slice().unwrap_or_default(), out.as_mut_slice());
        pairs(self.axis, &self.index, &self.shape, |from, to| y[to] += x[from]);
        run.free_dense(dense);
        out
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Gather { axis: self.axis, index: self.index.clone() }));
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// This, with the elements of `source` added at `index` along an axis; what meets at one place is added.
    /// `source` may be larger than `index` on any axis: the rest is not used.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.scatter_add(0, &Tensor::from([2i64, 2]), &Tensor::from([10.0f32, 20.0]));
    /// assert_eq!(y.value().to_vec(), [1.0, 2.0, 33.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, `index` does not fit, an entry is outside, or `source` is smaller than `index`.
    #[track_caller]
    pub fn scatter_add(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let shape = self.shape();
        let (axis, index) = checked("scatter_add", axis, index, &shape);
        let source = source.on(self.tape()).cut_to("scatter_add", index.shape());
        self + source.unary(ScatterPlace { axis, index, shape })
    }

    /// This, with the elements of `source` in place of its own at `index` along an axis. Where several meet, the
    /// last one counts.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.scatter(0, &Tensor::from([2i64]), &Tensor::from([10.0f32]));
    /// assert_eq!(y.value().to_vec(), [1.0, 2.0, 10.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_add`](Self::scatter_add).
    #[track_caller]
    pub fn scatter(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let shape = self.shape();
        let (axis, index) = checked("scatter", axis, index, &shape);
        let source = source.on(self.tape()).cut_to("scatter", index.shape());
        // Who comes last at each place: only that one is placed.
        let mut last = vec![usize::MAX; shape.size()];
        pairs(axis, &index, &shape, |from, to| last[to] = from);
        let mut counts = vec![false; index.size()];
        last.iter().filter(|&&from| from != usize::MAX).for_each(|&from| counts[from] = true);
        let counts = Tensor::from_vec(index.shape(), counts);
        let taken = Tensor::from_vec(&shape, last.iter().map(|&from| from != usize::MAX).collect());
        let placed = source.masked_fill(&counts.map(|counts| !counts), 0.0);
        self.masked_fill(&taken, 0.0) + placed.unary(ScatterPlace { axis, index, shape })
    }

    /// The leading part of every axis.
    #[track_caller]
    fn cut_to(self, op: &'static str, shape: &Shape) -> Self {
        let own = self.shape();
        assert!(
            own.rank() == shape.rank() && own.iter().zip(shape.iter()).all(|(own, n)| own >= n),
            "{op}: the source has shape {own}; it must not be smaller than the index, {shape}"
        );
        let mut cut = self;
        for (axis, &n) in shape.iter().enumerate().filter(|&(axis, &n)| own[axis] != n) {
            cut = cut.slice(axis as isize, 0..n as isize);
        }
        cut
    }
}

impl Examples for ScatterPlace {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 2], y: normal [2, 2]] => x.scatter_add(0, &Tensor::from([[0i64, 2], [0, 1]]), y)),
            example!([x: normal [2, 3], y: normal [2, 2]] => x.scatter(1, &Tensor::from([[0i64, 0], [2, 1]]), y)),
        ]
    }
}
