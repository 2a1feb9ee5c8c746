//! One loop, compiled for every kind of vector the machine may have.

/// A loop to run with the widest vectors at hand. `run` must be `#[inline(always)]`, as must all it calls.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The loop.
    fn run(self) -> Self::Output;
}

/// The kinds of vectors kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors with fused multiply-add.
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 128-bit vectors with fused multiply-add.
    Neon,
    /// What the compiler's target guarantees.
    Portable,
}

/// The best kind this machine has.
#[inline]
pub fn isa() -> Isa {
    #[cfg(target_arch = "x86_64")]
    {
        // The standard library keeps the answers: each is one load and a test.
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
            return Isa::Avx512;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Isa::Avx2;
        }
    }
    if cfg!(target_arch = "aarch64") { Isa::Neon } else { Isa::Portable }
}

/// Runs `kernel` compiled for [`isa`].
#[inline]
pub fn with_simd<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa() {
        // SAFETY: the machine has the features.
        Isa::Avx512 => return unsafe { avx512(kernel) },
        // SAFETY: the machine has the features.
        Isa::Avx2 => return unsafe { avx2(kernel) },
        _ => {}
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
