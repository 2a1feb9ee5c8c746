//! Special functions: the normal distribution, entropies.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};

impl<'t, T: Element> Var<'t, T> {
    /// a ln(1 + b), and 0 where a is 0, element by element. Where a is 0 and the logarithm is infinite, so are no
    /// derivatives: they are 0.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([0.0f32, 2.0]));
    /// assert_eq!(a.xlog1py(&Tensor::from([-1.0f32, 0.0])).value().to_vec(), [0.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn xlog1py(self, other: impl Operand<'t, T>) -> Self {
        let b = other.on(self.tape());
        let outside = b.le(-1.0) + b.eq(f64::INFINITY);
        self * (self.eq(0.0) * outside).if_else(0.0, b).ln_1p()
    }

    /// −x ln x, the entropy's terms, element by element: 0 at 0, where the derivative is taken to be 0, and −∞ below.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 1.0, -1.0]));
    /// assert_eq!(x.entr().value().to_vec(), [0.0, 0.0, f32::NEG_INFINITY]);
    /// ```
    #[track_caller]
    pub fn entr(self) -> Self {
        let inner = self.le(0.0).if_else(1.0, self);
        let terms = -(inner * inner.ln());
        self.lt(0.0).if_else(f64::NEG_INFINITY, terms)
    }

    /// Φ(x) = ½ erfc(−x / √2), the probability that a standard normal variable is below x, element by element.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32, 20.0])).ndtr().value().to_vec(), [0.5, 1.0]);
    /// ```
    #[track_caller]
    pub fn ndtr(self) -> Self {
        (self * -FRAC_1_SQRT_2).erfc() * 0.5
    }

    /// ln Φ(x), the logarithm of [`ndtr`](Self::ndtr), accurate also where Φ is 0 or 1 to all digits.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let y = tape.leaf(Tensor::from([-1e3f64, 0.0])).log_ndtr().value().to_vec();
    /// assert!((y[0] + 500007.8266948122).abs() < 1e-9 && (y[1] - 0.5f64.ln()).abs() < 1e-15);
    /// ```
    #[track_caller]
    pub fn log_ndtr(self) -> Self {
        /// Below it the series in 1/x² is exact to the last places, and Φ still a normal `f32`.
        const FAR: f64 = -12.0;
        const TERMS: i32 = 12;
        let (above, far) = (self.gt(0.0), self.lt(FAR));
        let high = (above.if_else(self, 1.0) * FRAC_1_SQRT_2).erfc() * -0.5;
        let middle = (above + far).if_else(-1.0, self).ndtr();
        // Φ(x) ~ φ(x) / −x · (1 − 1/x² (1 − 3/x² (1 − 5/x² …)))
        let x = far.if_else(self, FAR);
        let u = x.square();
        let mut series = self.tape().scalar(1.0);
        for k in (1..=TERMS).rev() {
            series = 1.0 - series / u * f64::from(2 * k - 1);
        }
        let low = u * -0.5 - (-x).ln() - 0.5 * TAU.ln() + series.ln();
        above.if_else(high.ln_1p(), far.if_else(low, middle.ln()))
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([a: normal [2, 3], b: positive [3]] => a.xlog1py(b)),
        example!([x: positive [2, 3]] => x.entr()),
        example!([x: normal [2, 3]] => x.ndtr()),
        example!([x: uniform ([2, 3], -5.0, -0.5)] => x.log_ndtr()),
        example!([x: uniform ([2, 3], 0.5, 3.0)] => x.log_ndtr()),
        example!([x: uniform ([2, 3], -30.0, -13.0)] => x.log_ndtr()),
    ]
}
