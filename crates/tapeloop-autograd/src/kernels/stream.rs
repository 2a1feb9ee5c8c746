//! A step of one row, compiled to addresses: what a [`Program`](super::program::Program) works out at every step, where a
//! value lies, which vectors the machine has, how a product is cut, is settled once. A step then is a walk over a list of
//! direct calls. Nothing in it allocates, locks, or asks the system for anything.
//!
//! Everything lies in one piece of memory, in areas that start at cache lines and are padded to whole ones: rows are
//! worked on in whole vectors, and what is computed beyond a row's end lies in the padding.

use std::ptr::NonNull;

use smallvec::SmallVec;

use super::block::{Block, INPUTS, Rows};
use super::dispatch::isa;
use super::lanes::{Code, Kind, Kinds, PANEL, Panel, Piece, SLOTS};
use super::pack::{LINE, Mat};
use crate::element::Element;

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
    Block { block: usize, width: usize, inputs: SmallVec<[Loc; INPUTS]>, out: Loc },
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
}

impl<T: Element> Builder<T> {
    pub(crate) fn new() -> Self {
        Self {
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
        self.plans.push(Plan::Block { block, width, inputs: SmallVec::from_slice(inputs), out });
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
        for (first, width, _) in self.panels(n) {
            for l in 0..depth {
                packed.extend((first..first + width).map(|j| if j < n { element(l, j) } else { T::ZERO }));
            }
        }
        let pieces = pieces.iter().map(|&(a, k, _)| (a, k)).collect();
        let start = self.take(packed.len());
        self.contents.push((start, packed));
        self.plans.push(Plan::Product { pieces, n, packed: start, init, shift, out });
    }

    /// How a product of `n` columns is cut: first column, columns with padding, vectors; the kind is that of
    /// [`kind_of`](Self::kind_of).
    fn panels(&self, n: usize) -> Vec<(usize, usize, usize)> {
        let Some(lanes) = self.kind_of(n).map(|kind| self.kinds[kind].lanes) else {
            // One panel, row-major.
            return if n == 0 { Vec::new() } else { vec![(0, n, 1)] };
        };
        let vectors = n.div_ceil(lanes);
        let count = vectors.div_ceil(PANEL);
        let mut first = 0;
        (0..count)
            .map(|panel| {
                // Panels of nearly the same width: a narrow one leaves the multipliers idle.
                let vectors = vectors / count + usize::from(panel < vectors % count);
                let panel = (first, vectors * lanes, vectors);
                first += vectors * lanes;
                panel
            })
            .collect()
    }

    /// The narrowest kind of vector that holds `n` elements, or the widest there is.
    fn kind_of(&self, n: usize) -> Option<usize> {
        let vector = |kind: &Kind<T>| kind.vectors == 1;
        let enough = self.kinds.iter().rposition(|kind| vector(kind) && kind.lanes >= n);
        enough.or_else(|| self.kinds.iter().position(vector))
    }

    /// A row's width, cut into runs: a kind of lanes, from, to. The last one may reach into the padding.
    fn cuts(&self, width: usize) -> SmallVec<[(usize, usize, usize); 4]> {
        let mut cuts = SmallVec::new();
        let mut from = 0;
        while from < width {
            let left = width - from;
            let last = self.kinds.iter().rposition(|kind| kind.vectors == 1 && kind.lanes >= left);
            let whole = || self.kinds.iter().position(|kind| kind.lanes <= left);
            let Some(kind) = last.or_else(whole) else {
                break;
            };
            let to = if last.is_some() { width } else { width - left % self.kinds[kind].lanes };
            cuts.push((kind, from, to));
            from = to;
        }
        cuts
    }

    /// The machine, with everything in its place.
    pub(crate) fn build(self) -> Machine<T> {
        // A vector that starts at the last element of an area may reach beyond it.
        let memory = Memory::new(self.len + 2 * LINE);
        for (start, elements) in &self.contents {
            memory.write(*start, elements);
        }
        let mut machine = Machine {
            memory,
            rooms: self.rooms.iter().map(|room| (room.start, room.width)).collect(),
            codes: Vec::new(),
            pieces: Vec::new(),
            tasks: [Vec::new(), Vec::new()],
            turn: 0,
            blocks: Vec::new(),
        };
        let at = |loc: Loc, turn: usize| machine.memory.at(self.rooms[loc.area].start[turn] + loc.offset);
        for turn in 0..2 {
            for plan in &self.plans {
                if let Plan::Product { pieces, .. } = plan {
                    machine.pieces.extend(pieces.iter().map(|&(a, k)| Piece { a: at(a, turn).cast_const(), k }));
                }
            }
        }
        let mut piece = 0;
        for turn in 0..2 {
            let mut tasks = Vec::new();
            for plan in &self.plans {
                match plan {
                    Plan::Lanes { width, program } => {
                        for (kind, from, to) in self.cuts(*width) {
                            let enter = self.kinds[kind].enter;
                            tasks.push(Task::Lanes { enter, code: machine.codes.len(), from, to });
                            self.translate(program, *width, to - from, kind, &mut machine.codes, |loc| at(loc, turn));
                        }
                    }
                    Plan::Block { block, width, inputs, out } => {
                        let row = |loc: Loc| Rows { start: at(loc, turn), stride: 0, single: loc.single };
                        let inputs = inputs.iter().map(|&loc| row(loc)).collect();
                        tasks.push(Task::Block { block: *block, width: *width, inputs, out: row(*out) });
                    }
                    Plan::Product { pieces, n, packed, init, shift, out } => {
                        let depth: usize = pieces.iter().map(|&(_, k)| k).sum();
                        let [init, shift] =
                            [*init, *shift].map(|row| row.map_or(std::ptr::null_mut(), |row| at(row, turn)));
                        let behind = |row: *mut T, first| if row.is_null() { row } else { row.wrapping_add(first) };
                        let out = at(*out, turn);
                        let mut panels: Vec<_> = self
                            .panels(*n)
                            .into_iter()
                            .map(|(first, _, vectors)| {
                                let columns = Panel {
                                    pieces: machine.pieces[piece..].as_ptr(),
                                    count: pieces.len(),
                                    b: machine.memory.at(packed + depth * first).cast_const(),
                                    init: behind(init, first).cast_const(),
                                    shift: behind(shift, first).cast_const(),
                                    c: out.wrapping_add(first),
                                };
                                match self.kind_of(*n) {
                                    Some(kind) => Task::Panel { run: self.kinds[kind].panels[vectors - 1], columns },
                                    None => Task::Portable { n: *n, columns },
                                }
                            })
                            .collect();
                        piece += pieces.len();
                        // There and back: what was read last is still in the near cache.
                        if turn == 1 {
                            panels.reverse();
                        }
                        tasks.append(&mut panels);
                    }
                }
            }
            machine.tasks[turn] = tasks;
        }
        machine.blocks = self.blocks;
        machine
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
                Do::Load(loc) => {
                    Code { address: at(loc), ..code(if loc.single { kind.splat } else { kind.load }) }
                }
                Do::Call(block) => {
                    let function = self.blocks[block].function().expect("a function of lanes");
                    Code { data: function.data, ..code(function.entries[which]) }
                }
                Do::Swap => code(kind.swap),
                Do::Store(loc) => {
                    Code { address: at(loc), ..code(if whole(loc) { kind.store } else { kind.store_part }) }
                }
                Do::Keep(loc) => {
                    Code { address: at(loc), ..code(if whole(loc) { kind.keep } else { kind.keep_part }) }
                }
            });
        }
        codes.push(code(kind.end));
    }
}

