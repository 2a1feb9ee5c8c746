//! A step of one row, compiled to addresses: what a [`Program`](super::program::Program) works out at every step, where a
//! value lies, which vectors the machine has, how a product is cut, is settled once. A step then is a walk over a list of
//! direct calls. Nothing in it allocates, locks, or asks the system for anything.
//!
//! Everything lies in one piece of memory, in areas that start at cache lines and are padded to whole ones: rows are
//! worked on in whole vectors, and what is computed beyond a row's end lies in the padding.

mod machine;

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use smallvec::SmallVec;

use super::block::{Block, INPUTS, Rows};
use super::dispatch::isa;
use super::lanes::{Code, Kind, Kinds, PANEL, Panel, Piece, SLOTS};
use super::pack::{LINE, Mat};
use crate::element::Element;

pub(crate) use self::machine::Machine;
use self::machine::{Core, Line, Memory, Task};

/// Multiplications of a product that is worth other threads.
const SHARED: usize = 1 << 17;

/// An area of memory, by its number.
pub(crate) type Area = usize;

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loc {
    pub(crate) area: Area,
    pub(crate) offset: usize,
    /// Whether the row is one element, repeated.
    pub(crate) single: bool,
}

impl Loc {
    /// All of an area.
    pub(crate) fn all(area: Area) -> Self {
        Self { area, offset: 0, single: false }
    }
}

/// An instruction on the lanes of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Do {
    /// Pushes lanes of a row.
    Load(Loc),
    /// Replaces its inputs, the last one on top, by its result: the function of a block.
    Call(usize),
    /// Lets the two uppermost values change places.
    Swap,
    /// Writes the top of the stack, and takes it off.
    Store(Loc),
    /// Writes the top of the stack.
    Keep(Loc),
}

/// An area's places before it is filled: where it starts in even and in odd steps.
struct Room {
    start: [usize; 2],
    width: usize,
}

/// A task before its addresses are known.
enum Plan {
    Lanes { width: usize, program: Vec<Do> },
    Block { block: usize, width: usize, inputs: SmallVec<[Loc; INPUTS]>, out: Loc, out_width: usize },
    Product { pieces: Vec<(Loc, usize)>, n: usize, packed: usize, init: Option<Loc>, shift: Option<Loc>, out: Loc },
}

/// Collects what a step does; checks every place, so that the machine need not.
pub(crate) struct Builder<T: Element> {
    kinds: Kinds<T>,
    rooms: Vec<Room>,
    len: usize,
    contents: Vec<(usize, Vec<T>)>,
    blocks: Vec<Box<dyn Block<T>>>,
    plans: Vec<Plan>,
    /// How many threads share the work.
    parts: usize,
}

impl<T: Element> Builder<T> {
    /// For a machine of so many threads, if its largest product, of so many multiplications, is worth them.
    pub(crate) fn new(threads: usize, largest: usize) -> Self {
        Self {
            parts: if largest < SHARED { 1 } else { threads.max(1) },
            kinds: T::kinds(isa()),
            rooms: Vec::new(),
            len: 0,
            contents: Vec::new(),
            blocks: Vec::new(),
            plans: Vec::new(),
        }
    }

    fn take(&mut self, width: usize) -> usize {
        let start = self.len;
        self.len += width.max(1).next_multiple_of(LINE);
        start
    }

    fn room(&mut self, start: [usize; 2], width: usize) -> Area {
        self.rooms.push(Room { start, width });
        self.rooms.len() - 1
    }

    /// An area of zeros.
    pub(crate) fn area(&mut self, width: usize) -> Area {
        let start = self.take(width);
        self.room([start; 2], width)
    }

    /// An area with these elements, which nothing may write.
    pub(crate) fn constant(&mut self, elements: Vec<T>) -> Area {
        let area = self.area(elements.len());
        self.contents.push((self.rooms[area].start[0], elements));
        area
    }

    /// A state before and after the step: two areas in turn.
    pub(crate) fn state(&mut self, width: usize) -> [Area; 2] {
        let (a, b) = (self.take(width), self.take(width));
        [self.room([a, b], width), self.room([b, a], width)]
    }

    /// The width of an area.
    pub(crate) fn width(&self, area: Area) -> usize {
        self.rooms[area].width
    }

    /// Takes a block, and gives it a number.
    pub(crate) fn block(&mut self, block: Box<dyn Block<T>>) -> usize {
        self.blocks.push(block);
        self.blocks.len() - 1
    }

    /// How many inputs a block has on the stack, if it can be called on lanes.
    pub(crate) fn inputs_on_lanes(&self, block: usize) -> Option<usize> {
        let function = self.blocks[block].function()?;
        (function.entries.len() == self.kinds.len() && !self.kinds.is_empty()).then_some(function.inputs)
    }

