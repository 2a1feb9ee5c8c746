//! A loop on the tape: one operation with several results, whose derivative is a loop again.
//!
//! It runs over some steps at a time: first what needs no state, as products over all rows of these steps; then its body,
//! step by step; then what the next state does not need. So what passes between the three stays in a near cache.

use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::body::{self, Span};
use super::derive::{Asked, Derivative, derive, saved};
use super::inside::Inside;
use super::lift::{self, Lifted};
use super::plan::along;
use super::step::{Cutting, Id, Source, Step};
use super::trace::Untraceable;
use super::without::{self, without};
use crate::element::Element;
use crate::kernels::elementwise;
use crate::kernels::gemm::Mat;
use crate::kernels::panel::Panels;
use crate::ops::{AnyOp, Op, Run};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;

/// An operation with several results: its node is followed by one for each of them.
pub(crate) trait Several<T: Element>: Op<T> {
    /// How many results there are.
    fn results(&self) -> usize;
}

/// A result of a loop: a node that holds a value, whose derivative is the loop's business.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part;

impl<T: Element> Op<T> for Part {
    fn name(&self) -> &'static str {
        "result"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].clone()
    }
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

/// A loop. Its inputs are sequences (time, batch, …), initial states (batch, …), and fixed values; its results are the
/// last states, then its outputs along time.
pub(crate) struct Rolled<T: Element> {
    /// What is done in every step.
    pub(crate) step: Step<T>,
    pub(crate) reverse: bool,
    /// Numbers of sequences, of states, and of fixed values.
    pub(crate) counts: [usize; 3],
    /// How many of the outputs are there only for the derivative.
    pub(crate) saved: usize,
    /// Computed before the body: products that need no state, and what they are made of.
    pub(crate) before: Vec<Id>,
    /// Of these, sums of a product and a fixed row, which the product starts from.
    biased: Vec<Biased>,
    /// Computed after it: products the next state does not need, and what is made of them.
    pub(crate) after: Vec<Id>,
    pub(crate) body: Inside<T>,
    /// What feeds the body: its sequences and its fixed values.
    sequences: Vec<Id>,
    fixed: Vec<Id>,
    /// What the body puts out.
    emitted: Vec<Id>,
    /// What is summed over rows and steps: by the body, as one of its sums, or outside.
    summed: Vec<Result<usize, Id>>,
    /// Derivatives by what is asked of them.
    derivatives: Mutex<Vec<(Asked, Arc<Derivative<T>>)>>,
}

/// A sum of a product and a row that never changes.
struct Biased {
    sum: Id,
    product: Id,
    /// The number of the fixed value.
    bias: usize,
}

/// What a run has computed.
pub(crate) struct Done<T: Element> {
    /// The states after the last step.
    pub(crate) last: SmallVec<[Tensor<T>; 4]>,
    /// The outputs along time; nothing where nobody wanted to keep them.
    pub(crate) outputs: SmallVec<[Option<Tensor<T>>; 16]>,
    /// Sums over all rows of all steps, (width).
    pub(crate) sums: SmallVec<[Tensor<T>; 16]>,
}

/// Elements that pass between the stages of some steps: about a second cache full.
const CHUNK: usize = 1 << 18;
/// Rows that make a product worth reading its other factor for.
const ROWS: usize = 512;

/// A value of some steps, while they are computed.
type Values<'s, T> = SmallVec<[Option<Lifted<'s, T>>; 128]>;

/// What is done with the outputs of some steps.
pub(crate) type Chunk<'a, T> = dyn for<'s> FnMut(&'s Tape<T>, Span, &[Var<'s, T>]) + 'a;

