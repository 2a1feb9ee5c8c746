//! A step of one row, compiled to addresses: what a [`Program`](super::program::Program) works out at every step, where a
//! value lies, which vectors the machine has, how a product is cut, is settled once. A step then is a walk over a list of
//! direct calls. Nothing in it allocates, locks, or asks the system for anything.
//!
//! Everything lies in one piece of memory, in areas that start at cache lines and are padded to whole ones: rows are
//! worked on in whole vectors, and what is computed beyond a row's end lies in the padding.

use std::hint::spin_loop;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

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
    /// Waits for the other threads.
    Meet,
}

/// A number that threads tell each other, on a cache line of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line {
    count: AtomicU64,
    /// Whether its thread sleeps.
    sleeps: AtomicBool,
}

/// A step, ready to run, and everything it works on.
struct Core<T: Element> {
    memory: Memory<T>,
    rooms: Box<[([usize; 2], usize)]>,
    codes: Vec<Code<T>>,
    /// Panels point here.
    _pieces: Vec<Piece<T>>,
    /// Of even and of odd steps, for each thread.
    tasks: [Vec<Vec<Task<T>>>; 2],
    /// Instructions point into them.
    blocks: Vec<Box<dyn Block<T>>>,
    /// How often the threads meet in a step, its end included.
    phases: u64,
    /// The steps that were begun.
    go: Line,
    /// The phases that each thread has finished, over all steps.
    done: Box<[Line]>,
    stop: AtomicBool,
}

// SAFETY: pointers lead into what the core owns. Within a step its threads write disjoint places, and read what others
// have written only after they have met; between steps the owner of the machine alone touches the memory.
unsafe impl<T: Element> Send for Core<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Core<T> {}

/// Multiplications of a product that is worth other threads.
const SHARED: usize = 1 << 17;
/// Turns of waiting for others at full speed: some 100 ns.
const EAGER: u32 = 1 << 8;
/// Turns of waiting for the next step before a thread sleeps: some 50 µs.
const AWAKE: u32 = 1 << 12;

impl<T: Element> Core<T> {
    /// A thread's part of a step.
    ///
    /// # Safety
    /// Every part of the step must be run by one thread, and nobody may touch the memory meanwhile.
    #[inline]
    unsafe fn run(&self, step: u64, part: usize) {
        let mut phase = step * self.phases;
        for task in &self.tasks[step as usize % 2][part] {
            // SAFETY: the builder has seen that every place lies inside its area, and areas inside the memory, with
            // room for a vector behind the last one; that kernels are this machine's; that nothing overwrites its inputs.
            unsafe {
                match task {
                    Task::Panel { run, columns } => run(columns),
                    Task::Lanes { enter, code, from, to } => enter(self.codes.as_ptr().add(*code), *from, *to),
                    Task::Block { block, width, inputs, out } => self.blocks[*block].run(1, *width, inputs, *out),
                    Task::Portable { n, columns } => columns.portable(*n),
                    Task::Meet => {
                        phase += 1;
                        self.done[part].count.store(phase, Ordering::Release);
                        self.wait(phase);
                    }
                }
            }
        }
    }

    /// Waits until all threads have finished so many phases.
    fn wait(&self, phase: u64) {
        for line in &self.done {
            let mut turns = 0u32;
            while line.count.load(Ordering::Acquire) < phase {
                turns = turns.wrapping_add(1);
                // Its thread may be waiting for this core.
                match turns {
                    ..EAGER => {}
                    _ if turns.is_multiple_of(1 << 10) => thread::yield_now(),
                    _ => spin_loop(),
                }
            }
        }
    }

