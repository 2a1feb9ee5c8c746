//! The body of a loop that is no program: a convolution, a factorisation, a state with more axes than rows have. Each
//! operation runs by its own forward pass, step after step, on buffers out of the pool. A value's buffer is free again
//! behind the last operation that reads it.

use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;

use super::body::Span;
use super::lower::At;
use super::plan::along;
use super::step::{Id, Source, Step};
use super::trace::Untraceable;
use crate::element::Element;
use crate::kernels::elementwise;
use crate::kernels::program::Side;
use crate::kernels::threads::Threads;
use crate::ops::form::Kind;
use crate::ops::reduce::sum::sum;
use crate::ops::shape::concat::Concat;
use crate::ops::{AnyOp, Run};
use crate::shape::{Dims, Shape};
use crate::tape::pool::Pool;
use crate::tensor::Tensor;

/// A body, operation by operation. It is fed with sequences (time, …), initial states and fixed values, and puts out last
/// states and values along time.
pub(crate) struct Interpreted<T: Element> {
    pub(crate) step: Step<T>,
    reverse: bool,
    /// Why it is no program.
    pub(crate) why: Untraceable,
    outputs: Vec<At>,
    /// The outputs that have memory of their own.
    own: Vec<Id>,
    /// By the states: whether they are put out, and so kept for all of time.
    kept: Vec<bool>,
    /// By the nodes: the values that nothing reads any more behind them.
    read: Vec<SmallVec<[Id; 2]>>,
    /// Lists of values of earlier runs, for their memory.
    lists: Mutex<Vec<Vec<Option<Tensor<T>>>>>,
}

/// What a run works in.
pub(crate) struct Memory<T: Element> {
    time: usize,
    fixed: SmallVec<[Tensor<T>; 16]>,
    /// The states as the next step finds them.
    states: SmallVec<[Tensor<T>; 4]>,
    /// (time + 1, …), for those that are put out.
    kept: SmallVec<[Option<Tensor<T>>; 4]>,
    own: SmallVec<[Own<T>; 16]>,
    sums: SmallVec<[Option<Tensor<T>>; 16]>,
    values: Vec<Option<Tensor<T>>>,
}

/// Where an output goes.
enum Own<T: Element> {
    /// To its place in time.
    Whole(Tensor<T>),
    /// To its place among the steps at hand.
    Some(Tensor<T>),
    /// There is one step at hand, whose value it is.
    One(Option<Tensor<T>>),
}

/// The `t`-th element along the first axis.
fn at<T: Element>(x: &Tensor<T>, t: usize) -> Tensor<T> {
    let (shape, strides) = (x.shape[1..].into(), Dims::from_slice(&x.strides[1..]));
    Tensor { shape, strides, offset: x.offset + t * x.strides[0], data: x.data.clone() }
}

/// The value as the only one along a new first axis.
fn alone<T: Element>(x: Tensor<T>) -> Tensor<T> {
    let strides = std::iter::once(x.size()).chain(x.strides).collect();
    Tensor { shape: along(1, &x.shape), strides, offset: x.offset, data: x.data }
}

/// Writes `x` to its place along the first axis of `all`.
fn store<T: Element>(x: &Tensor<T>, all: &mut Tensor<T>, t: usize, threads: &Threads) {
    let part = &mut all.as_mut_slice()[t * x.size()..][..x.size()];
    elementwise::copy(x.strided(), x.shape(), part, threads);
}

/// The step with sums of parts side by side, each with zeros around it, as what they are: parts side by side.
fn joined<T: Element>(step: &Step<T>) -> Step<T> {
    let uses = step.uses();
    let mut out = step.clone();
    for (id, node) in step.nodes.iter().enumerate().filter(|(_, node)| node.is_sum()) {
        let mut terms = Vec::new();
        step.terms(id, true, &uses, &mut terms);
        let part = |term: Id| match step.nodes[term].form() {
            Some(Kind::Place { axis, start, step: 1, .. }) => Some((axis, start, step.nodes[term].inputs[0])),
            _ => None,
        };
        let Some(mut parts) = terms.into_iter().map(part).collect::<Option<Vec<_>>>() else { continue };
        parts.sort_unstable();
        let axis = parts[0].0;
        let mut end = 0;
        for &(along, start, value) in &parts {
            // Another axis, a gap or an overlap: they are no parts of one whole.
            end = if along == axis && start == end { end + step.nodes[value].shape[axis] } else { usize::MAX };
            if end == usize::MAX {
                break;
            }
        }
        if end == node.shape[axis] {
            out.nodes[id].source = Source::Op(AnyOp::from(Concat { axis }));
            out.nodes[id].inputs = parts.into_iter().map(|(_, _, value)| value).collect();
        }
    }
    out.pruned()
}

