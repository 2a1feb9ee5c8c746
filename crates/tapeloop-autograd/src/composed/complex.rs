//! Complex numbers as pairs of variables, and their Fourier transforms.

use std::ops;

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::Var;

/// re + i im, element by element: both have one shape, or broadcast.
///
/// ```
/// use tapeloop_autograd::{Complex, Tape, Tensor};
/// let tape = Tape::new();
/// let z = Complex::new(tape.leaf(Tensor::from([1.0f32])), tape.leaf(Tensor::from([2.0f32])));
/// let w = z * z.conj();
/// assert_eq!((w.re.item(), w.im.item(), z.abs2().item()), (5.0, 0.0, 5.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Complex<'t, T: Element = f32> {
    /// The real part.
    pub re: Var<'t, T>,
    /// The imaginary part.
    pub im: Var<'t, T>,
}

impl<'t, T: Element> Complex<'t, T> {
    /// re + i im
    pub fn new(re: Var<'t, T>, im: Var<'t, T>) -> Self {
        Self { re, im }
    }

    /// r e^(iφ)
    ///
    /// ```
    /// # use tapeloop_autograd::{Complex, Tape, Tensor};
    /// # let tape = Tape::new();
    /// let z = Complex::from_polar(tape.leaf(Tensor::from([2.0f64])), tape.scalar(std::f64::consts::PI));
    /// assert!((z.re.item() + 2.0).abs() < 1e-15 && z.im.item().abs() < 1e-15);
    /// ```
    #[track_caller]
    pub fn from_polar(r: Var<'t, T>, angle: Var<'t, T>) -> Self {
        Self { re: r * angle.cos(), im: r * angle.sin() }
    }

    /// re − i im
    #[track_caller]
    pub fn conj(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    /// re² + im²
    #[track_caller]
    pub fn abs2(self) -> Var<'t, T> {
        self.re.square() + self.im.square()
    }

    /// √(re² + im²); its gradient at 0 is 0.
    #[track_caller]
    pub fn abs(self) -> Var<'t, T> {
        self.abs2().root()
    }

    /// e^re (cos im + i sin im)
    #[track_caller]
    pub fn exp(self) -> Self {
        Self::from_polar(self.re.exp(), self.im)
    }

    /// The matrix product of the last two axes, as [`Var::matmul`].
    #[track_caller]
    pub fn matmul(self, other: Self) -> Self {
        let (a, b, c, d) = (self.re, self.im, other.re, other.im);
        Self { re: a.matmul(c) - b.matmul(d), im: a.matmul(d) + b.matmul(c) }
    }

    /// Yₖ = Σ xⱼ e^(−2πi jk/n) along an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Complex, Tape, Tensor};
    /// # let tape = Tape::new();
    /// let z = Complex::new(tape.leaf(Tensor::from([1.0f64, 2.0, 4.0])), tape.leaf(Tensor::from([0.0f64, 1.0, 0.0])));
    /// let back = z.fft(0).ifft(0);
    /// assert!((back.re - z.re).abs().max(&[], false).item() < 1e-15);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn fft(self, axis: isize) -> Self {
        self.transform(axis, false)
    }

    /// The inverse of [`fft`](Self::fft): with e^(+2πi jk/n), divided by n.
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn ifft(self, axis: isize) -> Self {
        let n = self.re.dim(axis).max(1) as f64;
        let Self { re, im } = self.transform(axis, true);
        Self { re: re / n, im: im / n }
    }

    #[track_caller]
    fn transform(self, axis: isize, inverse: bool) -> Self {
        let _line = self.re.tape().called();
        let axis = if axis < 0 { axis + self.re.rank() as isize } else { axis };
        let last = self.re.rank() as isize - 1;
        let [re, im] = [self.re, self.im].map(|x| x.move_axis(axis, last));
        let pairs = Var::stack([re, im], -1).fft_pairs(inverse);
        let [re, im] = [0, 1].map(|k| pairs.select(-1, k).move_axis(last, axis));
        Self { re, im }
    }

    /// hₜ = aₜ ∘ hₜ₋₁ + bₜ for every step t along an axis, where b is this: [`Var::linear_recurrence`] of complex numbers,
    /// as the linear recurrent unit has it (Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long
    /// Sequences", arXiv:2303.06349).
    ///
    /// ```
    /// # use tapeloop_autograd::{Complex, Tape, Tensor};
    /// # let tape = Tape::new();
    /// let number = |re: f64, im: f64| Complex::new(tape.scalar(re), tape.scalar(im));
    /// let b = Complex::new(tape.leaf(Tensor::from([1.0, 0.0, 0.0, 1.0])), tape.scalar(0.0));
    /// let h = b.linear_recurrence(number(0.0, 0.5), None, 0, false); // half, and a quarter turn
    /// assert_eq!(h.re.value().to_vec(), [1.0, 0.0, -0.25, 1.0]);
    /// assert_eq!(h.im.value().to_vec(), [0.0, 0.5, 0.0, -0.125]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, a does not broadcast to b, or `initial` does not to a step of it.
    #[track_caller]
    pub fn linear_recurrence(self, a: Self, initial: Option<Self>, axis: isize, reverse: bool) -> Self {
        let parts = |z: Self| [z.re, z.im];
        let [re, im] = Var::complex_linear_recurrence(parts(self), parts(a), initial.map(parts), axis, reverse);
        Self { re, im }
    }

    /// The n real numbers whose [`Var::rfft`] this is.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f64, -2.0, 4.0, 0.5, 3.0]));
    /// let y = x.rfft(0).irfft(0, 5);
    /// assert!((y - x).abs().max(&[], false).item() < 1e-14);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or has not ⌊n/2⌋ + 1 elements.
    #[track_caller]
    pub fn irfft(self, axis: isize, n: usize) -> Var<'t, T> {
        let _line = self.re.tape().called();
        let own = self.re.dim(axis);
        assert!(
            n > 0 && own == n / 2 + 1,
            "irfft: axis {axis} of shape {} has not the {} elements of a sequence of {n}",
            self.re.shape(),
            n / 2 + 1
        );
        // The other half are conjugates, in reverse.
        let mirrored = |x: Var<'t, T>| x.slice(axis, 1..n as isize - own as isize + 1).flip(&[axis]);
        let re = Var::concat([self.re, mirrored(self.re)], axis);
        // What a real sequence has not: imaginary parts at 0 and at n/2.
        let im = self.im.slice(axis, 1..(n as isize + 1) / 2);
        let zeros = |count: usize| im.tape().full(self.im.slice(axis, 0..count as isize).shape(), 0.0);
        let im = Var::concat([zeros(1), im, zeros((n + 1) % 2), -im.flip(&[axis])], axis);
        Self { re, im }.ifft(axis).re
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// The Fourier transform of real numbers along an axis: its first ⌊n/2⌋ + 1 elements, of which the others are
    /// conjugates.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let y = tape.leaf(Tensor::from([1.0f32, 0.0, -1.0, 0.0])).rfft(0);
    /// assert_eq!(y.re.value().to_vec(), [0.0, 2.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn rfft(self, axis: isize) -> Complex<'t, T> {
        let kept = (self.dim(axis) / 2 + 1) as isize;
        let Complex { re, im } = Complex::new(self, self.tape().full(self.shape(), 0.0)).fft(axis);
        Complex { re: re.slice(axis, 0..kept), im: im.slice(axis, 0..kept) }
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident ($a:ident, $b:ident) => $result:expr;)*) => {$(
        impl<'t, T: Element> ops::$trait for Complex<'t, T> {
            type Output = Self;
            #[track_caller]
            fn $method(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $result
            }
        }
    )*};
}

