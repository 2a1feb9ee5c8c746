//! Elementwise functions as instructions of a small machine that works on one vector of lanes: a stack of values in
//! vector registers. An instruction ends by going on to the next one, so that nothing between them touches memory; what a
//! row is made of costs a jump each, and no dispatch.

use smallvec::SmallVec;

use super::dispatch::Isa;
use super::elementwise::Pointwise;
use super::vector::Vector;
#[cfg(target_arch = "aarch64")]
use super::vector::arm;
#[cfg(target_arch = "x86_64")]
use super::vector::x86;
use crate::element::Element;

/// How many values the stack holds.
pub(crate) const SLOTS: usize = 6;
/// Kinds of vectors a machine has at most: the widest, a half of it, one element.
pub(super) const KINDS: usize = 3;

/// The function of an instruction, whose true type its kind of vector knows.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Entry(unsafe fn());

/// One instruction.
#[derive(Clone, Copy)]
pub(super) struct Code<T> {
    pub(super) entry: Entry,
    /// Where it reads or writes, for the first lane of the row.
    pub(super) address: *mut T,
    /// What its function knows, if it is one.
    pub(super) data: *const (),
    /// The elements of the row, where a store must not go beyond them.
    pub(super) width: usize,
}

/// What works with one kind of vector.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Kind<T> {
    pub(super) lanes: usize,
    /// Pushes a vector.
    pub(super) load: Entry,
    /// Pushes one element, repeated.
    pub(super) splat: Entry,
    /// Writes the top of the stack, and takes it off.
    pub(super) store: Entry,
    /// As `store`, but no further than the row goes.
    pub(super) store_part: Entry,
    /// Writes the top of the stack.
    pub(super) keep: Entry,
    pub(super) keep_part: Entry,
    /// Lets the two uppermost values change places.
    pub(super) swap: Entry,
    pub(super) end: Entry,
    /// Runs a program for vectors that start at `from`, `from + lanes`, … below `to`.
    pub(super) enter: unsafe fn(*const Code<T>, usize, usize),
    /// Products with a panel of so many vectors, from one on.
    pub(super) panels: [unsafe fn(&Panel<T>); PANEL],
}

/// The most vectors of a panel.
pub(super) const PANEL: usize = 8;

/// Neighbouring columns of a product of one row: c = init + Σ a B over all pieces, one chain after the other.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Panel<T> {
    pub(super) pieces: *const Piece<T>,
    pub(super) count: usize,
    /// The columns, packed: a row of the panel after the other.
    pub(super) b: *const T,
    /// Null for zeros.
    pub(super) init: *const T,
    pub(super) c: *mut T,
}

/// A part of a product's depth.
#[derive(Clone, Copy)]
pub(super) struct Piece<T> {
    pub(super) a: *const T,
    pub(super) k: usize,
}

/// An element type with vectors to work on.
pub trait Lanes: Sized + 'static {
    /// What this machine has, the widest first; nothing without fused multiply-add.
    #[doc(hidden)]
    fn kinds(isa: Isa) -> Kinds<Self>;
    /// The instructions of a function, by kind.
    #[doc(hidden)]
    #[allow(private_bounds, reason = "the trait is sealed")]
    fn function<F: Pointwise<N>, const N: usize>(isa: Isa) -> SmallVec<[Entry; KINDS]>;
}

/// Kinds of vectors.
pub type Kinds<T> = SmallVec<[Kind<T>; KINDS]>;

/// A vector as its elements.
///
/// # Safety
/// As for [`Vector`].
trait Lane: Vector
where
    Self::Item: Element,
{
    unsafe fn map<F: Pointwise<N>, const N: usize>(f: F, x: [Self; N]) -> Self;
    unsafe fn store_some(self, to: *mut Self::Item, count: usize);
}

macro_rules! lane {
    ($($vector:ty: $item:ty, $lanes:literal;)*) => {$(
        impl Lane for $vector {
            #[inline(always)]
            unsafe fn map<F: Pointwise<N>, const N: usize>(f: F, x: [Self; N]) -> Self {
                // SAFETY: a vector is its elements.
                let x: [[$item; $lanes]; N] = x.map(|x| unsafe { std::mem::transmute::<Self, [$item; $lanes]>(x) });
                let mut y: [$item; $lanes] = [0.0; $lanes];
                for j in 0..$lanes {
                    y[j] = f.call(std::array::from_fn(|k| x[k][j]));
                }
                // SAFETY: as above.
                unsafe { std::mem::transmute::<[$item; $lanes], Self>(y) }
            }
            #[inline(always)]
            unsafe fn store_some(self, to: *mut $item, count: usize) {
                // SAFETY: a vector is its elements.
                let x = unsafe { std::mem::transmute::<Self, [$item; $lanes]>(self) };
                // SAFETY: the caller's pointer is valid for `count` elements.
                unsafe { x.as_ptr().copy_to_nonoverlapping(to, count.min($lanes)) };
            }
        }
    )*};
}