    /// What a thread beside the owner does.
    fn work(&self, part: usize) {
        let own = &self.done[part];
        let mut step = 0;
        loop {
            let mut turns = 0u32;
            while self.go.count.load(Ordering::Acquire) == step {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                turns += 1;
                if turns < AWAKE {
                    if turns > EAGER {
                        spin_loop();
                    }
                    continue;
                }
                // Either this thread sees the step, or who begins it sees that this thread sleeps.
                own.sleeps.store(true, Ordering::SeqCst);
                if self.go.count.load(Ordering::SeqCst) == step && !self.stop.load(Ordering::SeqCst) {
                    thread::park();
                }
                own.sleeps.store(false, Ordering::SeqCst);
            }
            // SAFETY: the owner has begun this step, and waits for its end.
            unsafe { self.run(step, part) };
            step += 1;
            own.count.store(step * self.phases, Ordering::Release);
        }
    }
}

/// Who owns a step, and runs it.
pub(crate) struct Machine<T: Element> {
    core: Arc<Core<T>>,
    steps: u64,
    workers: Vec<JoinHandle<()>>,
}

impl<T: Element> Machine<T> {
    /// One step.
    #[inline]
    pub(crate) fn step(&mut self) {
        let core = &*self.core;
        if self.workers.is_empty() {
            // SAFETY: there is one part, and the machine is borrowed.
            unsafe { core.run(self.steps, 0) };
            self.steps += 1;
            return;
        }
        core.go.count.store(self.steps + 1, Ordering::SeqCst);
        for (worker, line) in self.workers.iter().zip(&core.done[1..]) {
            if line.sleeps.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        // SAFETY: the workers run the other parts, and the machine is borrowed until they have finished.
        unsafe { core.run(self.steps, 0) };
        self.steps += 1;
        let end = self.steps * core.phases;
        core.done[0].count.store(end, Ordering::Release);
        core.wait(end);
    }

    fn range(&self, area: Area, turn: u64) -> (*mut T, usize) {
        let (start, width) = self.core.rooms[area];
        (self.core.memory.at(start[turn as usize % 2]), width)
    }

    /// An area as the next step will find it.
    pub(crate) fn before(&self, area: Area) -> &[T] {
        let (start, width) = self.range(area, self.steps);
        // SAFETY: an area lies inside the memory; who writes has `&mut`.
        unsafe { std::slice::from_raw_parts(start, width) }
    }

    /// An area for the next step, to write.
    pub(crate) fn before_mut(&mut self, area: Area) -> &mut [T] {
        let (start, width) = self.range(area, self.steps);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(start, width) }
    }

    /// An area as the last step has left it.
    pub(crate) fn after(&self, area: Area) -> &[T] {
        let (start, width) = self.range(area, self.steps + 1);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(start, width) }
    }

    /// How many threads work on a step.
    pub(crate) fn threads(&self) -> usize {
        1 + self.workers.len()
    }
}

impl<T: Element> Drop for Machine<T> {
    fn drop(&mut self) {
        self.core.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // Its own panic would be a bug here; dropping must not panic.
            let _ = worker.join();
        }
    }
}

/// The part-th of so many nearly equal ranges of `0..n`.
fn share(n: usize, parts: usize, part: usize) -> Range<usize> {
    part * n / parts..(part + 1) * n / parts
}

impl<T: Element> Panel<T> {
    /// The whole product, B row-major. Not `matrixmultiply`'s, which allocates for each.
    ///
    /// # Safety
    /// All pointers must be valid for a panel of `n` columns.
    unsafe fn portable(&self, n: usize) {
        // SAFETY: the caller's promise; nothing it reads overlaps the result.
        unsafe {
            let c = std::slice::from_raw_parts_mut(self.c, n);
            match self.init.is_null() {
                true => c.fill(T::ZERO),
                false => c.copy_from_slice(std::slice::from_raw_parts(self.init, n)),
            }
            let mut b = self.b;
            for piece in 0..self.count {
                let Piece { a, k } = *self.pieces.add(piece);
                for &x in std::slice::from_raw_parts(a, k) {
                    let row = std::slice::from_raw_parts(b, n);
                    c.iter_mut().zip(row).for_each(|(c, &b)| *c += x * b);
                    b = b.add(n);
                }
            }
            if !self.shift.is_null() {
                let shift = std::slice::from_raw_parts(self.shift, n);
                c.iter_mut().zip(shift).for_each(|(c, &x)| *c += x);
            }
        }
    }
}
