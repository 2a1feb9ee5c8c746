//! The derivative of a body. Its step is recorded once more with its vector-Jacobian products behind it, and what
//! those need of the step itself comes from what the loop has saved. The result is a step again: of a loop that goes
//! the other way, and whose states are the cotangents of the states.

use std::collections::HashMap;
use std::sync::OnceLock;

use smallvec::SmallVec;

use super::plan::{Plan, Want, unroll};
use super::rolled::{Rolled, add};
use super::step::{Id, Node, Source, Step, same_leaf};
use super::trace::{Untraceable, caught};
use crate::element::Element;
use crate::kernels::gemm::{self, Left, Mat};
use crate::ops::AnyOp;
use crate::ops::form::Kind;
use crate::shape::Shape;
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;

/// What a backward pass asks of a derivative: which outputs have a cotangent, which inputs need one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) outputs: SmallVec<[bool; 16]>,
    pub(crate) inputs: SmallVec<[bool; 16]>,
}

/// Where a leaf of the derivative's step comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wire {
    /// An input of the loop.
    Input(usize),
    /// An output of the loop.
    Output(usize),
    /// The cotangent of an output.
    Cotangent(usize),
}

/// A sum over time of what the derivative puts out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sum {
    /// Of an output; over the axes along which a value of this shape was broadcast, too.
    Output(usize, Shape),
    /// Of aᵀ g, as one product over all rows of all steps.
    Product(usize, usize),
}

/// How the cotangent of a fixed value follows from sums over time.
enum Total<T: Element> {
    Of(usize),
    Both(Box<Self>, Box<Self>),
    /// The same operation on what is summed: it is linear.
    Linear(AnyOp<T>, Box<Self>),
}

pub(crate) struct Derivative<T: Element> {
    step: Step<T>,
    reverse: bool,
    /// How it runs on a tape that records; nothing if its own derivative cannot be traced: then it is unrolled.
    recorded: OnceLock<Option<Plan<T>>>,
    /// How it runs where nothing is recorded.
    passing: OnceLock<Passing<T>>,
    sequences: Vec<Wire>,
    fixed: Vec<Wire>,
    /// By the loop's sequences: the output that is its cotangent.
    of_sequences: Vec<Option<usize>>,
    sums: Vec<Sum>,
    of_fixed: Vec<Option<Total<T>>>,
}

/// A derivative that uses most of what it puts out at once, and keeps sums.
struct Passing<T: Element> {
    plan: Plan<T>,
    /// By the step's outputs: their places among the plan's, and whether they are kept.
    outputs: Vec<Option<usize>>,
    whole: SmallVec<[bool; 16]>,
    /// By the sums: their places among those that the plan makes.
    sums: Vec<Option<usize>>,
}

/// The step, differentiated: forward and backward nodes on one list.
struct Both<T: Element> {
    step: Step<T>,
    /// Nodes before this are the forward step's own.
    forward: usize,
    /// Cotangents of the states, and by their number those of sequences and fixed values.
    of_states: Vec<Id>,
    of_sequences: Vec<Option<Id>>,
    of_fixed: Vec<Option<Id>>,
}

