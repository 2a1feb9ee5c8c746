//! stub
use super::threads::Threads;
pub trait Gemm {}
impl Gemm for f32 {}
impl Gemm for f64 {}
pub struct Mat<'a, T> {
    pub data: &'a [T],
    pub row_stride: usize,
    pub col_stride: usize,
}
pub fn gemm<T: crate::Element>(
    m: usize,
    k: usize,
    n: usize,
    a: Mat<T>,
    b: Mat<T>,
    acc: bool,
    c: &mut [T],
    _: &Threads,
) {
    for i in 0..m {
        for j in 0..n {
            let mut s = if acc { c[i * n + j] } else { T::ZERO };
            for l in 0..k {
                s = a.data[i * a.row_stride + l * a.col_stride].mul_add(b.data[l * b.row_stride + j * b.col_stride], s);
            }
            c[i * n + j] = s;
        }
    }
}
