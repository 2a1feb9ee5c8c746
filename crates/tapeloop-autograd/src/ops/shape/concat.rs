//! y = the inputs one after the other along an axis;  each input's cotangent is its part of ȳ

use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Concat {
    axis: usize,
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
    /// assert_eq!(Var::concat(&[a, b], 1).value().to_vec(), [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// If there is none, the axis does not exist, or lengths differ on another axis.
    #[track_caller]
    pub fn concat(parts: &[Self], axis: isize) -> Self {
        assert!(!parts.is_empty(), "concat: there must be at least one part");
        let axis = rule::axis("concat", &parts[0].shape(), axis).unwrap_or_else(|error| panic!("{error}"));
        join(parts, axis)
    }

    /// Variables of one shape, along a new axis.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, Var};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// let b = tape.leaf(Tensor::from([3.0f32, 4.0]));
    /// assert_eq!(Var::stack(&[a, b], -1).value().to_vec(), [1.0, 3.0, 2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If there is none, shapes differ, or the new axis is not in −rank−1..=rank.
    #[track_caller]
    pub fn stack(parts: &[Self], axis: isize) -> Self {
        assert!(!parts.is_empty(), "stack: there must be at least one part");
        let shape = parts[0].shape();
        let mut with_axis = shape.clone();
        with_axis.0.insert(0, 1);
        let axis = rule::axis("stack", &with_axis, axis).unwrap_or_else(|error| panic!("{error}"));
        with_axis.0.remove(0);
        with_axis.0.insert(axis, 1);
        if let Some(other) = parts.iter().find(|part| part.shape() != shape) {
            panic!("{}", ShapeError::new("stack", &[&shape, &other.shape()], "all shapes must be equal"));
        }
        let parts: smallvec::SmallVec<[Self; 32]> =
            parts.iter().map(|part| part.unary(super::reshape::Reshape::to(with_axis.clone()))).collect();
        join(&parts, axis)
    }
}

#[track_caller]
fn join<'t, T: Element>(parts: &[Var<'t, T>], axis: usize) -> Var<'t, T> {
    match parts {
        [one] => *one,
        _ if parts.len() <= GROUP => parts[0].tape().apply(Concat { axis }, parts),
        _ => {
            let mut groups = smallvec::SmallVec::<[Var<'t, T>; 32]>::new();
            for group in parts.chunks(GROUP) {
                groups.push(join(group, axis));
            }
            join(&groups, axis)
        }
    }
}

impl Examples for Concat {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([a: normal [2, 3], b: normal [2, 1]] => Var::concat(&[a, b, a], 1)),
            example!([a: normal [2, 3], b: normal [2, 3]] => Var::stack(&[a, b, b, a, a, b], 1)),
        ]
    }
}
