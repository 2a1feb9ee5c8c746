//! A loop in segments, of which only the first states are kept. Walking back computes a segment again before its
//! derivative, from the last one to the first: memory for one segment instead of all of time, for a second forward
//! pass.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::plan::{Plan, Ran, Want, along};
use super::rolled::Several;
use super::step::Source;
use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::{AnyOp, Op, Run};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;

/// How much of a loop's past is kept for the backward pass, and how much is computed again (Chen et al. 2016, *Training
/// Deep Nets with Sublinear Memory Cost*).
///
/// The result has the same bits as without; gradients of what is the same in every step are summed segment by segment,
/// and equal up to rounding. Second derivatives keep everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checkpoint(Policy);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    Every(NonZeroUsize),
    Sqrt,
}

impl Checkpoint {
    /// Keeps the states of every `steps`-th step.
    ///
    /// # Panics
    /// If that is 0.
    #[track_caller]
    pub fn every(steps: usize) -> Self {
        Self(Policy::Every(NonZeroUsize::new(steps).expect("checkpoint: every 0 steps is never")))
    }

    /// Keeps the states of every √T-th of T steps: the least memory, about 2·√T steps' worth.
    pub fn sqrt() -> Self {
        Self(Policy::Sqrt)
    }

    /// The steps of a segment.
    pub(crate) fn segment(self, time: usize) -> usize {
        match self.0 {
            Policy::Every(steps) => steps.get(),
            Policy::Sqrt => time.isqrt().max(1),
        }
    }
}

/// A loop in segments. Its inputs are the sequences, the initial states and the fixed values; its results are the outputs,
/// the last states, and the states that each segment starts from.
pub(crate) struct Segments<T: Element> {
    plan: Arc<Plan<T>>,
    checkpoint: Checkpoint,
    /// Numbers of sequences, of states, and of fixed values.
    counts: [usize; 3],
    /// What one segment is recorded on.
    tape: Mutex<Tape<T>>,
}

/// Copies `from` to the start of `to`.
fn copy<T: Element>(tape: &Tape<T>, from: &Tensor<T>, to: &mut [T]) {
    tape.compute(|_, threads| elementwise::copy(from.strided(), from.shape(), &mut to[..from.size()], threads));
}

fn take<T: Element>(tape: &Tape<T>, shape: &Shape) -> Tensor<T> {
    tape.compute(|pool, _| pool.take(shape))
}

/// Values handed from segment to segment: one set is read while the other is written.
struct Carried<T: Element> {
    read: SmallVec<[Tensor<T>; 2]>,
    written: SmallVec<[Tensor<T>; 2]>,
}

impl<T: Element> Carried<T> {
    /// Sets of the shapes of `like`.
    fn new(tape: &Tape<T>, like: &[Tensor<T>]) -> Self {
        let set = || like.iter().map(|x| take(tape, x.shape())).collect();
        Self { read: set(), written: set() }
    }

    /// What was written is what is read next.
    fn turn(&mut self) {
        std::mem::swap(&mut self.read, &mut self.written);
    }

    /// What would be read next.
    fn end(self, tape: &Tape<T>) -> SmallVec<[Tensor<T>; 2]> {
        tape.compute(|pool, _| self.written.into_iter().for_each(|x| pool.give(x)));
        self.read
    }
}

impl<T: Element> Segments<T> {
    pub(crate) fn new(plan: Arc<Plan<T>>, checkpoint: Checkpoint, counts: [usize; 3]) -> Self {
        Self { plan, checkpoint, counts, tape: Mutex::new(Tape::new()) }
    }

    /// What is kept, in text.
    pub(crate) fn explain(&self) -> String {
        match self.checkpoint.0 {
            Policy::Every(steps) => format!("checkpoints: every {steps} steps\n"),
            Policy::Sqrt => "checkpoints: every √time steps\n".into(),
        }
    }

