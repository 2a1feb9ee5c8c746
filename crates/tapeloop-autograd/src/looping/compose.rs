//! Steps one after the other as one step of one row: what a stream is made of.
//!
//! Each keeps the order of its own sums, and its products start from what they start from in its loop: a stream computes the
//! same bits.

use super::plan::Plan;
use super::step::{Id, Node, Source, Step};
use crate::element::Element;
use crate::kernels::threads::Threads;
use crate::ops::AnyOp;
use crate::ops::form::Kind;
use crate::ops::shape::reshape::Reshape;
use crate::ops::shape::slice::Slice;
use crate::shape::Shape;
use crate::tape::Tape;
use crate::tensor::Tensor;

/// The step so far.
pub(crate) struct Composed<T: Element> {
    pub(crate) step: Step<T>,
    /// What never changes.
    pub(crate) fixed: Vec<Tensor<T>>,
    pub(crate) states: usize,
    output: Id,
}

impl<T: Element> Composed<T> {
    /// The step that returns its input of `width` features.
    pub(crate) fn new(width: usize) -> Self {
        let mut step = Step::default();
        let output = step.push(Source::Sequence(0), &[], Shape::from([1, width]));
        Self { step, fixed: Vec::new(), states: 0, output }
    }

    fn constant(&mut self, value: Tensor<T>) -> Id {
        let shape = value.shape().clone();
        self.fixed.push(value);
        self.step.push(Source::Fixed(self.fixed.len() - 1), &[], shape)
    }

    /// The same, with `plan` applied to its output. `fixed` are the plan's fixed values; `looped` is whether it is run as a
    /// loop over a sequence.
    pub(crate) fn then(&mut self, plan: &Plan<T>, looped: bool, fixed: &[Tensor<T>]) {
        let nodes = &plan.step.nodes;
        let timed = plan.step.depends(|source| matches!(source, Source::Sequence(_) | Source::State(_)));
        // What does not change is computed now.
        let tape = Tape::inference_with_threads(Threads::new(1));
        let mut known = vec![None; nodes.len()];
        for (id, node) in nodes.iter().enumerate().filter(|&(id, _)| !timed[id]) {
            known[id] = match &node.source {
                Source::Fixed(k) => Some(tape.constant(fixed[*k].clone())),
                Source::Constant(value) => Some(tape.constant(value.clone())),
                Source::Op(op) => {
                    let inputs: Vec<_> = node.inputs.iter().filter_map(|&input| known[input]).collect();
                    Some(tape.apply(op.clone(), &inputs))
                }
                Source::Sequence(_) | Source::State(_) => None,
            };
        }
        let mut place = vec![usize::MAX; nodes.len()];
        let input = self.output;
        for (id, node) in nodes.iter().enumerate().filter(|&(id, _)| timed[id]) {
            for &input in &node.inputs {
                if place[input] == usize::MAX {
                    place[input] = self.constant(known[input].expect("known, as it does not change").value());
                }
            }
            place[id] = match &node.source {
                Source::State(k) => self.step.push(Source::State(self.states + k), &[], node.shape.clone()),
                Source::Op(op) => {
                    let inputs: Vec<Id> = node.inputs.iter().map(|&input| place[input]).collect();
                    let value = self.step.push(Source::Op(op.clone()), &inputs, node.shape.clone());
                    if node.is_product() && plan.starts_from_zero(id, looped) {
                        // A sum sees that this is no product, and lets it start from zero.
                        let same = AnyOp::from(Reshape::to(node.shape.clone()));
                        self.step.push(Source::Op(same), &[value], node.shape.clone())
                    } else {
                        value
                    }
                }
                _ => input,
            };
        }
        for &root in plan.step.next.iter().chain(&plan.step.outputs) {
            if place[root] == usize::MAX {
                place[root] = self.constant(known[root].expect("known, as it does not change").value());
            }
        }
        self.step.next.extend(plan.step.next.iter().map(|&id| place[id]));
        self.states += plan.step.next.len();
        self.output = place[plan.step.outputs[0]];
    }

    /// The width of the output.
    pub(crate) fn width(&self) -> usize {
        self.step.nodes[self.output].shape[1]
    }

    /// The step, with its last value as the output; its fixed values; the number of its states.
    pub(crate) fn finish(mut self) -> (Step<T>, Vec<Tensor<T>>, usize) {
        self.step.outputs = vec![self.output];
        self.prune();
        while self.push_down() {
            self.prune();
        }
        (self.step, self.fixed, self.states)
    }

