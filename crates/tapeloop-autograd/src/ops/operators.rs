//! `+ − × ÷` and unary minus between variables, parameters, tensors and numbers.

use std::ops;

use super::arithmetic::{add::Add, div::Div, mul::Mul, sub::Sub};
use crate::element::Element;
use crate::tape::{Operand, Param, Var};
use crate::tensor::Tensor;

macro_rules! operators {
    ($($trait:ident :: $method:ident => $op:ident, $var:ident $number:ident => ($right:expr, $left:expr);)*) => {$(
        impl<'t, T: Element> ops::$trait for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, other: Var<'t, T>) -> Var<'t, T> {
                self.binary($op, other)
            }
        }
        impl<'t, T: Element> ops::$trait<&Param<T>> for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &Param<T>) -> Var<'t, T> {
                self.binary($op, other.on(self.tape()))
            }
        }
        impl<'t, T: Element> ops::$trait<Var<'t, T>> for &Param<T> {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, other: Var<'t, T>) -> Var<'t, T> {
                self.on(other.tape()).binary($op, other)
            }
        }
        impl<'t, T: Element> ops::$trait<&Tensor<T>> for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &Tensor<T>) -> Var<'t, T> {
                self.binary($op, other.on(self.tape()))
            }
        }
        impl<'t, T: Element> ops::$trait<f64> for Var<'t, T> {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, $number: f64) -> Var<'t, T> {
                let $var = self;
                $right
            }
        }
        impl<'t, T: Element> ops::$trait<Var<'t, T>> for f64 {
            type Output = Var<'t, T>;
            #[track_caller]
            fn $method(self, $var: Var<'t, T>) -> Var<'t, T> {
                let $number = self;
                $left
            }
        }
    )*};
}

operators! {
    Add::add => Add, x a => (x.affine(1.0, a), x.affine(1.0, a));
    Sub::sub => Sub, x a => (x.affine(1.0, -a), x.affine(-1.0, a));
    Mul::mul => Mul, x a => (x.affine(a, 0.0), x.affine(a, 0.0));
    Div::div => Div, x a => (x.binary(Div, a.on(x.tape())), a.on(x.tape()).binary(Div, x));
}

impl<'t, T: Element> ops::Neg for Var<'t, T> {
    type Output = Var<'t, T>;
    #[track_caller]
    fn neg(self) -> Var<'t, T> {
        self.affine(-1.0, 0.0)
    }
}

impl<'t, T: Element> std::iter::Sum for Var<'t, T> {
    /// The sum of at least one variable.
    ///
    /// # Panics
    /// If there is none: the sum of nothing has no tape.
    fn sum<I: Iterator<Item = Self>>(variables: I) -> Self {
        variables.reduce(|a, b| a + b).expect("sum: there must be at least one variable")
    }
}