/// Leaves behind the forward step: cotangents of the next states, then of the outputs that have one.
fn differentiate<T: Element>(step: &Step<T>, counts: [usize; 3], asked: &Asked) -> Result<Both<T>, Untraceable> {
    let [sequences, states, fixed] = counts;
    let tape = Tape::<T>::tracing();
    let vars = step.replay(&tape, |node| tape.hollow(&node.shape));
    let forward = tape.len();
    let with_cotangent = step.outputs.iter().zip(&asked.outputs).filter(|&(_, &has)| has).map(|(&id, _)| id);
    let roots: Vec<_> = step
        .next
        .iter()
        .copied()
        .chain(with_cotangent)
        .map(|id| (vars[id], tape.hollow(&step.nodes[id].shape)))
        .collect();
    // What is asked for, in one list: the tape walks back once.
    let mut wrt: SmallVec<[Var<'_, T>; 16]> = SmallVec::new();
    let asked_for = (0..sequences + states + fixed).map(|input| {
        let wanted = input_source(input, sequences, states);
        let always = matches!(wanted, Source::State(_));
        let id = step.find(|source| same_leaf(source, &wanted)).filter(|_| always || asked.inputs[input])?;
        wrt.push(vars[id]);
        Some(wrt.len() - 1)
    });
    let slots: Vec<Option<usize>> = asked_for.collect();
    let gradients = caught(|| tape.grad(&roots, &wrt))?;
    let ids: Vec<Option<Id>> = slots.into_iter().map(|slot| slot.map(|k| gradients[k].node() as usize)).collect();
    let mut both = Step::default();
    tape.each_node(|id, op, inputs, value| {
        let inputs: SmallVec<[Id; 4]> = inputs.iter().map(|&input| input as usize).collect();
        let source = match op {
            _ if id < forward => step.nodes[id].source.clone(),
            Some(op) => Source::Op(op.clone()),
            None if id < forward + states => Source::State(id - forward),
            None if id < forward + roots.len() => Source::Sequence(id - forward - states),
            None => Source::Constant(value.clone()),
        };
        both.nodes.push(Node { source, inputs, shape: value.shape().clone() });
    });
    let of_states = ids[sequences..sequences + states].iter().map(|id| id.expect("every state has a leaf")).collect();
    let (of_sequences, of_fixed) = (ids[..sequences].to_vec(), ids[sequences + states..].to_vec());
    Ok(Both { step: both, forward, of_states, of_sequences, of_fixed })
}

/// The leaf that an input of a loop is: sequences come first, then states, then fixed values.
fn input_source<T: Element>(input: usize, sequences: usize, states: usize) -> Source<T> {
    if input < sequences {
        Source::Sequence(input)
    } else if input < sequences + states {
        Source::State(input - sequences)
    } else {
        Source::Fixed(input - sequences - states)
    }
}

/// Operations so light that their result is computed again rather than kept.
fn is_light<T: Element>(op: &AnyOp<T>) -> bool {
    matches!(
        op,
        AnyOp::Add(_)
            | AnyOp::Sub(_)
            | AnyOp::Mul(_)
            | AnyOp::Affine(_)
            | AnyOp::Square(_)
            | AnyOp::Abs(_)
            | AnyOp::Relu(_)
            | AnyOp::LeakyRelu(_)
            | AnyOp::Clamp(_)
            | AnyOp::Maximum(_)
            | AnyOp::Minimum(_)
            | AnyOp::Compare(_)
            | AnyOp::IfElse(_)
            | AnyOp::Slice(_)
            | AnyOp::BroadcastTo(_)
            | AnyOp::Patches(_)
            | AnyOp::Permute(_)
            | AnyOp::Place(_)
            | AnyOp::Reshape(_)
            | AnyOp::Unfold(_)
    )
}

/// The forward values that a backward pass reads: what the loop must save.
///
/// # Errors
/// If the derivative reads values.
pub(crate) fn saved<T: Element>(step: &Step<T>, counts: [usize; 3]) -> Result<Vec<Id>, Untraceable> {
    let asked = Asked {
        outputs: SmallVec::from_elem(true, step.outputs.len()),
        inputs: SmallVec::from_elem(true, counts.iter().sum()),
    };
    let both = differentiate(step, counts, &asked)?;
    let roots = both.of_states.iter().chain(both.of_sequences.iter().flatten()).chain(both.of_fixed.iter().flatten());
    // Forward values that backward nodes read.
    let mut read = vec![false; both.forward];
    let mut seen = vec![false; both.step.nodes.len()];
    let mut stack: Vec<Id> = roots.copied().collect();
    while let Some(id) = stack.pop() {
        if id < both.forward {
            read[id] = true;
        } else if !std::mem::replace(&mut seen[id], true) {
            stack.extend(&both.step.nodes[id].inputs);
        }
    }
    // A sum that a product starts from is the product's result: it is there, and the product alone is not.
    let uses = step.uses();
    let is_light = |node: &Node<T>| {
        let product = |&input: &Id| step.nodes[input].is_product() && uses[input] == 1;
        node.op().is_some_and(is_light) && !(node.is_sum() && node.inputs.iter().any(product))
    };
    // The last first: a light function of one value is computed again from that value.
    for id in (0..both.forward).rev() {
        let node = &step.nodes[id];
        let light = is_light(node);
        let varying: SmallVec<[Id; 4]> = node
            .inputs
            .iter()
            .copied()
            .filter(|&input| !matches!(step.nodes[input].source, Source::Fixed(_)))
            .collect();
        if read[id] && light && varying.windows(2).all(|pair| pair[0] == pair[1]) {
            read[id] = false;
            varying.first().into_iter().for_each(|&input| read[input] = true);
        }
    }
    // A light function of values that are there anyway, too.
    for id in (0..both.forward).rev() {
        let node = &step.nodes[id];
        let there =
            |&input: &Id| read[input] || matches!(step.nodes[input].source, Source::Fixed(_) | Source::Sequence(_));
        if read[id] && is_light(node) && node.inputs.iter().all(there) {
            read[id] = false;
        }
    }
    let kept = |&id: &Id| read[id] && matches!(step.nodes[id].source, Source::Op(_) | Source::State(_));
    Ok((0..both.forward).filter(kept).collect())
}

/// Builds the step of a derivative from nodes of both directions.
struct Cut<'a, T: Element> {
    rolled: &'a Rolled<T>,
    both: &'a Both<T>,
    step: Step<T>,
    place: HashMap<Id, Id>,
    sequences: Vec<Wire>,
    fixed: Vec<Wire>,
    sums: Vec<Sum>,
    /// The numbers of the outputs that have a cotangent.
    cotangents: Vec<usize>,
}

