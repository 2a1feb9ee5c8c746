//! y = xᵉ for a number e;  dy/dx = e xᵉ⁻¹

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Powf {
    exponent: f64,
}

impl Pointwise<1> for Powf {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.powf(T::from_f64(self.exponent))
    }
}

impl<T: Element> Op<T> for Powf {
    pointwise!("powf");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        if self.exponent != 0.0 {
            back.give(0, |g| g * (x.powf(self.exponent - 1.0) * self.exponent));
        }
    }
}

impl<T: Element> Var<'_, T> {
    /// xᵉ for a number e, element by element.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, -1.0]));
    /// let y = x.powf(3.0);
    /// assert_eq!(y.value().to_vec(), [8.0, -1.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [12.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn powf(self, exponent: f64) -> Self {
        self.unary(Powf { exponent })
    }
}

impl Examples for Powf {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.powf(3.0)),
            example!([x: positive [2, 3]] => x.powf(-0.7)),
            example!([x: normal [2, 3]] => x.powf(1.0)),
        ]
    }
}