impl<T: Element> Rolled<T> {
    /// A loop of a step all of whose operations depend on time.
    pub(crate) fn new(step: Step<T>, counts: [usize; 3], reverse: bool) -> Self {
        let stateful = step.depends(|source| matches!(source, Source::State(_)));
        let nodes = || step.nodes.iter().enumerate().filter(|(_, node)| node.op().is_some());
        let known = nodes().filter(|&(id, node)| !stateful[id] && node.is_product()).map(|(id, _)| id);
        let known = step.ancestors(known);
        // What cannot be done for many steps at once belongs into the body. It follows nothing there is after the body, and
        // nothing before the body follows it.
        let is_stuck = |source: &Source<T>| matches!(source, Source::Op(op) if !lift::lifts(op));
        let stuck = step.depends(is_stuck);
        let feeds = step.ancestors(nodes().map(|(id, _)| id).filter(|&id| is_stuck(&step.nodes[id].source)));
        let uses = step.uses();
        let biased: Vec<Biased> = nodes()
            .filter(|&(id, node)| node.is_sum() && !stateful[id] && !stuck[id] && node.shape.rank() == 2)
            .filter_map(|(sum, node)| {
                let [a, b] = [node.inputs[0], node.inputs[1]];
                [(a, b), (b, a)].into_iter().find_map(|(product, bias)| match step.nodes[bias].source {
                    Source::Fixed(bias_number)
                        if uses[product] == 1
                            && factor(&step, product).is_some()
                            && step.nodes[bias].shape.last() == Some(&node.shape[1])
                            && step.nodes[bias].shape.size() == node.shape[1]
                            && step.nodes[product].shape == node.shape =>
                    {
                        Some(Biased { sum, product, bias: bias_number })
                    }
                    _ => None,
                })
            })
            .collect();
        let is_before = |id: Id| {
            let known = known[id] || biased.iter().any(|biased| biased.sum == id);
            step.nodes[id].op().is_some() && known && !stateful[id] && !stuck[id] && !without(without::Part::Hoisting)
        };
        let needed = step.ancestors(step.next.iter().copied());
        let mut is_after = vec![false; step.nodes.len()];
        for (id, node) in nodes() {
            let made = node.inputs.iter().any(|&input| is_after[input]);
            let apart = (node.is_product() || made) && !without(without::Part::Hoisting);
            is_after[id] = !needed[id] && !feeds[id] && !is_before(id) && apart;
        }
        let before: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| is_before(id)).collect();
        let after: Vec<Id> = nodes().map(|(id, _)| id).filter(|&id| is_after[id]).collect();