    fn check(&self, loc: Loc, width: usize) {
        let width = if loc.single { width.min(1) } else { width };
        assert!(loc.offset + width <= self.rooms[loc.area].width, "a place is outside its area");
    }

    /// Instructions on all lanes of rows of this width.
    pub(crate) fn lanes(&mut self, width: usize, program: Vec<Do>) {
        let mut depth = 0;
        for instruction in &program {
            let (needed, left) = match *instruction {
                Do::Load(loc) => {
                    self.check(loc, width);
                    (0, 1)
                }
                Do::Call(block) => (self.inputs_on_lanes(block).expect("a function of lanes"), 1),
                Do::Swap => (2, 2),
                Do::Store(loc) | Do::Keep(loc) => {
                    self.check(loc, width);
                    assert!(!loc.single, "a row cannot be written to one element");
                    (1, usize::from(matches!(instruction, Do::Keep(_))))
                }
            };
            assert!(depth >= needed, "an instruction has too few inputs");
            depth = depth - needed + left;
            assert!(depth <= SLOTS, "the stack is too small");
        }
        self.plans.push(Plan::Lanes { width, program });
    }

    /// A block's call on one row.
    pub(crate) fn call(&mut self, block: usize, width: usize, inputs: &[Loc], out: Loc, out_width: usize) {
        inputs.iter().for_each(|&loc| self.check(loc, width));
        self.check(out, out_width);
        assert!(inputs.iter().all(|loc| !self.overlap((*loc, width), (out, out_width))), "a call overwrites an input");
        self.plans.push(Plan::Block { block, width, inputs: SmallVec::from_slice(inputs), out, out_width });
    }

    fn overlap(&self, (a, n): (Loc, usize), (b, m): (Loc, usize)) -> bool {
        let turns = |loc: Loc| self.rooms[loc.area].start.map(|start| start + loc.offset);
        let (n, m) = (if a.single { 1 } else { n }, if b.single { 1 } else { m });
        turns(a).iter().zip(turns(b)).any(|(&a, b)| a < b + m && b < a + n)
    }

