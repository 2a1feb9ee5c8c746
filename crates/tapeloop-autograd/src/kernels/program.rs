//! A loop's body as instructions on buffers, and its run: rows are shared out to threads, and a thread takes its
//! rows through all of time.

use std::marker::PhantomData;

use smallvec::SmallVec;

use super::block::{Block, INPUTS, Rows};
use super::panel::Panels;
use super::threads::Threads;
use crate::element::Element;

/// Which slot of a state's buffer is meant: the one a step starts from, or the one it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// Where the rows of a value lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// In a buffer of the run's; of a state's buffer, on this side of the step.
    Buffer(usize, Side),
    /// In the registers of a group, from here, rows at this distance.
    Register { start: usize, stride: usize },
}

/// Rows of a value: `offset` is where they start in the rows of `base`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: Base,
    pub(crate) offset: usize,
    /// Whether a row is one element, repeated.
    pub(crate) single: bool,
}

/// A call of a block: one function on the rows at hand.
pub(crate) struct Call<T> {
    pub(crate) block: Box<dyn Block<T>>,
    pub(crate) name: &'static str,
    /// Elements of a row that the block is told; of its output where that is narrower.
    pub(crate) width: usize,
    pub(crate) out_width: usize,
    pub(crate) inputs: SmallVec<[Place; INPUTS]>,
    pub(crate) out: Place,
}

pub(crate) enum Instruction<T> {
    /// C = init + A B, with B packed.
    Product { a: Place, factor: usize, init: Option<Place>, out: Place },
    /// Calls that go together over a few rows at a time, so that what passes between them stays in the first cache.
    /// `sums`: whether some of them add rows up.
    Group { calls: Vec<Call<T>>, rows: usize, sums: bool },
}

/// How a buffer's slots follow time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// One for all steps.
    One,
    /// One for each step.
    Steps,
    /// One more than steps: a state before and after each.
    States,
    /// Two in turn: a state whose past nobody asks for.
    Turns,
}

/// Memory of a run.
pub(crate) struct Buffer<'a, T> {
    start: *mut T,
    len: usize,
    slots: Slots,
    slot: usize,
    row: usize,
    /// So many rows of a value share one of the buffer.
    group: usize,
    writable: bool,
    lender: PhantomData<&'a mut [T]>,
}

// SAFETY: threads read what nobody writes, and write disjoint rows: `Program::run` sees to it.
unsafe impl<T: Send + Sync> Sync for Buffer<'_, T> {}

impl<'a, T> Buffer<'a, T> {
    /// Elements to read: slots and rows at these distances.
    pub(crate) fn read(data: &'a [T], slots: Slots, slot: usize, row: usize) -> Self {
        let start = data.as_ptr().cast_mut();
        Self { start, len: data.len(), slots, slot, row, group: 1, writable: false, lender: PhantomData }
    }

    /// Elements to write as well.
    pub(crate) fn write(data: &'a mut [T], slots: Slots, slot: usize, row: usize) -> Self {
        let start = data.as_mut_ptr();
        Self { start, len: data.len(), slots, slot, row, group: 1, writable: true, lender: PhantomData }
    }

    /// Rows that sum up `group` rows of a value each.
    pub(crate) fn sums(data: &'a mut [T], row: usize, group: usize) -> Self {
        Self { group, ..Self::write(data, Slots::One, 0, row) }
    }
}

/// The steps and rows of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) time: usize,
    pub(crate) rows: usize,
    /// From the last step to the first.
    pub(crate) reverse: bool,
    /// How many parts the rows are shared out to.
    pub(crate) parts: usize,
    /// Steps that were run before, in other runs.
    pub(crate) done: usize,
    /// Rows that are summed up together: a power of two. Parts are whole groups.
    pub(crate) group: usize,
}

impl Extent {
    /// Rows of a part.
    fn share(self) -> usize {
        self.rows.div_ceil(self.parts.max(1)).max(1).next_multiple_of(self.group)
    }

    /// The slot of a buffer in the `turn`-th step.
    fn slot(self, slots: Slots, side: Side, turn: usize) -> usize {
        let step = if self.reverse { self.time - 1 - turn } else { turn };
        match slots {
            Slots::One => 0,
            Slots::Steps => step,
            // A state is stored with the step that it precedes in time, whichever way the loop goes.
            Slots::States => step + usize::from((side == Side::After) != self.reverse),
            Slots::Turns => (self.done + turn + usize::from(side == Side::After)) % 2,
        }
    }
}

/// The body of a loop.
pub(crate) struct Program<T> {
    pub(crate) instructions: Vec<Instruction<T>>,
    pub(crate) factors: Vec<Panels>,
    /// Elements of a part's registers.
    pub(crate) registers: usize,
}

