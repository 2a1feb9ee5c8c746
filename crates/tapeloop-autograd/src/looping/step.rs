//! One step of a loop as data: the operations between what comes in and what goes on.

use smallvec::SmallVec;

use crate::element::Element;
use crate::ops::AnyOp;
use crate::ops::form::Kind;
use crate::shape::Shape;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// A node's place in its step.
pub(crate) type Id = usize;

/// Where a value of a step comes from.
#[derive(Clone)]
pub(crate) enum Source<T: Element> {
    /// The present element of a sequence.
    Sequence(usize),
    /// A state, as the step finds it.
    State(usize),
    /// A value that is the same in every step.
    Fixed(usize),
    /// A value that belongs to the step itself.
    Constant(Tensor<T>),
    Op(AnyOp<T>),
}

/// Whether both are the same leaf: by kind and number.
pub(crate) fn same_leaf<T: Element>(a: &Source<T>, b: &Source<T>) -> bool {
    match (a, b) {
        (Source::Sequence(a), Source::Sequence(b)) => a == b,
        (Source::State(a), Source::State(b)) => a == b,
        (Source::Fixed(a), Source::Fixed(b)) => a == b,
        _ => false,
    }
}

#[derive(Clone)]
pub(crate) struct Node<T: Element> {
    pub(crate) source: Source<T>,
    pub(crate) inputs: SmallVec<[Id; 4]>,
    pub(crate) shape: Shape,
}

/// One step: nodes in the order of their recording, which is topological.
#[derive(Clone, Default)]
pub(crate) struct Step<T: Element> {
    pub(crate) nodes: Vec<Node<T>>,
    /// The next states.
    pub(crate) next: Vec<Id>,
    pub(crate) outputs: Vec<Id>,
    /// What is only asked for as a sum over all rows of all steps.
    pub(crate) summed: Vec<Id>,
}

impl<T: Element> Node<T> {
    pub(crate) fn op(&self) -> Option<&AnyOp<T>> {
        match &self.source {
            Source::Op(op) => Some(op),
            _ => None,
        }
    }

    pub(crate) fn form(&self) -> Option<Kind<T>> {
        self.op().map(|op| op.get().form().0)
    }

    pub(crate) fn is_product(&self) -> bool {
        matches!(self.op(), Some(AnyOp::Matmul(_)))
    }

    pub(crate) fn is_sum(&self) -> bool {
        matches!(self.op(), Some(AnyOp::Add(_)))
    }
}

/// Some nodes of a step as a step of their own, with leaves for what comes into it.
pub(crate) struct Cutting<'a, T: Element> {
    from: &'a Step<T>,
    pub(crate) step: Step<T>,
    /// Where the nodes of the whole step are in this one; `usize::MAX` for those that are not.
    pub(crate) place: Vec<usize>,
    /// What feeds it: its sequences and its fixed values, by their places in the whole step.
    pub(crate) sequences: Vec<Id>,
    pub(crate) fixed: Vec<Id>,
}

impl<'a, T: Element> Cutting<'a, T> {
    /// The nodes that are `inside`. What comes from outside is a sequence where it is `timed`, else a fixed value. Every
    /// state has its leaf, also where nothing reads it; so have the next states.
    pub(crate) fn new(from: &'a Step<T>, inside: impl Fn(Id) -> bool, timed: &[bool]) -> Self {
        let (step, place) = (Step::default(), vec![usize::MAX; from.nodes.len()]);
        let mut cutting = Self { from, step, place, sequences: Vec::new(), fixed: Vec::new() };
        for (id, node) in from.nodes.iter().enumerate() {
            if matches!(node.source, Source::State(_)) {
                cutting.take(id, timed);
            }
        }
        for (id, node) in from.nodes.iter().enumerate().filter(|&(id, _)| inside(id)) {
            let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(|&id| cutting.take(id, timed)).collect();
            cutting.place[id] = cutting.step.push(node.source.clone(), &inputs, node.shape.clone());
        }
        cutting.step.next = from.next.iter().map(|&id| cutting.take(id, timed)).collect();
        cutting
    }

    /// The place of a node, or of the leaf that stands for it.
    pub(crate) fn take(&mut self, id: Id, timed: &[bool]) -> Id {
        if self.place[id] == usize::MAX {
            let node = &self.from.nodes[id];
            let source = match node.source {
                Source::State(k) => Source::State(k),
                _ if timed[id] => {
                    self.sequences.push(id);
                    Source::Sequence(self.sequences.len() - 1)
                }
                _ => {
                    self.fixed.push(id);
                    Source::Fixed(self.fixed.len() - 1)
                }
            };
            self.place[id] = self.step.push(source, &[], node.shape.clone());
        }
        self.place[id]
    }
}

impl<T: Element> Step<T> {
    pub(crate) fn push(&mut self, source: Source<T>, inputs: &[Id], shape: Shape) -> Id {
        self.nodes.push(Node { source, inputs: SmallVec::from_slice(inputs), shape });
        self.nodes.len() - 1
    }

    /// The roots: next states, outputs, sums.
    pub(crate) fn roots(&self) -> impl Iterator<Item = Id> {
        self.next.iter().chain(&self.outputs).chain(&self.summed).copied()
    }

