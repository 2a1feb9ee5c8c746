//! A pool of threads that splits loops. Nothing is allocated per loop, and how a loop is cut never depends
//! on how many threads there are: results have the same bits.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// Threads to work on: the caller's and those of a pool. Clones share the pool, which ends with the last one.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, Threads};
/// let tape = Tape::with_threads(Threads::new(1));
/// assert_eq!(tape.leaf(Tensor::from([1.0f32])).exp().item(), 1.0f32.exp());
/// ```
#[derive(Clone)]
pub struct Threads(Arc<Pool>);

struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Counts jobs; workers watch it for a while before they sleep.
    epoch: AtomicU64,
    next: AtomicUsize,
    /// Workers inside the present job.
    active: AtomicUsize,
    wake: Condvar,
    done: Condvar,
    /// Held by the caller whose job it is.
    busy: Mutex<()>,
}

struct State {
    job: Option<Job>,
    stop: bool,
    /// Workers that run.
    started: usize,
    /// Workers that sleep until there is a job. Waking nobody would be a call to the system, too.
    sleeping: usize,
    /// Whether the caller sleeps until its job is done.
    waiting: bool,
    panic: Option<Box<dyn Any + Send>>,
}

#[derive(Clone, Copy)]
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

// SAFETY: the body is `Sync`, and `run` keeps it alive until no worker can reach it.
unsafe impl Send for Job {}

thread_local! {
    /// Whether this thread is inside a job: a loop within a loop runs on its own thread.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Rounds of watching before sleeping: some hundred microseconds, more than lies between two jobs of a small model. Waking a
/// thread takes as long as such a job.
const SPINS: usize = 4096;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// The caller's thread and `count − 1` more.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn new(count: usize) -> Self {
        assert!(count > 0, "threads: there must be at least one");
        let shared = Arc::new(Shared {
            state: Mutex::new(State { job: None, stop: false, started: 0, sleeping: 0, waiting: false, panic: None }),
            epoch: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            wake: Condvar::new(),
            done: Condvar::new(),
            busy: Mutex::new(()),
        });
        let worker = |_| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("tapeloop".into()).spawn(move || shared.work())
        };
        // Where the system gives no more threads, those there are do the work.
        let workers: Vec<_> = (1..count).map_while(|k| worker(k).ok()).collect();
        // What starting a thread costs, memory too, is paid here and not by the first loops.
        let mut state = lock(&shared.state);
        while state.started < workers.len() {
            state = shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        Self(Arc::new(Pool { shared, workers }))
    }

    /// The caller's thread and no other.
    pub(crate) fn alone() -> Self {
        static ALONE: OnceLock<Threads> = OnceLock::new();
        ALONE.get_or_init(|| Self::new(1)).clone()
    }

    /// One thread per core, shared by everything that asks for no others.
    pub fn shared() -> Self {
        static SHARED: OnceLock<Threads> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(std::thread::available_parallelism().map_or(1, Into::into))).clone()
    }

    /// How many threads there are, the caller's included.
    pub fn count(&self) -> usize {
        self.0.workers.len() + 1
    }

    /// Calls `body(0)` … `body(tasks − 1)`, each once, on all threads; returns when all are done.
    ///
    /// # Panics
    /// If a call panics, with its message, after the others have ended.
    pub fn run(&self, tasks: usize, body: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.0.shared;
        // Somebody else's job, or a loop within a job: there is no thread to wait for.
        let alone = tasks < 2 || self.0.workers.is_empty() || INSIDE.get();
        let Some(_busy) = (!alone).then(|| shared.busy.try_lock().ok()).flatten() else {
            return (0..tasks).for_each(body);
        };
        // SAFETY: only the lifetime is erased. No worker reaches the body after `job` is cleared and `active`
        // has come down to 0, for which this call waits also when its own part panics.
        let body: *const (dyn Fn(usize) + Sync) =
            unsafe { std::mem::transmute(std::ptr::from_ref::<dyn Fn(usize) + Sync>(body)) };
        let job = Job { body, tasks };
        let sleeping = {
            let mut state = lock(&shared.state);
            shared.next.store(0, Ordering::Relaxed);
            state.job = Some(job);
            shared.epoch.fetch_add(1, Ordering::Release);
            state.sleeping
        };
        if sleeping > 0 {
            shared.wake.notify_all();
        }
        let own = shared.take_part(job);
        let mut state = lock(&shared.state);
        state.job = None;
        drop(state);
        for _ in 0..SPINS {
            if shared.active.load(Ordering::Acquire) == 0 {
                break;
            }
            std::hint::spin_loop();
        }
        state = lock(&shared.state);
        while shared.active.load(Ordering::Acquire) != 0 {
            state.waiting = true;
            state = shared.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting = false;
        let theirs = state.panic.take();
        drop(state);
        if let Some(panic) = own.err().or(theirs) {
            drop(_busy);
            resume_unwind(panic);
        }
    }

    /// Calls `body(i, chunk)` with each run of `len` elements of `out`, the last one shorter.
    ///
    /// # Panics
    /// If a call panics, or `len` is 0.
    pub fn for_chunks<T: Send>(&self, out: &mut [T], len: usize, body: impl Fn(usize, &mut [T]) + Sync) {
        assert!(len > 0, "for_chunks: a chunk needs a length");
        let size = out.len();
        let base = Base(out.as_mut_ptr());
        self.run(size.div_ceil(len), &|i| {
            let start = i * len;
            let count = len.min(size - start);
            // SAFETY: chunks do not overlap, and each task is run once.
            body(i, unsafe { std::slice::from_raw_parts_mut(base.at(start), count) });
        });
    }
}

