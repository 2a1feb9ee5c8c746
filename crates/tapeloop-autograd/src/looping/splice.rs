//! A body on the tape: one operation with several results, whose derivative is a loop again.

use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::derive::{Asked, Derivative, derive, saved};
use super::lower::{At, Lowered, lower};
use super::step::{Source, Step};
use super::trace::Untraceable;
use crate::element::Element;
use crate::kernels::elementwise;
use crate::kernels::gemm::Mat;
use crate::kernels::program::{Buffer, Extent, Side, Slots};
use crate::kernels::threads::Threads;
use crate::ops::{AnyOp, Op, Run};
use crate::shape::{Shape, ShapeResult};
use crate::tape::pool::Pool;
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

/// A loop's body, compiled. Its inputs are sequences (time, batch, width), initial states (batch, width), and fixed
/// values; its results are the last states, then its outputs along time.
pub(crate) struct Splice<T: Element> {
    pub(crate) step: Step<T>,
    pub(crate) reverse: bool,
    pub(crate) lowered: Lowered<T>,
    /// How many of the outputs are there only for the derivative.
    pub(crate) saved: usize,
    /// Derivatives by what is asked of them.
    derivatives: Mutex<Vec<(Asked, Arc<Derivative<T>>)>>,
}

/// Multiplications that are worth a second thread.
const PARALLEL: usize = 1 << 18;

impl<T: Element> Splice<T> {
    pub(crate) fn new(step: Step<T>, states: usize, reverse: bool) -> Result<Self, Untraceable> {
        let lowered = lower(&step, states)?;
        Ok(Self { step, reverse, lowered, saved: 0, derivatives: Mutex::default() })
    }

    /// The same, with what its derivative will read among the outputs.
    pub(crate) fn training(&self) -> Self {
        let mut step = self.step.clone();
        for id in saved(&step) {
            if !step.outputs.contains(&id) {
                step.outputs.push(id);
            }
        }
        let saved = step.outputs.len() - self.step.outputs.len();
        let more = Self::new(step, self.states(), self.reverse).expect("outputs do not change what a loop knows");
        Self { saved, ..more }
    }

    /// The derivatives that backward passes have asked for so far.
    pub(crate) fn known_derivatives(&self) -> Vec<Arc<Derivative<T>>> {
        let derivatives = self.derivatives.lock().unwrap_or_else(PoisonError::into_inner);
        derivatives.iter().map(|(_, derivative)| Arc::clone(derivative)).collect()
    }

    pub(crate) fn states(&self) -> usize {
        self.lowered.states.len()
    }

    /// Runs over `time` steps of `batch` rows.
    #[track_caller]
    pub(crate) fn run<'t>(
        self: &Arc<Self>,
        tape: &'t Tape<T>,
        extent: (usize, usize),
        inputs: &[Var<'t, T>],
    ) -> SmallVec<[Var<'t, T>; 16]> {
        let values: SmallVec<[Tensor<T>; 16]> = inputs.iter().map(|x| x.value()).collect();
        let results = tape.compute(|pool, threads| self.compute(&values, extent, pool, threads));
        tape.splice(AnyOp::Loop(Arc::clone(self) as Arc<dyn Several<T>>), inputs, results)
    }

