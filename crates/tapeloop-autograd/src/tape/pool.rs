//! Buffers that are used again.

use std::sync::Arc;

use crate::element::Element;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::tensor::buffer::{Buffer, has_memory};

/// Free buffers by size class, four classes to an octave, so at most a quarter of a buffer is unused.
///
/// The reference count travels with the buffer: taking and giving back touch no allocator.
#[derive(Debug, Default)]
pub(crate) struct Pool<T> {
    classes: Vec<Class<T>>,
}

#[derive(Debug)]
struct Class<T> {
    free: Vec<Arc<Buffer<T>>>,
    /// How many buffers of the class there are: the list has room for all, so taking one back never allocates.
    made: usize,
}

const SMALLEST: usize = 16;

/// The class of a length, and the length of that class.
fn class(len: usize) -> (usize, usize) {
    let len = len.max(SMALLEST);
    let octave = len.ilog2() as usize;
    let quarter = 1 << (octave - 2);
    let steps = (len - (1 << octave)).div_ceil(quarter);
    (4 * (octave - 4) + steps, (1 << octave) + steps * quarter)
}

impl<T: Element> Pool<T> {
    /// A dense tensor nobody else holds; its elements are whatever was left there.
    #[track_caller]
    pub(crate) fn take(&mut self, shape: &Shape) -> Tensor<T> {
        let (class, len) = class(shape.size());
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, || Class { free: Vec::new(), made: 0 });
        }
        let class = &mut self.classes[class];
        let mut buffer = match class.free.pop() {
            Some(buffer) => buffer,
            None => {
                assert!(has_memory::<T>(len), "there is no memory for a value of shape {shape}");
                class.made += 1;
                class.free.reserve(class.made);
                Arc::new(Buffer::zeroed(len, true))
            }
        };
        if cfg!(debug_assertions) {
            // What an operation forgets to write shows.
            Arc::get_mut(&mut buffer).expect("a free buffer has one owner").as_mut_slice().fill(T::NAN);
        }
        Tensor::dense(shape.clone(), buffer)
    }

    /// Takes back the buffer of a tensor that is no longer needed, if nobody else holds it.
    pub(crate) fn give(&mut self, tensor: Tensor<T>) {
        // There are no weak references, so a count of one is ownership.
        if tensor.data.pooled() && Arc::strong_count(&tensor.data) == 1 {
            let (class, _) = class(tensor.data.len());
            // Another tape's buffer is not kept: this one has no room for it.
            if let Some(class) = self.classes.get_mut(class).filter(|class| class.free.len() < class.made) {
                class.free.push(tensor.data);
            }
        }
    }

    /// Bytes of the free buffers.
    pub(crate) fn bytes(&self) -> usize {
        self.classes.iter().flat_map(|class| &class.free).map(|buffer| buffer.len() * size_of::<T>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_their_lengths() {
        let mut last = 0;
        for len in 1..100_000 {
            let (index, size) = class(len);
            assert!(size >= len && size <= (len + len / 4 + 1).max(SMALLEST), "{len} got {size}");
            assert_eq!(class(size), (index, size), "a class must contain its own length");
            assert!(index >= last);
            last = index;
        }
    }
}
