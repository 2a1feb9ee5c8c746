//! A step at work: its memory, its tasks, and the threads that share them.

use std::hint::spin_loop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use smallvec::SmallVec;

use super::super::block::{Block, INPUTS, Rows};
use super::super::lanes::{Code, Panel, Piece};
use super::super::pack::LINE;
use super::Area;
use crate::element::Element;

/// Elements from the start of a cache line on.
pub(super) struct Memory<T> {
    start: NonNull<T>,
    len: usize,
    /// How far behind the allocation's start it is.
    shift: usize,
}

impl<T: Element> Memory<T> {
    /// Zeros.
    pub(super) fn new(len: usize) -> Self {
        let elements = vec![T::ZERO; len + LINE].into_boxed_slice();
        let start = NonNull::new(Box::into_raw(elements).cast::<T>()).expect("a box is somewhere");
        let shift = start.as_ptr().align_offset(64).min(LINE);
        // SAFETY: the allocation is LINE elements longer.
        Self { start: unsafe { start.add(shift) }, len, shift }
    }

    pub(super) fn at(&self, place: usize) -> *mut T {
        assert!(place < self.len, "a place is outside the memory");
        self.start.as_ptr().wrapping_add(place)
    }

    pub(super) fn write(&self, place: usize, elements: &[T]) {
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
pub(super) enum Task<T> {
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
pub(super) struct Line {
    pub(super) count: AtomicU64,
    /// Whether its thread sleeps.
    pub(super) sleeps: AtomicBool,
}

/// A step, ready to run, and everything it works on.
pub(super) struct Core<T: Element> {
    pub(super) memory: Memory<T>,
    pub(super) rooms: Box<[([usize; 2], usize)]>,
    pub(super) codes: Vec<Code<T>>,
    /// Panels point here.
    pub(super) _pieces: Vec<Piece<T>>,
    /// Of even and of odd steps, for each thread.
    pub(super) tasks: [Vec<Vec<Task<T>>>; 2],
    /// Instructions point into them.
    pub(super) blocks: Vec<Box<dyn Block<T>>>,
    /// How often the threads meet in a step, its end included.
    pub(super) phases: u64,
    /// The steps that were begun.
    pub(super) go: Line,
    /// The phases that each thread has finished, over all steps.
    pub(super) done: Box<[Line]>,
    pub(super) stop: AtomicBool,
}

// SAFETY: pointers lead into what the core owns. Within a step its threads write disjoint places, and read what others
// have written only after they have met; between steps the owner of the machine alone touches the memory.
unsafe impl<T: Element> Send for Core<T> {}
// SAFETY: as above.
unsafe impl<T: Element> Sync for Core<T> {}

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
    pub(super) fn work(&self, part: usize) {
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
    pub(super) core: Arc<Core<T>>,
    pub(super) steps: u64,
    pub(super) workers: Vec<JoinHandle<()>>,
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
