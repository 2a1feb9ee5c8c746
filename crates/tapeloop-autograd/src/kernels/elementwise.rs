//! Element by element over strided inputs, block by block, vectorised.

use smallvec::SmallVec;

use super::dispatch::{Kernel, with_simd};
use super::threads::Threads;
use crate::element::Element;

/// A function of N numbers. The same code serves scalars and, inlined into a loop, vectors: it must be
/// `#[inline(always)]`, and free of branches where it is to be fast.
pub(crate) trait Pointwise<const N: usize>: Copy + Send + Sync {
    fn call<T: Element>(self, x: [T; N]) -> T;
}

/// Elements and their distance along each axis; 0 where an axis is broadcast.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) strides: &'a [usize],
}

/// Elements of a block that is gathered from a strided input.
const BLOCK: usize = 256;
/// Results below this many elements are not worth a second thread.
const PARALLEL: usize = 1 << 15;

/// An iteration space with neighbouring axes merged where every input allows it.
pub(super) struct Space<const N: usize> {
    pub(super) dims: SmallVec<[usize; 4]>,
    strides: SmallVec<[[usize; N]; 4]>,
}

impl<const N: usize> Space<N> {
    pub(super) fn new<T>(shape: &[usize], inputs: &[Strided<'_, T>; N]) -> Self {
        let mut space = Self { dims: SmallVec::new(), strides: SmallVec::new() };
        for (axis, &n) in shape.iter().enumerate() {
            if n == 1 {
                continue;
            }
            let strides: [usize; N] = std::array::from_fn(|k| inputs[k].strides[axis]);
            match (space.dims.last_mut(), space.strides.last_mut()) {
                (Some(dim), Some(outer)) if (0..N).all(|k| outer[k] == n * strides[k]) => {
                    *dim *= n;
                    *outer = strides;
                }
                _ => {
                    space.dims.push(n);
                    space.strides.push(strides);
                }
            }
        }
        if space.dims.is_empty() {
            space.dims.push(1);
            space.strides.push([1; N]);
        }
        space
    }

    pub(super) fn inner(&self) -> (usize, [usize; N]) {
        let last = self.dims.len() - 1;
        (self.dims[last], self.strides[last])
    }

    /// Visits rows `first..first + count` of the space: `visit(row, where each input starts)`.
    pub(super) fn rows(&self, first: usize, count: usize, mut visit: impl FnMut(usize, [usize; N])) {
        let outer = self.dims.len() - 1;
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, outer);
        let mut start = [0; N];
        let mut rest = first;
        for axis in (0..outer).rev() {
            index[axis] = rest % self.dims[axis];
            rest /= self.dims[axis];
            for (start, stride) in start.iter_mut().zip(self.strides[axis]) {
                *start += index[axis] * stride;
            }
        }
        for row in 0..count {
            visit(row, start);
            for axis in (0..outer).rev() {
                index[axis] += 1;
                for (start, stride) in start.iter_mut().zip(self.strides[axis]) {
                    *start += stride;
                }
                if index[axis] < self.dims[axis] {
                    break;
                }
                for (start, stride) in start.iter_mut().zip(self.strides[axis]) {
                    *start -= index[axis] * stride;
                }
                index[axis] = 0;
            }
        }
    }
}

/// `out = f(inputs)` over `shape`; `out` is dense.
pub(crate) fn pointwise<T: Element, const N: usize>(
    f: impl Pointwise<N>,
    inputs: [Strided<'_, T>; N],
    shape: &[usize],
    out: &mut [T],
    threads: &Threads,
) {
    if out.is_empty() {
        return;
    }
    let space = Space::new(shape, &inputs);
    let (n, strides) = space.inner();
    let run = |first_row: usize, out: &mut [T]| {
        space.rows(first_row, out.len() / n, |row, start| {
            let x = std::array::from_fn(|k| &inputs[k].data[start[k]..]);
            line(f, x, strides, &mut out[row * n..(row + 1) * n]);
        });
    };
    if out.len() < PARALLEL || threads.count() == 1 {
        run(0, out);
    } else if space.dims.len() == 1 && strides == [1; N] {
        dense(f, inputs.map(|input| input.data), out, threads);
    } else if space.dims.len() == 1 {
        threads.for_chunks(out, PARALLEL / 2, |chunk, out| {
            let first = chunk * (PARALLEL / 2);
            line(f, std::array::from_fn(|k| &inputs[k].data[first * strides[k]..]), strides, out);
        });
    } else {
        let rows = (PARALLEL / 2).div_ceil(n);
        threads.for_chunks(out, rows * n, |chunk, out| run(chunk * rows, out));
    }
}

/// `out = f(inputs)` where all lie alike: element i from elements i.
pub(crate) fn dense<T: Element, const N: usize>(
    f: impl Pointwise<N>,
    inputs: [&[T]; N],
    out: &mut [T],
    threads: &Threads,
) {
    if out.len() < PARALLEL || threads.count() == 1 {
        return with_simd(Apply { f, x: inputs, out });
    }
    threads.for_chunks(out, PARALLEL / 2, |chunk, out| {
        let first = chunk * (PARALLEL / 2);
        with_simd(Apply { f, x: inputs.map(|x| &x[first..]), out });
    });
}

/// One run along the innermost axis.
fn line<T: Element, const N: usize>(f: impl Pointwise<N>, x: [&[T]; N], strides: [usize; N], out: &mut [T]) {
    if strides.iter().all(|&stride| stride == 1) {
        return with_simd(Apply { f, x, out });
    }
    // What is not dense is gathered into blocks; a broadcast number fills its block once.
    let mut blocks = [[T::ZERO; BLOCK]; N];
    let filled = out.len().min(BLOCK);
    for k in 0..N {
        if strides[k] == 0 {
            blocks[k][..filled].fill(x[k][0]);
        }
    }
    for (i, out) in out.chunks_mut(BLOCK).enumerate() {
        for k in 0..N {
            if strides[k] > 1 {
                let from = x[k][i * BLOCK * strides[k]..].iter().step_by(strides[k]);
                blocks[k][..out.len()].iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            }
        }
        let x = std::array::from_fn(|k| if strides[k] == 1 { &x[k][i * BLOCK..] } else { &blocks[k][..] });
        with_simd(Apply { f, x, out });
    }
}

struct Apply<'a, F, T, const N: usize> {
    f: F,
    x: [&'a [T]; N],
    out: &'a mut [T],
}

impl<F: Pointwise<N>, T: Element, const N: usize> Kernel for Apply<'_, F, T, N> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { f, x, out } = self;
        let n = out.len();
        let x: [&[T]; N] = std::array::from_fn(|k| &x[k][..n]);
        for i in 0..n {
            out[i] = f.call(std::array::from_fn(|k| x[k][i]));
        }
    }
}

