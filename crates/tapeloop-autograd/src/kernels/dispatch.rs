//! stub
pub trait Kernel {
    type Output;
    fn run(self) -> Self::Output;
}
#[inline(always)]
pub fn with_simd<K: Kernel>(k: K) -> K::Output {
    k.run()
}