/// One element, where the machine has fused multiply-add.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct One<T>(T);

impl<T: Element> Vector for One<T> {
    type Item = T;
    const LANES: usize = 1;
    #[inline(always)]
    unsafe fn splat(x: T) -> Self {
        Self(x)
    }
    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller's pointer is valid.
        Self(unsafe { *from })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller's pointer is valid.
        unsafe { *to = self.0 }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Self(self.0.mul_add(b.0, c.0))
    }
}

lane! {
    One<f32>: f32, 1;
    One<f64>: f64, 1;
}
#[cfg(target_arch = "x86_64")]
lane! {
    x86::F32x16: f32, 16;
    x86::F32x8: f32, 8;
    x86::F64x8: f64, 8;
    x86::F64x4: f64, 4;
}
#[cfg(target_arch = "aarch64")]
lane! {
    arm::F32x4: f32, 4;
    arm::F64x2: f64, 2;
}

/// The columns of a panel, in registers over all of k.
///
/// # Safety
/// The machine must have the vectors; all pointers must be valid for what [`Panel`] says.
#[inline(always)]
unsafe fn columns<V: Vector, const NV: usize>(panel: &Panel<V::Item>)
where
    V::Item: Element,
{
    // SAFETY: the caller answers for the instructions and all pointers.
    unsafe {
        let mut sums = [V::splat(V::Item::ZERO); NV];
        if !panel.init.is_null() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(panel.init.add(j * V::LANES));
            }
        }
        let mut b = panel.b;
        for piece in 0..panel.count {
            let Piece { a, k } = *panel.pieces.add(piece);
            for l in 0..k {
                let x = V::splat(*a.add(l));
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = x.fma(V::load(b.add(j * V::LANES)), *sum);
                }
                b = b.add(NV * V::LANES);
            }
        }
        for (j, sum) in sums.iter().enumerate() {
            sum.store(panel.c.add(j * V::LANES));
        }
    }
}