/// The start of a slice that tasks share.
struct Base<T>(*mut T);
// SAFETY: tasks reach disjoint parts.
unsafe impl<T: Send> Sync for Base<T> {}
impl<T> Base<T> {
    fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

impl Shared {
    fn take_part(&self, job: Job) -> Result<(), Box<dyn Any + Send>> {
        let outside = INSIDE.replace(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let task = self.next.fetch_add(1, Ordering::Relaxed);
                if task >= job.tasks {
                    break;
                }
                // SAFETY: see `run`.
                (unsafe { &*job.body })(task);
            }
        }));
        INSIDE.set(outside);
        result
    }

    fn work(&self) {
        let mut seen = 0;
        lock(&self.state).started += 1;
        self.done.notify_all();
        loop {
            for _ in 0..SPINS {
                if self.epoch.load(Ordering::Acquire) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut state = lock(&self.state);
            while self.epoch.load(Ordering::Acquire) == seen && !state.stop {
                state.sleeping += 1;
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.sleeping -= 1;
            }
            if state.stop {
                return;
            }
            seen = self.epoch.load(Ordering::Acquire);
            let Some(job) = state.job else {
                continue;
            };
            self.active.fetch_add(1, Ordering::AcqRel);
            drop(state);
            let result = self.take_part(job);
            let mut state = lock(&self.state);
            if let Err(panic) = result {
                state.panic.get_or_insert(panic);
            }
            self.active.fetch_sub(1, Ordering::AcqRel);
            if state.waiting {
                self.done.notify_all();
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).stop = true;
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches its tasks' panics; there is nothing to report.
            let _ = worker.join();
        }
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Threads({})", self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_once() {
        for count in 1..4 {
            let threads = Threads::new(count);
            for tasks in [0, 1, 2, 7, 1000] {
                let mut out = vec![0u32; tasks * 3];
                threads.for_chunks(&mut out, 3, |i, chunk| chunk.iter_mut().for_each(|x| *x += i as u32 + 1));
                assert!(out.iter().enumerate().all(|(i, &x)| x == i as u32 / 3 + 1));
            }
        }
    }

    #[test]
    fn loops_within_loops_and_concurrent_callers() {
        let threads = Threads::new(3);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        threads.run(5, &|_| {
                            threads.run(4, &|_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 4 * 200 * 20);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
        let threads = Threads::new(2);
        for _ in 0..20 {
            let caught = catch_unwind(AssertUnwindSafe(|| threads.run(8, &|i| assert!(i != 5, "task {i} failed"))));
            let message = caught.unwrap_err();
            assert_eq!(message.downcast_ref::<String>().map(String::as_str), Some("task 5 failed"));
            let count = AtomicUsize::new(0);
            threads.run(8, &|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 8);
        }
    }
}