        // The body is the rest.
        let inside = |id: Id| step.nodes[id].op().is_some() && !is_before(id) && !is_after[id];
        let timed: Vec<bool> = step.nodes.iter().map(|node| !matches!(node.source, Source::Fixed(_))).collect();
        let Cutting { step: mut body, place, sequences, fixed, .. } = Cutting::new(&step, inside, &timed);
        let from_body = |id: Id| inside(id) || matches!(step.nodes[id].source, Source::State(_));
        let to_after = after.iter().flat_map(|&id| &step.nodes[id].inputs).copied();
        let mut emitted: Vec<Id> = to_after.chain(step.outputs.iter().copied()).filter(|&id| from_body(id)).collect();
        emitted.sort_unstable();
        emitted.dedup();
        body.outputs = emitted.iter().map(|&id| place[id]).collect();
        let mut summed = Vec::with_capacity(step.summed.len());
        for &id in &step.summed {
            summed.push(if inside(id) {
                body.summed.push(place[id]);
                Ok(body.summed.len() - 1)
            } else {
                Err(id)
            });
        }
        let body = Inside::new(&body, counts[1], reverse);
        let derivatives = Mutex::default();
        Self {
            step,
            reverse,
            counts,
            saved: 0,
            before,
            biased,
            after,
            body,
            sequences,
            fixed,
            emitted,
            summed,
            derivatives,
        }
    }

    /// The same, with what its derivative will read among the outputs.
    ///
    /// # Errors
    /// If the derivative cannot be traced.
    pub(crate) fn training(&self) -> Result<Self, Untraceable> {
        let mut step = self.step.clone();
        for id in saved(&step, self.counts).map_err(Untraceable::of_derivative)? {
            if !step.outputs.contains(&id) {
                step.outputs.push(id);
            }
        }
        let saved = step.outputs.len() - self.step.outputs.len();
        Ok(Self { saved, ..Self::new(step, self.counts, self.reverse) })
    }

    /// Whether a node is computed before or after the body.
    pub(crate) fn is_apart(&self, id: Id) -> bool {
        self.before.contains(&id) || self.after.contains(&id)
    }

    /// Whether a product outside the body starts from a bias.
    pub(crate) fn is_biased(&self, product: Id) -> bool {
        self.biased.iter().any(|biased| biased.product == product)
    }

    /// The derivatives that backward passes have asked for so far.
    pub(crate) fn known_derivatives(&self) -> Vec<Arc<Derivative<T>>> {
        let derivatives = self.derivatives.lock().unwrap_or_else(PoisonError::into_inner);
        derivatives.iter().map(|(_, derivative)| Arc::clone(derivative)).collect()
    }

    /// The input that a leaf of the step is.
    pub(crate) fn input_of(&self, source: &Source<T>) -> Option<usize> {
        let [sequences, states, _] = self.counts;
        match *source {
            Source::Sequence(k) => Some(k),
            Source::State(k) => Some(sequences + k),
            Source::Fixed(k) => Some(sequences + states + k),
            _ => None,
        }
    }

    /// Runs over `time` steps of `batch` rows.
    #[track_caller]
    pub(crate) fn run<'t>(
        self: &Arc<Self>,
        tape: &'t Tape<T>,
        extent: (usize, usize),
        inputs: &[Var<'t, T>],
    ) -> SmallVec<[Var<'t, T>; 16]> {
        let values: SmallVec<[Tensor<T>; 24]> = inputs.iter().map(|x| x.value()).collect();
        let whole: SmallVec<[bool; 16]> = SmallVec::from_elem(true, self.step.outputs.len());
        let Done { last, outputs, .. } = self.execute(tape, extent, &values, &whole, &mut |_, _, _| {});
        let results = last.into_iter().chain(outputs.into_iter().flatten()).collect();
        tape.splice(AnyOp::Loop(Arc::clone(self) as Arc<dyn Several<T>>), inputs, results)
    }

    /// Computes last states and outputs. `each` gets the outputs of some steps at a time; those that are `whole` are
    /// returned.
    pub(crate) fn execute(
        &self,
        tape: &Tape<T>,
        (time, batch): (usize, usize),
        inputs: &[Tensor<T>],
        whole: &[bool],
        each: &mut Chunk<'_, T>,
    ) -> Done<T> {
        let [sequences, states, _] = self.counts;
        let (given, rest) = inputs.split_at(sequences);
        let (initial, fixed) = rest.split_at(states);
        let output = |id: Id| self.step.outputs.iter().position(|&output| output == id);
        let kept_by_body: SmallVec<[bool; 16]> =
            self.emitted.iter().map(|&id| output(id).is_some_and(|k| whole[k])).collect();
        let chunk = self.chunk(time, whole);
        let of_body: SmallVec<[Tensor<T>; 16]> = self
            .fixed
            .iter()
            .map(|&id| match self.step.nodes[id].source {
                Source::Fixed(k) => fixed[k].clone(),
                _ => unreachable!("what is fixed comes in"),
            })
            .collect();
        let mut memory = tape.compute(|pool, threads| {
            self.body.prepare((time, batch, chunk), initial, &of_body, &kept_by_body, pool, threads)
        });
        let factors = self.pack(tape, fixed);
        let mut kept: SmallVec<[Option<Tensor<T>>; 16]> = SmallVec::from_elem(None, self.step.outputs.len());
        let mut loose: SmallVec<[Option<Tensor<T>>; 4]> = SmallVec::from_elem(None, self.summed.len());
        let count = time.div_ceil(chunk);
        for turn in 0..count {
            // Nearly equal parts of time.
            let (from, to) = (time * turn / count, time * (turn + 1) / count);
            let start = if self.reverse { time - to } else { from };
            let span = Span { start, steps: to - from, done: from };
            tape.scratch(|tape| {
                let mut values: Values<'_, T> = self
                    .step
                    .nodes
                    .iter()
                    .map(|node| match node.source {
                        Source::Sequence(k) => {
                            Some(Lifted { var: tape.constant(given[k].sliced(0, start, span.steps, 1)), timed: true })
                        }
                        Source::Fixed(k) => Some(Lifted { var: tape.constant(fixed[k].clone()), timed: false }),
                        _ => None,
                    })
                    .collect();
                for &id in self.before.iter().filter(|&&id| !self.biased.iter().any(|biased| biased.product == id)) {
                    values[id] = Some(self.compute(tape, id, &values, &factors, fixed));
                }
                let feeds: SmallVec<[Tensor<T>; 16]> =
                    self.sequences.iter().map(|&id| values[id].expect("known before the body").var.value()).collect();
                tape.compute(|pool, threads| self.body.run(&mut memory, &feeds, span, pool, threads));
                drop(feeds);
                for (k, &id) in self.emitted.iter().enumerate() {
                    values[id] = Some(Lifted { var: tape.constant(self.body.part(&memory, k, span)), timed: true });
                }
                for &id in &self.after {
                    values[id] = Some(self.compute(tape, id, &values, &factors, fixed));
                }
                let outputs: SmallVec<[Var<'_, T>; 16]> =
                    self.step.outputs.iter().map(|&id| values[id].expect("an output is computed").var).collect();
                for (k, &id) in self.step.outputs.iter().enumerate() {
                    if whole[k] && !self.emitted.contains(&id) {
                        let value = outputs[k].value();
                        let rest: Shape = value.shape()[1..].into();
                        tape.compute(|pool, threads| {
                            let all = kept[k].get_or_insert_with(|| pool.take(&along(time, &rest)));
                            let part = &mut all.as_mut_slice()[start * rest.size()..][..value.size()];
                            elementwise::copy(value.strided(), value.shape(), part, threads);
                        });
                    }
                }
                for (sum, &place) in loose.iter_mut().zip(&self.summed) {
                    if let Err(id) = place {
                        let x = values[id].expect("what is summed is computed").var;
                        add(tape, x.sum(&[0, 1], false), sum);
                    }
                }
                each(tape, span, &outputs);
            });
        }
        tape.compute(|pool, _| {
            factors.into_iter().flatten().for_each(|(_, packed)| pool.give(packed));
            let outputs = self.step.outputs.iter().zip(whole).zip(kept).map(|((&id, &whole), kept)| {
                let place = self.emitted.iter().position(|&emitted| emitted == id);
                place.filter(|_| whole).map(|place| self.body.whole(&memory, place)).or(kept)
            });
            let sums = self.summed.iter().zip(loose).map(|(place, loose)| match place {
                Ok(k) => self.body.total(&memory, *k, pool),
                Err(_) => loose.expect("added up in every chunk"),
            });
            let sums = sums.collect();
            let done = Done { last: self.body.last(&memory), outputs: outputs.collect(), sums };
            self.body.release(memory, pool);
            done
        })
    }

    /// The steps of a chunk.
    fn chunk(&self, time: usize, whole: &[bool]) -> usize {
        let passes = whole.contains(&false) && without(without::Part::Deferring);
        if passes || without(without::Part::Packing) {
            return 1;
        }
        let output = |id: Id| self.step.outputs.iter().position(|&output| output == id);
        let passing = self.emitted.iter().copied().filter(|&id| !output(id).is_some_and(|k| whole[k]));
        let passing = passing.chain(self.before.iter().copied()).chain(self.after.iter().copied());
        let elements: usize = passing.map(|id| self.step.nodes[id].shape.size()).sum();
        let has_rows = |source: &Source<T>| matches!(source, Source::Sequence(_) | Source::State(_));
        let rows = self.step.find(has_rows).map_or(1, |id| self.step.nodes[id].shape[0]).max(1);
        CHUNK.checked_div(elements).map_or(time, |steps| steps.max(ROWS.div_ceil(rows)).min(time))
    }

    /// The fixed factors of products outside the body, packed; by the product's place.
    fn pack(&self, tape: &Tape<T>, fixed: &[Tensor<T>]) -> Factors<T> {
        let packed = |id: Id| {
            let (factor, [rows, columns]) = factor(&self.step, id)?;
            let panels = Panels::new::<T>(rows, columns);
            let packed = tape.compute(|pool, threads| {
                let mut packed = pool.take(&Shape::from([panels.len()]));
                body::pack(&panels, &fixed[factor], &mut packed, threads);
                packed
            });
            Some((panels, packed))
        };
        self.before.iter().chain(&self.after).map(|&id| packed(id)).collect()
    }

    /// A value outside the body, of the steps at hand.
    fn compute<'s>(
        &self,
        tape: &'s Tape<T>,
        id: Id,
        values: &Values<'s, T>,
        factors: &Factors<T>,
        fixed: &[Tensor<T>],
    ) -> Lifted<'s, T> {
        let biased = self.biased.iter().find(|biased| biased.sum == id);
        let product = biased.map_or(id, |biased| biased.product);
        let place = self.before.iter().chain(&self.after).position(|&other| other == product);
        let Some((panels, packed)) = place.and_then(|place| factors[place].as_ref()) else {
            return lift::of(tape, &self.step, id, values);
        };
        let x = values[self.step.nodes[product].inputs[0]].expect("nodes are in topological order").var.value();
        let (rows, width) = (x.shape()[0] * x.shape()[1], panels.depth());
        let out = tape.compute(|pool, threads| {
            let mut copy = None;
            let dense = x.reshaped(&Shape::from([rows, width])).filter(|x| width <= 1 || x.strides()[1] == 1);
            let a = dense.unwrap_or_else(|| {
                let mut dense = pool.take(&Shape::from([rows, width]));
                elementwise::copy(x.strided(), x.shape(), dense.as_mut_slice(), threads);
                copy = Some(dense.clone());
                dense
            });
            let mut out = pool.take(&Shape::from([x.shape()[0], x.shape()[1], panels.columns()]));
            let matrix = Mat { data: a.storage(), row_stride: a.strides()[0], col_stride: 1 };
            let bias = biased.map(|biased| fixed[biased.bias].contiguous());
            let (packed, bias) =
                (packed.as_slice().unwrap_or_default(), bias.as_ref().and_then(|bias| bias.as_slice()));
            panels.product(rows, matrix, packed, bias, out.as_mut_slice(), threads);
            drop(a);
            copy.into_iter().for_each(|x| pool.give(x));
            out
        });
        Lifted { var: tape.constant(out), timed: true }
    }
}