impl<T: Element> Program<T> {
    /// Runs all steps.
    ///
    /// # Panics
    /// If an instruction reaches beyond a buffer, or writes where rows overlap or nothing may be written.
    pub(crate) fn run(
        &self,
        buffers: &[Buffer<'_, T>],
        packed: &[&[T]],
        registers: &mut [T],
        extent: Extent,
        threads: &Threads,
    ) {
        if extent.time == 0 || extent.rows == 0 {
            return;
        }
        self.check(buffers, packed, extent);
        let share = extent.share();
        let parts = extent.rows.div_ceil(share);
        let part = |part: usize, registers: &mut [T]| {
            let rows = part * share..((part + 1) * share).min(extent.rows);
            for turn in 0..extent.time {
                // SAFETY: `check` has seen that every place lies inside its buffer for all rows and steps, that only
                // writable buffers are written, and that their rows do not overlap; parts have rows of their own.
                unsafe { self.step(buffers, packed, registers, extent, turn, rows.clone()) };
            }
        };
        if self.registers == 0 {
            // A part without registers still is a part.
            threads.run(parts, &|k| part(k, &mut []));
        } else {
            threads.for_chunks(&mut registers[..parts * self.registers], self.registers, part);
        }
    }

    /// # Safety
    /// As `run` says.
    unsafe fn step(
        &self,
        buffers: &[Buffer<'_, T>],
        packed: &[&[T]],
        registers: &mut [T],
        extent: Extent,
        turn: usize,
        rows: std::ops::Range<usize>,
    ) {
        let registers = registers.as_mut_ptr();
        let at = |place: Place, row: usize| match place.base {
            Base::Buffer(index, side) => {
                let buffer = &buffers[index];
                let offset = extent.slot(buffer.slots, side, turn) * buffer.slot
                    + row / buffer.group * buffer.row
                    + place.offset;
                Rows { start: buffer.start.wrapping_add(offset), stride: buffer.row, single: place.single }
            }
            Base::Register { start, stride } => {
                Rows { start: registers.wrapping_add(start + place.offset), stride, single: place.single }
            }
        };
        for instruction in &self.instructions {
            match instruction {
                Instruction::Product { a, factor, init, out } => {
                    let (a, out) = (at(*a, rows.start), at(*out, rows.start));
                    let init = init.map(|init| at(init, rows.start)).map(|init| (init.start.cast_const(), init.stride));
                    let (panels, packed) = (&self.factors[*factor], packed[*factor].as_ptr());
                    // SAFETY: the places hold all rows of the part; `packed` was made by these panels.
                    unsafe {
                        panels.multiply(rows.len(), a.start, a.stride, packed, init, out.start, out.stride);
                    }
                }
                Instruction::Group { calls, rows: height, sums } => {
                    // Rows of one group at a time: both are powers of two.
                    let height = if *sums { (*height).min(extent.group) } else { *height };
                    for first in rows.clone().step_by(height) {
                        let count = height.min(rows.end - first);
                        for call in calls {
                            let mut inputs = [Rows { start: registers, stride: 0, single: false }; INPUTS];
                            for (input, place) in inputs.iter_mut().zip(&call.inputs) {
                                *input = at(*place, first);
                            }
                            // SAFETY: the places hold these rows, and `out` is no input's.
                            unsafe {
                                call.block.run(count, call.width, &inputs[..call.inputs.len()], at(call.out, first));
                            }
                        }
                    }
                }
            }
        }
    }

    fn check(&self, buffers: &[Buffer<'_, T>], packed: &[&[T]], extent: Extent) {
        let inside = |place: Place, width: usize, rows: usize, write: bool| {
            let width = if place.single { width.min(1) } else { width };
            match place.base {
                Base::Buffer(index, _) => {
                    let buffer = &buffers[index];
                    let last_slot = match buffer.slots {
                        Slots::One => 0,
                        Slots::Steps => extent.time - 1,
                        Slots::States => extent.time,
                        Slots::Turns => 1,
                    };
                    let end =
                        last_slot * buffer.slot + (extent.rows - 1) / buffer.group * buffer.row + place.offset + width;
                    let apart = buffer.row >= place.offset + width || extent.rows == 1;
                    assert!(
                        end <= buffer.len && (!write || (buffer.writable && apart)),
                        "a place is outside its buffer"
                    );
                }
                Base::Register { start, stride } => {
                    let end = start + place.offset + rows.saturating_sub(1) * stride + width;
                    assert!(end <= self.registers, "a place is outside the registers");
                }
            }
        };
        for instruction in &self.instructions {
            match instruction {
                Instruction::Product { a, factor, init, out } => {
                    let panels = &self.factors[*factor];
                    assert!(packed[*factor].len() >= panels.len(), "a packed factor is too short");
                    inside(*a, panels.depth(), extent.rows, false);
                    inside(*out, panels.columns(), extent.rows, true);
                    if let Some(init) = init {
                        inside(*init, panels.columns(), extent.rows, false);
                    }
                }
                Instruction::Group { calls, rows, sums } => {
                    let aligned = rows.is_power_of_two() && extent.group.is_power_of_two();
                    assert!(!sums || aligned, "rows that are summed up are not taken by groups");
                    for call in calls {
                        call.inputs.iter().for_each(|&input| inside(input, call.width, *rows, false));
                        inside(call.out, call.out_width, *rows, true);
                    }
                }
            }
        }
    }
}
