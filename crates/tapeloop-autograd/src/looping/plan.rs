//! A step taken apart: what never changes, what runs over time, and what is made of the last step alone.

use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use super::lift::{self, Lifted};
use super::rolled::{Done, Rolled};
use super::step::{Cutting, Id, Source, Step};
use super::trace::Untraceable;
use crate::element::Element;
use crate::shape::Shape;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

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
    /// What never changes: operations on the tape before the loop.
    pub(crate) once: Vec<Id>,
    /// Where only the last step is asked for, products that the next state does not need, and what is made of them:
    /// operations on the tape after the loop.
    pub(crate) late: Vec<Id>,
    /// What goes into the loop: its sequences and its fixed values.
    sequences: Vec<Id>,
    fixed: Vec<Id>,
    /// What it puts out along time.
    emitted: Vec<Id>,
    /// Where the step's nodes are in the loop's.
    place: Vec<usize>,
    /// The loop, for inference.
    rolled: Arc<Rolled<T>>,
    /// The loop for training, which saves what its derivative reads; made when it is first asked for.
    training: OnceLock<Result<Arc<Rolled<T>>, Untraceable>>,
}

/// What a loop returns.
pub(crate) struct Ran<'t, T: Element> {
    pub(crate) outputs: SmallVec<[Var<'t, T>; 16]>,
    pub(crate) last: SmallVec<[Var<'t, T>; 4]>,
}

/// What a loop returns whose outputs were used in passing.
pub(crate) struct InChunks<'t, T: Element> {
    /// Those that are whole.
    pub(crate) outputs: SmallVec<[Option<Var<'t, T>>; 16]>,
    pub(crate) last: SmallVec<[Var<'t, T>; 4]>,
    /// Sums over all rows of all steps, (width).
    pub(crate) sums: SmallVec<[Var<'t, T>; 16]>,
}

/// What is done with the outputs of some steps.
pub(crate) type Each<'a, T> = dyn for<'s> FnMut(&'s Tape<T>, &[Var<'s, T>]) + 'a;

type Values<'t, T> = SmallVec<[Option<Lifted<'t, T>>; 128]>;

impl<T: Element> Plan<T> {
    /// `reverse`: from the last step to the first.
    pub(crate) fn new(step: &Step<T>, want: Want, reverse: bool) -> Self {
        let step = step.pruned().regrouped();
        let timed = step.depends(|source| matches!(source, Source::Sequence(_) | Source::State(_)));
        let needed = step.ancestors(step.next.iter().copied());
        let nodes = || step.nodes.iter().enumerate().filter(|(_, node)| node.op().is_some());
        let mut is_late = vec![false; step.nodes.len()];
        for (id, node) in nodes().filter(|_| want == Want::Last) {
            let made = node.inputs.iter().any(|&input| is_late[input]);
            is_late[id] = timed[id] && !needed[id] && (node.is_product() || made);
        }
        // A product that starts from a bias within the loop does so whichever steps are asked for: on the tape it rounds
        // otherwise.
        let starts = |product: Id, row: Id| {
            let width = step.nodes[product].shape.last().copied();
            step.nodes[product].is_product() && !timed[row] && width == Some(step.nodes[row].shape.size())
        };
        let biased: SmallVec<[Id; 8]> = nodes()
            .filter(|&(id, node)| is_late[id] && node.is_sum())
            .filter(|(_, node)| starts(node.inputs[0], node.inputs[1]) || starts(node.inputs[1], node.inputs[0]))
            .map(|(id, _)| id)
            .collect();
        let in_loop = step.ancestors(biased.into_iter());
        is_late.iter_mut().zip(in_loop).for_each(|(late, in_loop)| *late &= !in_loop);
        let once: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| !timed[id]).collect();
        let late: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| is_late[id]).collect();

        // The loop is the rest.
        let inside = |id: Id| step.nodes[id].op().is_some() && timed[id] && !is_late[id];
        let mut cutting = Cutting::new(&step, inside, &timed);
        let to_late = late.iter().flat_map(|&id| &step.nodes[id].inputs).copied();
        let to_outputs = step.outputs.iter().copied();
        let from_loop = |id: Id| inside(id) || matches!(step.nodes[id].source, Source::State(_));
        let mut emitted: Vec<Id> = to_late
            .chain(to_outputs)
            .filter(|&id| from_loop(id) && (want == Want::All || !step.next.contains(&id)))
            .collect();
        emitted.sort_unstable();
        emitted.dedup();
        let summed = step.summed.iter().map(|&id| cutting.take(id, &timed)).collect();
        let Cutting { step: mut core, place, sequences, fixed, .. } = cutting;
        core.outputs = emitted.iter().map(|&id| place[id]).collect();
        core.summed = summed;
        let counts = [sequences.len(), step.next.len(), fixed.len()];
        let rolled = Arc::new(Rolled::new(core, counts, reverse));
        Self { step, want, once, late, sequences, fixed, emitted, place, rolled, training: OnceLock::new() }
    }

    /// Whether it goes from the last step to the first.
    pub(crate) fn reverse(&self) -> bool {
        self.rolled.reverse
    }

    /// Which steps of the output it gives.
    pub(crate) fn want(&self) -> Want {
        self.want
    }

    /// Whether a product is computed by itself, and added to what it is added to afterwards: always where the step is not
    /// run as a loop.
    pub(crate) fn starts_from_zero(&self, product: Id, looped: bool) -> bool {
        self.rolled.is_apart(self.place[product]) && !(looped && self.rolled.is_biased(self.place[product]))
    }

    /// The loop for a tape that records, or does not.
    pub(crate) fn rolled(&self, recording: bool) -> &Arc<Rolled<T>> {
        if recording { self.training().expect("asked for its derivative before") } else { &self.rolled }
    }

    /// The loop for a tape that records.
    ///
    /// # Errors
    /// If an operation of a user's reads values in its derivative.
    pub(crate) fn training(&self) -> Result<&Arc<Rolled<T>>, Untraceable> {
        self.training.get_or_init(|| self.rolled.training().map(Arc::new)).as_ref().map_err(Untraceable::clone)
    }

    /// Whether a tape that records has run it.
    pub(crate) fn is_trained(&self) -> bool {
        self.trained().is_some_and(Result::is_ok)
    }

    /// The loop for a tape that records, if one has asked for it.
    pub(crate) fn trained(&self) -> Option<&Result<Arc<Rolled<T>>, Untraceable>> {
        self.training.get()
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
        let mut values = self.before(tape, leaf);
        let inputs = self.inputs(&values, initial);
        let results = self.rolled(tape.is_recording()).run(tape, (time, batch), &inputs);
        let (last, sequences) = results.split_at(initial.len());
        for (&id, &var) in self.emitted.iter().zip(sequences) {
            values[id] = Some(Lifted { var, timed: true });
        }
        if self.want == Want::Last {
            // Only the step that is made last is of interest from here on.
            let end = if self.reverse() { 0 } else { time - 1 };
            values
                .iter_mut()
                .flatten()
                .filter(|x| x.timed)
                .for_each(|x| *x = Lifted { var: x.var.select(0, end), timed: false });
            self.step.next.iter().zip(last).for_each(|(&id, &var)| values[id] = Some(Lifted { var, timed: false }));
        }
        for &id in &self.late {
            self.compute(tape, id, &mut values);
        }
        let output = |&id: &Id| {
            let Lifted { var, timed } = values[id].expect("an output is given, computed, or comes out of the loop");
            // An output that never changes is repeated.
            let repeat = !timed && self.want == Want::All;
            if repeat { var.broadcast_to(along(time, &nodes[id].shape)) } else { var }
        };
        Ran { outputs: self.step.outputs.iter().map(output).collect(), last: last.iter().copied().collect() }
    }

    /// As [`run`](Self::run) for all steps, on a tape that does not record. `each` gets the outputs of some steps at a
    /// time; of those that are `whole`, all steps are returned.
    pub(crate) fn run_in_chunks<'t>(
        &self,
        tape: &'t Tape<T>,
        (time, batch): (usize, usize),
        initial: &[Var<'t, T>],
        leaf: &mut dyn FnMut(&Source<T>) -> Var<'t, T>,
        whole: &[bool],
        each: &mut Each<'_, T>,
    ) -> InChunks<'t, T> {
        let nodes = &self.step.nodes;
        let values = self.before(tape, leaf);
        let inputs: SmallVec<[Tensor<T>; 24]> = self.inputs(&values, initial).iter().map(|x| x.value()).collect();
        let wanted = |&id: &Id| self.step.outputs.iter().zip(whole).any(|(&output, &whole)| output == id && whole);
        let wanted: SmallVec<[bool; 16]> = self.emitted.iter().map(wanted).collect();
        let place = |id: Id| self.emitted.iter().position(|&emitted| emitted == id);
        let Done { last, outputs, sums } =
            self.rolled.execute(tape, (time, batch), &inputs, &wanted, &mut |tape, span, emitted| {
                let outputs: SmallVec<[Var<'_, T>; 16]> = self
                    .step
                    .outputs
                    .iter()
                    .map(|&id| match (place(id), &values[id]) {
                        (Some(place), _) => emitted[place],
                        (None, Some(x)) if x.timed => tape.constant(x.var.value().sliced(0, span.start, span.steps, 1)),
                        (None, Some(x)) => {
                            tape.constant(x.var.value()).broadcast_to(along(span.steps, &nodes[id].shape))
                        }
                        (None, None) => unreachable!("an output is given, computed, or comes out of the loop"),
                    })
                    .collect();
                each(tape, &outputs);
            });
        let output = |&id: &Id| match (place(id), &values[id]) {
            (Some(place), _) => outputs[place].clone().map(|x| tape.constant(x)),
            (None, Some(x)) if x.timed => Some(x.var),
            (None, Some(x)) => Some(x.var.broadcast_to(along(time, &nodes[id].shape))),
            (None, None) => unreachable!("an output is given, computed, or comes out of the loop"),
        };
        InChunks {
            outputs: self.step.outputs.iter().map(output).collect(),
            last: last.into_iter().map(|x| tape.constant(x)).collect(),
            sums: sums.into_iter().map(|x| tape.constant(x)).collect(),
        }
    }

    /// The leaves, and what never changes.
    fn before<'t>(&self, tape: &'t Tape<T>, leaf: &mut dyn FnMut(&Source<T>) -> Var<'t, T>) -> Values<'t, T> {
        let mut values: Values<'t, T> = self
            .step
            .nodes
            .iter()
            .map(|node| match &node.source {
                Source::State(_) | Source::Op(_) => None,
                source => Some(Lifted { var: leaf(source), timed: matches!(source, Source::Sequence(_)) }),
            })
            .collect();
        for &id in &self.once {
            self.compute(tape, id, &mut values);
        }
        values
    }

    /// What goes into the loop: sequences, initial states, fixed values.
    fn inputs<'t>(&self, values: &Values<'t, T>, initial: &[Var<'t, T>]) -> SmallVec<[Var<'t, T>; 24]> {
        let given = |id: &Id| values[*id].map(|x| x.var).expect("what goes into the loop is known before it");
        let sequences = self.sequences.iter().map(given);
        sequences.chain(initial.iter().copied()).chain(self.fixed.iter().map(given)).collect()
    }

    fn compute<'t>(&self, tape: &'t Tape<T>, id: Id, values: &mut Values<'t, T>) {
        let value = lift::of(tape, &self.step, id, values);
        values[id] = Some(value);
    }
}

/// `shape` of so many steps.
pub(crate) fn along(time: usize, shape: &Shape) -> Shape {
    std::iter::once(time).chain(shape.iter().copied()).collect()
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
