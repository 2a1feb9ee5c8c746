//! Vectors with fused multiply-add, for the kernels of matrix products.

/// A vector of `LANES` elements.
///
/// # Safety
/// Its functions need the instructions it is named after, and pointers valid for `LANES` elements.
pub(super) trait Vector: Copy {
    type Item;
    const LANES: usize;
    unsafe fn splat(x: Self::Item) -> Self;
    unsafe fn load(from: *const Self::Item) -> Self;
    unsafe fn store(self, to: *mut Self::Item);
    unsafe fn fma(self, b: Self, c: Self) -> Self;
}

macro_rules! vector {
    ($name:ident($raw:ty), $item:ty, $lanes:literal, $splat:expr, $load:expr, $store:expr, $fma:expr) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(in super::super) struct $name($raw);
        impl Vector for $name {
            type Item = $item;
            const LANES: usize = $lanes;
            #[inline(always)]
            unsafe fn splat(x: $item) -> Self {
                // SAFETY: the caller has the instructions.
                Self(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $item) -> Self {
                // SAFETY: the caller has the instructions and a valid pointer.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $item) {
                // SAFETY: the caller has the instructions and a valid pointer.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn fma(self, b: Self, c: Self) -> Self {
                // SAFETY: the caller has the instructions.
                Self(unsafe { $fma(self.0, b.0, c.0) })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    vector!(F32x16(__m512), f32, 16, _mm512_set1_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps);
    vector!(F64x8(__m512d), f64, 8, _mm512_set1_pd, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_fmadd_pd);
    vector!(F32x8(__m256), f32, 8, _mm256_set1_ps, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps);
    vector!(F64x4(__m256d), f64, 4, _mm256_set1_pd, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_fmadd_pd);
}

#[cfg(target_arch = "aarch64")]
pub(super) mod arm {
    use std::arch::aarch64::*;

    use super::Vector;

    vector!(F32x4(float32x4_t), f32, 4, vdupq_n_f32, vld1q_f32, vst1q_f32, |a, b, c| vfmaq_f32(c, a, b));
    vector!(F64x2(float64x2_t), f64, 2, vdupq_n_f64, vld1q_f64, vst1q_f64, |a, b, c| vfmaq_f64(c, a, b));
}
