//! The body of a loop: what must be done step by step, as a program, and the memory it runs in.

use smallvec::SmallVec;

use super::lower::{At, Lowered, lower};
use super::step::Step;
use super::trace::Untraceable;
use super::without::{self, without};
use crate::element::Element;
use crate::kernels::elementwise;
use crate::kernels::gemm::Mat;
use crate::kernels::panel::Panels;
use crate::kernels::program::{Buffer, Extent, Side, Slots};
use crate::kernels::threads::Threads;
use crate::shape::Shape;
use crate::tape::pool::Pool;
use crate::tensor::Tensor;

/// A body, compiled. It is fed with sequences (time, batch, width), initial states (batch, width), and fixed values, and
/// puts out last states and values along time.
pub(crate) struct Body<T: Element> {
    pub(crate) reverse: bool,
    pub(crate) lowered: Lowered<T>,
}

/// Some steps that are run together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The first one in time.
    pub(crate) start: usize,
    pub(crate) steps: usize,
    /// How many were run before.
    pub(crate) done: usize,
}

/// What a run works in.
pub(crate) struct Memory<T: Element> {
    time: usize,
    batch: usize,
    packed: SmallVec<[Tensor<T>; 4]>,
    fixed: SmallVec<[Tensor<T>; 16]>,
    /// Of fixed values whose elements are no neighbours.
    copies: SmallVec<[Tensor<T>; 4]>,
    states: SmallVec<[Tensor<T>; 4]>,
    /// Memory of outputs: for all of time, or for some steps.
    own: SmallVec<[(Tensor<T>, bool); 16]>,
    /// (batch / `group`, width) each.
    sums: SmallVec<[Tensor<T>; 16]>,
    group: usize,
    scratch: SmallVec<[Tensor<T>; 16]>,
    registers: Tensor<T>,
    parts: usize,
}

/// Multiplications that are worth a second thread.
const PARALLEL: usize = 1 << 18;

/// Rows that are summed up together: so many that sums stay in a near cache, so few that threads can share the batch.
fn group(batch: usize) -> usize {
    1 << (batch / 8).max(1).ilog2().min(3)
}

/// Packs a matrix.
pub(crate) fn pack<T: Element>(panels: &Panels, x: &Tensor<T>, packed: &mut Tensor<T>, threads: &Threads) {
    let matrix = Mat { data: x.storage(), row_stride: x.strides()[0], col_stride: x.strides()[1] };
    panels.pack(matrix, packed.as_mut_slice(), threads);
}

/// The same values with neighbouring elements in a row; a copy is handed to `copied` as well.
fn readable<T: Element>(
    x: &Tensor<T>,
    pool: &mut Pool<T>,
    threads: &Threads,
    copied: &mut impl FnMut(Tensor<T>),
) -> Tensor<T> {
    if x.rank() == 0 || x.shape()[x.rank() - 1] == 1 || x.strides()[x.rank() - 1] == 1 {
        return x.clone();
    }
    let mut copy = pool.take(x.shape());
    elementwise::copy(x.strided(), x.shape(), copy.as_mut_slice(), threads);
    copied(copy.clone());
    copy
}

impl<T: Element> Body<T> {
    pub(crate) fn new(step: &Step<T>, states: usize, reverse: bool) -> Result<Self, Untraceable> {
        Ok(Self { reverse, lowered: lower(step, states)? })
    }

    /// Memory for `time` steps of `batch` rows, at most `chunk` at a time. The outputs that are `whole` are kept for all
    /// of time.
    pub(crate) fn prepare(
        &self,
        (time, batch, chunk): (usize, usize, usize),
        initial: &[Tensor<T>],
        fixed: &[Tensor<T>],
        whole: &[bool],
        pool: &mut Pool<T>,
        threads: &Threads,
    ) -> Memory<T> {
        let Lowered { program, factors, states, outputs, own, sums, scratch, work, .. } = &self.lowered;
        // Elementwise work counts as well as products.
        let alone = (work + 64) * chunk * batch < PARALLEL || without(without::Part::Splitting);
        let parts = if alone { 1 } else { threads.count().min(batch) };
        let mut copies = SmallVec::new();
        let fixed: SmallVec<[Tensor<T>; 16]> = fixed
            .iter()
            .enumerate()
            .map(|(k, x)| match factors.contains(&k) {
                true => x.clone(),
                false => readable(x, pool, threads, &mut |copy| copies.push(copy)),
            })
            .collect();
        let mut packed: SmallVec<[Tensor<T>; 4]> =
            program.factors.iter().map(|panels| pool.take(&Shape::from([panels.len()]))).collect();
        self.pack(&fixed, &mut packed, threads);
        let mut state: SmallVec<[Tensor<T>; 4]> = SmallVec::new();
        for (&(slots, width), initial) in states.iter().zip(initial) {
            let count = if slots == Slots::States { time + 1 } else { 2 };
            let mut buffer = pool.take(&Shape::from([count, batch, width]));
            let (start, _) = self.ends(slots, time);
            let first = &mut buffer.as_mut_slice()[start * batch * width..][..batch * width];
            elementwise::copy(initial.strided(), initial.shape(), first, threads);
            state.push(buffer);
        }
        let kept = |place: usize| outputs.iter().zip(whole).any(|(&at, &whole)| at == At::Own(place) && whole);
        let own = own.iter().enumerate().map(|(place, &width)| {
            let kept = kept(place);
            (pool.take(&Shape::from([if kept { time } else { chunk }, batch, width])), kept)
        });
        let own = own.collect();
        let group = group(batch);
        let sums = sums.iter().map(|&width| {
            let mut sum = pool.take(&Shape::from([batch.div_ceil(group), width]));
            sum.as_mut_slice().fill(T::ZERO);
            sum
        });
        let sums = sums.collect();
        let scratch = scratch.iter().map(|&width| pool.take(&Shape::from([1, batch, width]))).collect();
        let registers = pool.take(&Shape::from([parts * program.registers]));
        Memory { time, batch, packed, fixed, copies, states: state, own, sums, group, scratch, registers, parts }
    }

