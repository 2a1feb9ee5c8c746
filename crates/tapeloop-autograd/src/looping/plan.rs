//! A step taken apart: what is computed before the loop, its body, and what is computed after it.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::lift::{self, Lifted};
use super::splice::Splice;
use super::step::{Id, Source, Step};
use super::trace::Untraceable;
use crate::element::Element;
use crate::tape::{Tape, Var};

/// Which of an output's steps are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// All of them, along time.
    All,
    /// The last one.
    Last,
}

/// A step, planned.
pub(crate) struct Plan<T: Element> {
    pub(crate) step: Step<T>,
    want: Want,
    /// Computed before the loop, once or for all steps, in order.
    pub(crate) before: Vec<Id>,
    /// Computed after it.
    pub(crate) after: Vec<Id>,
    /// What feeds the body: its sequences and its fixed values.
    sequences: Vec<Id>,
    fixed: Vec<Id>,
    /// What the body puts out.
    emitted: Vec<Id>,
    /// The body, for inference.
    pub(crate) body: Arc<Splice<T>>,
    /// The body for training, which saves what its derivative reads; made when it is first asked for.
    training: OnceLock<Arc<Splice<T>>>,
}

/// What a loop returns.
pub(crate) struct Ran<'t, T: Element> {
    pub(crate) outputs: SmallVec<[Var<'t, T>; 16]>,
    pub(crate) last: SmallVec<[Var<'t, T>; 4]>,
}

impl<T: Element> Plan<T> {
    /// `reverse`: from the last step to the first.
    pub(crate) fn new(step: &Step<T>, want: Want, reverse: bool) -> Result<Self, Untraceable> {
        let step = step.pruned().regrouped();
        let timed = step.depends(|source| matches!(source, Source::Sequence(_) | Source::State(_)));
        let stateful = step.depends(|source| matches!(source, Source::State(_)));
        let nodes = || step.nodes.iter().enumerate().filter(|(_, node)| node.op().is_some());
        // Before the loop: what never changes; products that need no state, and what they are made of.
        let known = nodes().filter(|&(id, node)| !stateful[id] && node.is_product()).map(|(id, _)| id);
        let known = step.ancestors(known);
        let is_before = |id: Id| step.nodes[id].op().is_some() && (!timed[id] || (known[id] && !stateful[id]));
        // After it: products the next state does not need, and what is made of them.
        let needed = step.ancestors(step.next.iter().copied());
        let mut is_after = vec![false; step.nodes.len()];
        for (id, node) in nodes() {
            let made = node.inputs.iter().any(|&input| is_after[input]);
            is_after[id] = timed[id] && !needed[id] && !is_before(id) && (node.is_product() || made);
        }
        let before: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| is_before(id)).collect();
        let after: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| is_after[id]).collect();
        before.iter().chain(&after).try_for_each(|&id| lift::check(&step.nodes[id]))?;

        // The body: the rest, and leaves for what comes into it.
        let mut body = Step::default();
        let mut place = vec![usize::MAX; step.nodes.len()];
        let (mut sequences, mut fixed) = (Vec::new(), Vec::new());
        let inside = |id: Id| step.nodes[id].op().is_some() && !is_before(id) && !is_after[id];
        let mut leaf = |id: Id, body: &mut Step<T>, place: &mut Vec<usize>| {
            if place[id] == usize::MAX {
                let source = match step.nodes[id].source {
                    Source::State(k) => Source::State(k),
                    _ if timed[id] => {
                        sequences.push(id);
                        Source::Sequence(sequences.len() - 1)
                    }
                    _ => {
                        fixed.push(id);
                        Source::Fixed(fixed.len() - 1)
                    }
                };
                place[id] = body.push(source, &[], step.nodes[id].shape.clone());
            }
            place[id]
        };
        // Every state has its leaf, also where nothing reads it.
        for (id, node) in step.nodes.iter().enumerate() {
            if matches!(node.source, Source::State(_)) {
                leaf(id, &mut body, &mut place);
            }
        }
        for (id, node) in step.nodes.iter().enumerate().filter(|&(id, _)| inside(id)) {
            let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(|&id| leaf(id, &mut body, &mut place)).collect();
            place[id] = body.push(node.source.clone(), &inputs, node.shape.clone());
        }
        body.next = step.next.iter().map(|&id| leaf(id, &mut body, &mut place)).collect();
        let from_body = |id: Id| inside(id) || matches!(step.nodes[id].source, Source::State(_));
        let to_after = after.iter().flat_map(|&id| &step.nodes[id].inputs).copied();
        let to_outputs = step.outputs.iter().copied().filter(|id| want == Want::All || !step.next.contains(id));
        let mut emitted: Vec<Id> = to_after.chain(to_outputs).filter(|&id| from_body(id)).collect();
        emitted.sort_unstable();
        emitted.dedup();
        body.outputs = emitted.iter().map(|&id| place[id]).collect();
        let states = step.next.len();
        let body = Arc::new(Splice::new(body, states, reverse)?);
        Ok(Self { step, want, before, after, sequences, fixed, emitted, body, training: OnceLock::new() })
    }

    /// The body for a tape that records, or does not.
    pub(crate) fn body(&self, recording: bool) -> &Arc<Splice<T>> {
        if recording { self.training.get_or_init(|| Arc::new(self.body.training())) } else { &self.body }
    }

    /// Whether a tape that records has run it.
    pub(crate) fn is_trained(&self) -> bool {
        self.training.get().is_some()
    }

    /// Runs the loop over `time` steps of `batch` rows. `leaf` gives sequences and fixed values.
    pub(crate) fn run<'t>(
        &self,
        tape: &'t Tape<T>,
        (time, batch): (usize, usize),
        initial: &[Var<'t, T>],
        leaf: &mut dyn FnMut(&Source<T>) -> Var<'t, T>,
    ) -> Ran<'t, T> {
        let nodes = &self.step.nodes;
        let mut values: SmallVec<[Option<Lifted<'t, T>>; 128]> = nodes
            .iter()
            .map(|node| match &node.source {
                Source::State(_) | Source::Op(_) => None,
                source => Some(Lifted { var: leaf(source), timed: matches!(source, Source::Sequence(_)) }),
            })
            .collect();
        for &id in &self.before {
            self.compute(tape, id, &mut values);
        }
        let given = |id: &Id| values[*id].map(|x| x.var).expect("what feeds the body is known before it");
        let inputs: SmallVec<[Var<'t, T>; 16]> = self
            .sequences
            .iter()
            .map(given)
            .chain(initial.iter().copied())
            .chain(self.fixed.iter().map(given))
            .collect();
        let results = self.body(tape.is_recording()).run(tape, (time, batch), &inputs);
        let (last, sequences) = results.split_at(initial.len());
        for (&id, &var) in self.emitted.iter().zip(sequences) {
            values[id] = Some(Lifted { var, timed: true });
        }
        if self.want == Want::Last {
            // Only the last step is of interest from here on.
            let end = if self.body.reverse { 0 } else { time - 1 };
            values
                .iter_mut()
                .flatten()
                .filter(|x| x.timed)
                .for_each(|x| *x = Lifted { var: x.var.select(0, end), timed: false });
            self.step.next.iter().zip(last).for_each(|(&id, &var)| values[id] = Some(Lifted { var, timed: false }));
        }
        for &id in &self.after {
            self.compute(tape, id, &mut values);
        }
        let output = |&id: &Id| {
            let Lifted { var, timed } = values[id].expect("an output is emitted, given, or computed after the loop");
            // An output that never changes is repeated.
            let repeat = !timed && self.want == Want::All;
            let shape =
                || std::iter::once(time).chain(nodes[id].shape.iter().copied()).collect::<crate::shape::Shape>();
            if repeat { var.broadcast_to(shape()) } else { var }
        };
        Ran { outputs: self.step.outputs.iter().map(output).collect(), last: last.iter().copied().collect() }
    }

    fn compute<'t>(&self, tape: &'t Tape<T>, id: Id, values: &mut [Option<Lifted<'t, T>>]) {
        let node = &self.step.nodes[id];
        let inputs: SmallVec<[Lifted<'t, T>; 4]> =
            node.inputs.iter().map(|&input| values[input].expect("nodes are in topological order")).collect();
        values[id] = Some(lift::lift(tape, node, &inputs, |k| self.step.nodes[node.inputs[k]].shape.rank()));
    }
}

/// Runs a step on the tape, one after the other, operation by operation.
pub(crate) fn unroll<'t, T: Element>(
    step: &Step<T>,
    tape: &'t Tape<T>,
    time: usize,
    reverse: bool,
    initial: &[Var<'t, T>],
    leaf: &mut dyn FnMut(&Source<T>) -> Var<'t, T>,
) -> Ran<'t, T> {
    let leaves: Vec<Option<Var<'t, T>>> = step
        .nodes
        .iter()
        .map(|node| match &node.source {
            Source::State(_) | Source::Op(_) => None,
            source => Some(leaf(source)),
        })
        .collect();
    let mut state: SmallVec<[Var<'t, T>; 4]> = initial.iter().copied().collect();
    let mut outputs: Vec<Vec<Var<'t, T>>> = step.outputs.iter().map(|_| Vec::with_capacity(time)).collect();
    for turn in 0..time {
        let t = if reverse { time - 1 - turn } else { turn };
        let mut ids = 0..;
        let values = step.replay(tape, |node| {
            // Leaves come in the order of their nodes.
            let id = ids.find(|&id: &usize| step.nodes[id].op().is_none()).expect("a leaf");
            match node.source {
                Source::State(k) => state[k],
                Source::Sequence(_) => leaves[id].expect("given").select(0, t),
                _ => leaves[id].expect("given"),
            }
        });
        state = step.next.iter().map(|&id| values[id]).collect();
        outputs.iter_mut().zip(&step.outputs).for_each(|(list, &id)| list.push(values[id]));
    }
    let along_time = |mut list: Vec<Var<'t, T>>| {
        if reverse {
            list.reverse();
        }
        Var::stack(list, 0)
    };
    Ran { outputs: outputs.into_iter().map(along_time).collect(), last: state }
}
