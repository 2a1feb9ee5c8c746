//! stub
#[derive(Clone, Debug)]
pub struct Threads;
impl Threads {
    pub fn new(_: usize) -> Self {
        Self
    }
    pub fn shared() -> Self {
        Self
    }
    pub fn count(&self) -> usize {
        1
    }
    pub fn for_chunks<T: Send>(&self, out: &mut [T], len: usize, body: impl Fn(usize, &mut [T]) + Sync) {
        for (i, c) in out.chunks_mut(len).enumerate() {
            body(i, c)
        }
    }
}
