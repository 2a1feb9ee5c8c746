//! y = ψ⁽ⁿ⁾(x), the (n + 1)-th derivative of ln Γ;  dy/dx = ψ⁽ⁿ⁺¹⁾(x)

use super::super::pointwise::{Pointwise, pointwise};
use crate::element::Element;
use crate::ops::{Example, Examples, Op, example};
use crate::tape::{Backward, Var};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Polygamma {
    order: u32,
}

impl Pointwise<1> for Polygamma {
    #[inline(always)]
    fn call<T: Element>(self, [x]: [T; 1]) -> T {
        T::from_f64(polygamma(self.order, x.to_f64()))
    }
}

/// Bernoulli numbers B₂, B₄, ….
const BERNOULLI: [f64; 10] = [
    1.0 / 6.0,
    -1.0 / 30.0,
    1.0 / 42.0,
    -1.0 / 30.0,
    5.0 / 66.0,
    -691.0 / 2730.0,
    7.0 / 6.0,
    -3617.0 / 510.0,
    43867.0 / 798.0,
    -174_611.0 / 330.0,
];

/// The recurrence ψ⁽ⁿ⁾(x) = ψ⁽ⁿ⁾(x + 1) − (−1)ⁿ n! / xⁿ⁺¹ up to where the asymptotic series is exact (Abramowitz
/// & Stegun 6.4.6, 6.4.11).
fn polygamma(n: u32, mut x: f64) -> f64 {
    if x <= 0.0 && x == x.floor() {
        return if n % 2 == 1 { f64::INFINITY } else { f64::NAN };
    }
    // The recurrence would take |x| steps.
    if x < -1e6 || x.is_nan() {
        return f64::NAN;
    }
    let n_factorial = (1..=n).map(f64::from).product::<f64>();
    let sign = if n.is_multiple_of(2) { 1.0 } else { -1.0 };
    let mut below = 0.0;
    while x < 16.0 + f64::from(n) {
        below -= sign * n_factorial / x.powi(n as i32 + 1);
        x += 1.0;
    }
    // The series' terms for n = 0 are ln x − 1/(2x) − Σ B₂ₖ / (2k x²ᵏ); for n > 0 their derivatives.
    let mut series = if n == 0 {
        x.ln() - 0.5 / x
    } else {
        let leading = n_factorial / f64::from(n) / x.powi(n as i32);
        -sign * (leading + n_factorial / (2.0 * x.powi(n as i32 + 1)))
    };
    for (k, b) in (1u32..).zip(BERNOULLI) {
        // (2k + n − 1)! / (2k)!
        let ratio = if n == 0 {
            1.0 / f64::from(2 * k)
        } else {
            (2 * k + 1..2 * k + n).map(f64::from).product::<f64>()
        };
        let term = b * ratio / x.powi((2 * k + n) as i32);
        series -= sign * term;
    }
    below + series
}

impl<T: Element> Op<T> for Polygamma {
    pointwise!("polygamma");
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x.polygamma(self.order + 1));
    }
}

impl<T: Element> Var<'_, T> {
    /// The digamma function ψ for order 0, else its derivative of that order, element by element. NaN below −10⁶.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f64]));
    /// assert!((x.polygamma(0).item() + 0.577_215_664_901_532_9).abs() < 1e-14); // −γ
    /// assert!((x.polygamma(1).item() - std::f64::consts::PI.powi(2) / 6.0).abs() < 1e-14);
    /// ```
    #[track_caller]
    pub fn polygamma(self, order: u32) -> Self {
        self.unary(Polygamma { order })
    }
}

impl Examples for Polygamma {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: positive [2, 3]] => x.polygamma(0)),
            example!([x: positive [3]] => x.polygamma(2)),
            example!([x: values ([2], [-0.4, -2.6])] => x.polygamma(1)),
        ]
    }
}