    /// Parts of an elementwise result become results of parts, so that what follows goes on in the same lanes. Whether
    /// there were any.
    fn push_down(&mut self) -> bool {
        let step = std::mem::take(&mut self.step);
        let mut users = vec![Vec::new(); step.nodes.len()];
        for (id, node) in step.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&input| users[input].push(id));
        }
        let part = |id: Id| match step.nodes[id].form() {
            Some(Kind::Slice { axis: 1, start, count, step: 1 }) => Some((start, count)),
            _ => None,
        };
        let mut cut: Vec<bool> = Vec::with_capacity(step.nodes.len());
        for (id, node) in step.nodes.iter().enumerate() {
            // What is added to a product, before or after, stays with it.
            let product = node.is_sum() && node.inputs.iter().any(|&input| is_product(&step, input));
            let covered: usize = users[id].iter().filter_map(|&user| part(user)).map(|(_, count)| count).sum();
            cut.push(
                matches!((node.form(), node.shape.dims()), (Some(Kind::Pointwise(_)), [1, _]))
                    && !product
                    && !users[id].is_empty()
                    && users[id].iter().all(|&user| part(user).is_some())
                    && covered <= 2 * node.shape[1],
            );
        }
        step.roots().for_each(|id| cut[id] = false);
        let mut place = Vec::with_capacity(step.nodes.len());
        for (id, node) in step.nodes.iter().enumerate() {
            let new = match (node.inputs.first(), part(id)) {
                (Some(&whole), Some(range)) if cut[whole] => {
                    self.part_of(&step.nodes[whole], &place, range, node.shape.clone())
                }
                _ => {
                    let inputs: Vec<Id> = node.inputs.iter().map(|&input| place[input]).collect();
                    self.step.push(node.source.clone(), &inputs, node.shape.clone())
                }
            };
            place.push(new);
        }
        self.step.next = step.next.iter().map(|&id| place[id]).collect();
        self.step.outputs = step.outputs.iter().map(|&id| place[id]).collect();
        cut.contains(&true)
    }

    /// The function of `node` on a part of its row.
    fn part_of(&mut self, node: &Node<T>, place: &[Id], (start, count): (usize, usize), shape: Shape) -> Id {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &input in &node.inputs {
            let input = place[input];
            let known = &self.step.nodes[input];
            let width = known.shape.last().copied().unwrap_or(1);
            inputs.push(match known.source {
                _ if width == 1 => input,
                Source::Fixed(k) => {
                    let value = &self.fixed[k];
                    let value = value.sliced(value.rank() - 1, start, count, 1);
                    self.constant(value)
                }
                _ => {
                    let op = AnyOp::from(Slice::part(1, start, count));
                    self.step.push(Source::Op(op), &[input], Shape::from([1, count]))
                }
            });
        }
        self.step.push(node.source.clone(), &inputs, shape)
    }

    /// Drops what no root is made of. States keep their leaves, also where nothing reads them.
    fn prune(&mut self) {
        let step = std::mem::take(&mut self.step);
        let alive = step.ancestors(step.roots());
        let fixed = std::mem::take(&mut self.fixed);
        let mut place = vec![usize::MAX; step.nodes.len()];
        for (id, node) in step.nodes.iter().enumerate() {
            place[id] = match node.source {
                Source::State(_) | Source::Sequence(_) => self.step.push(node.source.clone(), &[], node.shape.clone()),
                _ if !alive[id] => continue,
                Source::Fixed(k) => self.constant(fixed[k].clone()),
                _ => {
                    let inputs: Vec<Id> = node.inputs.iter().map(|&input| place[input]).collect();
                    self.step.push(node.source.clone(), &inputs, node.shape.clone())
                }
            };
        }
        self.step.next = step.next.iter().map(|&id| place[id]).collect();
        self.step.outputs = step.outputs.iter().map(|&id| place[id]).collect();
    }
}

/// Whether a node is a product, seen from behind a view or the sum that the product starts from.
fn is_product<T: Element>(step: &Step<T>, id: Id) -> bool {
    let node = &step.nodes[id];
    let behind = node.is_sum() || matches!(node.form(), Some(Kind::Reshape));
    node.is_product() || (behind && node.inputs.iter().any(|&input| step.nodes[input].is_product()))
}