impl<T: Element> Cut<'_, T> {
    fn sequence(&mut self, wire: Wire, shape: &Shape) -> Id {
        self.sequences.push(wire);
        self.step.push(Source::Sequence(self.sequences.len() - 1), &[], shape.clone())
    }

    fn take(&mut self, id: Id) -> Id {
        if let Some(&place) = self.place.get(&id) {
            return place;
        }
        let (both, rolled) = (self.both, self.rolled);
        let node = &both.step.nodes[id];
        let place = if id < both.forward {
            let saved = rolled.step.outputs.iter().position(|&output| output == id);
            match (&node.source, saved) {
                (Source::Sequence(k), _) => self.sequence(Wire::Input(*k), &node.shape),
                (Source::Fixed(_), _) => {
                    self.fixed.push(Wire::Input(rolled.input_of(&node.source).expect("a fixed value is an input")));
                    self.step.push(Source::Fixed(self.fixed.len() - 1), &[], node.shape.clone())
                }
                (_, Some(output)) => self.sequence(Wire::Output(output), &node.shape),
                (Source::Op(_), None) => self.again(node),
                _ => unreachable!("the loop saves the states its derivative reads"),
            }
        } else {
            match &node.source {
                Source::State(k) => self.step.push(Source::State(*k), &[], node.shape.clone()),
                Source::Sequence(k) => self.sequence(Wire::Cotangent(self.cotangents[*k]), &node.shape),
                Source::Constant(value) => self.step.push(Source::Constant(value.clone()), &[], node.shape.clone()),
                _ => self.again(node),
            }
        };
        self.place.insert(id, place);
        place
    }

    /// The same operation, on what its inputs have become.
    fn again(&mut self, node: &Node<T>) -> Id {
        let inputs: SmallVec<[Id; 4]> = node.inputs.iter().map(|&input| self.take(input)).collect();
        self.step.push(node.source.clone(), &inputs, node.shape.clone())
    }

    /// Puts a node out, once.
    fn emit(&mut self, id: Id) -> usize {
        let place = self.take(id);
        match self.step.outputs.iter().position(|&output| output == place) {
            Some(known) => known,
            None => {
                self.step.outputs.push(place);
                self.step.outputs.len() - 1
            }
        }
    }

    /// The place of a sum, once for equal ones.
    fn sum(&mut self, sum: Sum) -> Total<T> {
        let place = self.sums.iter().position(|known| *known == sum).unwrap_or_else(|| {
            self.sums.push(sum);
            self.sums.len() - 1
        });
        Total::Of(place)
    }

    /// How the sum over time of a node follows from what is put out.
    fn total(&mut self, id: Id) -> Total<T> {
        let both = self.both;
        let node = &both.step.nodes[id];
        let Some(op) = node.op().filter(|_| id >= both.forward) else {
            let sum = Sum::Output(self.emit(id), node.shape.clone());
            return self.sum(sum);
        };
        match (op.get().form().0, op) {
            (_, AnyOp::Add(_)) if node.inputs.iter().all(|&input| both.step.nodes[input].shape == node.shape) => {
                Total::Both(Box::new(self.total(node.inputs[0])), Box::new(self.total(node.inputs[1])))
            }
            (Kind::SumTo, _) => {
                let sum = Sum::Output(self.emit(node.inputs[0]), node.shape.clone());
                self.sum(sum)
            }
            (Kind::Product, _) => {
                let (a, g) = (&both.step.nodes[node.inputs[0]], node.inputs[1]);
                let sum = match a.form() {
                    Some(Kind::Permute(order)) if order[..] == [1, 0] && both.step.nodes[g].shape.rank() == 2 => {
                        Sum::Product(self.emit(a.inputs[0]), self.emit(g))
                    }
                    _ => Sum::Output(self.emit(id), node.shape.clone()),
                };
                self.sum(sum)
            }
            (Kind::Permute(_) | Kind::Reshape | Kind::Slice { .. } | Kind::Place { .. }, _) => {
                Total::Linear(op.clone(), Box::new(self.total(node.inputs[0])))
            }
            _ => {
                let sum = Sum::Output(self.emit(id), node.shape.clone());
                self.sum(sum)
            }
        }
    }
}

