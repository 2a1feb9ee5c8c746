//! hₜ = aₜ hₜ₋₁ + bₜ along one axis. What is not time are lanes, which run side by side; every lane is one chain of fused
//! multiply-adds in the order of time, so that no cut of the lanes changes a bit.

use smallvec::SmallVec;

use super::dispatch::{Kernel, with_simd};
use super::elementwise::{Space, Strided};
use super::threads::Threads;
use crate::element::Element;
use crate::shape::{Dims, Shape};

/// Lanes of a step that are taken together: the state of so many stays in the first cache. Steps are not cut narrower,
/// for more threads: memory is slower by more than they are faster where it is read in short runs with gaps.
const WIDTH: usize = 2048;
/// Results below this many elements are not worth a second thread.
const PARALLEL: usize = 1 << 15;
/// Lanes that lie apart and run beside each other: their chains of additions hide what one takes. With more, streams that
/// are a power of two apart would not fit into the first cache.
const CHAINS: usize = 3;

/// Rows of lanes that are taken together at most, where they lie between one step and the next.
const ROWS: usize = 64;

/// Along which axis, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Course {
    /// The axis of time.
    pub(crate) axis: usize,
    /// From the last step to the first.
    pub(crate) reverse: bool,
    /// With the factor of the step before: hₜ = aₜ₋₁ hₜ₋₁ + bₜ.
    pub(crate) lagged: bool,
    /// With complex factors conjugated.
    pub(crate) conjugate: bool,
}

/// The places of numbers of up to two parts: factors, terms, states before the first step, results.
const PLACES: usize = 7;
const A: usize = 0;
const B: usize = 2;
const H: usize = 4;
const OUT: usize = 6;