/// The number and the shape of the fixed value that is the right factor of a product of rows.
fn factor<T: Element>(step: &Step<T>, product: Id) -> Option<(usize, [usize; 2])> {
    let node = &step.nodes[product];
    if !node.is_product() || node.shape.rank() != 2 {
        return None;
    }
    let [a, b] = [node.inputs[0], node.inputs[1]].map(|id| &step.nodes[id]);
    match (&b.source, b.shape.dims()) {
        (&Source::Fixed(k), &[rows, columns]) if !matches!(a.source, Source::Fixed(_)) => Some((k, [rows, columns])),
        _ => None,
    }
}

/// `sum += x`; the first time `sum` is a copy that nothing else holds.
pub(crate) fn add<T: Element>(tape: &Tape<T>, x: Var<'_, T>, sum: &mut Option<Tensor<T>>) {
    let x = x.value();
    tape.compute(|pool, threads| match sum {
        Some(sum) => elementwise::add_assign(sum.as_mut_slice(), x.strided(), x.shape(), threads),
        None => {
            let mut fresh = pool.take(x.shape());
            elementwise::copy(x.strided(), x.shape(), fresh.as_mut_slice(), threads);
            *sum = Some(fresh);
        }
    });
}

/// Packed factors of the products outside the body.
type Factors<T> = SmallVec<[Option<(Panels, Tensor<T>)>; 16]>;

impl<T: Element> std::fmt::Debug for Rolled<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rolled({} nodes)", self.step.nodes.len())
    }
}

impl<T: Element> Op<T> for Rolled<T> {
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
        let asked = Asked {
            outputs: (self.counts[1]..self.results()).map(|k| back.part_cotangent(k).is_some()).collect(),
            inputs: (0..back.input_count()).map(|k| back.needs(k)).collect(),
        };
        let derivative = {
            let mut derivatives = self.derivatives.lock().unwrap_or_else(PoisonError::into_inner);
            match derivatives.iter().find(|(known, _)| *known == asked) {
                Some((_, derivative)) => Arc::clone(derivative),
                None => {
                    let derivative = Arc::new(derive(self, &asked));
                    derivatives.push((asked, Arc::clone(&derivative)));
                    derivative
                }
            }
        };
        derivative.give(self, back);
    }
}

impl<T: Element> Several<T> for Rolled<T> {
    /// Last states and outputs.
    fn results(&self) -> usize {
        self.counts[1] + self.step.outputs.len()
    }
}