    /// Runs over all steps of the sequences.
    #[track_caller]
    pub(crate) fn run<'t>(self: &Arc<Self>, tape: &'t Tape<T>, inputs: &[Var<'t, T>]) -> Ran<'t, T> {
        let values: SmallVec<[Tensor<T>; 24]> = inputs.iter().map(|x| x.value()).collect();
        let results = self.forward(tape, &values);
        let results = tape.splice(AnyOp::Loop(Arc::clone(self) as Arc<dyn Several<T>>), inputs, results);
        let [_, states, _] = self.counts;
        let (outputs, rest) = results.split_at(self.outputs());
        Ran { outputs: SmallVec::from_slice(outputs), last: rest[..states].iter().copied().collect() }
    }

    /// How many outputs the step has.
    fn outputs(&self) -> usize {
        self.plan.step.outputs.len()
    }

    /// The steps of the segment that is run as the k-th: the first one, and how many.
    fn span(&self, time: usize, k: usize) -> (usize, usize) {
        let length = self.checkpoint.segment(time);
        let (done, length) = (k * length, length.min(time - k * length));
        (if self.plan.reverse() { time - done - length } else { done }, length)
    }

    fn forward(&self, tape: &Tape<T>, inputs: &[Tensor<T>]) -> SmallVec<[Tensor<T>; 16]> {
        let [sequences, states, _] = self.counts;
        let time = inputs[0].shape()[0];
        let count = time.div_ceil(self.checkpoint.segment(time));
        let mut inner = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        inner.use_threads(tape.threads());
        let initial = &inputs[sequences..sequences + states];
        let mut starts: SmallVec<[Tensor<T>; 2]> =
            initial.iter().map(|x| take(tape, &along(count, x.shape()))).collect();
        let mut carried = Carried::new(tape, initial);
        carried.read.iter_mut().zip(initial).for_each(|(to, from)| copy(tape, from, to.as_mut_slice()));
        let mut outputs: SmallVec<[Option<Tensor<T>>; 4]> = SmallVec::from_elem(None, self.outputs());
        for k in 0..count {
            inner.reset();
            for (starts, from) in starts.iter_mut().zip(&carried.read) {
                copy(tape, from, &mut starts.as_mut_slice()[k * from.size()..]);
            }
            let (start, length) = self.span(time, k);
            let inner = &*inner;
            let ran = inner.no_grad(|| {
                let mut leaves: SmallVec<[Var<'_, T>; 24]> = SmallVec::new();
                leaves.extend(inputs[..sequences].iter().map(|x| inner.constant(x.sliced(0, start, length, 1))));
                leaves.extend(carried.read.iter().map(|x| inner.constant(x.clone())));
                leaves.extend(inputs[sequences + states..].iter().map(|x| inner.constant(x.clone())));
                self.segment(inner, length, &leaves)
            });
            for (output, ran) in outputs.iter_mut().zip(&ran.outputs) {
                let value = ran.value();
                match self.plan.want() {
                    Want::All => {
                        let rest: Shape = value.shape()[1..].into();
                        let all = output.get_or_insert_with(|| take(tape, &along(time, &rest)));
                        copy(tape, &value, &mut all.as_mut_slice()[start * rest.size()..]);
                    }
                    Want::Last if k + 1 == count => {
                        let last = output.insert(take(tape, value.shape()));
                        copy(tape, &value, last.as_mut_slice());
                    }
                    Want::Last => {}
                }
            }
            let written = carried.written.iter_mut();
            written.zip(&ran.last).for_each(|(to, last)| copy(tape, &last.value(), to.as_mut_slice()));
            carried.turn();
        }
        inner.reset();
        outputs.into_iter().flatten().chain(carried.end(tape)).chain(starts).collect()
    }

    /// The plan over one segment, from its leaves.
    fn segment<'t>(&self, tape: &'t Tape<T>, length: usize, leaves: &[Var<'t, T>]) -> Ran<'t, T> {
        let [sequences, states, _] = self.counts;
        let (before, rest) = leaves.split_at(sequences);
        let (initial, fixed) = rest.split_at(states);
        self.plan.run(tape, (length, before[0].dim(1)), initial, &mut |source| match *source {
            Source::Sequence(k) => before[k],
            Source::Fixed(k) => fixed[k],
            _ => unreachable!("a step that was traced has no other leaves"),
        })
    }

    /// The derivative on a tape that records: all of time at once, so that it can be differentiated again.
    fn recorded<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let [_, states, _] = self.counts;
        let tape = back.tape();
        // Copies of the inputs, at which the inner walk ends.
        let leaves: SmallVec<[Var<'t, T>; 24]> = (0..back.input_count()).map(|k| back.input(k) * 1.0).collect();
        let ran = self.segment(tape, leaves[0].dim(0), &leaves);
        let results = ran.outputs.iter().chain(&ran.last).copied();
        let roots: SmallVec<[(Var<'t, T>, Var<'t, T>); 4]> =
            results.enumerate().filter_map(|(k, result)| Some((result, back.part_cotangent(k)?))).collect();
        debug_assert!(roots.len() <= self.outputs() + states);
        let wanted: SmallVec<[usize; 24]> = (0..leaves.len()).filter(|&k| back.needs(k)).collect();
        let wrt: SmallVec<[Var<'t, T>; 24]> = wanted.iter().map(|&k| leaves[k]).collect();
        let gradients = tape.grad(&roots, &wrt);
        wanted.iter().zip(gradients).for_each(|(&k, gradient)| back.give(k, |_| gradient));
    }

    /// The derivative segment by segment, the last first.
    fn computed<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let [sequences, states, _] = self.counts;
        let tape = back.tape();
        let inputs: SmallVec<[Tensor<T>; 24]> = (0..back.input_count()).map(|k| back.input(k).value()).collect();
        let outputs = self.outputs();
        let of_outputs: SmallVec<[Option<Tensor<T>>; 4]> =
            (0..outputs).map(|k| Some(back.part_cotangent(k)?.value())).collect();
        let starts: SmallVec<[Tensor<T>; 2]> =
            (outputs + states..outputs + 2 * states).map(|k| back.part(k).value()).collect();
        let time = inputs[0].shape()[0];
        let count = time.div_ceil(self.checkpoint.segment(time));
        let mut inner = self.tape.lock().unwrap_or_else(PoisonError::into_inner);
        inner.use_threads(tape.threads());
        let is_state = |k: usize| (sequences..sequences + states).contains(&k);
        // Cotangents of inputs that change over time are put together, of the others added up; of states they are
        // handed from segment to segment.
        let mut sums: SmallVec<[Option<Tensor<T>>; 24]> =
            (0..inputs.len()).map(|k| (!is_state(k) && back.needs(k)).then(|| take(tape, inputs[k].shape()))).collect();
        let mut carried = Carried::new(tape, &inputs[sequences..sequences + states]);
        for (k, to) in carried.read.iter_mut().enumerate() {
            match back.part_cotangent(outputs + k) {
                Some(last) => copy(tape, &last.value(), to.as_mut_slice()),
                None => to.as_mut_slice().fill(T::ZERO),
            }
        }
        for (turn, k) in (0..count).rev().enumerate() {
            inner.reset();
            let (start, length) = self.span(time, k);
            let inner = &*inner;
            let leaves: SmallVec<[Var<'_, T>; 24]> = (0..inputs.len())
                .map(|input| match () {
                    () if is_state(input) => {
                        let state = &starts[input - sequences];
                        let shape: Shape = state.shape()[1..].into();
                        inner.leaf(state.sliced(0, k, 1, 1).reshaped(&shape).expect("one of several is dense"))
                    }
                    () => {
                        let x = &inputs[input];
                        let x = if input < sequences { x.sliced(0, start, length, 1) } else { x.clone() };
                        if sums[input].is_some() { inner.leaf(x) } else { inner.constant(x) }
                    }
                })
                .collect();
            let ran = self.segment(inner, length, &leaves);
            let of_outputs: SmallVec<[Option<Tensor<T>>; 4]> = of_outputs
                .iter()
                .map(|x| match (x, self.plan.want()) {
                    (Some(x), Want::All) => Some(x.sliced(0, start, length, 1)),
                    (Some(x), Want::Last) => (k + 1 == count).then(|| x.clone()),
                    (None, _) => None,
                })
                .collect();
            let mut roots: SmallVec<[(Var<'_, T>, &Tensor<T>); 4]> =
                ran.last.iter().copied().zip(&carried.read).collect();
            // An output that depends on nothing has no gradient to give.
            let given = ran.outputs.iter().zip(&of_outputs).filter_map(|(&output, of)| Some((output, of.as_ref()?)));
            roots.extend(given.filter(|(output, _)| output.needs_grad()));
            let gradients = inner.backward(&roots);
            for (input, (&leaf, sum)) in leaves.iter().zip(&mut sums).enumerate() {
                let gradient = gradients.wrt(leaf);
                if is_state(input) {
                    let to = carried.written[input - sequences].as_mut_slice();
                    match gradient {
                        Some(gradient) => copy(tape, gradient, to),
                        None => to.fill(T::ZERO),
                    }
                } else if let Some(sum) = sum {
                    let sum = sum.as_mut_slice();
                    let (part, first) = match input < sequences {
                        true => (&mut sum[start * leaf.shape().size() / length..][..leaf.shape().size()], true),
                        false => (sum, turn == 0),
                    };
                    match gradient {
                        Some(gradient) if first => copy(tape, gradient, part),
                        Some(gradient) => tape.compute(|_, threads| {
                            elementwise::add_assign(part, gradient.strided(), gradient.shape(), threads);
                        }),
                        None if first => part.fill(T::ZERO),
                        None => {}
                    }
                }
            }
            drop(roots);
            carried.turn();
        }
        // It would share the parameters' values, which then could not be changed in place.
        inner.reset();
        let mut last = carried.end(tape).into_iter();
        for (k, sum) in sums.into_iter().enumerate() {
            let cotangent = if is_state(k) { last.next() } else { sum };
            if let Some(cotangent) = cotangent {
                let cotangent = tape.constant(cotangent);
                back.give(k, |_| cotangent);
            }
        }
    }
}

impl<T: Element> std::fmt::Debug for Segments<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Segments({:?})", self.checkpoint)
    }
}

impl<T: Element> Op<T> for Segments<T> {
    fn name(&self) -> &'static str {
        "loop"
    }
    fn shape(&self, _: &[&Shape]) -> ShapeResult {
        Ok(Shape::from([0]))
    }
    fn forward(&self, _: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        run.output()
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        if back.tape().is_recording() {
            self.recorded(back);
        } else {
            self.computed(back);
        }
    }
}

impl<T: Element> Several<T> for Segments<T> {
    fn results(&self) -> usize {
        let [_, states, _] = self.counts;
        self.outputs() + 2 * states
    }
}