/// Elements from the start of a cache line on.
struct Memory<T> {
    start: NonNull<T>,
    len: usize,
    /// How far behind the allocation's start it is.
    shift: usize,
}

impl<T: Element> Memory<T> {
    /// Zeros.
    fn new(len: usize) -> Self {
        let elements = vec![T::ZERO; len + LINE].into_boxed_slice();
        let start = NonNull::new(Box::into_raw(elements).cast::<T>()).expect("a box is somewhere");
        let shift = start.as_ptr().align_offset(64).min(LINE);
        // SAFETY: the allocation is LINE elements longer.
        Self { start: unsafe { start.add(shift) }, len, shift }
    }

    fn at(&self, place: usize) -> *mut T {
        assert!(place < self.len, "a place is outside the memory");
        self.start.as_ptr().wrapping_add(place)
    }

    fn write(&self, place: usize, elements: &[T]) {
        assert!(place + elements.len() <= self.len, "elements are outside the memory");
        // SAFETY: they are inside, and only the builder has a reference to anything in it.
        unsafe { self.start.as_ptr().add(place).copy_from_nonoverlapping(elements.as_ptr(), elements.len()) };
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: this is the box of `new`, LINE elements longer.
        unsafe {
            let start = self.start.sub(self.shift).as_ptr();
            drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, self.len + LINE)));
        }
    }
}

