//! y = x for x > 0, else slope · x;  dy/dx = 1 for x > 0, else slope

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LeakyRelu {
    slope: f64,
}

impl Pointwise<1> for LeakyRelu {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        if x > T::ZERO { x } else { T::from_f64(self.slope) * x }
    }
}

impl<T: Element> Op<T> for LeakyRelu {
    pointwise!("leaky_relu");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.gt(0.0).affine(1.0 - self.slope, self.slope));
    }
}

impl<T: Element> Var<'_, T> {
    /// x for x > 0, else `slope` · x, element by element. The derivative at 0 is `slope`.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.0, -1.0]));
    /// let y = x.leaky_relu(0.5);
    /// assert_eq!(y.value().to_vec(), [2.0, 0.0, -0.5]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [1.0, 0.5, 0.5]);
    /// ```
    #[track_caller]
    pub fn leaky_relu(self, slope: f64) -> Self {
        self.unary(LeakyRelu { slope })
    }
}

impl Examples for LeakyRelu {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![example!([x: distinct [2, 3]] => x.leaky_relu(0.1))]
    }
}