/// `out` = h for numbers of P parts, 1 or 2 (real and imaginary), one after the other in `out`. Factors, terms and initial
/// states are broadcast to `shape`, the initial ones along time. Without these the first step is its term.
pub(crate) fn linear<T: Element, const P: usize>(
    course: Course,
    a: [Strided<'_, T>; P],
    b: [Strided<'_, T>; P],
    initial: Option<[Strided<'_, T>; P]>,
    shape: &[usize],
    out: &mut [T],
    threads: &Threads,
) {
    if out.is_empty() {
        return;
    }
    let (size, steps) = (out.len() / P, shape[course.axis]);
    let dense = Shape::from(shape).dense_strides();
    let none: Strided<'_, T> = Strided { data: &[], strides: &dense };
    let mut inputs = [none; PLACES];
    for part in 0..P {
        inputs[A + part] = a[part];
        inputs[B + part] = b[part];
        inputs[H + part] = initial.map_or(none, |initial| initial[part]);
    }
    let time = inputs.map(|input| input.strides[course.axis]);
    let mut lanes = Dims::from_slice(shape);
    lanes[course.axis] = 1;
    let space = Space::new(&lanes, &inputs);
    let (n, strides) = space.inner();
    let rows = size / (steps * n);
    let width = match strides[OUT] {
        1 => n.div_ceil(n.div_ceil(WIDTH)).next_multiple_of(16).min(n),
        _ => n.min(4 * CHAINS),
    };
    let blocks = n.div_ceil(width);
    // Where more than one row lies between steps, memory is read in its order only if they go through time together.
    let together = if time[OUT] > n { (WIDTH / width).clamp(1, ROWS) } else { 1 };
    let group = (PARALLEL / 2).div_ceil(width * steps).next_multiple_of(together).min(rows);
    let out = Shared(out.as_mut_ptr());
    let task = |task: usize| {
        let (first, lane) = (task / blocks * group, task % blocks * width);
        let lanes = width.min(n - lane);
        let block = Block { course, steps, lanes, data: inputs.map(|x| x.data), strides, time, size };
        let mut starts: SmallVec<[[usize; PLACES]; ROWS]> = SmallVec::new();
        let count = group.min(rows - first);
        space.rows(first, count, |row, start| {
            starts.push(std::array::from_fn(|k| start[k] + lane * strides[k]));
            if starts.len() == together || row + 1 == count {
                // `out` has the strides of its shape, and blocks are different lanes: nobody else uses their places.
                with_simd(Sweep::<T, P> { block, starts: &starts, initial: initial.is_some(), out: out.get() });
                starts.clear();
            }
        });
    };
    let tasks = rows.div_ceil(group) * blocks;
    if size < PARALLEL {
        (0..tasks).for_each(task);
    } else {
        threads.run(tasks, &task);
    }
}

/// The start of what tasks write to.
struct Shared<T>(*mut T);
// SAFETY: tasks reach disjoint parts.
unsafe impl<T: Send> Sync for Shared<T> {}
impl<T> Shared<T> {
    fn get(&self) -> *mut T {
        self.0
    }
}

/// Some neighbouring lanes over all of time. Where they start is not said.
#[derive(Clone, Copy)]
struct Block<'a, T> {
    course: Course,
    steps: usize,
    lanes: usize,
    data: [&'a [T]; PLACES],
    /// Distances of neighbouring lanes and steps.
    strides: [usize; PLACES],
    time: [usize; PLACES],
    /// Distance of the parts of a result.
    size: usize,
}

/// a h + b
#[inline(always)]
fn step<T: Element, const P: usize>(a: [T; P], h: [T; P], b: [T; P], conjugate: bool) -> [T; P] {
    let mut next = b;
    if P == 1 {
        next[0] = a[0].mul_add(h[0], b[0]);
    } else {
        let im = if conjugate { -a[P - 1] } else { a[P - 1] };
        next[0] = a[0].mul_add(h[0], (-im).mul_add(h[P - 1], b[0]));
        next[P - 1] = a[0].mul_add(h[P - 1], im.mul_add(h[0], b[P - 1]));
    }
    next
}

impl<T: Element> Block<'_, T> {
    /// The step that is the k-th in the order of processing.
    #[inline(always)]
    fn turn(&self, k: usize) -> usize {
        if self.course.reverse { self.steps - 1 - k } else { k }
    }

    /// The step whose factors the k-th one takes. Lagged ones of the first are not asked for.
    #[inline(always)]
    fn factor(&self, k: usize) -> usize {
        self.turn(if self.course.lagged { k.wrapping_sub(1) } else { k })
    }

    /// The parts of an input's element.
    #[inline(always)]
    fn at<const P: usize>(&self, start: &Start, place: usize, step: usize, lane: usize) -> [T; P] {
        let mut x = [T::ZERO; P];
        for (part, x) in x.iter_mut().enumerate() {
            let k = place + part;
            *x = self.data[k][start[k] + step * self.time[k] + lane * self.strides[k]];
        }
        x
    }

    /// The parts of an input's row of neighbouring lanes; of a number for all lanes, that number.
    #[inline(always)]
    fn row<const P: usize, const DENSE: bool>(&self, start: &Start, place: usize, step: usize) -> [&[T]; P] {
        std::array::from_fn(|part| {
            let k = place + part;
            let start = start[k] + step * self.time[k];
            &self.data[k][start..start + if DENSE { self.lanes } else { 1 }]
        })
    }

    /// The distance of neighbouring lanes, if it is the same in all parts.
    fn stride<const P: usize>(&self, place: usize) -> Option<usize> {
        let stride = self.strides[place];
        (1..P).all(|part| self.strides[place + part] == stride).then_some(stride)
    }
}

/// Where a block starts in every place.
type Start = [usize; PLACES];

/// A block at some starts, and where its results go.
///
/// # Safety
/// Of the one who makes it: `out` is valid at the blocks' places of `OUT` in every part, and nobody else uses them.
struct Sweep<'a, T, const P: usize> {
    block: Block<'a, T>,
    starts: &'a [Start],
    initial: bool,
    out: *mut T,
}

impl<T: Element, const P: usize> Kernel for Sweep<'_, T, P> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { block, .. } = &self;
        match (block.strides[OUT], block.stride::<P>(A), block.stride::<P>(B)) {
            (1, Some(1), Some(1)) if block.lanes >= CHAINS => self.rows::<true, true>(),
            (1, Some(1), Some(0)) if block.lanes >= CHAINS => self.rows::<true, false>(),
            (1, Some(0), Some(1)) if block.lanes >= CHAINS => self.rows::<false, true>(),
            (1, Some(0), Some(0)) if block.lanes >= CHAINS => self.rows::<false, false>(),
            _ => {
                for start in self.starts {
                    let mut lane = 0;
                    while lane + CHAINS <= block.lanes {
                        self.chains::<CHAINS>(start, lane);
                        lane += CHAINS;
                    }
                    while lane < block.lanes {
                        self.chains::<1>(start, lane);
                        lane += 1;
                    }
                }
            }
        }
    }
}

