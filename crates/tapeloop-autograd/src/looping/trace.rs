//! Tracing: a step is called once with values of which only the shapes are known, and its operations are read off
//! the tape.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use smallvec::{SmallVec, smallvec};

use super::step::{Node, Source, Step, same_leaf};
use crate::element::Element;
use crate::shape::Shape;
use crate::tape::{ParamId, Tape, Var};
use crate::tensor::Tensor;

/// Why a step cannot become a loop. It then runs step by step, with the same result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untraceable {
    reason: String,
    at: Option<&'static Location<'static>>,
}

impl Untraceable {
    /// `reason` says what the step does that a loop cannot: "reads a value".
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), at: None }
    }
}

impl Untraceable {
    /// Of a step whose derivative this is about.
    pub(crate) fn of_derivative(self) -> Self {
        Self { reason: format!("has a derivative that {}", self.reason), ..self }
    }

    /// The reason alone.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Untraceable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "the step {} at {at}", self.reason),
            None => write!(f, "the step {}", self.reason),
        }
    }
}

impl std::error::Error for Untraceable {}

/// Ends a trace from within the step: there is nothing to give it.
#[cold]
pub(crate) fn untraceable(reason: &str, at: &'static Location<'static>) -> ! {
    resume_unwind(Box::new(Untraceable { reason: reason.into(), at: Some(at) }))
}

/// A value the step brings along: the same in every step.
pub(crate) enum Fixed<T: Element> {
    /// A parameter, and whether it is trainable.
    Param(ParamId, bool, Tensor<T>),
    Value(Tensor<T>),
    /// One element in this shape. It is made anew where it is needed: the tape of the trace keeps its buffer.
    Single(Shape, T),
}

impl<T: Element> Fixed<T> {
    /// The value itself.
    pub(crate) fn value(self) -> Tensor<T> {
        match self {
            Self::Param(_, _, value) | Self::Value(value) => value,
            Self::Single(shape, value) => Tensor::full(shape, value),
        }
    }

    /// The value on the tape that the loop runs on.
    pub(crate) fn on(self, tape: &Tape<T>) -> Var<'_, T> {
        match self {
            Self::Param(id, trainable, value) => tape.param_leaf(id, &value, trainable),
            Self::Value(value) => tape.constant(value),
            Self::Single(shape, value) => tape.full(shape, value.to_f64()),
        }
    }
}

/// What a step returns: the next states, and its output.
pub type Returned<'t, T> = (SmallVec<[Var<'t, T>; 4]>, Var<'t, T>);

/// Where a trace's roots lie on its tape, whose first nodes are the present elements of the sequences, then the states.
pub(crate) struct Roots {
    pub(crate) sequences: usize,
    pub(crate) next: SmallVec<[u32; 4]>,
    /// The step's output; behind it what else is asked for along time.
    pub(crate) outputs: SmallVec<[u32; 4]>,
}

impl Roots {
    /// The leaf with this place on the tape; from `None` on leaves are fixed values.
    fn leaf<T: Element>(&self, id: usize) -> Option<Source<T>> {
        match id.checked_sub(self.sequences) {
            None => Some(Source::Sequence(id)),
            Some(state) => (state < self.next.len()).then_some(Source::State(state)),
        }
    }
}

/// Calls `step` on a tracing tape, which afterwards holds its operations.
pub(crate) fn trace<T: Element>(
    tape: &mut Tape<T>,
    sequences: &[Shape],
    states: &[Shape],
    step: impl for<'s> Fn(&[Var<'s, T>], &[Var<'s, T>]) -> Returned<'s, T>,
) -> Result<Roots, Untraceable> {
    tape.reset();
    let tape = &*tape;
    let run = || {
        let present: SmallVec<[Var<'_, T>; 2]> =
            sequences.iter().map(|shape| tape.hollow(&shape[1..].into())).collect();
        let states: SmallVec<[Var<'_, T>; 4]> = states.iter().map(|shape| tape.hollow(shape)).collect();
        let (next, output) = step(&present, &states);
        let kept = next.len() == states.len() && next.iter().zip(&states).all(|(a, b)| a.shape() == b.shape());
        if !kept {
            return Err(Untraceable::new("returns other states than it was given"));
        }
        let next = next.iter().map(|x| x.node()).collect();
        Ok(Roots { sequences: sequences.len(), next, outputs: smallvec![output.node()] })
    };
    caught(run)?
}

/// Calls `f` on a tracing tape, which [`untraceable`] may end.
pub(crate) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, Untraceable> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| match payload.downcast::<Untraceable>() {
        Ok(stop) => *stop,
        // The step's own mistake: it is reported as everywhere else.
        Err(payload) => resume_unwind(payload),
    })
}

/// Whether the tape holds what `step` was read from.
pub(crate) fn same<T: Element>(tape: &Tape<T>, roots: &Roots, step: &Step<T>) -> bool {
    let mut equal = tape.len() == step.nodes.len()
        && step.outputs.iter().copied().eq(roots.outputs.iter().map(|&id| id as usize))
        && step.next.iter().copied().eq(roots.next.iter().map(|&id| id as usize));
    if equal {
        tape.each_node(|id, op, inputs, value| {
            let node = &step.nodes[id];
            equal &= node.shape == *value.shape()
                && node.inputs.iter().copied().eq(inputs.iter().map(|&input| input as usize))
                && match (op, &node.source) {
                    (Some(op), Source::Op(known)) => op == known,
                    (None, Source::Op(_)) | (Some(_), _) => false,
                    (None, source) => match roots.leaf::<T>(id) {
                        Some(leaf) => same_leaf(&leaf, source),
                        None => matches!(source, Source::Fixed(_)),
                    },
                };
        });
    }
    equal
}

/// The step on the tape. Leaves behind the sequences and the states are fixed values.
pub(crate) fn read<T: Element>(tape: &Tape<T>, roots: &Roots) -> Step<T> {
    let mut step = Step::default();
    let mut fixed = 0;
    tape.each_node(|id, op, inputs, value| {
        let source = match op {
            Some(op) => Source::Op(op.clone()),
            None => roots.leaf(id).unwrap_or_else(|| {
                fixed += 1;
                Source::Fixed(fixed - 1)
            }),
        };
        let inputs = inputs.iter().map(|&input| input as usize).collect();
        step.nodes.push(Node { source, inputs, shape: value.shape().clone() });
    });
    step.next = roots.next.iter().map(|&id| id as usize).collect();
    step.outputs = roots.outputs.iter().map(|&id| id as usize).collect();
    step
}

/// The fixed values on the tape, in order.
pub(crate) fn fixed<T: Element>(tape: &Tape<T>, roots: &Roots) -> SmallVec<[Fixed<T>; 16]> {
    let mut fixed = SmallVec::new();
    tape.each_node(|id, op, _, value| {
        if op.is_none() && roots.leaf::<T>(id).is_none() {
            fixed.push(match tape.param_at(id) {
                Some((id, trainable)) => Fixed::Param(id, trainable, value.clone()),
                None if value.size() == 1 => Fixed::Single(value.shape().clone(), value.item()),
                None => Fixed::Value(value.clone()),
            });
        }
    });
    fixed
}