operators! {
    Add add (a, b) => Self { re: a.re + b.re, im: a.im + b.im };
    Sub sub (a, b) => Self { re: a.re - b.re, im: a.im - b.im };
    Mul mul (a, b) => Self { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
    Div div (a, b) => {
        let (product, size) = (a * b.conj(), b.abs2());
        Self { re: product.re / size, im: product.im / size }
    };
}

impl<'t, T: Element> ops::Mul<Var<'t, T>> for Complex<'t, T> {
    type Output = Self;
    #[track_caller]
    fn mul(self, factor: Var<'t, T>) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }
}

impl<T: Element> ops::Neg for Complex<'_, T> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im }
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    /// Both parts in one variable.
    #[track_caller]
    fn both<'t, T: Element>(z: Complex<'t, T>) -> Var<'t, T> {
        Var::stack([z.re, z.im], 0)
    }
    vec![
        example!([a: normal [2, 3], b: normal [3]] => both(Complex::new(a, a * 0.5) * Complex::new(b, a) / Complex::new(a + 9.0, b))),
        example!([a: normal [2, 3], b: normal [2, 3]] => both(Complex::new(a, b).exp().conj() - Complex::new(b, a))),
        example!([a: normal [3], b: normal [3]] => Complex::new(a, b).abs()),
        example!([a: normal [2, 3], b: normal [3, 2]] => both(Complex::new(a, a.square()).matmul(Complex::new(b, -b)))),
        example!([a: normal [3, 2], b: normal [3, 2]] => both(Complex::new(a, b).ifft(0))),
        example!([a: normal [2, 7]] => both(a.rfft(1))),
        example!([a: normal [4], b: normal [4]] => both(Complex::new(a, b).linear_recurrence(Complex::new(b, a), None, 0, true))),
        example!([a: normal [4], b: normal [4]] => Complex::new(a, b).irfft(0, 6)),
        example!([a: normal [4, 2], b: normal [4, 2]] => Complex::new(a, b).irfft(0, 7)),
        example!([a: normal [1], b: normal [1]] => Complex::new(a, b).irfft(0, 1)),
    ]
}

#[cfg(test)]
mod tests {
    use crate::{Rng, Tape, Tensor};

    #[test]
    fn real_transforms_round_trip_at_any_length() {
        let tape = Tape::<f64>::inference();
        for n in 1..12 {
            let x = tape.leaf(Tensor::normal([2, n, 3], 0.0, 1.0, &mut Rng::new(n as u64)));
            let error = (x.rfft(1).irfft(1, n) - x).abs().max(&[], false).item();
            assert!(error < 1e-14, "{n}: {error:e}");
        }
    }
}