impl<T: Element, const P: usize> Sweep<'_, T, P> {
    /// The first result of a lane. The state before it may lie anyhow, or not be.
    #[inline(always)]
    fn first(&self, start: &Start, lane: usize) -> [T; P] {
        let (block, turn) = (&self.block, self.block.turn(0));
        let b = block.at(start, B, turn, lane);
        if !self.initial {
            return b;
        }
        step(block.at(start, A, turn, lane), block.at(start, H, 0, lane), b, block.course.conjugate)
    }

    /// The place of the k-th result.
    #[inline(always)]
    fn place(&self, start: &Start, k: usize, lane: usize, part: usize) -> *mut T {
        let block = &self.block;
        let place = start[OUT] + block.turn(k) * block.time[OUT] + lane * block.strides[OUT];
        self.out.wrapping_add(part * block.size + place)
    }

    #[inline(always)]
    fn write(&self, start: &Start, k: usize, lane: usize, h: [T; P]) {
        for (part, &h) in h.iter().enumerate() {
            // SAFETY: the promise of the one who made it.
            unsafe { self.place(start, k, lane, part).write(h) };
        }
    }

    /// Some lanes that lie anyhow, their states in registers.
    #[inline(always)]
    fn chains<const N: usize>(&self, start: &Start, lane: usize) {
        let block = &self.block;
        let mut h = [[T::ZERO; P]; N];
        for (i, h) in h.iter_mut().enumerate() {
            *h = self.first(start, lane + i);
            self.write(start, 0, lane + i, *h);
        }
        for k in 1..block.steps {
            let (factor, turn) = (block.factor(k), block.turn(k));
            for (i, h) in h.iter_mut().enumerate() {
                let (a, b) = (block.at(start, A, factor, lane + i), block.at(start, B, turn, lane + i));
                *h = step(a, *h, b, block.course.conjugate);
                self.write(start, k, lane + i, *h);
            }
        }
    }

    /// Lanes that lie side by side: row after row, the state being the last row that was written.
    #[inline(always)]
    fn rows<const A_DENSE: bool, const B_DENSE: bool>(&self) {
        let block = &self.block;
        for start in self.starts {
            for lane in 0..block.lanes {
                self.write(start, 0, lane, self.first(start, lane));
            }
        }
        for k in 1..block.steps {
            for start in self.starts {
                self.row::<A_DENSE, B_DENSE>(start, k);
            }
        }
    }

    /// The k-th results of all lanes, from those before.
    #[inline(always)]
    fn row<const A_DENSE: bool, const B_DENSE: bool>(&self, start: &Start, k: usize) {
        let block = &self.block;
        let n = block.lanes;
        let a: [&[T]; P] = block.row::<P, A_DENSE>(start, A, block.factor(k));
        let b: [&[T]; P] = block.row::<P, B_DENSE>(start, B, block.turn(k));
        // SAFETY: the promise of the one who made it; the row was written.
        let h: [&[T]; P] =
            std::array::from_fn(|part| unsafe { std::slice::from_raw_parts(self.place(start, k - 1, 0, part), n) });
        // SAFETY: the same promise; another step, and each part by itself, is another place.
        let mut out: [&mut [T]; P] =
            std::array::from_fn(|part| unsafe { std::slice::from_raw_parts_mut(self.place(start, k, 0, part), n) });
        // The parts by name: a loop over them inside would not become vectors.
        if P == 1 {
            let (a, b, h, out) = (a[0], b[0], h[0], &mut *out[0]);
            for i in 0..n {
                let [next] = step([a[if A_DENSE { i } else { 0 }]], [h[i]], [b[if B_DENSE { i } else { 0 }]], false);
                out[i] = next;
            }
        } else if let ([a_re, a_im, ..], [b_re, b_im, ..], [h_re, h_im, ..], [out_re, out_im, ..]) =
            (&a[..], &b[..], &h[..], &mut out[..])
        {
            for i in 0..n {
                let (j, k) = (if A_DENSE { i } else { 0 }, if B_DENSE { i } else { 0 });
                let [re, im] = step([a_re[j], a_im[j]], [h_re[i], h_im[i]], [b_re[k], b_im[k]], block.course.conjugate);
                out_re[i] = re;
                out_im[i] = im;
            }
        }
    }
}
