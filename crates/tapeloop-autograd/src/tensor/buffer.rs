//! The memory behind a tensor.

/// Elements on a cache-line boundary.
///
/// A vector is over-allocated and used from its first aligned element on, which needs no `unsafe`.
#[derive(Debug)]
pub(crate) struct Buffer<T> {
    elements: Vec<T>,
    start: usize,
    len: usize,
    /// Whether a pool lent it, and may take it back.
    pooled: bool,
}

const ALIGNMENT: usize = 64;

/// Whether the system gives memory for so many elements. A failed allocation ends the process, so that those are asked
/// about before which may fail.
pub(crate) fn has_memory<T>(len: usize) -> bool {
    const LARGE: usize = 1 << 30;
    len.saturating_mul(size_of::<T>()) < LARGE || Vec::<T>::new().try_reserve_exact(len).is_ok()
}

impl<T: Copy + Default> Buffer<T> {
    /// `len` elements of the default value.
    pub(crate) fn zeroed(len: usize, pooled: bool) -> Self {
        let slack = ALIGNMENT / size_of::<T>();
        let elements = vec![T::default(); len + slack];
        let start = elements.as_ptr().align_offset(ALIGNMENT).min(slack);
        Self { elements, start, len, pooled }
    }
}

impl<T> Buffer<T> {
    /// The caller's own vector, where it lies.
    pub(crate) fn from_vec(elements: Vec<T>) -> Self {
        let len = elements.len();
        Self { elements, start: 0, len, pooled: false }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.elements[self.start..self.start + self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.elements[self.start..self.start + self.len]
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn pooled(&self) -> bool {
        self.pooled
    }
}