    /// All of `out` = (init + Σ a B over pieces, one after the other) + shift: each is where a row lies, and a k × n matrix.
    pub(crate) fn product(
        &mut self,
        pieces: &[(Loc, usize, Mat<'_, T>)],
        init: Option<Loc>,
        shift: Option<Loc>,
        out: Area,
    ) {
        let n = self.rooms[out].width;
        let out = Loc::all(out);
        for &(a, k, b) in pieces {
            self.check(a, k);
            assert!(b.holds(k, n) && !a.single, "a matrix is too short");
            assert!(!self.overlap((a, k), (out, n)), "a product overwrites its input");
        }
        for init in [init, shift].into_iter().flatten() {
            self.check(init, n);
            assert!(!init.single && !self.overlap((init, n), (out, n)), "a product overwrites what it starts from");
        }
        let depth: usize = pieces.iter().map(|&(_, k, _)| k).sum();
        let element = |mut l: usize, j: usize| {
            for &(_, k, b) in pieces {
                if l < k {
                    return b.data[l * b.row_stride + j * b.col_stride];
                }
                l -= k;
            }
            unreachable!("deeper than all pieces")
        };
        let mut packed = Vec::new();
        for (first, width, ..) in self.panels(n) {
            for l in 0..depth {
                packed.extend((first..first + width).map(|j| if j < n { element(l, j) } else { T::ZERO }));
            }
        }
        let pieces = pieces.iter().map(|&(a, k, _)| (a, k)).collect();
        let start = self.take(packed.len());
        self.contents.push((start, packed));
        self.plans.push(Plan::Product { pieces, n, packed: start, init, shift, out });
    }

    /// How a product of `n` columns is cut: first column, columns with padding, vectors, and whose part it is; the kind
    /// is that of [`kind_of`](Self::kind_of).
    fn panels(&self, n: usize) -> Vec<(usize, usize, usize, usize)> {
        let Some(lanes) = self.kind_of(n).map(|kind| self.kinds[kind].lanes) else {
            // One panel, row-major.
            return if n == 0 { Vec::new() } else { vec![(0, n, 1, 0)] };
        };
        let all = n.div_ceil(lanes);
        let parts = if all < self.parts * PANEL { 1 } else { self.parts };
        let mut panels = Vec::new();
        let mut first = 0;
        for part in 0..parts {
            let vectors = share(all, parts, part).len();
            let count = vectors.div_ceil(PANEL);
            for panel in 0..count {
                // Panels of nearly the same width: a narrow one leaves the multipliers idle.
                let vectors = share(vectors, count, panel).len();
                panels.push((first, vectors * lanes, vectors, part));
                first += vectors * lanes;
            }
        }
        panels
    }

    /// The narrowest kind of vector that holds `n` elements, or the widest there is.
    fn kind_of(&self, n: usize) -> Option<usize> {
        let vector = |kind: &Kind<T>| kind.vectors == 1;
        let enough = self.kinds.iter().rposition(|kind| vector(kind) && kind.lanes >= n);
        enough.or_else(|| self.kinds.iter().position(vector))
    }

    /// The part of a row's width that a thread works on, in whole cache lines.
    fn part_of(&self, width: usize, part: usize) -> Range<usize> {
        let lines = width.div_ceil(2 * LINE);
        let parts = if lines < 2 * self.parts { 1 } else { self.parts };
        if part >= parts {
            return 0..0;
        }
        let Range { start, end } = share(lines, parts, part);
        start * 2 * LINE..(end * 2 * LINE).min(width)
    }

    /// A run of a row, cut into runs of one kind of lanes: the kind, from, to. The last one may reach into the padding.
    fn cuts(&self, Range { start, end }: Range<usize>) -> SmallVec<[(usize, usize, usize); 4]> {
        let mut cuts = SmallVec::new();
        let mut from = start;
        while from < end {
            let left = end - from;
            let last = self.kinds.iter().rposition(|kind| kind.vectors == 1 && kind.lanes >= left);
            let whole = || self.kinds.iter().position(|kind| kind.lanes <= left);
            let Some(kind) = last.or_else(whole) else {
                break;
            };
            let to = if last.is_some() { end } else { end - left % self.kinds[kind].lanes };
            cuts.push((kind, from, to));
            from = to;
        }
        cuts
    }

    /// Whether a plan reads what one of the others writes: then it must wait for all of it.
    fn follows(&self, plan: &Plan, others: &[Plan]) -> bool {
        let written = |other: &Plan| match other {
            Plan::Lanes { width, program } => program
                .iter()
                .filter_map(|instruction| match *instruction {
                    Do::Store(loc) | Do::Keep(loc) => Some((loc, *width)),
                    _ => None,
                })
                .collect(),
            Plan::Block { out_width, out, .. } => vec![(*out, *out_width)],
            Plan::Product { n, out, .. } => vec![(*out, *n)],
        };
        let read = match plan {
            Plan::Lanes { width, program } => program
                .iter()
                .filter_map(|instruction| match *instruction {
                    Do::Load(loc) => Some((loc, *width)),
                    _ => None,
                })
                .collect(),
            Plan::Block { width, inputs, .. } => inputs.iter().map(|&loc| (loc, *width)).collect(),
            Plan::Product { pieces, n, init, shift, .. } => {
                pieces.iter().copied().chain([*init, *shift].into_iter().flatten().map(|loc| (loc, *n))).collect()
            }
        };
        let read: Vec<(Loc, usize)> = read;
        others.iter().any(|other| {
            let written: Vec<(Loc, usize)> = written(other);
            written.iter().any(|&to| read.iter().any(|&from| self.overlap(to, from)))
        })
    }

    /// The machine, with everything in its place.
    ///
    /// # Errors
    /// If the system gives it no thread.
    pub(crate) fn build(self) -> io::Result<Machine<T>> {
        // A vector that starts at the last element of an area may reach beyond it.
        let memory = Memory::new(self.len + 2 * LINE);
        for (start, elements) in &self.contents {
            memory.write(*start, elements);
        }
        let mut codes = Vec::new();
        let mut pieces = Vec::new();
        let at = |loc: Loc, turn: usize| memory.at(self.rooms[loc.area].start[turn] + loc.offset);
        for turn in 0..2 {
            for plan in &self.plans {
                if let Plan::Product { pieces: own, .. } = plan {
                    pieces.extend(own.iter().map(|&(a, k)| Piece { a: at(a, turn).cast_const(), k }));
                }
            }
        }
        let mut tasks = [self.lists(), self.lists()];
        let (mut piece, mut phases) = (0, 1);
        for (turn, tasks) in tasks.iter_mut().enumerate() {
            // The plans since all threads have met.
            let mut since = 0;
            phases = 1;
            for (k, plan) in self.plans.iter().enumerate() {
                if self.parts > 1 && self.follows(plan, &self.plans[since..k]) {
                    tasks.iter_mut().for_each(|list| list.push(Task::Meet));
                    (since, phases) = (k, phases + 1);
                }
                match plan {
                    Plan::Lanes { width, program } => {
                        for (part, tasks) in tasks.iter_mut().enumerate() {
                            for (kind, from, to) in self.cuts(self.part_of(*width, part)) {
                                let enter = self.kinds[kind].enter;
                                tasks.push(Task::Lanes { enter, code: codes.len(), from, to });
                                self.translate(program, *width, to - from, kind, &mut codes, |loc| at(loc, turn));
                            }
                        }
                    }
                    Plan::Block { block, width, inputs, out, .. } => {
                        let row = |loc: Loc| Rows { start: at(loc, turn), stride: 0, single: loc.single };
                        let inputs = inputs.iter().map(|&loc| row(loc)).collect();
                        tasks[0].push(Task::Block { block: *block, width: *width, inputs, out: row(*out) });
                    }
                    Plan::Product { pieces: own, n, packed, init, shift, out } => {
                        let depth: usize = own.iter().map(|&(_, k)| k).sum();
                        let [init, shift] =
                            [*init, *shift].map(|row| row.map_or(std::ptr::null_mut(), |row| at(row, turn)));
                        let behind = |row: *mut T, first| if row.is_null() { row } else { row.wrapping_add(first) };
                        let out = at(*out, turn);
                        let mut panels = self.panels(*n);
                        // There and back: what was read last is still in the near cache.
                        if turn == 1 {
                            panels.reverse();
                        }
                        for (first, _, vectors, part) in panels {
                            let columns = Panel {
                                pieces: pieces[piece..].as_ptr(),
                                count: own.len(),
                                b: memory.at(packed + depth * first).cast_const(),
                                init: behind(init, first).cast_const(),
                                shift: behind(shift, first).cast_const(),
                                c: out.wrapping_add(first),
                            };
                            tasks[part].push(match self.kind_of(*n) {
                                Some(kind) => Task::Panel { run: self.kinds[kind].panels[vectors - 1], columns },
                                None => Task::Portable { n: *n, columns },
                            });
                        }
                        piece += own.len();
                    }
                }
            }
            // Whoever has no more to do does not wait for the others.
            for list in &mut tasks[1..] {
                while matches!(list.last(), Some(Task::Meet)) {
                    list.pop();
                }
            }
        }
        let idle = tasks[0][1..].iter().all(Vec::is_empty);
        if idle {
            tasks.iter_mut().for_each(|lists| {
                lists.truncate(1);
                lists[0].retain(|task| !matches!(task, Task::Meet));
            });
        }
        let parts = tasks[0].len();
        let rooms = self.rooms.iter().map(|room| (room.start, room.width)).collect();
        let done = (0..parts).map(|_| Line::default()).collect();
        let core = Arc::new(Core {
            memory,
            rooms,
            codes,
            _pieces: pieces,
            tasks,
            blocks: self.blocks,
            phases,
            go: Line::default(),
            done,
            stop: AtomicBool::new(false),
        });
        let mut machine = Machine { core: Arc::clone(&core), steps: 0, workers: Vec::new() };
        for part in 1..parts {
            let core = Arc::clone(&core);
            let work = thread::Builder::new().name(format!("stream {part}"));
            machine.workers.push(work.spawn(move || core.work(part))?);
        }
        Ok(machine)
    }

    fn lists(&self) -> Vec<Vec<Task<T>>> {
        (0..self.parts).map(|_| Vec::new()).collect()
    }

    /// Appends a program for one kind of lanes, for a run of so many of a row's elements.
    fn translate(
        &self,
        program: &[Do],
        width: usize,
        run: usize,
        kind: usize,
        codes: &mut Vec<Code<T>>,
        at: impl Fn(Loc) -> *mut T,
    ) {
        let (which, kind) = (kind, &self.kinds[kind]);
        let code = |entry| Code { entry, address: std::ptr::null_mut(), data: std::ptr::null(), width };
        // Beyond a row's end there is padding, or another part of a larger row.
        let whole = |loc: Loc| {
            loc.offset + width == self.rooms[loc.area].width && loc.offset.is_multiple_of(LINE)
                || run.is_multiple_of(kind.lanes)
        };
        for instruction in program {
            codes.push(match *instruction {
                Do::Load(loc) => Code { address: at(loc), ..code(if loc.single { kind.splat } else { kind.load }) },
                Do::Call(block) => {
                    let function = self.blocks[block].function().expect("a function of lanes");
                    Code { data: function.data, ..code(function.entries[which]) }
                }
                Do::Swap => code(kind.swap),
                Do::Store(loc) => {
                    Code { address: at(loc), ..code(if whole(loc) { kind.store } else { kind.store_part }) }
                }
                Do::Keep(loc) => Code { address: at(loc), ..code(if whole(loc) { kind.keep } else { kind.keep_part }) },
            });
        }
        codes.push(code(kind.end));
    }
}

/// The part-th of so many nearly equal ranges of `0..n`.
fn share(n: usize, parts: usize, part: usize) -> Range<usize> {
    part * n / parts..(part + 1) * n / parts
}