    /// Whether it has an operation of a user's own.
    pub(crate) fn has_custom(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op(), Some(AnyOp::Custom(_))))
    }

    /// How often each node is used, roots included.
    pub(crate) fn uses(&self) -> Vec<usize> {
        let mut uses = vec![0; self.nodes.len()];
        self.nodes.iter().flat_map(|node| &node.inputs).for_each(|&id| uses[id] += 1);
        self.roots().for_each(|id| uses[id] += 1);
        uses
    }

    /// The node of a leaf.
    pub(crate) fn find(&self, leaf: impl Fn(&Source<T>) -> bool) -> Option<Id> {
        self.nodes.iter().position(|node| leaf(&node.source))
    }

    /// Which nodes depend on a node for which `start` holds.
    pub(crate) fn depends(&self, start: impl Fn(&Source<T>) -> bool) -> Vec<bool> {
        let mut depends = vec![false; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            depends[id] = start(&node.source) || node.inputs.iter().any(|&input| depends[input]);
        }
        depends
    }

    /// Marks the nodes that `roots` are made of.
    pub(crate) fn ancestors(&self, roots: impl Iterator<Item = Id>) -> Vec<bool> {
        let mut marked = vec![false; self.nodes.len()];
        roots.for_each(|id| marked[id] = true);
        for id in (0..self.nodes.len()).rev() {
            if marked[id] {
                self.nodes[id].inputs.iter().for_each(|&input| marked[input] = true);
            }
        }
        marked
    }

    /// Without the nodes that no root is made of. A state that nothing reads keeps its leaf: its number counts.
    pub(crate) fn pruned(&self) -> Self {
        let mut alive = self.ancestors(self.roots());
        for (alive, node) in alive.iter_mut().zip(&self.nodes) {
            *alive |= matches!(node.source, Source::State(_));
        }
        let mut place = vec![usize::MAX; self.nodes.len()];
        let mut out = Self::default();
        for (id, node) in self.nodes.iter().enumerate().filter(|(id, _)| alive[*id]) {
            place[id] = out.nodes.len();
            let inputs = node.inputs.iter().map(|&input| place[input]).collect();
            out.nodes.push(Node { source: node.source.clone(), inputs, shape: node.shape.clone() });
        }
        out.next = self.next.iter().map(|&id| place[id]).collect();
        out.outputs = self.outputs.iter().map(|&id| place[id]).collect();
        out.summed = self.summed.iter().map(|&id| place[id]).collect();
        out
    }

    /// With sums in another order: first what does not depend on the state, then one product after the other, then
    /// the rest. So a product starts from what is known before the loop.
    pub(crate) fn regrouped(&self) -> Self {
        let stateful = self.depends(|source| matches!(source, Source::State(_)));
        let uses = self.uses();
        let mut out = Self::default();
        let mut place = vec![usize::MAX; self.nodes.len()];
        for (id, node) in self.nodes.iter().enumerate() {
            // A sum that is only part of a larger one is taken there.
            let mut terms = Vec::new();
            if node.is_sum() && stateful[id] {
                self.terms(id, true, &uses, &mut terms);
            }
            if terms.len() < 3 {
                let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(|&input| place[input]).collect();
                place[id] = out.push(node.source.clone(), &inputs, node.shape.clone());
                continue;
            }
            let whole = |term: Id| self.nodes[term].shape == node.shape;
            let known = terms.iter().any(|&term| !stateful[term] && whole(term));
            terms.sort_by_key(|&term| match (stateful[term], self.nodes[term].is_product()) {
                (false, true) => 0,
                // A bias, too, is added before the loop.
                (false, false) if whole(term) => 1,
                (false, false) if known => 2,
                (true, true) => 3,
                _ => 4,
            });
            let mut sum = place[terms[0]];
            let first = self.nodes[terms[0]].shape == node.shape;
            for &term in &terms[1..] {
                let shape = if first { node.shape.clone() } else { self.joint(&out.nodes[sum].shape, term) };
                sum = out.push(Source::Op(AnyOp::Add(crate::ops::arithmetic::add::Add)), &[sum, place[term]], shape);
            }
            place[id] = sum;
        }
        out.next = self.next.iter().map(|&id| place[id]).collect();
        out.outputs = self.outputs.iter().map(|&id| place[id]).collect();
        out.summed = self.summed.iter().map(|&id| place[id]).collect();
        out.pruned()
    }

    fn joint(&self, sum: &Shape, term: Id) -> Shape {
        crate::shape::rule::broadcast("add", &[sum, &self.nodes[term].shape]).expect("terms of one sum broadcast")
    }

    /// The terms of a sum: those of a sum that nothing else uses, in its place.
    pub(crate) fn terms(&self, id: Id, root: bool, uses: &[usize], out: &mut Vec<Id>) {
        let node = &self.nodes[id];
        if node.is_sum() && (root || uses[id] == 1) {
            node.inputs.iter().for_each(|&input| self.terms(input, false, uses, out));
        } else {
            out.push(id);
        }
    }

    /// Records the step on a tape, from these leaves.
    pub(crate) fn replay<'t>(
        &self,
        tape: &'t Tape<T>,
        mut leaf: impl FnMut(&Node<T>) -> Var<'t, T>,
    ) -> Vec<Var<'t, T>> {
        let mut vars: Vec<Var<'t, T>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let var = match &node.source {
                Source::Op(op) => {
                    let inputs: SmallVec<[_; 4]> = node.inputs.iter().map(|&input| vars[input]).collect();
                    tape.apply(op.clone(), &inputs)
                }
                _ => leaf(node),
            };
            vars.push(var);
        }
        vars
    }
}
