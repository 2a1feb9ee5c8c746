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

/// How many values the stack holds: half as many as vectors are passed in registers, since a value may be two vectors.
pub(crate) const SLOTS: usize = 4;
/// Kinds of lanes a machine has at most: two of the widest vectors, one, a half of it, one element.
pub(super) const KINDS: usize = 4;

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

/// What works with one kind of lanes.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Kind<T> {
    pub(super) lanes: usize,
    /// How many vectors they are: of two, each hides the other's waiting.
    pub(super) vectors: usize,
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

/// Neighbouring columns of a product of one row: c = (init + Σ a B over all pieces, one chain after the other) + shift.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Panel<T> {
    pub(super) pieces: *const Piece<T>,
    pub(super) count: usize,
    /// The columns, packed: a row of the panel after the other.
    pub(super) b: *const T,
    /// Null for zeros.
    pub(super) init: *const T,
    /// Null for nothing.
    pub(super) shift: *const T,
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
unsafe fn columns<V: Lane, const NV: usize>(panel: &Panel<V::Item>)
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
        if !panel.shift.is_null() {
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = V::map(Plus, [*sum, V::load(panel.shift.add(j * V::LANES))]);
            }
        }
        for (j, sum) in sums.iter().enumerate() {
            sum.store(panel.c.add(j * V::LANES));
        }
    }
}

/// a + b
#[derive(Clone, Copy)]
struct Plus;

impl Pointwise<2> for Plus {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        a + b
    }
}