/// The instructions of a kind of vector: compiled for its features, called as its machine passes vectors in registers.
macro_rules! instructions {
    ($module:ident, $abi:tt, $features:literal) => {
        mod $module {
            use super::{Code, Element, Entry, Kind, Lane, Panel, Pointwise, Vector, columns};

            type Run<V> = unsafe extern $abi fn(*const Code<<V as Vector>::Item>, usize, V, V, V, V, V, V);

            fn erase<V: Vector>(run: Run<V>) -> Entry {
                // SAFETY: function pointers are alike; it is called as what it is.
                Entry(unsafe { std::mem::transmute::<Run<V>, unsafe fn()>(run) })
            }

            /// The function of `code`.
            ///
            /// # Safety
            /// It must be of vectors `V`.
            #[inline(always)]
            unsafe fn run<V: Vector>(code: *const Code<V::Item>) -> Run<V> {
                // SAFETY: the caller has a valid instruction of this kind.
                unsafe { std::mem::transmute::<unsafe fn(), Run<V>>((*code).entry.0) }
            }

            // Every instruction: the machine must have the features; the place must be valid for a vector at `at`; a
            // program ends with `end`, and its instructions are of one kind.

            #[target_feature(enable = $features)]
            unsafe extern $abi fn load<V: Lane>(code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, _: V)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let top = V::load((*code).address.add(at));
                    let next = code.add(1);
                    run::<V>(next)(next, at, top, a, b, c, d, e);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn splat<V: Lane>(code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, _: V)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let top = V::splat(*(*code).address);
                    let next = code.add(1);
                    run::<V>(next)(next, at, top, a, b, c, d, e);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn store<V: Lane>(code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    a.store((*code).address.add(at));
                    let next = code.add(1);
                    run::<V>(next)(next, at, b, c, d, e, f, f);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn store_part<V: Lane>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    a.store_some((*code).address.add(at), (*code).width - at);
                    let next = code.add(1);
                    run::<V>(next)(next, at, b, c, d, e, f, f);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn keep<V: Lane>(code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    a.store((*code).address.add(at));
                    let next = code.add(1);
                    run::<V>(next)(next, at, a, b, c, d, e, f);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn keep_part<V: Lane>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    a.store_some((*code).address.add(at), (*code).width - at);
                    let next = code.add(1);
                    run::<V>(next)(next, at, a, b, c, d, e, f);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn swap<V: Lane>(code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let next = code.add(1);
                    run::<V>(next)(next, at, b, a, c, d, e, f);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn end<V: Lane>(_: *const Code<V::Item>, _: usize, _: V, _: V, _: V, _: V, _: V, _: V)
            where
                V::Item: Element,
            {
            }

            /// The inputs are the uppermost values, the last one on top.
            #[target_feature(enable = $features)]
            unsafe extern $abi fn apply<V: Lane, F: Pointwise<N>, const N: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above; `data` is the function.
                unsafe {
                    let function = *(*code).data.cast::<F>();
                    let stack = [a, b, c];
                    let top = V::map(function, std::array::from_fn(|k| stack[N - 1 - k]));
                    let next = code.add(1);
                    match N {
                        1 => run::<V>(next)(next, at, top, b, c, d, e, f),
                        2 => run::<V>(next)(next, at, top, c, d, e, f, f),
                        _ => run::<V>(next)(next, at, top, d, e, f, f, f),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn enter<V: Lane>(code: *const Code<V::Item>, from: usize, to: usize)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let z = V::splat(V::Item::ZERO);
                    let first = run::<V>(code);
                    for at in (from..to).step_by(V::LANES) {
                        first(code, at, z, z, z, z, z, z);
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn panel<V: Vector, const NV: usize>(panel: &Panel<V::Item>)
            where
                V::Item: Element,
            {
                // SAFETY: passed on.
                unsafe { columns::<V, NV>(panel) }
            }

            pub(super) fn function<V: Lane, F: Pointwise<N>, const N: usize>() -> Entry
            where
                V::Item: Element,
            {
                erase::<V>(apply::<V, F, N>)
            }

            pub(super) fn kind<V: Lane>() -> Kind<V::Item>
            where
                V::Item: Element,
            {
                Kind {
                    lanes: V::LANES,
                    load: erase::<V>(load::<V>),
                    splat: erase::<V>(splat::<V>),
                    store: erase::<V>(store::<V>),
                    store_part: erase::<V>(store_part::<V>),
                    keep: erase::<V>(keep::<V>),
                    keep_part: erase::<V>(keep_part::<V>),
                    swap: erase::<V>(swap::<V>),
                    end: erase::<V>(end::<V>),
                    enter: enter::<V>,
                    panels: [
                        panel::<V, 1>,
                        panel::<V, 2>,
                        panel::<V, 3>,
                        panel::<V, 4>,
                        panel::<V, 5>,
                        panel::<V, 6>,
                        panel::<V, 7>,
                        panel::<V, 8>,
                    ],
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
instructions!(avx512, "sysv64", "avx512f,avx512dq,avx2,fma");
#[cfg(target_arch = "x86_64")]
instructions!(avx2, "sysv64", "avx2,fma");
#[cfg(target_arch = "aarch64")]
instructions!(neon, "C", "neon");

/// `isa: module::vector …`, the widest first.
macro_rules! element {
    ($t:ident, { $($isa:pat => [$($module:ident::<$vector:ty>),*]),* $(,)? }) => {
        impl Lanes for $t {
            fn kinds(isa: Isa) -> Kinds<Self> {
                match isa {
                    $($isa => [$($module::kind::<$vector>()),*].into_iter().collect(),)*
                    _ => Kinds::new(),
                }
            }
            #[allow(private_bounds, reason = "the trait is sealed")]
            fn function<F: Pointwise<N>, const N: usize>(isa: Isa) -> SmallVec<[Entry; KINDS]> {
                match isa {
                    $($isa => [$($module::function::<$vector, F, N>()),*].into_iter().collect(),)*
                    _ => SmallVec::new(),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
element!(f32, {
    Isa::Avx512 => [avx512::<x86::F32x16>, avx2::<x86::F32x8>, avx2::<One<f32>>],
    Isa::Avx2 => [avx2::<x86::F32x8>, avx2::<One<f32>>],
});
#[cfg(target_arch = "x86_64")]
element!(f64, {
    Isa::Avx512 => [avx512::<x86::F64x8>, avx2::<x86::F64x4>, avx2::<One<f64>>],
    Isa::Avx2 => [avx2::<x86::F64x4>, avx2::<One<f64>>],
});
#[cfg(target_arch = "aarch64")]
element!(f32, { Isa::Neon => [neon::<arm::F32x4>, neon::<One<f32>>] });
#[cfg(target_arch = "aarch64")]
element!(f64, { Isa::Neon => [neon::<arm::F64x2>, neon::<One<f64>>] });
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f32, {});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f64, {});
