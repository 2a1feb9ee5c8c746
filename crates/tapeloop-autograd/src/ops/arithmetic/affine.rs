//! y = scale · x + shift;  dy/dx = scale

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    scale: f64,
    shift: f64,
}

impl Pointwise<1> for Affine {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        x.mul_add(T::from_f64(self.scale), T::from_f64(self.shift))
    }
}

impl<T: Element> Op<T> for Affine {
    pointwise!("affine");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g * self.scale);
    }
}

impl<T: Element> Var<'_, T> {
    /// scale · x + shift, element by element, rounded once. All arithmetic with numbers is this.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.affine(2.0, -1.0).value().to_vec(), [1.0, 3.0]);
    /// assert_eq!((1.0 - x).value().to_vec(), [0.0, -1.0]);
    /// ```
    #[track_caller]
    pub fn affine(self, scale: f64, shift: f64) -> Self {
        self.unary(Affine { scale, shift })
    }
}

impl Examples for Affine {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3]] => x.affine(-2.0, 0.5)),
            example!([x: normal [3]] => 1.0 - x),
            example!([x: normal []] => -x / 4.0),
        ]
    }
}
