//! y = the inputs one after the other along an axis;  each input's cotangent is its part of ȳ

use smallvec::SmallVec;

use super::reshape::Reshape;
use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Concat {
    pub(crate) axis: usize,
}

impl<T: Element> Op<T> for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let (first, axis) = (inputs[0], self.axis);
        if inputs.iter().any(|x| x.rank() != first.rank() || x.with(axis, 0) != first.with(axis, 0)) {
            return Err(ShapeError::new("concat", inputs, format!("lengths must be equal on every axis but {axis}")));
        }
        Ok(first.with(axis, inputs.iter().map(|x| x[axis]).sum()))
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        if out.size() == 0 {
            return out;
        }
        let strides = out.strides.clone();
        let mut start = 0;
        for x in inputs {
            let to = &mut out.as_mut_slice()[start..];
            elementwise::assign_strided(to, &strides, x.strided(), x.shape());
            start += x.shape()[self.axis] * strides[self.axis];
        }
        out
    }
    fn form(&self) -> Form<T> {
        Form::concat(self.axis)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let axis = self.axis as isize;
        let mut start = 0;
        for k in 0..back.input_count() {
            let end = start + back.input(k).shape()[self.axis] as isize;
            back.give(k, |g| g.slice(axis, start..end));
            start = end;
        }
    }
}

/// Inputs of one operation: more are joined in groups, so that no node needs memory of its own.
const GROUP: usize = 4;

impl<'t, T: Element> Var<'t, T> {
    /// Variables one after the other along an existing axis.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, Var};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[1.0f32], [2.0]]));
    /// let b = tape.leaf(Tensor::from([[3.0f32, 4.0], [5.0, 6.0]]));
    /// assert_eq!(Var::concat([a, b], 1).value().to_vec(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// If there is none, the axis does not exist, or lengths differ on another axis.
    #[track_caller]
    pub fn concat(parts: impl IntoIterator<Item = Self>, axis: isize) -> Self {
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { panic!("concat: there must be at least one part") };
        let axis = rule::axis("concat", &first.shape(), axis).or_panic();
        let mut join = Join::new(axis);
        join.push(0, first);
        for part in parts {
            join.push(0, part);
        }
        join.finish()
    }

    /// Variables of one shape, along a new axis.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, Var};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// let b = tape.leaf(Tensor::from([3.0f32, 4.0]));
    /// assert_eq!(Var::stack([a, b], -1).value().to_vec(), [1.0, 3.0, 2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there is none, shapes differ, or the new axis is not in −rank−1..=rank.
    #[track_caller]
    pub fn stack(parts: impl IntoIterator<Item = Self>, axis: isize) -> Self {
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { panic!("stack: there must be at least one part") };
        let shape = first.shape();
        let mut with_axis = shape.clone();
        with_axis.0.push(1);
        let axis = rule::axis("stack", &with_axis, axis).or_panic();
        with_axis.0.pop();
        with_axis.0.insert(axis, 1);
        let mut join = Join::new(axis);
        join.push(0, first.unary(Reshape::to(with_axis.clone())));
        for part in parts {
            let other = part.shape();
            assert!(other == shape, "{}", ShapeError::new("stack", &[&shape, &other], "all shapes must be equal"));
            join.push(0, part.unary(Reshape::to(with_axis.clone())));
        }
        join.finish()
    }
}

/// Parts on their way into groups: a full group of one level is one part of the next, as digits carry.
struct Join<'t, T: Element> {
    pub(crate) axis: usize,
    levels: SmallVec<[SmallVec<[Var<'t, T>; GROUP]>; 16]>,
}

impl<'t, T: Element> Join<'t, T> {
    fn new(axis: usize) -> Self {
        Self { axis, levels: SmallVec::new() }
    }

    #[track_caller]
    fn push(&mut self, level: usize, part: Var<'t, T>) {
        if self.levels.len() == level {
            self.levels.push(SmallVec::new());
        }
        // A full group is joined only when more follows it.
        if self.levels[level].len() == GROUP {
            let group = std::mem::take(&mut self.levels[level]);
            let joined = self.joined(&group);
            self.push(level + 1, joined);
        }
        self.levels[level].push(part);
    }

    #[track_caller]
    fn joined(&self, parts: &[Var<'t, T>]) -> Var<'t, T> {
        match parts {
            [one] => *one,
            _ => parts[0].tape().apply(Concat { axis: self.axis }, parts),
        }
    }

    /// What is left, from the last parts to the first.
    #[track_caller]
    fn finish(mut self) -> Var<'t, T> {
        // A level that is full passes its own group on: there may be one more level than before.
        let mut level = 0;
        while level + 1 < self.levels.len() || self.levels[level].len() > 1 {
            let group = std::mem::take(&mut self.levels[level]);
            let joined = self.joined(&group);
            level += 1;
            self.push(level, joined);
        }
        self.levels[level][0]
    }
}

impl Examples for Concat {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: normal [2, 1]] => Var::concat([a, b, a], 1)),
            example!([a: normal [2, 1]] => Var::concat((0..23).map(|k| a * f64::from(k)), 1)),
            example!([a: normal [2, 3], b: normal [2, 3]] => Var::stack([a, b, b, a, a, b], 1)),
        ]
    }
}