/// A direct call.
enum Task<T> {
    /// A program on the lanes of a row.
    Lanes { enter: unsafe fn(*const Code<T>, usize, usize), code: usize, from: usize, to: usize },
    /// Columns of a product.
    Panel { run: unsafe fn(&Panel<T>), columns: Panel<T> },
    /// A function of a row.
    Block { block: usize, width: usize, inputs: SmallVec<[Rows<T>; INPUTS]>, out: Rows<T> },
    /// A product where there is no fused multiply-add.
    Portable { n: usize, columns: Panel<T> },
}

/// A step, ready to run, and everything it works on.
pub(crate) struct Machine<T: Element> {
    memory: Memory<T>,
    rooms: Box<[([usize; 2], usize)]>,
    codes: Vec<Code<T>>,
    /// Panels point here: filled before they are made.
    pieces: Vec<Piece<T>>,
    /// Of even and of odd steps.
    tasks: [Vec<Task<T>>; 2],
    turn: usize,
    /// Instructions point into them.
    blocks: Vec<Box<dyn Block<T>>>,
}

// SAFETY: all pointers lead into what the machine owns, which only `&mut` writes.
unsafe impl<T: Element> Send for Machine<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Machine<T> {}

impl<T: Element> Machine<T> {
    /// One step.
    pub(crate) fn step(&mut self) {
        for task in &self.tasks[self.turn] {
            // SAFETY: the builder has seen that every place lies inside its area, and areas inside the memory, with
            // room for a vector behind the last one; that kernels are this machine's; that nothing overwrites its inputs.
            unsafe {
                match task {
                    Task::Panel { run, columns } => run(columns),
                    Task::Lanes { enter, code, from, to } => enter(self.codes.as_ptr().add(*code), *from, *to),
                    Task::Block { block, width, inputs, out } => self.blocks[*block].run(1, *width, inputs, *out),
                    Task::Portable { n, columns } => columns.portable(*n),
                }
            }
        }
        self.turn ^= 1;
    }

    fn range(&self, area: Area, turn: usize) -> (*mut T, usize) {
        let (start, width) = self.rooms[area];
        (self.memory.at(start[turn]), width)
    }

    /// An area as the next step will find it.
    pub(crate) fn before(&self, area: Area) -> &[T] {
        let (start, width) = self.range(area, self.turn);
        // SAFETY: an area lies inside the memory; who writes has `&mut`.
        unsafe { std::slice::from_raw_parts(start, width) }
    }

    /// An area for the next step, to write.
    pub(crate) fn before_mut(&mut self, area: Area) -> &mut [T] {
        let (start, width) = self.range(area, self.turn);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(start, width) }
    }

    /// An area as the last step has left it.
    pub(crate) fn after(&self, area: Area) -> &[T] {
        let (start, width) = self.range(area, self.turn ^ 1);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(start, width) }
    }
}

impl<T: Element> Panel<T> {
    /// The whole product, B row-major.
    ///
    /// # Safety
    /// All pointers must be valid for a panel of `n` columns.
    unsafe fn portable(&self, n: usize) {
        // SAFETY: the caller's promise; what it starts from does not overlap.
        unsafe {
            if !self.init.is_null() {
                self.c.copy_from_nonoverlapping(self.init, n);
            }
            let mut b = self.b;
            for piece in 0..self.count {
                let Piece { a, k } = *self.pieces.add(piece);
                let accumulate = piece > 0 || !self.init.is_null();
                T::portable(1, k, n, (a, k, 1), (b, n, 1), accumulate, (self.c, n, 1));
                b = b.add(k * n);
            }
            if !self.shift.is_null() {
                (0..n).for_each(|j| *self.c.add(j) = *self.c.add(j) + *self.shift.add(j));
            }
        }
    }
}