/// The derivative of a loop.
pub(crate) fn derive<T: Element>(rolled: &Rolled<T>, asked: &Asked) -> Derivative<T> {
    let both = differentiate(&rolled.step, rolled.counts, asked).expect("it could when the loop was made for training");
    let cotangents = (0..asked.outputs.len()).filter(|&k| asked.outputs[k]).collect();
    let mut cut = Cut {
        rolled,
        both: &both,
        step: Step::default(),
        place: HashMap::new(),
        sequences: Vec::new(),
        fixed: Vec::new(),
        sums: Vec::new(),
        cotangents,
    };
    // Every state has its leaf, also where nothing reads it.
    let [_, states, _] = rolled.counts;
    (both.forward..both.forward + states).for_each(|id| {
        cut.take(id);
    });
    cut.step.next = both.of_states.iter().map(|&id| cut.take(id)).collect();
    let of_sequences = both.of_sequences.iter().map(|id| id.map(|id| cut.emit(id))).collect();
    let of_fixed = both.of_fixed.iter().map(|id| id.map(|id| cut.total(id))).collect();
    let Cut { step, sequences, fixed, sums, .. } = cut;
    let (recorded, passing) = (OnceLock::new(), OnceLock::new());
    Derivative { step, reverse: !rolled.reverse, recorded, passing, sequences, fixed, of_sequences, sums, of_fixed }
}

impl<T: Element> Derivative<T> {
    /// How it has run so far, recorded or not; nothing where it was unrolled.
    pub(crate) fn plans(&self) -> impl Iterator<Item = Option<&Plan<T>>> {
        let passing = self.passing.get().map(|passing| Some(&passing.plan));
        passing.into_iter().chain(self.recorded.get().map(Option::as_ref))
    }

    fn recorded(&self) -> Option<&Plan<T>> {
        let plan = || Some(Plan::new(&self.step, Want::All, self.reverse)).filter(|plan| plan.training().is_ok());
        self.recorded.get_or_init(plan).as_ref()
    }

    fn passing(&self) -> &Passing<T> {
        self.passing.get_or_init(|| self.pass())
    }

