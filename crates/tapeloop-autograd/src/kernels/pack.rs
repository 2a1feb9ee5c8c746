//! Matrices where they lie, and their elements in the order in which microkernels read them.

use crate::element::Element;

/// Elements that fill at least a cache line.
pub(super) const LINE: usize = 16;

/// A matrix to read: element (i, j) lies at i · `row_stride` + j · `col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T> {
    /// The elements, from the first one on.
    pub data: &'a [T],
    /// Distance of neighbours in a column.
    pub row_stride: usize,
    /// Distance of neighbours in a row.
    pub col_stride: usize,
}

impl<T> Mat<'_, T> {
    pub(super) fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    pub(super) fn raw(self) -> (*const T, usize, usize) {
        (self.data.as_ptr(), self.row_stride, self.col_stride)
    }

    /// Whether every element of a `rows` × `cols` matrix is inside the data.
    pub(super) fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.row_stride + (cols - 1) * self.col_stride < self.data.len()
    }
}

pub(super) fn rest<T>(data: &[T], from: usize) -> &[T] {
    data.get(from..).unwrap_or_default()
}

/// Panels of `width` rows of `x` (rows × k), each k × `width`, the last one filled with zeros.
pub(super) fn pack<T: Element>(k: usize, rows: usize, x: Mat<'_, T>, width: usize, out: &mut [T]) {
    if k == 0 {
        return;
    }
    for (panel, out) in out.chunks_mut(k * width).take(rows.div_ceil(width)).enumerate() {
        let first = panel * width;
        let count = width.min(rows - first);
        let x = Mat { data: rest(x.data, first * x.row_stride), ..x };
        match (x.row_stride, x.col_stride, width) {
            // A length the compiler knows: no call for a few elements.
            (1, _, 8) if count == 8 => copy_lines::<T, 8>(x, out),
            (1, ..) => {
                for (l, line) in out.chunks_mut(width).enumerate() {
                    line[..count].copy_from_slice(&x.data[l * x.col_stride..][..count]);
                    line[count..].fill(T::ZERO);
                }
            }
            (_, 1, _) => turn_lines(x, count, width, out),
            _ => {
                for (l, line) in out.chunks_mut(width).enumerate() {
                    for (i, to) in line.iter_mut().enumerate() {
                        *to = if i < count { x.data[i * x.row_stride + l * x.col_stride] } else { T::ZERO };
                    }
                }
            }
        }
    }
}

fn copy_lines<T: Element, const W: usize>(x: Mat<'_, T>, out: &mut [T]) {
    for (l, line) in out.as_chunks_mut::<W>().0.iter_mut().enumerate() {
        line.copy_from_slice(&x.data[l * x.col_stride..][..W]);
    }
}

/// Rows become columns, a cache line of each row at a time.
fn turn_lines<T: Element>(x: Mat<'_, T>, count: usize, width: usize, out: &mut [T]) {
    for (block, out) in out.chunks_mut(LINE * width).enumerate() {
        let k = out.len() / width;
        if count < width {
            out.fill(T::ZERO);
        }
        for i in 0..count {
            let row = &x.data[i * x.row_stride + block * LINE..][..k];
            for (to, &from) in out[i..].iter_mut().step_by(width).zip(row) {
                *to = from;
            }
        }
    }
}
