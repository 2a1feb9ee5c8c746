//! Indices that an order gives: largest, smallest, sorted. NaN counts as the largest of all.

use std::cmp::Ordering;

use super::Tensor;
use crate::element::Item;
use crate::shape::{OrPanic, rule};

/// The order with NaN last.
fn compare<T: Item>(a: &T, b: &T) -> Ordering {
    // Only NaN is not equal to itself.
    let nan = |x: &T| x.partial_cmp(x).is_none();
    a.partial_cmp(b).unwrap_or_else(|| nan(a).cmp(&nan(b)))
}

impl<T: Item> Tensor<T> {
    /// `f` of every row along `axis`, which appends one index, or one for every place if not `one`.
    #[track_caller]
    fn rows_to_indices(
        &self,
        op: &'static str,
        axis: isize,
        one: bool,
        f: impl Fn(&[T], &mut Vec<i64>),
    ) -> Tensor<i64> {
        if self.rank() == 0 {
            return self.reshape(&[1]).rows_to_indices(op, axis, one, f);
        }
        let axis = rule::axis(op, &self.shape, axis).or_panic();
        let n = self.shape[axis];
        assert!(n > 0 || !one, "{op}: axis {axis} of shape {} is empty", self.shape);
        let order: Vec<usize> = (0..self.rank()).filter(|&a| a != axis).chain([axis]).collect();
        let rows = self.permuted(&order).to_vec();
        let mut indices = Vec::new();
        rows.chunks(n.max(1)).for_each(|row| f(row, &mut indices));
        let shape = self.permuted(&order).shape.with(self.rank() - 1, if one { 1 } else { n });
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(place, &axis)| back[axis] = place);
        Tensor::from_vec(shape, indices).permuted(&back).contiguous()
    }

    /// Where the largest element along an axis is: the first of equal ones, NaN if there is one.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let x = Tensor::from([[1.0f32, 5.0, 5.0], [7.0, 0.0, 1.0]]);
    /// assert_eq!(x.argmax(1, false).to_vec(), [1, 0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn argmax(&self, axis: isize, keepdims: bool) -> Tensor<i64> {
        self.extreme_index("argmax", axis, keepdims, Ordering::Greater)
    }

    /// Where the smallest element along an axis is: the first of equal ones, NaN if there is one.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// assert_eq!(Tensor::from([3.0f32, 1.0, 1.0]).argmin(0, false).item(), 1);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or is empty.
    #[track_caller]
    pub fn argmin(&self, axis: isize, keepdims: bool) -> Tensor<i64> {
        self.extreme_index("argmin", axis, keepdims, Ordering::Less)
    }

    #[track_caller]
    fn extreme_index(&self, op: &'static str, axis: isize, keepdims: bool, wanted: Ordering) -> Tensor<i64> {
        let indices = self.rows_to_indices(op, axis, true, |row, out| {
            let best = row.iter().enumerate().reduce(|best, next| {
                let better = match (best.1.partial_cmp(best.1), next.1.partial_cmp(next.1)) {
                    (None, _) => false,
                    (_, None) => true,
                    _ => next.1.partial_cmp(best.1) == Some(wanted),
                };
                if better { next } else { best }
            });
            out.extend(best.map(|(at, _)| at as i64));
        });
        if keepdims && self.rank() > 0 {
            return indices;
        }
        let mut shape = indices.shape.clone();
        let axis = rule::axis(op, &shape, axis).or_panic();
        shape.0.remove(axis);
        Tensor::from_vec(shape, indices.to_vec())
    }

    /// The indices that sort an axis, rising or falling. Equal elements keep their order; NaN is the largest.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let x = Tensor::from([3.0f32, 1.0, 2.0]);
    /// assert_eq!(x.argsort(0, false).to_vec(), [1, 2, 0]);
    /// assert_eq!(x.argsort(0, true).to_vec(), [0, 2, 1]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor<i64> {
        let indices = self.rows_to_indices("argsort", axis, false, |row, out| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&i, &j| {
                let rising = compare(&row[i], &row[j]);
                if descending { rising.reverse() } else { rising }
            });
            out.extend(order.into_iter().map(|i| i as i64));
        });
        Tensor::from_vec(&self.shape, indices.to_vec())
    }

    /// Where the median along an axis is, the lower one of two; NaN if there is one. The axis stays, with length 1.
    #[track_caller]
    pub(crate) fn median_index(&self, axis: isize) -> Tensor<i64> {
        self.rows_to_indices("median", axis, true, |row, out| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&i, &j| compare(&row[i], &row[j]));
            let last = order[row.len() - 1];
            let nan = row[last].partial_cmp(&row[last]).is_none();
            out.push(if nan { last } else { order[(row.len() - 1) / 2] } as i64);
        })
    }

    /// Where the largest (or smallest) element up to each place of an axis is, the last of equal ones.
    #[track_caller]
    pub(crate) fn running_extreme(&self, op: &'static str, axis: isize, wanted: Ordering) -> Tensor<i64> {
        let indices = self.rows_to_indices(op, axis, false, |row, out| {
            let mut best = 0;
            for (i, x) in row.iter().enumerate() {
                let nan = |x: &T| x.partial_cmp(x).is_none();
                let order = x.partial_cmp(&row[best]);
                if nan(x) || (!nan(&row[best]) && (order == Some(wanted) || order == Some(Ordering::Equal))) {
                    best = i;
                }
                out.push(best as i64);
            }
        });
        Tensor::from_vec(&self.shape, indices.to_vec())
    }

    /// The first place in this rising sequence before which each of `values` would keep it so; the last if `right`.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let edges = Tensor::from([1.0f32, 3.0, 3.0, 5.0]);
    /// assert_eq!(edges.searchsorted(&Tensor::from([3.0f32, 9.0]), false).to_vec(), [1, 4]);
    /// assert_eq!(edges.searchsorted(&Tensor::from([3.0f32, 0.0]), true).to_vec(), [3, 0]);
    /// ```
    ///
    /// # Panics
    /// If this has not one axis.
    #[track_caller]
    pub fn searchsorted(&self, values: &Self, right: bool) -> Tensor<i64> {
        assert!(self.rank() == 1, "searchsorted: the sequence has shape {}; it needs one axis", self.shape);
        let sorted = self.to_vec();
        values.map(|value| {
            sorted.partition_point(|x| match compare(x, &value) {
                Ordering::Less => true,
                Ordering::Equal => right,
                Ordering::Greater => false,
            }) as i64
        })
    }

    /// The index of every element that is not 0 (or false): one row for each, in row-major order.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// let mask = Tensor::from([[true, false], [true, true]]);
    /// assert_eq!(mask.nonzero().to_vec(), [0, 0, 1, 0, 1, 1]);
    /// ```
    pub fn nonzero(&self) -> Tensor<i64> {
        let (mut count, mut indices) = (0, Vec::new());
        for (mut place, x) in self.to_vec().into_iter().enumerate() {
            if x != T::default() {
                count += 1;
                let start = indices.len();
                indices.resize(start + self.rank(), 0);
                for axis in (0..self.rank()).rev() {
                    indices[start + axis] = (place % self.shape[axis]) as i64;
                    place /= self.shape[axis];
                }
            }
        }
        Tensor::from_vec([count, self.rank()], indices)
    }
}