/// The instructions of a kind of vector: compiled for its features, called as its machine passes vectors in registers.
macro_rules! instructions {
    ($module:ident, $abi:tt, $features:literal) => {
        mod $module {
            use super::{Code, Element, Entry, Kind, Lane, Panel, Pointwise, Vector, columns};

            type Run<V> = unsafe extern $abi fn(*const Code<<V as Vector>::Item>, usize, V, V, V, V, V, V, V, V);

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

            // Every instruction: the machine must have the features; the place must be valid for `P` vectors at `at`; a
            // program ends with `end`, and its instructions are of one kind. With P = 1 the stack is a, b, c, d from its top
            // down; with P = 2 it is ab, cd, ef, gh.

            #[target_feature(enable = $features)]
            unsafe extern $abi fn load<V: Lane, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let from = (*code).address.add(at);
                    let top = [V::load(from), V::load(from.wrapping_add((P - 1) * V::LANES))];
                    let next = code.add(1);
                    match P {
                        1 => run::<V>(next)(next, at, top[0], a, b, c, e, f, g, h),
                        _ => run::<V>(next)(next, at, top[0], top[1], a, b, c, d, e, f),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn splat<V: Lane, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let top = V::splat(*(*code).address);
                    let next = code.add(1);
                    match P {
                        1 => run::<V>(next)(next, at, top, a, b, c, e, f, g, h),
                        _ => run::<V>(next)(next, at, top, top, a, b, c, d, e, f),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn store<V: Lane, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let to = (*code).address.add(at);
                    a.store(to);
                    if P == 2 {
                        b.store(to.add(V::LANES));
                    }
                    let next = code.add(1);
                    match P {
                        1 => run::<V>(next)(next, at, b, c, d, d, e, f, g, h),
                        _ => run::<V>(next)(next, at, c, d, e, f, g, h, g, h),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn keep<V: Lane, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let to = (*code).address.add(at);
                    a.store(to);
                    if P == 2 {
                        b.store(to.add(V::LANES));
                    }
                    let next = code.add(1);
                    run::<V>(next)(next, at, a, b, c, d, e, f, g, h);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn store_part<V: Lane>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    // Rows end in one vector.
                    a.store_some((*code).address.add(at), (*code).width - at);
                    let next = code.add(1);
                    run::<V>(next)(next, at, b, c, d, d, e, f, g, h);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn keep_part<V: Lane>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    // Rows end in one vector.
                    a.store_some((*code).address.add(at), (*code).width - at);
                    let next = code.add(1);
                    run::<V>(next)(next, at, a, b, c, d, e, f, g, h);
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn swap<V: Lane, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let next = code.add(1);
                    match P {
                        1 => run::<V>(next)(next, at, b, a, c, d, e, f, g, h),
                        _ => run::<V>(next)(next, at, c, d, a, b, e, f, g, h),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe extern $abi fn end<V: Lane>(
                _: *const Code<V::Item>, _: usize, _: V, _: V, _: V, _: V, _: V, _: V, _: V, _: V,
            ) where
                V::Item: Element,
            {
            }

            /// The inputs are the uppermost values, the last one on top.
            #[target_feature(enable = $features)]
            unsafe extern $abi fn apply<V: Lane, F: Pointwise<N>, const N: usize, const P: usize>(
                code: *const Code<V::Item>, at: usize, a: V, b: V, c: V, d: V, e: V, f: V, g: V, h: V,
            ) where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    // `data` is the function.
                    let function = *(*code).data.cast::<F>();
                    let next = code.add(1);
                    if P == 1 {
                        let stack = [a, b, c];
                        let top = V::map(function, std::array::from_fn(|k| stack[N - 1 - k]));
                        return match N {
                            1 => run::<V>(next)(next, at, top, b, c, d, e, f, g, h),
                            2 => run::<V>(next)(next, at, top, c, d, d, e, f, g, h),
                            _ => run::<V>(next)(next, at, top, d, d, d, e, f, g, h),
                        };
                    }
                    let (even, odd) = ([a, c, e], [b, d, f]);
                    let top = V::map(function, std::array::from_fn(|k| even[N - 1 - k]));
                    let second = V::map(function, std::array::from_fn(|k| odd[N - 1 - k]));
                    match N {
                        1 => run::<V>(next)(next, at, top, second, c, d, e, f, g, h),
                        2 => run::<V>(next)(next, at, top, second, e, f, g, h, g, h),
                        _ => run::<V>(next)(next, at, top, second, g, h, g, h, g, h),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn enter<V: Lane, const P: usize>(code: *const Code<V::Item>, from: usize, to: usize)
            where
                V::Item: Element,
            {
                // SAFETY: as above.
                unsafe {
                    let z = V::splat(V::Item::ZERO);
                    let first = run::<V>(code);
                    for at in (from..to).step_by(P * V::LANES) {
                        first(code, at, z, z, z, z, z, z, z, z);
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn panel<V: Lane, const NV: usize>(panel: &Panel<V::Item>)
            where
                V::Item: Element,
            {
                // SAFETY: passed on.
                unsafe { columns::<V, NV>(panel) }
            }

            pub(super) fn function<V: Lane, F: Pointwise<N>, const N: usize, const P: usize>() -> Entry
            where
                V::Item: Element,
            {
                erase::<V>(apply::<V, F, N, P>)
            }

            pub(super) fn kind<V: Lane, const P: usize>() -> Kind<V::Item>
            where
                V::Item: Element,
            {
                Kind {
                    lanes: P * V::LANES,
                    vectors: P,
                    load: erase::<V>(load::<V, P>),
                    splat: erase::<V>(splat::<V, P>),
                    store: erase::<V>(store::<V, P>),
                    store_part: erase::<V>(store_part::<V>),
                    keep: erase::<V>(keep::<V, P>),
                    keep_part: erase::<V>(keep_part::<V>),
                    swap: erase::<V>(swap::<V, P>),
                    end: erase::<V>(end::<V>),
                    enter: enter::<V, P>,
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

/// `isa: module::<vector, how many> …`, the widest first.
macro_rules! element {
    ($t:ident, { $($isa:pat => [$($module:ident::<$vector:ty, $vectors:literal>),*]),* $(,)? }) => {
        impl Lanes for $t {
            fn kinds(isa: Isa) -> Kinds<Self> {
                match isa {
                    $($isa => [$($module::kind::<$vector, $vectors>()),*].into_iter().collect(),)*
                    _ => Kinds::new(),
                }
            }
            #[allow(private_bounds, reason = "the trait is sealed")]
            fn function<F: Pointwise<N>, const N: usize>(isa: Isa) -> SmallVec<[Entry; KINDS]> {
                match isa {
                    $($isa => [$($module::function::<$vector, F, N, $vectors>()),*].into_iter().collect(),)*
                    _ => SmallVec::new(),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
element!(f32, {
    Isa::Avx512 => [avx512::<x86::F32x16, 2>, avx512::<x86::F32x16, 1>, avx2::<x86::F32x8, 1>, avx2::<One<f32>, 1>],
    Isa::Avx2 => [avx2::<x86::F32x8, 2>, avx2::<x86::F32x8, 1>, avx2::<One<f32>, 1>],
});
#[cfg(target_arch = "x86_64")]
element!(f64, {
    Isa::Avx512 => [avx512::<x86::F64x8, 1>, avx2::<x86::F64x4, 1>, avx2::<One<f64>, 1>],
    Isa::Avx2 => [avx2::<x86::F64x4, 1>, avx2::<One<f64>, 1>],
});
#[cfg(target_arch = "aarch64")]
element!(f32, { Isa::Neon => [neon::<arm::F32x4, 2>, neon::<arm::F32x4, 1>, neon::<One<f32>, 1>] });
#[cfg(target_arch = "aarch64")]
element!(f64, { Isa::Neon => [neon::<arm::F64x2, 1>, neon::<One<f64>, 1>] });
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f32, {});
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
element!(f64, {});
