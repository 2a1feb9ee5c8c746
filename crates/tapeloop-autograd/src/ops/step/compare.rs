//! y = 1 where a < b (≤, >, ≥, =, ≠), else 0;  ∂y = 0

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Operand, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Pointwise<2> for Compare {
    #[inline(always)]
    fn call<T: Element>(self, [a, b]: [T; 2]) -> T {
        let holds = match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
        };
        if holds { T::ONE } else { T::ZERO }
    }
}

impl<T: Element> Op<T> for Compare {
    pointwise!("compare");
    fn vjp<'t>(&self, _: &mut Backward<'_, 't, T>) {}
}

macro_rules! comparisons {
    ($($method:ident $kind:ident $sign:literal $result:literal;)*) => {
        impl<'t, T: Element> Var<'t, T> {$(
            #[doc = concat!("1 where this ", $sign, " `other`, else 0, element by element. No gradient flows through it.")]
            ///
            /// ```
            /// use tapeloop_autograd::{Tape, Tensor};
            /// let tape = Tape::new();
            /// let x = tape.constant(Tensor::from([1.0f32, 2.0, 3.0]));
            #[doc = concat!("assert_eq!(x.", stringify!($method), "(2.0).value().to_vec(), ", $result, ");")]
            /// ```
            ///
            /// # Panics
            /// If the shapes do not broadcast.
            #[track_caller]
            pub fn $method(self, other: impl Operand<'t, T>) -> Self {
                self.binary(Compare::$kind, other.on(self.tape()))
            }
        )*}
    };
}

comparisons! {
    eq Eq "=" "[0.0, 1.0, 0.0]";
    ne Ne "≠" "[1.0, 0.0, 1.0]";
    lt Lt "<" "[1.0, 0.0, 0.0]";
    le Le "≤" "[1.0, 1.0, 0.0]";
    gt Gt ">" "[0.0, 0.0, 1.0]";
    ge Ge "≥" "[0.0, 1.0, 1.0]";
}

impl Examples for Compare {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([a: normal [2, 3], b: normal [3]] => a.lt(b))]
    }
}