impl<T: Element> Interpreted<T> {
    pub(crate) fn new(step: &Step<T>, states: usize, reverse: bool, why: Untraceable) -> Self {
        let step = joined(step);
        let (mut own, mut kept) = (Vec::new(), vec![false; states]);
        let mut outputs = Vec::with_capacity(step.outputs.len());
        for &id in &step.outputs {
            let state = match step.nodes[id].source {
                Source::State(k) => Some((k, Side::Before)),
                _ => step.next.iter().position(|&next| next == id).map(|k| (k, Side::After)),
            };
            outputs.push(if let Some((k, side)) = state {
                kept[k] = true;
                At::State(k, side)
            } else {
                own.push(id);
                At::Own(own.len() - 1)
            });
        }
        let mut last: Vec<Option<Id>> = (0..step.nodes.len()).map(Some).collect();
        for (id, node) in step.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| last[input] = Some(id));
        }
        step.roots().for_each(|id| last[id] = None);
        let mut read = vec![SmallVec::new(); step.nodes.len()];
        for (id, last) in last.into_iter().enumerate() {
            last.into_iter().for_each(|last: Id| read[last].push(id));
        }
        Self { step, reverse, why, outputs, own, kept, read, lists: Mutex::default() }
    }

    pub(crate) fn prepare(
        &self,
        (time, chunk): (usize, usize),
        initial: &[Tensor<T>],
        fixed: &[Tensor<T>],
        whole: &[bool],
        pool: &mut Pool<T>,
        threads: &Threads,
    ) -> Memory<T> {
        let kept = initial.iter().zip(&self.kept).map(|(initial, kept)| {
            kept.then(|| {
                let mut all = pool.take(&along(time + 1, initial.shape()));
                store(initial, &mut all, if self.reverse { time } else { 0 }, threads);
                all
            })
        });
        let kept = kept.collect();
        let own = self.own.iter().enumerate().map(|(place, &id)| {
            let shape = &self.step.nodes[id].shape;
            let whole = self.outputs.iter().zip(whole).any(|(&at, &whole)| at == At::Own(place) && whole);
            match (whole, chunk) {
                (true, _) => Own::Whole(pool.take(&along(time, shape))),
                (false, 1) => Own::One(None),
                (false, _) => Own::Some(pool.take(&along(chunk, shape))),
            }
        });
        let own = own.collect();
        let mut values = self.lists.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        values.resize(self.step.nodes.len(), None);
        Memory {
            time,
            fixed: fixed.iter().cloned().collect(),
            states: initial.iter().cloned().collect(),
            kept,
            own,
            sums: SmallVec::from_elem(None, self.step.summed.len()),
            values,
        }
    }

    pub(crate) fn run(
        &self,
        memory: &mut Memory<T>,
        sequences: &[Tensor<T>],
        span: Span,
        pool: &mut Pool<T>,
        threads: &Threads,
    ) {
        for turn in 0..span.steps {
            let t = if self.reverse { span.steps - 1 - turn } else { turn };
            self.compute(memory, sequences, t, pool, threads);
            let Memory { states, kept, own, sums, values, .. } = &mut *memory;
            let value = |id: Id| values[id].as_ref().expect("a root stays until the step's end");
            for (own, &id) in own.iter_mut().zip(&self.own) {
                match own {
                    Own::Whole(all) => store(value(id), all, span.start + t, threads),
                    Own::Some(some) => store(value(id), some, t, threads),
                    Own::One(one) => {
                        let before = one.replace(alone(value(id).clone()));
                        before.into_iter().for_each(|before| pool.give(before));
                    }
                }
            }
            for (total, &id) in sums.iter_mut().zip(&self.step.summed) {
                let shape = Shape::from(&value(id).shape()[1..]);
                let rows = sum(value(id), &[0], &mut Run { pool: &mut *pool, threads, shape: &shape });
                if let Some(total) = total {
                    elementwise::add_assign(total.as_mut_slice(), rows.strided(), &shape, threads);
                    pool.give(rows);
                } else {
                    *total = Some(rows);
                }
            }
            for (k, &id) in self.step.next.iter().enumerate() {
                if let Some(all) = &mut kept[k] {
                    let slot = span.start + t + usize::from(!self.reverse);
                    store(value(id), all, slot, threads);
                }
                let before = std::mem::replace(&mut states[k], value(id).clone());
                pool.give(before);
            }
            values.iter_mut().filter_map(Option::take).for_each(|x| pool.give(x));
        }
    }

    /// The values of one step: after it, those of its roots.
    fn compute(
        &self,
        memory: &mut Memory<T>,
        sequences: &[Tensor<T>],
        t: usize,
        pool: &mut Pool<T>,
        threads: &Threads,
    ) {
        let Memory { fixed, states, values, .. } = memory;
        for (id, node) in self.step.nodes.iter().enumerate() {
            let value = match &node.source {
                Source::Sequence(k) => at(&sequences[*k], t),
                Source::State(k) => states[*k].clone(),
                Source::Fixed(k) => fixed[*k].clone(),
                Source::Constant(value) => value.clone(),
                Source::Op(op) => {
                    let inputs: SmallVec<[&Tensor<T>; 6]> = node
                        .inputs
                        .iter()
                        .map(|&input| values[input].as_ref().expect("a value stays until it is read last"))
                        .collect();
                    let mut run = Run { pool: &mut *pool, threads, shape: &node.shape };
                    let value = op.get().forward(&inputs, &mut run);
                    assert!(
                        *value.shape() == node.shape,
                        "{}: its shape rule said {}, its result has {}",
                        op.get().name(),
                        node.shape,
                        value.shape()
                    );
                    value
                }
            };
            values[id] = Some(value);
            for &done in &self.read[id] {
                values[done].take().into_iter().for_each(|x| pool.give(x));
            }
        }
    }

    pub(crate) fn last(&self, memory: &Memory<T>) -> SmallVec<[Tensor<T>; 4]> {
        memory.states.iter().cloned().collect()
    }

    pub(crate) fn whole(&self, memory: &Memory<T>, k: usize) -> Tensor<T> {
        self.part(memory, k, Span { start: 0, steps: memory.time, done: 0 })
    }

    pub(crate) fn part(&self, memory: &Memory<T>, k: usize, span: Span) -> Tensor<T> {
        match self.outputs[k] {
            At::Own(place) => match &memory.own[place] {
                Own::Whole(all) => all.sliced(0, span.start, span.steps, 1),
                Own::Some(some) => some.sliced(0, 0, span.steps, 1),
                Own::One(one) => one.clone().expect("a step was run"),
            },
            // A state is stored with the step that it precedes in time.
            At::State(k, side) => {
                let first = span.start + usize::from((side == Side::After) != self.reverse);
                memory.kept[k].as_ref().expect("kept, as it is put out").sliced(0, first, span.steps, 1)
            }
        }
    }

    pub(crate) fn total(&self, memory: &Memory<T>, k: usize, _: &mut Pool<T>) -> Tensor<T> {
        memory.sums[k].clone().expect("there is at least one step")
    }

    pub(crate) fn release(&self, memory: Memory<T>, pool: &mut Pool<T>) {
        let Memory { fixed, states, kept, own, sums, values, .. } = memory;
        drop(fixed);
        let own = own.into_iter().filter_map(|own| match own {
            Own::Whole(x) | Own::Some(x) => Some(x),
            Own::One(x) => x,
        });
        let kept = kept.into_iter().flatten();
        states.into_iter().chain(kept).chain(own).chain(sums.into_iter().flatten()).for_each(|x| pool.give(x));
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}