    fn compute(
        &self,
        inputs: &[Tensor<T>],
        (time, batch): (usize, usize),
        pool: &mut Pool<T>,
        threads: &Threads,
    ) -> SmallVec<[Tensor<T>; 16]> {
        let Lowered { program, factors, sequences, fixed, states, outputs, own, scratch, work } = &self.lowered;
        let (sequences, rest) = inputs.split_at(*sequences);
        let (initial, rest) = rest.split_at(states.len());
        let fixed = &rest[..*fixed];
        // Elementwise work counts as well as products.
        let total = (work + 64) * time * batch;
        let parts = if total < PARALLEL { 1 } else { threads.count().min(batch) };
        let extent = Extent { time, rows: batch, reverse: self.reverse, parts };

        // Rows whose elements are no neighbours are copied.
        let mut copies: SmallVec<[Tensor<T>; 16]> = SmallVec::new();
        let mut readable = |x: &Tensor<T>, pool: &mut Pool<T>| {
            let neighbours = x.rank() == 0 || x.shape()[x.rank() - 1] == 1 || x.strides()[x.rank() - 1] == 1;
            if neighbours {
                return x.clone();
            }
            let mut copy = pool.take(x.shape());
            elementwise::copy(x.strided(), x.shape(), copy.as_mut_slice(), threads);
            copies.push(copy.clone());
            copy
        };
        let sequences: SmallVec<[Tensor<T>; 16]> = sequences.iter().map(|x| readable(x, pool)).collect();
        let fixed: SmallVec<[Tensor<T>; 16]> = fixed
            .iter()
            .enumerate()
            .map(|(k, x)| if factors.contains(&k) { x.clone() } else { readable(x, pool) })
            .collect();

        let packed: SmallVec<[Tensor<T>; 4]> = factors
            .iter()
            .zip(&program.factors)
            .map(|(&k, panels)| {
                let x = &fixed[k];
                let mut packed = pool.take(&Shape::from([panels.len()]));
                let matrix = Mat { data: x.storage(), row_stride: x.strides()[0], col_stride: x.strides()[1] };
                panels.pack(matrix, packed.as_mut_slice(), threads);
                packed
            })
            .collect();

        let mut state: SmallVec<[Tensor<T>; 4]> = SmallVec::new();
        for (&(slots, width), initial) in states.iter().zip(initial) {
            let count = if slots == Slots::States { time + 1 } else { 2 };
            let mut buffer = pool.take(&Shape::from([count, batch, width]));
            let (start, _) = extent.ends(slots);
            let first = &mut buffer.as_mut_slice()[start * batch * width..][..batch * width];
            elementwise::copy(initial.strided(), initial.shape(), first, threads);
            state.push(buffer);
        }
        let mut memory = |width: &usize, count: usize| pool.take(&Shape::from([count, batch, *width]));
        let mut own: SmallVec<[Tensor<T>; 16]> = own.iter().map(|width| memory(width, time)).collect();
        let mut scratch: SmallVec<[Tensor<T>; 16]> = scratch.iter().map(|width| memory(width, 1)).collect();
        let mut registers = pool.take(&Shape::from([parts * program.registers]));

        {
            let mut buffers: SmallVec<[Buffer<'_, T>; 32]> = SmallVec::new();
            for x in &sequences {
                buffers.push(Buffer::read(x.storage(), Slots::Steps, x.strides()[0], x.strides()[1]));
            }
            for (k, x) in fixed.iter().enumerate() {
                // A row for each of the batch, or the same one for all.
                let row = if x.rank() == 2 && x.shape()[0] == batch && batch > 1 { x.strides()[0] } else { 0 };
                let data = if factors.contains(&k) { &[] } else { x.storage() };
                buffers.push(Buffer::read(data, Slots::One, 0, row));
            }
            for (x, &(slots, width)) in state.iter_mut().zip(states) {
                buffers.push(Buffer::write(x.as_mut_slice(), slots, batch * width, width));
            }
            for x in &mut own {
                let width = x.shape()[2];
                buffers.push(Buffer::write(x.as_mut_slice(), Slots::Steps, batch * width, width));
            }
            for x in &mut scratch {
                let width = x.shape()[2];
                buffers.push(Buffer::write(x.as_mut_slice(), Slots::One, 0, width));
            }
            let packed: SmallVec<[&[T]; 4]> = packed.iter().map(|x| x.as_slice().unwrap_or_default()).collect();
            program.run(&buffers, &packed, registers.as_mut_slice(), extent, threads);
        }

        let last = state.iter().zip(states).map(|(x, &(slots, width))| {
            let (_, end) = extent.ends(slots);
            x.sliced(0, end, 1, 1).reshaped(&Shape::from([batch, width])).expect("one slot is dense")
        });
        let last: SmallVec<[Tensor<T>; 4]> = last.collect();
        let output = |at: &At| match *at {
            At::Own(place) => own[place].clone(),
            // A state is stored with the step that it precedes in time.
            At::State(k, side) => state[k].sliced(0, usize::from((side == Side::After) != self.reverse), time, 1),
        };
        let results = last.into_iter().chain(outputs.iter().map(output)).collect();
        drop((sequences, fixed));
        packed.into_iter().chain(scratch).chain(copies).chain([registers]).for_each(|x| pool.give(x));
        drop(own);
        // What no result holds goes back.
        state.into_iter().for_each(|x| pool.give(x));
        results
    }
}

impl<T: Element> std::fmt::Debug for Splice<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Splice({} nodes, {} instructions)", self.step.nodes.len(), self.lowered.program.instructions.len())
    }
}

impl<T: Element> Op<T> for Splice<T> {
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
        let count = back.input_count();
        let asked = Asked {
            outputs: (self.states()..self.results()).map(|k| back.part_cotangent(k).is_some()).collect(),
            inputs: (0..count).map(|k| back.needs(k)).collect(),
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

impl<T: Element> Several<T> for Splice<T> {
    /// Last states and outputs.
    fn results(&self) -> usize {
        self.states() + self.lowered.outputs.len()
    }
}

/// Where a leaf of a body comes from, by its kind and number.
pub(crate) fn input_of<T: Element>(splice: &Splice<T>, source: &Source<T>) -> Option<usize> {
    let (sequences, states) = (splice.lowered.sequences, splice.states());
    match *source {
        Source::Sequence(k) => Some(k),
        Source::State(k) => Some(sequences + k),
        Source::Fixed(k) => Some(sequences + states + k),
        _ => None,
    }
}