    /// The step with sums in place of outputs that are only asked for to be summed up.
    fn pass(&self) -> Passing<T> {
        let step = &self.step;
        let timed = step.depends(|source| matches!(source, Source::Sequence(_) | Source::State(_)));
        let (mut summed, mut sums) = (Vec::new(), Vec::new());
        for sum in &self.sums {
            sums.push(None);
            if let Sum::Output(output, shape) = sum {
                let id = step.outputs[*output];
                let node = &step.nodes[id];
                // Rows to one row.
                let row = node.shape.rank() == 2 && shape.rank() == 1 && shape[0] == node.shape[1];
                if row && timed[id] && node.op().is_some() {
                    sums.pop();
                    sums.push(Some(summed.len()));
                    summed.push(id);
                }
            }
        }
        let used = |k: usize| {
            let in_sum = |(sum, place): (&Sum, &Option<usize>)| match sum {
                Sum::Output(output, _) => *output == k && place.is_none(),
                Sum::Product(a, g) => *a == k || *g == k,
            };
            self.of_sequences.contains(&Some(k)) || self.sums.iter().zip(&sums).any(in_sum)
        };
        let kept: Vec<usize> = (0..step.outputs.len()).filter(|&k| used(k)).collect();
        let outputs = (0..step.outputs.len()).map(|k| kept.iter().position(|&kept| kept == k)).collect();
        let whole = kept.iter().map(|&k| self.of_sequences.contains(&Some(k))).collect();
        let step = Step { outputs: kept.iter().map(|&k| step.outputs[k]).collect(), summed, ..step.clone() };
        let plan = Plan::new(&step, Want::All, self.reverse);
        Passing { plan, outputs, whole, sums }
    }

