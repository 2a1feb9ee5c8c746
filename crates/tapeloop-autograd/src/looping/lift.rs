//! Operations of a step on all steps at once: values get a leading axis of time.

use smallvec::SmallVec;

use super::step::{Id, Node, Step};
use crate::element::Element;
use crate::ops::AnyOp;
use crate::ops::form::Kind;
use crate::shape::{Dims, Shape};
use crate::tape::{Tape, Var};

/// A value outside the loop: of one step or of all of them.
#[derive(Clone, Copy)]
pub(crate) struct Lifted<'t, T: Element> {
    pub(crate) var: Var<'t, T>,
    /// Whether its first axis is time.
    pub(crate) timed: bool,
}

/// Whether an operation can be done on all steps at once.
pub(crate) fn lifts<T: Element>(op: &AnyOp<T>) -> bool {
    !matches!(op.get().form().0, Kind::Opaque)
}

/// The value of the node `id`, from those of its inputs.
pub(crate) fn of<'t, T: Element>(
    tape: &'t Tape<T>,
    step: &Step<T>,
    id: Id,
    values: &[Option<Lifted<'t, T>>],
) -> Lifted<'t, T> {
    let node = &step.nodes[id];
    let inputs: SmallVec<[Lifted<'t, T>; 4]> =
        node.inputs.iter().map(|&input| values[input].expect("nodes are in topological order")).collect();
    lift(tape, node, &inputs, |k| step.nodes[node.inputs[k]].shape.rank())
}

/// The value of `node`: once, or for all steps where an input has all of them.
fn lift<'t, T: Element>(
    tape: &'t Tape<T>,
    node: &Node<T>,
    inputs: &[Lifted<'t, T>],
    ranks: impl Fn(usize) -> usize,
) -> Lifted<'t, T> {
    let Some(op) = node.op() else { unreachable!("leaves are given") };
    let Some(time) = inputs.iter().find(|x| x.timed).map(|x| x.var.dim(0)) else {
        let inputs: SmallVec<[_; 4]> = inputs.iter().map(|x| x.var).collect();
        return Lifted { var: tape.apply(op.clone(), &inputs), timed: false };
    };
    let with_time = |shape: &[usize]| std::iter::once(time).chain(shape.iter().copied()).collect::<Shape>();
    // Axes that broadcasting would add in front come behind time.
    let aligned = |k: usize, rank: usize| {
        let Lifted { var, timed } = inputs[k];
        if !timed || ranks(k) >= rank {
            return var;
        }
        let own = var.shape();
        let missing = std::iter::repeat_n(1, rank - ranks(k));
        var.reshape_to(std::iter::once(time).chain(missing).chain(own[1..].iter().copied()).collect::<Shape>())
    };
    let repeated = |k: usize| match inputs[k] {
        Lifted { var, timed: true } => var,
        Lifted { var, timed: false } => var.broadcast_to(with_time(&var.shape())),
    };
    let rank = node.shape.rank();
    let var = match op.get().form().0 {
        Kind::Pointwise(_) => {
            let inputs: SmallVec<[_; 4]> = (0..inputs.len()).map(|k| aligned(k, rank)).collect();
            tape.apply(op.clone(), &inputs)
        }
        Kind::Product => aligned(0, rank).matmul(aligned(1, rank)),
        Kind::Slice { axis, start, count, step } => {
            let end = start + count.saturating_sub(1) * step + usize::from(count > 0);
            inputs[0].var.slice(axis as isize + 1, crate::s(start as isize..end as isize).step(step))
        }
        Kind::Place { axis, start, step, length } => inputs[0].var.place(axis as isize + 1, start, step, length),
        Kind::Concat { axis } => Var::concat((0..inputs.len()).map(repeated), axis as isize + 1),
        Kind::Permute(order) => {
            let order: Dims = std::iter::once(0).chain(order.iter().map(|&axis| axis + 1)).collect();
            inputs[0].var.permute_to(order)
        }
        Kind::Reshape => inputs[0].var.reshape_to(with_time(&node.shape)),
        Kind::Broadcast => aligned(0, rank).broadcast_to(with_time(&node.shape)),
        Kind::Sum(axes) => {
            let axes: SmallVec<[isize; 4]> = axes.iter().map(|&axis| axis as isize + 1).collect();
            let sum = if axes.is_empty() { inputs[0].var } else { inputs[0].var.sum(&axes, true) };
            sum.reshape_to(with_time(&node.shape))
        }
        Kind::SumTo => {
            let own = inputs[0].var.shape();
            let missing = std::iter::repeat_n(1, own.rank() - 1 - rank);
            let kept: Shape = std::iter::once(time).chain(missing).chain(node.shape.iter().copied()).collect();
            inputs[0].var.sum_to(kept).reshape_to(with_time(&node.shape))
        }
        Kind::Row(_) => tape.apply(op.clone(), &[inputs[0].var]),
        Kind::Along(op) => {
            let inputs: SmallVec<[_; 4]> = (0..inputs.len()).map(repeated).collect();
            tape.apply(op, &inputs)
        }
        Kind::Opaque => unreachable!("left to the body when the loop was planned"),
    };
    Lifted { var, timed: true }
}