#[derive(Clone, Copy)]
struct Identity;
impl Pointwise<1> for Identity {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x
    }
}

/// `out = x`, made dense.
pub(crate) fn copy<T: Element>(x: Strided<'_, T>, shape: &[usize], out: &mut [T], threads: &Threads) {
    pointwise(Identity, [x], shape, out, threads);
}

/// `sum += x`; `sum` is dense.
pub(crate) fn add_assign<T: Element>(sum: &mut [T], x: Strided<'_, T>, shape: &[usize], threads: &Threads) {
    if sum.is_empty() {
        return;
    }
    let space = Space::new(shape, &[x]);
    let (n, [stride]) = space.inner();
    let run = |first_row: usize, sum: &mut [T]| {
        space.rows(first_row, sum.len() / n, |row, [start]| {
            with_simd(AddTo { sum: &mut sum[row * n..(row + 1) * n], x: &x.data[start..], stride });
        });
    };
    if sum.len() < PARALLEL || threads.count() == 1 {
        run(0, sum);
    } else if space.dims.len() == 1 {
        threads.for_chunks(sum, PARALLEL / 2, |chunk, sum| {
            with_simd(AddTo { sum, x: &x.data[chunk * (PARALLEL / 2) * stride..], stride });
        });
    } else {
        let rows = (PARALLEL / 2).div_ceil(n);
        threads.for_chunks(sum, rows * n, |chunk, sum| run(chunk * rows, sum));
    }
}

/// `to = x` where `to` is strided too (without overlap).
pub(crate) fn assign_strided<T: Element>(to: &mut [T], strides: &[usize], x: Strided<'_, T>, shape: &[usize]) {
    if shape.contains(&0) {
        return;
    }
    let layout: Strided<'_, T> = Strided { data: &[], strides };
    let space = Space::new(shape, &[layout, x]);
    let (n, [to_stride, stride]) = space.inner();
    let rows = space.dims[..space.dims.len() - 1].iter().product();
    space.rows(0, rows, |_, [start, from]| {
        if to_stride == 1 && stride == 1 {
            to[start..start + n].copy_from_slice(&x.data[from..from + n]);
        } else {
            for i in 0..n {
                to[start + i * to_stride] = x.data[from + i * stride];
            }
        }
    });
}

/// `sum += x` where `sum` is strided too. Where `sum` overlaps itself, all is added.
pub(crate) fn add_assign_strided<T: Element>(sum: &mut [T], strides: &[usize], x: Strided<'_, T>, shape: &[usize]) {
    if shape.contains(&0) {
        return;
    }
    let layout: Strided<'_, T> = Strided { data: &[], strides };
    let space = Space::new(shape, &[layout, x]);
    let (n, [to_stride, stride]) = space.inner();
    let rows = space.dims[..space.dims.len() - 1].iter().product();
    space.rows(0, rows, |_, [to, from]| {
        if to_stride == 1 {
            // A run along the last axis does not overlap itself.
            with_simd(AddTo { sum: &mut sum[to..to + n], x: &x.data[from..], stride });
        } else {
            for i in 0..n {
                sum[to + i * to_stride] += x.data[from + i * stride];
            }
        }
    });
}

struct AddTo<'a, T> {
    sum: &'a mut [T],
    x: &'a [T],
    stride: usize,
}

impl<T: Element> Kernel for AddTo<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        match self.stride {
            1 => self.sum.iter_mut().zip(self.x).for_each(|(sum, &x)| *sum += x),
            0 => self.sum.iter_mut().for_each(|sum| *sum += self.x[0]),
            stride => self.sum.iter_mut().zip(self.x.iter().step_by(stride)).for_each(|(sum, &x)| *sum += x),
        }
    }
}
