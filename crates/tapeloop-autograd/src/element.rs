//! What a tensor can hold: [`Item`]s; what arithmetic works on: [`Element`]s, `f32` and `f64`.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Rem, Sub, SubAssign};

use crate::compiled::Compiled;
use crate::kernels::{gemm::Gemm, lanes::Lanes, math, panel::Panel};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i64 {}
    impl Sealed for bool {}
}

/// A value a [`Tensor`](crate::Tensor) can store: `f32`, `f64`, `i64` (indices), `bool` (masks).
pub trait Item:
    sealed::Sealed + Copy + Default + PartialEq + PartialOrd + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// The type's name as NumPy writes it.
    const NAME: &'static str;
}

impl Item for f32 {
    const NAME: &'static str = "float32";
}
impl Item for f64 {
    const NAME: &'static str = "float64";
}
impl Item for i64 {
    const NAME: &'static str = "int64";
}
impl Item for bool {
    const NAME: &'static str = "bool";
}

/// A floating-point type that can be differentiated: `f32` to work in, `f64` to check in.
///
/// The methods are the scalar functions every elementwise operation is made of.
pub trait Element:
    Item
    + Compiled
    + Gemm
    + Panel
    + Lanes
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
{
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// The distance from 1 to the next larger value.
    const EPSILON: Self;

    /// The nearest value of this type.
    fn from_f64(x: f64) -> Self;
    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;
    /// Whether the value is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whether the value is NaN.
    fn is_nan(self) -> bool;
    /// a·b + c, rounded once.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// eˣ
    fn exp(self) -> Self;
    /// 2ˣ
    fn exp2(self) -> Self;
    /// eˣ − 1
    fn exp_m1(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// Logarithm to base 2.
    fn log2(self) -> Self;
    /// Logarithm to base 10.
    fn log10(self) -> Self;
    /// ln(1 + x)
    fn ln_1p(self) -> Self;
    /// √x
    fn sqrt(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Tangent.
    fn tan(self) -> Self;
    /// Inverse sine.
    fn asin(self) -> Self;
    /// Inverse cosine.
    fn acos(self) -> Self;
    /// Inverse tangent.
    fn atan(self) -> Self;
    /// Hyperbolic sine.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine.
    fn cosh(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Inverse hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Inverse hyperbolic tangent.
    fn atanh(self) -> Self;
    /// 1 / (1 + e⁻ˣ)
    fn sigmoid(self) -> Self;
    /// The error function.
    fn erf(self) -> Self;
    /// 1 − erf(x), without cancellation for large x.
    fn erfc(self) -> Self;
    /// ln |Γ(x)|
    fn lgamma(self) -> Self;
    /// The angle of the point (x, self).
    fn atan2(self, x: Self) -> Self;
    /// √(a² + b²) without overflow.
    fn hypot(self, b: Self) -> Self;
    /// selfᵉ
    fn powf(self, e: Self) -> Self;
    /// Largest integer not above.
    fn floor(self) -> Self;
    /// Smallest integer not below.
    fn ceil(self) -> Self;
    /// Nearest integer, ties to even.
    fn round_ties_even(self) -> Self;
    /// The integer part.
    fn trunc(self) -> Self;
    /// |x|
    fn abs(self) -> Self;
    /// The larger of two; NaN if either is.
    #[inline(always)]
    fn maximum(self, b: Self) -> Self {
        if self > b || self.is_nan() { self } else { b }
    }
    /// The smaller of two; NaN if either is.
    #[inline(always)]
    fn minimum(self, b: Self) -> Self {
        if self < b || self.is_nan() { self } else { b }
    }
}

macro_rules! element {
    ($t:ident, $lgamma:path, { $($own:tt)* }) => {
        impl Element for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const INFINITY: Self = $t::INFINITY;
            const NAN: Self = $t::NAN;
            const EPSILON: Self = $t::EPSILON;
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            element!(@forward $t, is_finite -> bool, is_nan -> bool);
            element!(@forward $t, exp2 -> $t, log2 -> $t, log10 -> $t, sqrt -> $t, sin -> $t, cos -> $t, tan -> $t, asin -> $t, acos -> $t, atan -> $t,
                sinh -> $t, cosh -> $t, asinh -> $t, acosh -> $t, atanh -> $t,
                floor -> $t, ceil -> $t, round_ties_even -> $t, trunc -> $t, abs -> $t);
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                $t::mul_add(self, b, c)
            }
            #[inline(always)]
            fn atan2(self, x: Self) -> Self {
                $t::atan2(self, x)
            }
            #[inline(always)]
            fn hypot(self, b: Self) -> Self {
                $t::hypot(self, b)
            }
            #[inline(always)]
            fn powf(self, e: Self) -> Self {
                $t::powf(self, e)
            }
            #[inline(always)]
            fn lgamma(self) -> Self {
                $lgamma(self)
            }
            $($own)*
        }
    };
    (@forward $t:ident, $($name:ident -> $out:ty),*) => {
        $(#[inline(always)]
        fn $name(self) -> $out {
            $t::$name(self)
        })*
    };
}

// In f32 the common functions are branch-free polynomials that vectorise; in f64, which exists to
// check with, they are the standard library's.
element!(f32, libm::lgammaf, {
    #[inline(always)]
    fn exp(self) -> Self {
        math::exp(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        math::expm1(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        math::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        math::ln_1p(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        math::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        math::sigmoid(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erff(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        libm::erfcf(self)
    }
});
element!(f64, libm::lgamma, {
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn exp_m1(self) -> Self {
        f64::exp_m1(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn ln_1p(self) -> Self {
        f64::ln_1p(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        // Both forms avoid the overflow of the other.
        let e = (-self.abs()).exp();
        if self >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
    }
    #[inline(always)]
    fn erf(self) -> Self {
        libm::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        libm::erfc(self)
    }
});
