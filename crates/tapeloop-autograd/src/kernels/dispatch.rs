//! One loop, compiled for every kind of vector the machine may have.

use std::sync::atomic::{AtomicU8, Ordering};

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

/// The best kind this machine has, or a lesser one that the environment asks for: `TAPELOOP_ISA=avx2` or `portable`, to
/// test and to measure what other machines get.
#[inline]
pub fn isa() -> Isa {
    // The answer is kept in a byte: 0 as long as nobody asked.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);
    const ALL: [Isa; 4] = [Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];
    match CHOSEN.load(Ordering::Relaxed) {
        0 => {
            let chosen = detect();
            let place = ALL.iter().position(|&isa| isa == chosen).unwrap_or_default();
            CHOSEN.store(place as u8 + 1, Ordering::Relaxed);
            chosen
        }
        place => ALL[usize::from(place) - 1],
    }
}

#[cold]
fn detect() -> Isa {
    let limit = std::env::var("TAPELOOP_ISA").unwrap_or_default();
    if limit == "portable" {
        return Isa::Portable;
    }
    best(&limit)
}

#[cfg(target_arch = "x86_64")]
fn best(limit: &str) -> Isa {
    let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
    let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match (wide && fused && limit != "avx2", fused) {
        (true, _) => Isa::Avx512,
        (_, true) => Isa::Avx2,
        _ => Isa::Portable,
    }
}

#[cfg(target_arch = "aarch64")]
fn best(_: &str) -> Isa {
    Isa::Neon
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn best(_: &str) -> Isa {
    Isa::Portable
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