    /// Gives the inputs of the loop their cotangents.
    pub(crate) fn give<'t>(&self, rolled: &Rolled<T>, back: &mut Backward<'_, 't, T>) {
        let tape = back.tape();
        let [sequences, states, _] = rolled.counts;
        let initial: SmallVec<[Var<'t, T>; 4]> = (0..states)
            .map(|k| back.part_cotangent(k).unwrap_or_else(|| tape.full(back.part(k).shape(), 0.0)))
            .collect();
        let wired = |wire: &Wire| match *wire {
            Wire::Input(k) => back.input(k),
            Wire::Output(k) => back.part(states + k),
            Wire::Cotangent(k) => back.part_cotangent(states + k).expect("asked for with this cotangent"),
        };
        let extent = {
            let outputs = (sequences > 0).then(|| back.input(0).shape());
            let shape = outputs.unwrap_or_else(|| back.part(states).shape());
            (shape[0], shape[1])
        };
        let mut leaf = |source: &Source<T>| match source {
            Source::Sequence(k) => wired(&self.sequences[*k]),
            Source::Fixed(k) => wired(&self.fixed[*k]),
            Source::Constant(value) => tape.constant(value.clone()),
            _ => unreachable!("only leaves are asked for"),
        };
        let passing = (!tape.is_recording()).then(|| self.passing());
        let (outputs, last, sums) = if let Some(Passing { plan, outputs, whole, sums }) = passing {
            let place = |k: usize| outputs[k].expect("an output that is used is put out");
            let mut added: SmallVec<[Option<Tensor<T>>; 16]> = SmallVec::from_elem(None, self.sums.len());
            let ran = plan.run_in_chunks(tape, extent, &initial, &mut leaf, whole, &mut |tape, outputs| {
                let output = |k: usize| outputs[place(k)];
                add_products(tape, &self.sums, &output, &mut added);
                for ((sum, added), made) in self.sums.iter().zip(&mut added).zip(sums) {
                    if made.is_none() && matches!(sum, Sum::Output(..)) {
                        add(tape, sum.of(&output), added);
                    }
                }
            });
            let sum = |(k, added): (usize, Option<Tensor<T>>)| match sums[k] {
                Some(made) => ran.sums[made],
                None => tape.constant(added.expect("there is at least one step")),
            };
            let sums: SmallVec<[Var<'t, T>; 16]> = added.into_iter().enumerate().map(sum).collect();
            let outputs = outputs.iter().map(|place| place.and_then(|place| ran.outputs[place])).collect();
            (outputs, ran.last, sums)
        } else {
            let ran = match self.recorded() {
                Some(plan) => plan.run(tape, extent, &initial, &mut leaf),
                None => unroll(&self.step, tape, extent.0, self.reverse, &initial, &mut leaf),
            };
            let sums = self.sums.iter().map(|sum| sum.of(&|k| ran.outputs[k])).collect();
            let outputs: SmallVec<[Option<Var<'t, T>>; 16]> = ran.outputs.into_iter().map(Some).collect();
            (outputs, ran.last, sums)
        };
        for (k, output) in self.of_sequences.iter().enumerate() {
            if let Some(output) = output {
                back.give(k, |_| outputs[*output].expect("cotangents of sequences are whole"));
            }
        }
        for (k, &last) in last.iter().enumerate() {
            back.give(sequences + k, |_| last);
        }
        for (k, total) in self.of_fixed.iter().enumerate() {
            if let Some(total) = total {
                back.give(sequences + states + k, |_| total.of(&sums));
            }
        }
    }
}

/// (time, batch, n) as rows of n.
fn rows<T: Element>(x: Var<'_, T>) -> Var<'_, T> {
    let shape = x.shape();
    x.reshape_to([shape[0] * shape[1], shape[2]])
}

impl Sum {
    /// The sum of all steps.
    fn of<'t, T: Element>(&self, output: &dyn Fn(usize) -> Var<'t, T>) -> Var<'t, T> {
        match self {
            Self::Output(k, shape) => {
                // Axes that the value lacks are summed, time first.
                let x = output(*k);
                let missing = x.rank() - shape.rank();
                let kept: Shape = std::iter::repeat_n(1, missing).chain(shape.iter().copied()).collect();
                x.sum_to(kept).reshape_to(shape)
            }
            Self::Product(a, g) => rows(output(*a)).t().matmul(rows(output(*g))),
        }
    }
}

/// Adds the products of some steps to their sums. Those with the same right factor are computed together.
fn add_products<'s, T: Element>(
    tape: &'s Tape<T>,
    sums: &[Sum],
    output: &dyn Fn(usize) -> Var<'s, T>,
    added: &mut [Option<Tensor<T>>],
) {
    let right = |k: usize| match sums[k] {
        Sum::Product(_, g) => Some(g),
        Sum::Output(..) => None,
    };
    for k in 0..sums.len() {
        let Some(g) = right(k).filter(|&g| !(0..k).any(|before| right(before) == Some(g))) else {
            continue;
        };
        let g = rows(output(g)).value();
        let [rows_of_all, n] = [g.shape()[0], g.shape()[1]];
        let first = added[k].is_none();
        let lefts: SmallVec<[Option<Tensor<T>>; 16]> = sums
            .iter()
            .enumerate()
            .map(|(other, sum)| match *sum {
                Sum::Product(a, _) if right(other) == right(k) => Some(rows(output(a)).value()),
                _ => None,
            })
            .collect();
        tape.compute(|pool, threads| {
            let mut products: SmallVec<[Left<'_, T>; 4]> = SmallVec::new();
            for (a, added) in lefts.iter().zip(added.iter_mut()) {
                let Some(a) = a else { continue };
                let m = a.shape()[1];
                let sum = added.get_or_insert_with(|| pool.take(&Shape::from([m, n])));
                let transposed = Mat { data: a.storage(), row_stride: a.strides()[1], col_stride: a.strides()[0] };
                products.push(Left { m, a: transposed, c: sum.as_mut_slice() });
            }
            let right = Mat { data: g.storage(), row_stride: g.strides()[0], col_stride: g.strides()[1] };
            gemm::shared(rows_of_all, n, right, !first, &mut products, threads);
        });
    }
}

impl<T: Element> Total<T> {
    fn of<'t>(&self, sums: &[Var<'t, T>]) -> Var<'t, T> {
        match self {
            Self::Of(sum) => sums[*sum],
            Self::Both(a, b) => a.of(sums) + b.of(sums),
            Self::Linear(op, x) => {
                let x = x.of(sums);
                x.tape().apply(op.clone(), &[x])
            }
        }
    }
}
