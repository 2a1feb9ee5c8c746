//! Patches of a grid whose places hold a row of channels each, and the transpose: a sum of patches.

use smallvec::SmallVec;

use super::dispatch::{Kernel, with_simd};
use super::threads::Threads;
use crate::element::Element;

/// How patches lie along one axis of a grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    /// The places of the grid.
    pub(crate) length: usize,
    /// How many patches there are, and how many places each has.
    pub(crate) count: usize,
    pub(crate) size: usize,
    /// From one patch to the next.
    pub(crate) stride: usize,
    /// From one place of a patch to the next.
    pub(crate) dilation: usize,
    /// Places of the first patch's reach that lie before the grid.
    pub(crate) before: usize,
}

/// The axes of a grid, the last one with neighbours in memory.
pub(crate) type Axes = SmallVec<[Axis; 3]>;

/// Patches that are worth a second thread.
const PARALLEL: usize = 1 << 14;

impl Axis {
    /// Where the k-th place of the patch `at` lies in the grid.
    #[inline(always)]
    fn place(&self, at: usize, k: usize) -> Option<usize> {
        (at * self.stride + k * self.dilation).checked_sub(self.before).filter(|&place| place < self.length)
    }
}

/// Calls `visit(patch's start, grid's start, elements)` for each run of a line of patches, one for each `count` of the last
/// axis: neighbours in the grid that are neighbours in the patch. `line` numbers these lines. A start in the grid is missing
/// where the run lies beyond it.
#[inline(always)]
fn runs(axes: &[Axis], channels: usize, line: usize, mut visit: impl FnMut(usize, Option<usize>, usize)) {
    let Some((last, outer)) = axes.split_last() else { return };
    let inner = last.size * channels;
    let windows: usize = outer.iter().map(|axis| axis.size).product();
    let width = windows * inner;
    for window in 0..windows {
        // The row of the grid that this part of the line's patches lies in.
        let (mut at, mut k, mut row, mut scale) = (line, window, Some(0), 1);
        for axis in outer.iter().rev() {
            let place = axis.place(at % axis.count, k % axis.size);
            row = row.zip(place).map(|(row, place)| row + place * scale);
            (at, k, scale) = (at / axis.count, k / axis.size, scale * axis.length);
        }
        for patch in 0..last.count {
            let start = patch * width + window * inner;
            let Some(row) = row else {
                visit(start, None, inner);
                continue;
            };
            if last.dilation == 1 {
                // Before the grid, within it, behind it.
                let first = patch * last.stride;
                let before = last.before.saturating_sub(first).min(last.size);
                let end = (last.length + last.before).saturating_sub(first).clamp(before, last.size);
                visit(start, None, before * channels);
                let from = (row * last.length + (first + before).saturating_sub(last.before)) * channels;
                visit(start + before * channels, Some(from), (end - before) * channels);
                visit(start + end * channels, None, (last.size - end) * channels);
            } else {
                for k in 0..last.size {
                    let from = last.place(patch, k).map(|place| (row * last.length + place) * channels);
                    visit(start + k * channels, from, channels);
                }
            }
        }
    }
}

/// Lines of patches in a grid.
fn lines(axes: &[Axis]) -> usize {
    axes[..axes.len() - 1].iter().map(|axis| axis.count).product()
}

/// Elements of a grid, and of all its patches.
fn sizes(axes: &[Axis], channels: usize) -> (usize, usize) {
    let patches = axes.iter().map(|axis| axis.count * axis.size).product::<usize>();
    (axes.iter().map(|axis| axis.length).product::<usize>() * channels, patches * channels)
}

/// Copies the patches of each grid in `x`, zeros where they reach beyond it.
pub(crate) fn gather<T: Element>(x: &[T], axes: &[Axis], channels: usize, out: &mut [T], threads: &Threads) {
    let (grid, patches) = sizes(axes, channels);
    if patches == 0 {
        return;
    }
    let lines = lines(axes);
    let fill = |line: usize, out: &mut [T]| {
        let x = &x[line / lines * grid..][..grid];
        runs(axes, channels, line % lines, |to, from, n| match from {
            Some(from) => out[to..to + n].copy_from_slice(&x[from..from + n]),
            None => out[to..to + n].fill(T::ZERO),
        });
    };
    let line = patches / lines;
    if out.len() < PARALLEL || threads.count() == 1 {
        out.chunks_mut(line).enumerate().for_each(|(line, out)| fill(line, out));
    } else {
        threads.for_chunks(out, line, fill);
    }
}

struct Add<'a, T> {
    x: &'a [T],
    axes: &'a [Axis],
    channels: usize,
    lines: usize,
    out: &'a mut [T],
}

impl<T: Element> Kernel for Add<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run(self) {
        let Self { x, axes, channels, lines, out } = self;
        out.fill(T::ZERO);
        for (line, x) in x.chunks(x.len() / lines).enumerate() {
            runs(axes, channels, line, |from, to, n| {
                if let Some(to) = to {
                    out[to..to + n].iter_mut().zip(&x[from..from + n]).for_each(|(out, &x)| *out += x);
                }
            });
        }
    }
}

/// Adds up the patches of each grid, in their order: the transpose of [`gather`].
pub(crate) fn add<T: Element>(x: &[T], axes: &[Axis], channels: usize, out: &mut [T], threads: &Threads) {
    let (grid, patches) = sizes(axes, channels);
    if grid == 0 {
        return;
    }
    if patches == 0 {
        return out.fill(T::ZERO);
    }
    let lines = lines(axes);
    let sum = |k: usize, out: &mut [T]| {
        with_simd(Add { x: &x[k * patches..][..patches], axes, channels, lines, out });
    };
    if x.len() < PARALLEL || threads.count() == 1 {
        out.chunks_mut(grid).enumerate().for_each(|(k, out)| sum(k, out));
    } else {
        threads.for_chunks(out, grid, sum);
    }
}
