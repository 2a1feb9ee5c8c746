//! Walking back: cotangents from roots to leaves, one reverse loop over the nodes.

use std::panic::Location;

use smallvec::SmallVec;

use super::gradients::{Entry, Gradients};
use super::{Site, State, Tape, Var};
use crate::element::Element;
use crate::kernels::elementwise;
use crate::ops::AnyOp;
use crate::shape::{Shape, rule};
use crate::tensor::Tensor;

/// What an operation's vector-Jacobian product sees and fills: its inputs, its output, the output's
/// cotangent, and a place for each input's cotangent.
///
/// A product is written in operations on [`Var`]s, so a derivative can be differentiated again.
pub struct Backward<'a, 't, T: Element> {
    tape: &'t Tape<T>,
    op: &'static str,
    inputs: &'a [u32],
    needs: &'a [bool],
    output: u32,
    cotangent: Var<'t, T>,
    /// Of a loop: the cotangent of each result.
    parts: &'a [Option<Var<'t, T>>],
    given: SmallVec<[(usize, Given<'t, T>); 8]>,
}

/// An input's cotangent, or the only part of it that is not zero.
enum Given<'t, T: Element> {
    Whole(Var<'t, T>),
    Part { cotangent: Var<'t, T>, axis: usize, start: usize, step: usize },
}

impl<'t, T: Element> Backward<'_, 't, T> {
    /// The number of inputs.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// The k-th input.
    pub fn input(&self, k: usize) -> Var<'t, T> {
        Var { tape: self.tape, index: self.inputs[k] }
    }

    /// The operation's result.
    pub fn output(&self) -> Var<'t, T> {
        Var { tape: self.tape, index: self.output }
    }

    /// The cotangent of the result: of its shape.
    pub fn cotangent(&self) -> Var<'t, T> {
        self.cotangent
    }

    /// The k-th result of a loop.
    pub(crate) fn part(&self, k: usize) -> Var<'t, T> {
        Var { tape: self.tape, index: self.output + 1 + k as u32 }
    }

    /// The cotangent of the k-th result of a loop, if anything depends on that result.
    pub(crate) fn part_cotangent(&self, k: usize) -> Option<Var<'t, T>> {
        self.parts[k]
    }

    /// The tape to write on.
    pub(crate) fn tape(&self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether the k-th input needs a cotangent.
    pub fn needs(&self, k: usize) -> bool {
        self.needs[k]
    }

    /// Gives the k-th input its cotangent, `f` of the result's. `f` is called only if it is needed.
    ///
    /// Where the input was broadcast, the cotangent is summed back to the input's shape.
    ///
    /// # Panics
    /// If the cotangent's shape is not one that the input broadcasts to.
    #[track_caller]
    pub fn give(&mut self, k: usize, f: impl FnOnce(Var<'t, T>) -> Var<'t, T>) {
        if !self.needs[k] {
            return;
        }
        let mut cotangent = f(self.cotangent);
        let (shape, wanted) = (cotangent.shape(), self.input(k).shape());
        if shape != wanted {
            assert!(
                rule::broadcasts_to(&wanted, &shape),
                "{}: its derivative gave input {k} of shape {wanted} a cotangent of shape {shape}",
                self.op
            );
            cotangent = cotangent.sum_to(wanted);
        }
        self.given.push((k, Given::Whole(cotangent)));
    }

    /// Gives the k-th input a cotangent that is zero but for `start`, `start + step`, … of `axis`, where it is
    /// `f` of the result's. On a first-order pass only that part is touched.
    pub(crate) fn give_part(
        &mut self,
        k: usize,
        (axis, start, step): (usize, usize, usize),
        f: impl FnOnce(Var<'t, T>) -> Var<'t, T>,
    ) {
        if self.needs[k] {
            let cotangent = f(self.cotangent);
            self.given.push((k, Given::Part { cotangent, axis, start, step }));
        }
    }
}

impl<T: Element> Tape<T> {
    /// Gradients of Σ ⟨root, cotangent⟩ with respect to every leaf and parameter. Nothing is recorded.
    ///
    /// # Panics
    /// If a cotangent's shape is not its root's, or no root depends on anything that has a gradient.
    #[track_caller]
    pub fn backward(&self, roots: &[(Var<'_, T>, &Tensor<T>)]) -> Gradients<T> {
        for &(root, cotangent) in roots {
            check_root(root, cotangent.shape());
        }
        assert!(
            roots.iter().any(|(root, _)| root.needs_grad()),
            "backward: no root depends on a leaf or a trainable parameter (was it detached, or recorded without gradients?)"
        );
        T::backward(self, roots)
    }

    /// The walk itself, for [`Compiled::backward`](crate::compiled::Compiled::backward) alone.
    pub(crate) fn walk(&self, roots: &[(Var<'_, T>, &Tensor<T>)]) -> Gradients<T> {
        let mut cotangents = std::mem::take(&mut self.state.borrow_mut().cotangents);
        let mark = self.len();
        cotangents.clear();
        cotangents.resize(mark, None);
        for &(root, cotangent) in roots {
            self.add(&mut cotangents[root.index as usize], cotangent.clone());
        }
        let mut entries = {
            let mut state = self.state.borrow_mut();
            let State { home, pool, .. } = &mut *state;
            home.list(pool)
        };
        self.with_recording(false, || {
            for index in (0..mark).rev() {
                let parts = match self.kind(index) {
                    // Its cotangent waits for the loop.
                    Kind::Part => continue,
                    Kind::Loop(parts) => parts,
                    Kind::Single => 0,
                };
                let of_parts: SmallVec<[Option<Tensor<T>>; 16]> =
                    cotangents[index + 1..=index + parts].iter_mut().map(Option::take).collect();
                let cotangent = match cotangents[index].take() {
                    Some(cotangent) => cotangent,
                    None if of_parts.iter().any(Option::is_some) => self.node_value(index),
                    None => continue,
                };
                if !self.state.borrow().nodes[index].needs_grad {
                    self.state.borrow_mut().pool.give(cotangent);
                    continue;
                }
                let Some(visit) = self.visit(index) else {
                    entries.push(Entry { leaf: index as u32, param: None, gradient: self.dense(cotangent) });
                    continue;
                };
                let needs = {
                    let state = self.state.borrow();
                    visit.inputs.iter().map(|&i| state.nodes[i as usize].needs_grad).collect::<SmallVec<[bool; 24]>>()
                };
                let cotangent = self.constant(cotangent);
                let of_parts: SmallVec<[_; 16]> = of_parts.into_iter().map(|x| x.map(|x| self.constant(x))).collect();
                let given = self.derive(&visit, index, &needs, cotangent, &of_parts);
                // The values leave the tape before they are added, so that sums happen in place.
                let given: SmallVec<[_; 8]> = given
                    .into_iter()
                    .map(|(k, given)| match given {
                        Given::Whole(var) => (k, var.value(), None),
                        Given::Part { cotangent, axis, start, step } => {
                            (k, cotangent.value(), Some((axis, start, step)))
                        }
                    })
                    .collect();
                self.truncate(mark);
                for (k, value, part) in given {
                    let target = visit.inputs[k] as usize;
                    match part {
                        None => self.add(&mut cotangents[target], value),
                        Some(part) => self.add_part(target, &mut cotangents[target], value, part),
                    }
                }
            }
        });
        let mut state = self.state.borrow_mut();
        state.cotangents = cotangents;
        for (&id, &leaf) in &state.params {
            if let Ok(found) = entries.binary_search_by_key(&std::cmp::Reverse(leaf), |e| std::cmp::Reverse(e.leaf)) {
                entries[found].param = Some(id);
            }
        }
        Gradients::new(entries, state.home.clone(), state.recordings)
    }

    /// Cotangents of `wrt` for Σ ⟨root, cotangent⟩, recorded: they can be differentiated again.
    /// Where no root depends on one of `wrt`, it is zero.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::scalar(3.0f64));
    /// let y = x * x * x;
    /// let one = tape.scalar(1.0);
    /// let dy = tape.grad(&[(y, one)], &[x])[0];
    /// let d2y = tape.grad(&[(dy, one)], &[x])[0];
    /// assert_eq!((dy.item(), d2y.item()), (27.0, 18.0));
    /// ```
    ///
    /// # Panics
    /// If a cotangent's shape is not its root's.
    #[track_caller]
    pub fn grad<'t>(&'t self, roots: &[(Var<'t, T>, Var<'t, T>)], wrt: &[Var<'t, T>]) -> SmallVec<[Var<'t, T>; 4]> {
        for &(root, cotangent) in roots {
            check_root(root, &cotangent.shape());
        }
        T::grad(self, roots, wrt)
    }

    /// The walk itself, for [`Compiled::grad`](crate::compiled::Compiled::grad) alone.
    pub(crate) fn recorded_walk<'t>(
        &'t self,
        roots: &[(Var<'t, T>, Var<'t, T>)],
        wrt: &[Var<'t, T>],
    ) -> SmallVec<[Var<'t, T>; 4]> {
        let mark = self.len();
        let needed = self.needed(wrt, mark);
        let mut cotangents: Vec<Option<Var<'t, T>>> = vec![None; mark];
        let add = |slot: &mut Option<Var<'t, T>>, more: Var<'t, T>| {
            *slot = Some(match *slot {
                Some(sum) => sum + more,
                None => more,
            });
        };
        for &(root, cotangent) in roots {
            add(&mut cotangents[root.index as usize], cotangent);
        }
        for index in (0..mark).rev() {
            let parts = match self.kind(index) {
                Kind::Part => continue,
                Kind::Loop(parts) => parts,
                Kind::Single => 0,
            };
            let of_parts: SmallVec<[_; 16]> = SmallVec::from_slice(&cotangents[index + 1..=index + parts]);
            let cotangent = match cotangents[index] {
                _ if !needed[index] => continue,
                Some(cotangent) => cotangent,
                None if of_parts.iter().any(Option::is_some) => Var { tape: self, index: index as u32 },
                None => continue,
            };
            let Some(visit) = self.visit(index) else {
                continue;
            };
            let needs: SmallVec<[bool; 24]> = visit.inputs.iter().map(|&i| needed[i as usize]).collect();
            if !needs.contains(&true) {
                continue;
            }
            for (k, given) in self.derive(&visit, index, &needs, cotangent, &of_parts) {
                let target = visit.inputs[k];
                let whole = match given {
                    Given::Whole(var) => var,
                    Given::Part { cotangent, axis, start, step } => {
                        let length = Var { tape: self, index: target }.shape()[axis];
                        cotangent.place(axis as isize, start, step, length)
                    }
                };
                add(&mut cotangents[target as usize], whole);
            }
        }
        wrt.iter()
            .map(|x| match cotangents[x.index as usize] {
                Some(cotangent) => cotangent,
                None => self.full(x.shape(), 0.0),
            })
            .collect()
    }

    /// Which nodes lie on a path from one of `wrt`.
    fn needed(&self, wrt: &[Var<'_, T>], len: usize) -> Vec<bool> {
        let state = self.state.borrow();
        let mut needed = vec![false; len];
        for x in wrt {
            needed[x.index as usize] = true;
        }
        for (index, node) in state.nodes[..len].iter().enumerate() {
            if node.needs_grad && node.inputs.iter().any(|&i| needed[i as usize]) {
                needed[index] = true;
            }
        }
        needed
    }

    fn visit(&self, index: usize) -> Option<Visit<T>> {
        let state = self.state.borrow();
        let node = &state.nodes[index];
        Some(Visit { op: node.op.clone()?, inputs: SmallVec::from_slice(&node.inputs), at: node.at })
    }

    fn kind(&self, index: usize) -> Kind {
        match &self.state.borrow().nodes[index].op {
            Some(AnyOp::Part(_)) => Kind::Part,
            Some(AnyOp::Loop(several)) => Kind::Loop(several.results()),
            _ => Kind::Single,
        }
    }

    fn node_value(&self, index: usize) -> Tensor<T> {
        self.state.borrow().nodes[index].value.clone()
    }

    /// Runs one vector-Jacobian product.
    fn derive<'t>(
        &'t self,
        visit: &Visit<T>,
        output: usize,
        needs: &[bool],
        cotangent: Var<'t, T>,
        parts: &[Option<Var<'t, T>>],
    ) -> SmallVec<[(usize, Given<'t, T>); 8]> {
        let op = visit.op.get().name();
        self.state.borrow_mut().site = Some(Site { op, at: visit.at });
        let output = output as u32;
        let mut back =
            Backward { tape: self, op, inputs: &visit.inputs, needs, output, cotangent, parts, given: SmallVec::new() };
        visit.op.get().vjp(&mut back);
        let given = back.given;
        self.state.borrow_mut().site = None;
        given
    }

    /// `slot += more`, in place where nobody else holds the sum.
    fn add(&self, slot: &mut Option<Tensor<T>>, more: Tensor<T>) {
        let Some(sum) = slot else {
            *slot = Some(more);
            return;
        };
        let mut state = self.state.borrow_mut();
        if !sum.is_unique() {
            let mut fresh = state.pool.take(sum.shape());
            elementwise::copy(sum.strided(), sum.shape(), fresh.as_mut_slice(), &self.threads);
            state.pool.give(std::mem::replace(sum, fresh));
        }
        elementwise::add_assign(sum.as_mut_slice(), more.strided(), more.shape(), &self.threads);
        state.pool.give(more);
    }

    /// Adds `more` to the part of `slot` that it is the cotangent of.
    fn add_part(
        &self,
        target: usize,
        slot: &mut Option<Tensor<T>>,
        more: Tensor<T>,
        (axis, start, step): (usize, usize, usize),
    ) {
        if slot.is_none() {
            let mut state = self.state.borrow_mut();
            let State { nodes, pool, .. } = &mut *state;
            let mut zeros = pool.take(nodes[target].value.shape());
            zeros.as_mut_slice().fill(T::ZERO);
            *slot = Some(zeros);
        }
        let Some(sum) = slot else { return };
        let mut state = self.state.borrow_mut();
        if !sum.is_unique() {
            let mut fresh = state.pool.take(sum.shape());
            elementwise::copy(sum.strided(), sum.shape(), fresh.as_mut_slice(), &self.threads);
            state.pool.give(std::mem::replace(sum, fresh));
        }
        let view = sum.sliced(axis, start, more.shape()[axis], step);
        let (offset, strides) = (view.offset, view.strides.clone());
        drop(view);
        elementwise::add_assign_strided(&mut sum.as_mut_slice()[offset..], &strides, more.strided(), more.shape());
        state.pool.give(more);
    }

    /// The same values, dense.
    fn dense(&self, tensor: Tensor<T>) -> Tensor<T> {
        if tensor.is_contiguous() {
            return tensor;
        }
        let mut state = self.state.borrow_mut();
        let mut fresh = state.pool.take(tensor.shape());
        elementwise::copy(tensor.strided(), tensor.shape(), fresh.as_mut_slice(), &self.threads);
        state.pool.give(tensor);
        fresh
    }
}

/// How a node's results are stored.
enum Kind {
    Single,
    /// As this many nodes behind it.
    Loop(usize),
    Part,
}

struct Visit<T: Element> {
    op: AnyOp<T>,
    inputs: SmallVec<[u32; 24]>,
    at: &'static Location<'static>,
}

#[track_caller]
fn check_root<T: Element>(root: Var<'_, T>, cotangent: &Shape) {
    assert!(
        root.shape() == *cotangent,
        "backward: a root of shape {} cannot take a cotangent of shape {cotangent}",
        root.shape()
    );
}
