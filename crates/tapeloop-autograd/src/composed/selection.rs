//! Elements chosen by an order, a mask, or indices.

use std::cmp::Ordering;

use crate::element::Element;
use crate::ops::index::gather::{checked, pairs};
use crate::ops::index::index_select;
use crate::ops::{Example, example};
use crate::shape::{OrPanic, Shape};
use crate::tape::{Operand, Tape, Var};
use crate::tensor::Tensor;
use crate::tensor::views::Slice;

impl<'t, T: Element> Var<'t, T> {
    /// The largest element along an axis, and where it is. Of equal ones the first gets the gradient; NaN counts
    /// as the largest.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 5.0, 5.0], [7.0, 0.0, 1.0]]));
    /// let (y, at) = x.max_at(1, false);
    /// assert_eq!((y.value().to_vec(), at.to_vec()), (vec![5.0, 7.0], vec![1, 0]));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn max_at(self, axis: isize, keepdims: bool) -> (Self, Tensor<i64>) {
        let at = self.value().argmax(axis, true);
        self.picked(axis, keepdims, at)
    }

    /// The smallest element along an axis, and where it is. Of equal ones the first gets the gradient; NaN counts
    /// as the smallest.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, at) = tape.leaf(Tensor::from([3.0f32, 1.0, 1.0])).min_at(0, false);
    /// assert_eq!((y.item(), at.item()), (1.0, 1));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn min_at(self, axis: isize, keepdims: bool) -> (Self, Tensor<i64>) {
        let at = self.value().argmin(axis, true);
        self.picked(axis, keepdims, at)
    }

    #[track_caller]
    fn picked(self, axis: isize, keepdims: bool, at: Tensor<i64>) -> (Self, Tensor<i64>) {
        if self.rank() == 0 {
            return (self, at);
        }
        let y = self.gather(axis, &at);
        if keepdims {
            return (y, at);
        }
        let y = y.squeeze(axis);
        let at = Tensor::from_vec(y.shape(), at.to_vec());
        (y, at)
    }

    /// The elements along an axis in rising (or falling) order, and where each was. Equal elements keep their
    /// order; NaN is the largest.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, from) = tape.leaf(Tensor::from([3.0f32, 1.0, 2.0])).sort(0, false);
    /// assert_eq!((y.value().to_vec(), from.to_vec()), (vec![1.0, 2.0, 3.0], vec![1, 2, 0]));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn sort(self, axis: isize, descending: bool) -> (Self, Tensor<i64>) {
        let order = self.value().argsort(axis, descending);
        if self.rank() == 0 {
            return (self, order);
        }
        (self.gather(axis, &order), order)
    }

    /// The k largest (or smallest) elements along an axis, the most extreme first, and where each was.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, from) = tape.leaf(Tensor::from([3.0f32, 1.0, 2.0])).topk(2, 0, true);
    /// assert_eq!((y.value().to_vec(), from.to_vec()), (vec![3.0, 2.0], vec![0, 2]));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is shorter than `k`.
    #[track_caller]
    pub fn topk(self, k: usize, axis: isize, largest: bool) -> (Self, Tensor<i64>) {
        let n = self.dim(axis);
        assert!(k <= n, "topk: axis {axis} of shape {} has no {k} elements", self.shape());
        let order = self.value().argsort(axis, largest).slice(axis, 0..k as isize).contiguous();
        (self.gather(axis, &order), order)
    }

    /// The median along an axis, the lower one of two, and where it is; NaN if one is NaN. The gradient goes there.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, at) = tape.leaf(Tensor::from([3.0f32, 1.0, 2.0, 9.0])).median_at(0, false);
    /// assert_eq!((y.item(), at.item()), (2.0, 2));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn median_at(self, axis: isize, keepdims: bool) -> (Self, Tensor<i64>) {
        let at = self.value().median_index(axis);
        self.picked(axis, keepdims, at)
    }

    /// The median of all elements, the lower one of two; NaN if one is NaN. Equal elements share the gradient, where
    /// [`median_at`](Self::median_at) gives it all to one.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [2.0, 3.0]]));
    /// let y = x.median();
    /// assert_eq!(y.item(), 2.0);
    /// assert_eq!(y.backward().wrt(x).unwrap().to_vec(), [0.0, 0.5, 0.5, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If there is no element.
    #[track_caller]
    pub fn median(self) -> Self {
        let median = self.flatten(0, -1).median_at(0, false).0.detach();
        let ties = self.eq(median);
        // A difference that is 0, with the derivative of their mean.
        median + ties.if_else(self - median, 0.0).sum_all() / ties.sum_all().maximum(1.0)
    }

    /// The largest element so far along an axis, and where it is: the last of equal ones.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, at) = tape.leaf(Tensor::from([1.0f32, 3.0, 2.0])).cummax(0);
    /// assert_eq!((y.value().to_vec(), at.to_vec()), (vec![1.0, 3.0, 3.0], vec![0, 1, 1]));
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn cummax(self, axis: isize) -> (Self, Tensor<i64>) {
        let at = self.value().running_extreme("cummax", axis, Ordering::Greater);
        (self.gather(axis, &at), at)
    }

    /// The smallest element so far along an axis, and where it is: the last of equal ones.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let (y, _) = tape.leaf(Tensor::from([2.0f32, 3.0, 1.0])).cummin(0);
    /// assert_eq!(y.value().to_vec(), [2.0, 2.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn cummin(self, axis: isize) -> (Self, Tensor<i64>) {
        let at = self.value().running_extreme("cummin", axis, Ordering::Less);
        (self.gather(axis, &at), at)
    }

    /// The elements where `mask` is true, in row-major order. The mask covers the leading axes; further axes stay.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// let mask = Tensor::from([[true, false], [false, true]]);
    /// assert_eq!(x.masked_select(&mask).value().to_vec(), [1.0, 4.0]);
    /// assert_eq!(x.masked_select(&Tensor::from([false, true])).shape(), [1, 2]);
    /// ```
    ///
    /// # Panics
    /// If the mask's shape is not the head of this one's.
    #[track_caller]
    pub fn masked_select(self, mask: &Tensor<bool>) -> Self {
        let shape = self.shape();
        let covered = mask.rank();
        assert!(
            covered <= shape.rank() && mask.shape()[..] == shape[..covered],
            "masked_select: a mask of shape {} does not cover the leading axes of {shape}",
            mask.shape()
        );
        let places: Vec<i64> =
            mask.to_vec().iter().enumerate().filter(|&(_, &inside)| inside).map(|(place, _)| place as i64).collect();
        let flat: Shape = [mask.size()].into_iter().chain(shape[covered..].iter().copied()).collect();
        self.reshape_to(flat).index_select(0, &Tensor::from(places))
    }

    /// x[i, j, …]: one index for each of the leading axes, broadcast together; their shape comes first in the
    /// result. Negative entries count from the end.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// let (i, j) = (Tensor::from([0i64, 1, 1]), Tensor::from([1i64, 0, -1]));
    /// assert_eq!(x.index(&[&i, &j]).value().to_vec(), [2.0, 3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there are more indices than axes, they do not broadcast, or an entry is outside.
    #[track_caller]
    pub fn index(self, indices: &[&Tensor<i64>]) -> Self {
        let shape = self.shape();
        assert!(indices.len() <= shape.rank(), "index: {} indices for shape {shape}", indices.len());
        let shapes: Vec<&Shape> = indices.iter().map(|index| index.shape()).collect();
        let common = crate::shape::rule::broadcast("index", &shapes).or_panic();
        let mut places = vec![0i64; common.size()];
        for (axis, index) in indices.iter().enumerate() {
            let n = shape[axis] as i64;
            for (place, i) in places.iter_mut().zip(index.broadcast_to(&common).to_vec()) {
                assert!((-n..n).contains(&i), "index: entry {i} is outside axis {axis} of shape {shape}");
                *place = *place * n + i.rem_euclid(n);
            }
        }
        let rest = &shape[indices.len()..];
        let lead: usize = shape[..indices.len()].iter().product();
        let flat: Shape = [lead].into_iter().chain(rest.iter().copied()).collect();
        let result: Shape = common.iter().chain(rest).copied().collect();
        self.reshape_to(flat).index_select(0, &Tensor::from(places)).reshape_to(result)
    }

    /// This, with the elements of `source`, in row-major order, where `mask`, broadcast to this shape, is true. What
    /// of `source` is left over is not used.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.masked_scatter(&Tensor::from([true, false, true]), &Tensor::from([10.0f32, 30.0]));
    /// assert_eq!(y.value().to_vec(), [10.0, 2.0, 30.0]);
    /// ```
    ///
    /// # Panics
    /// If the mask does not broadcast to this shape, or `source` has too few elements.
    #[track_caller]
    pub fn masked_scatter(self, mask: &Tensor<bool>, source: impl Operand<'t, T>) -> Self {
        let (shape, source) = (self.shape(), source.on(self.tape()));
        let inside = mask.broadcast_to(&shape).to_vec();
        let places: Vec<i64> = (0..).zip(&inside).filter(|&(_, &inside)| inside).map(|(place, _)| place).collect();
        let count = places.len();
        assert!(
            count <= source.size(),
            "masked_scatter: a source of shape {} has no {count} elements",
            source.shape()
        );
        let taken = source.reshape_to([source.size()]).slice(0, 0..count as isize);
        self.reshape_to([shape.size()]).scatter(0, &Tensor::from(places), taken).reshape_to(shape)
    }

    /// This, with `values` at [i, j, …], as [`index`](Self::index) reads them: in place of its own elements, the last one
    /// where several meet, or added to them if `accumulate`. `values` broadcasts to what `index` would give.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let at = Tensor::from([0i64, -1, -1]);
    /// assert_eq!(x.index_put(&[&at], 10.0, false).value().to_vec(), [10.0, 2.0, 10.0]);
    /// assert_eq!(x.index_put(&[&at], 10.0, true).value().to_vec(), [11.0, 2.0, 23.0]);
    /// ```
    ///
    /// # Panics
    /// If there are more indices than axes, they or the values do not broadcast, or an entry is outside.
    #[track_caller]
    pub fn index_put(self, indices: &[&Tensor<i64>], values: impl Operand<'t, T>, accumulate: bool) -> Self {
        let shape = self.shape();
        // Every element's own place, read as `index` reads the elements.
        let all = Tensor::<f64>::arange(0.0, shape.size() as f64, 1.0);
        let all = Tensor::from_vec(&shape, all.to_vec());
        let places = Tape::inference().constant(all).index(indices).value();
        let values = values.on(self.tape()).broadcast_to(places.shape()).reshape_to([places.size()]);
        let places = places.reshape(&[-1]).map(|place| place as i64);
        let flat = self.reshape_to([shape.size()]);
        let put = if accumulate { flat.index_add(0, &places, values) } else { flat.scatter(0, &places, values) };
        put.reshape_to(shape)
    }

    /// This, with `source` in place of one index of an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.select_scatter(1, 0, &Tensor::from([8.0f32, 9.0])).value().to_vec(), [8.0, 2.0, 9.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis or the index does not exist, or `source` has not the shape of that part.
    #[track_caller]
    pub fn select_scatter(self, axis: isize, index: usize, source: impl Operand<'t, T>) -> Self {
        let (n, source) = (self.dim(axis), source.on(self.tape()));
        assert!(index < n, "select_scatter: index {index} is outside axis {axis} of shape {}", self.shape());
        let axis = if axis < 0 { axis + self.rank() as isize } else { axis };
        let index = index as isize;
        self.slice_scatter(axis, index..index + 1, source.unsqueeze(axis))
    }

    /// This, with `source` in place of part of an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor, s};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0, 4.0]));
    /// let y = x.slice_scatter(0, s(..).step(2), &Tensor::from([8.0f32, 9.0]));
    /// assert_eq!(y.value().to_vec(), [8.0, 2.0, 9.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, or `source` has not the shape of that part.
    #[track_caller]
    pub fn slice_scatter(self, axis: isize, part: impl Into<Slice>, source: impl Operand<'t, T>) -> Self {
        let (n, source) = (self.dim(axis), source.on(self.tape()));
        let (start, count, step) = part.into().resolve(n);
        let places = Tensor::from((0..count).map(|k| (start + k * step) as i64).collect::<Vec<_>>());
        let kept = Tensor::from((0..n).map(|i| i < start || (i - start) % step != 0 || (i - start) / step >= count).collect::<Vec<_>>());
        let mut dims = vec![1; self.rank()];
        dims[if axis < 0 { axis + self.rank() as isize } else { axis } as usize] = -1;
        self.masked_fill(&kept.map(|kept| !kept).reshape(&dims), 0.0).index_add(axis, &places, source)
    }

    /// The mean of each element and of those of `source` placed on it, as [`scatter_add`](Self::scatter_add) places them.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.scatter_mean(0, &Tensor::from([2i64, 2]), &Tensor::from([9.0f32, 6.0]));
    /// assert_eq!(y.value().to_vec(), [1.0, 2.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_add`](Self::scatter_add).
    #[track_caller]
    pub fn scatter_mean(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let ones = self.tape().full(index.shape(), 1.0);
        let counts = self.tape().full(self.shape(), 1.0).scatter_add(axis, index, ones);
        self.scatter_add(axis, index, source) / counts
    }

    /// The larger of each element and those of `source` placed on it at `index` along an axis. Equal ones share the
    /// gradient.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.scatter_max(0, &Tensor::from([2i64, 1]), &Tensor::from([3.0f32, 7.0]));
    /// assert_eq!(y.value().to_vec(), [1.0, 7.0, 3.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.0, 0.5]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, `index` does not fit or has another shape than `source`, or an entry is outside.
    #[track_caller]
    pub fn scatter_max(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let (shape, source) = (self.shape(), source.on(self.tape()));
        let (at, index) = checked("scatter_max", axis, index, &shape);
        assert!(
            source.shape() == *index.shape(),
            "scatter_max: the source has shape {}, the index {}; they must be equal",
            source.shape(),
            index.shape()
        );
        let (mut best, placed) = (self.value().to_vec(), source.value().to_vec());
        pairs(at, &index, &shape, |from, to| best[to] = best[to].maximum(placed[from]));
        let best = self.tape().constant(Tensor::from_vec(&shape, best));
        let met = best.gather(axis, &index);
        let (own, other) = (self.eq(best), source.eq(met));
        let counts = own.scatter_add(axis, &index, other);
        // Differences that are 0, with the derivative of a mean; an infinite one is left to itself.
        let base = best.abs().eq(f64::INFINITY).if_else(0.0, best);
        let base_met = base.gather(axis, &index);
        let rest = own.if_else(self - base, 0.0).scatter_add(axis, &index, other.if_else(source - base_met, 0.0));
        base + rest / counts
    }

    /// The smaller of each element and those of `source` placed on it: as [`scatter_max`](Self::scatter_max).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.scatter_min(0, &Tensor::from([2i64, 2]), &Tensor::from([2.0f32, 7.0]));
    /// assert_eq!(y.value().to_vec(), [1.0, 2.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// As [`scatter_max`](Self::scatter_max).
    #[track_caller]
    pub fn scatter_min(self, axis: isize, index: &Tensor<i64>, source: impl Operand<'t, T>) -> Self {
        let source = -source.on(self.tape());
        -(-self).scatter_max(axis, index, source)
    }

    /// The rows of this table at `ids`: (n, width) → (ids…, width). The row at `padding` gets no gradient.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let table = tape.leaf(Tensor::from([[0.0f32, 0.0], [1.0, 2.0]]));
    /// let y = table.embedding(&Tensor::from([[1i64, 0]]), Some(0));
    /// assert_eq!(y.shape(), [1, 2, 2]);
    /// assert_eq!(y.sum_all().backward().wrt(table).unwrap().to_vec(), [0.0, 0.0, 1.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If this is no table, or an id is not one of its rows.
    #[track_caller]
    pub fn embedding(self, ids: &Tensor<i64>, padding: Option<usize>) -> Self {
        let shape = self.shape();
        assert!(shape.rank() == 2, "embedding: the table has shape {shape}; it needs two axes");
        let flat = index_select::checked("embedding", &ids.reshape(&[-1]), shape[0], &shape);
        let mut rows = self.index_select(0, &flat);
        if let Some(padding) = padding {
            let padded = flat.map(|id| id == padding as i64).reshape(&[-1, 1]);
            rows = rows.masked_fill(&padded, rows.detach());
        }
        rows.reshape_to(ids.shape().iter().copied().chain([shape[1]]).collect::<Shape>())
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: distinct [3, 4]] => x.max_at(1, false).0),
        example!([x: distinct [3, 4]] => x.min_at(0, true).0),
        example!([x: distinct [3, 4]] => x.sort(0, true).0),
        example!([x: distinct [3, 4]] => x.topk(2, 1, false).0),
        example!([x: distinct [3, 4]] => x.median_at(-1, false).0),
        example!([x: distinct [3, 5]] => x.median()),
        example!([x: distinct [3, 4]] => x.cummax(1).0),
        example!([x: distinct [3, 4]] => x.cummin(0).0),
        example!([x: normal [2, 3]] => x.masked_select(&Tensor::from([[true, false, true], [false, false, true]]))),
        example!([x: normal [2, 3, 2]] => x.index(&[&Tensor::from([[0i64], [1]]), &Tensor::from([2i64, 2, -3])])),
        example!([x: normal [2, 3], y: normal [2, 2]] => x.masked_scatter(&Tensor::from([true, false, true]), y)),
        example!([x: normal [2, 3], y: normal [4]] => x.index_put(&[&Tensor::from([0i64, 1, 1, -2]), &Tensor::from([0i64, 2, 2, 1])], y, true)),
        example!([x: normal [3, 2], y: normal [2, 2]] => x.index_put(&[&Tensor::from([2i64, 0])], y, false)),
        example!([x: normal [3, 2], y: normal [2, 2]] => x.scatter_mean(0, &Tensor::from([[0i64, 2], [0, 1]]), y)),
        example!([x: distinct [3, 2], y: values ([2, 2], [0.01, -0.02, 0.9, 0.03])] => x.scatter_max(0, &Tensor::from([[0i64, 2], [0, 1]]), y)),
        example!([x: distinct [3, 2], y: values ([2, 2], [0.01, -0.02, 0.9, 0.03])] => x.scatter_min(0, &Tensor::from([[0i64, 2], [0, 1]]), y)),
        example!([x: normal [2, 3], y: normal [2]] => x.select_scatter(-1, 1, y)),
        example!([x: normal [2, 5], y: normal [2, 2]] => x.slice_scatter(1, crate::s(1..).step(2), y)),
        example!([x: normal [4, 3]] => x.embedding(&Tensor::from([[1i64, 3], [1, 1]]), None)),
    ]
}