    /// Packs the recurrent weights.
    fn pack(&self, fixed: &[Tensor<T>], packed: &mut [Tensor<T>], threads: &Threads) {
        let Lowered { program, factors, .. } = &self.lowered;
        for ((&k, panels), packed) in factors.iter().zip(&program.factors).zip(packed) {
            pack(panels, &fixed[k], packed, threads);
        }
    }

    /// Runs some steps. `sequences` hold these alone.
    pub(crate) fn run(
        &self,
        memory: &mut Memory<T>,
        sequences: &[Tensor<T>],
        span: Span,
        pool: &mut Pool<T>,
        threads: &Threads,
    ) {
        let Lowered { program, factors, states, .. } = &self.lowered;
        let Memory { batch, packed, fixed, states: state, own, sums, group, scratch, registers, parts, .. } = memory;
        let (batch, group) = (*batch, *group);
        if without(without::Part::Packing) {
            self.pack(fixed, packed, threads);
        }
        let extent =
            Extent { time: span.steps, rows: batch, reverse: self.reverse, parts: *parts, done: span.done, group };
        let mut copies: SmallVec<[Tensor<T>; 4]> = SmallVec::new();
        let sequences: SmallVec<[Tensor<T>; 16]> =
            sequences.iter().map(|x| readable(x, pool, threads, &mut |copy| copies.push(copy))).collect();
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
            let first = if slots == Slots::States { span.start * batch * width } else { 0 };
            buffers.push(Buffer::write(&mut x.as_mut_slice()[first..], slots, batch * width, width));
        }
        for (x, whole) in own.iter_mut() {
            let width = x.shape()[2];
            let first = if *whole { span.start * batch * width } else { 0 };
            buffers.push(Buffer::write(&mut x.as_mut_slice()[first..], Slots::Steps, batch * width, width));
        }
        for x in sums.iter_mut() {
            let width = x.shape()[1];
            buffers.push(Buffer::sums(x.as_mut_slice(), width, group));
        }
        for x in scratch.iter_mut() {
            let width = x.shape()[2];
            buffers.push(Buffer::write(x.as_mut_slice(), Slots::One, 0, width));
        }
        let packed: SmallVec<[&[T]; 4]> = packed.iter().map(|x| x.as_slice().unwrap_or_default()).collect();
        program.run(&buffers, &packed, registers.as_mut_slice(), extent, threads);
        drop(buffers);
        drop(sequences);
        copies.into_iter().for_each(|x| pool.give(x));
    }

    /// The slot that a state starts in, and the one it ends in.
    fn ends(&self, slots: Slots, time: usize) -> (usize, usize) {
        match slots {
            Slots::States if self.reverse => (time, 0),
            Slots::States => (0, time),
            _ => (0, time % 2),
        }
    }

    /// The states after the last step.
    pub(crate) fn last(&self, memory: &Memory<T>) -> SmallVec<[Tensor<T>; 4]> {
        let last = memory.states.iter().zip(&self.lowered.states).map(|(x, &(slots, width))| {
            let (_, end) = self.ends(slots, memory.time);
            x.sliced(0, end, 1, 1).reshaped(&Shape::from([memory.batch, width])).expect("one slot is dense")
        });
        last.collect()
    }

    /// The k-th output over all of time, if that was kept.
    pub(crate) fn whole(&self, memory: &Memory<T>, k: usize) -> Tensor<T> {
        self.part(memory, k, Span { start: 0, steps: memory.time, done: 0 })
    }

    /// The k-th output of the steps that were run last.
    pub(crate) fn part(&self, memory: &Memory<T>, k: usize, span: Span) -> Tensor<T> {
        match self.lowered.outputs[k] {
            At::Own(place) => {
                let (x, whole) = &memory.own[place];
                x.sliced(0, if *whole { span.start } else { 0 }, span.steps, 1)
            }
            // A state is stored with the step that it precedes in time.
            At::State(k, side) => {
                let first = span.start + usize::from((side == Side::After) != self.reverse);
                memory.states[k].sliced(0, first, span.steps, 1)
            }
        }
    }

    /// The k-th sum over all rows of all steps.
    pub(crate) fn total(&self, memory: &Memory<T>, k: usize, pool: &mut Pool<T>) -> Tensor<T> {
        let groups = &memory.sums[k];
        let mut sum = pool.take(&Shape::from([groups.shape()[1]]));
        let total = sum.as_mut_slice();
        total.fill(T::ZERO);
        for group in groups.as_slice().unwrap_or_default().chunks(total.len().max(1)) {
            total.iter_mut().zip(group).for_each(|(sum, &x)| *sum += x);
        }
        sum
    }

    /// Gives back what no result holds.
    pub(crate) fn release(&self, memory: Memory<T>, pool: &mut Pool<T>) {
        let Memory { packed, fixed, copies, states, own, sums, scratch, registers, .. } = memory;
        drop(fixed);
        let own = own.into_iter().map(|(x, _)| x);
        packed
            .into_iter()
            .chain(copies)
            .chain(states)
            .chain(own)
            .chain(sums)
            .chain(scratch)
            .chain([registers])
            .for_each(|x| {
                pool.give(x);
            });
    }
}
