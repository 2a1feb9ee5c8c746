//! Activations made of smooth functions and kinks.

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};

impl<'t, T: Element> Var<'t, T> {
    /// x σ(x), also called swish (Elfwing et al. 2018).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 20.0]));
    /// assert_eq!(x.silu().value().to_vec(), [0.0, 20.0]);
    /// ```
    #[track_caller]
    pub fn silu(self) -> Self {
        self * self.sigmoid()
    }

    /// x tanh(ln(1 + eˣ)) (Misra 2019).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32])).mish().value().to_vec(), [0.0]);
    /// ```
    #[track_caller]
    pub fn mish(self) -> Self {
        self * self.softplus().tanh()
    }

    /// x Φ(x), Φ the normal distribution: ½ x (1 + erf(x / √2)) (Hendrycks and Gimpel 2016).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32, 10.0])).gelu().value().to_vec(), [0.0, 10.0]);
    /// ```
    #[track_caller]
    pub fn gelu(self) -> Self {
        self * 0.5 * ((self * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// The approximation of [`gelu`](Self::gelu) by ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32, 10.0])).gelu_tanh().value().to_vec(), [0.0, 10.0]);
    /// ```
    #[track_caller]
    pub fn gelu_tanh(self) -> Self {
        let inner = (self + self * self * self * 0.044_715) * (2.0 * std::f64::consts::FRAC_1_PI).sqrt();
        self * 0.5 * (inner.tanh() + 1.0)
    }

    /// λ x for x > 0, else λ α (eˣ − 1), with the λ and α that keep mean 0 and variance 1 (Klambauer et al. 2017).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([1.0f64])).selu().value().to_vec(), [1.0507009873554805]);
    /// ```
    #[track_caller]
    pub fn selu(self) -> Self {
        self.elu(1.673_263_242_354_377_2) * 1.050_700_987_355_480_5
    }

    /// x itself for x > 0, else α (e^(x/α) − 1) (Barron 2017).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([3.0f32, -100.0])).celu(2.0).value().to_vec(), [3.0, -2.0]);
    /// ```
    #[track_caller]
    pub fn celu(self, alpha: f64) -> Self {
        let below = self.gt(0.0).if_else(0.0, self);
        self.relu() + (below * (1.0 / alpha)).exp_m1() * alpha
    }

    /// x / (1 + |x|)
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([1.0f32, -3.0])).softsign().value().to_vec(), [0.5, -0.75]);
    /// ```
    #[track_caller]
    pub fn softsign(self) -> Self {
        self / (self.abs() + 1.0)
    }

    /// x between −1 and 1, −1 and 1 beyond.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.5f32, -3.0])).hard_tanh().value().to_vec(), [0.5, -1.0]);
    /// ```
    #[track_caller]
    pub fn hard_tanh(self) -> Self {
        self.clamp(-1.0, 1.0)
    }

    /// x · [`hard_sigmoid`](Self::hard_sigmoid)(x), also called hard swish (Howard et al. 2019): exactly 0 up to −3
    /// and x from 3 on, with the derivatives 0 and 1, at ±∞ too.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32, 4.0])).hard_silu().value().to_vec(), [0.0, 4.0]);
    /// ```
    #[track_caller]
    pub fn hard_silu(self) -> Self {
        // Outside −3..3 there is no product: ∞ · 0 would be no number. NaN stays.
        let inner = self.clamp(-3.0, 3.0);
        self.ge(3.0).if_else(self, inner * inner.hard_sigmoid())
    }

    /// min(max(x, 0), 6)
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([-1.0f32, 9.0])).relu6().value().to_vec(), [0.0, 6.0]);
    /// ```
    #[track_caller]
    pub fn relu6(self) -> Self {
        self.clamp(0.0, 6.0)
    }

    /// ln σ(x)
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([-1000.0f32])).log_sigmoid().value().to_vec(), [-1000.0]);
    /// ```
    #[track_caller]
    pub fn log_sigmoid(self) -> Self {
        -(-self).softplus()
    }

    /// x − tanh x
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32])).tanh_shrink().value().to_vec(), [0.0]);
    /// ```
    #[track_caller]
    pub fn tanh_shrink(self) -> Self {
        self - self.tanh()
    }

    /// x moved towards 0 by λ; 0 where |x| ≤ λ.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.25, -2.0]));
    /// assert_eq!(x.soft_shrink(0.5).value().to_vec(), [1.5, 0.0, -1.5]);
    /// ```
    #[track_caller]
    pub fn soft_shrink(self, lambda: f64) -> Self {
        (self - lambda).relu() - (-self - lambda).relu()
    }

    /// x where |x| > λ, else 0. NaN stays.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([2.0f32, 0.25, -2.0]));
    /// assert_eq!(x.hard_shrink(0.5).value().to_vec(), [2.0, 0.0, -2.0]);
    /// ```
    #[track_caller]
    pub fn hard_shrink(self, lambda: f64) -> Self {
        self.abs().le(lambda).if_else(0.0, self)
    }

    /// x where it is above `threshold`, else `value`. NaN stays.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([2.0f32, 0.5])).threshold(1.0, -7.0).value().to_vec(), [2.0, -7.0]);
    /// ```
    #[track_caller]
    pub fn threshold(self, threshold: f64, value: f64) -> Self {
        self.le(threshold).if_else(value, self)
    }

    /// x for x > 0, else `slope` · x, where the slope is learned and broadcasts (He et al. 2015).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let slope = tape.leaf(Tensor::from([0.5f32]));
    /// assert_eq!(tape.leaf(Tensor::from([2.0f32, -2.0])).prelu(slope).value().to_vec(), [2.0, -1.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn prelu(self, slope: impl Operand<'t, T>) -> Self {
        self.gt(0.0).if_else(self, self * slope.on(self.tape()))
    }

    /// a σ(b), a and b the two halves of an axis (Dauphin et al. 2017).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([3.0f32, 0.0])).glu(0).value().to_vec(), [1.5]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or its length is odd.
    #[track_caller]
    pub fn glu(self, axis: isize) -> Self {
        let n = self.dim(axis);
        assert!(n.is_multiple_of(2), "glu: axis {axis} of shape {} does not divide into two halves", self.shape());
        let half = (n / 2) as isize;
        self.slice(axis, 0..half) * self.slice(axis, half..).sigmoid()
    }

    /// ½ (x + √(x² + b)), a smooth relu without exponentials (Barron 2021).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([0.0f32])).squareplus(4.0).value().to_vec(), [1.0]);
    /// ```
    #[track_caller]
    pub fn squareplus(self, b: f64) -> Self {
        (self + (self.square() + b).sqrt()) * 0.5
    }

    /// 0 below −1, x above 1, ¼ (x + 1)² between.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-2.0f32, 0.0, 2.0]));
    /// assert_eq!(x.sparse_plus().value().to_vec(), [0.0, 0.25, 2.0]);
    /// ```
    #[track_caller]
    pub fn sparse_plus(self) -> Self {
        self.ge(1.0).if_else(self, (self.clamp(-1.0, 1.0) + 1.0).square() * 0.25)
    }

    /// 0 below −1, 1 above 1, ½ (x + 1) between.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([-2.0f32, 0.0, 2.0]));
    /// assert_eq!(x.sparse_sigmoid().value().to_vec(), [0.0, 0.5, 1.0]);
    /// ```
    #[track_caller]
    pub fn sparse_sigmoid(self) -> Self {
        (self.clamp(-1.0, 1.0) + 1.0) * 0.5
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [2, 3]] => x.silu()),
        example!([x: normal [2, 3]] => x.mish()),
        example!([x: normal [2, 3]] => x.gelu()),
        example!([x: normal [2, 3]] => x.gelu_tanh()),
        example!([x: distinct [2, 3]] => x.selu()),
        example!([x: distinct [2, 3]] => x.celu(0.7)),
        example!([x: distinct [2, 3]] => x.softsign()),
        example!([x: distinct [2, 3]] => (x * 1.7).hard_tanh()),
        example!([x: distinct [2, 3]] => (x * 4.0).hard_silu()),
        example!([x: distinct [2, 3]] => (x * 9.0).relu6()),
        example!([x: normal [2, 3]] => x.log_sigmoid()),
        example!([x: normal [2, 3]] => x.tanh_shrink()),
        example!([x: distinct [2, 3]] => x.soft_shrink(0.4)),
        example!([x: distinct [2, 3]] => x.hard_shrink(0.4)),
        example!([x: distinct [2, 3]] => x.threshold(0.4, 2.0)),
        example!([x: distinct [2, 3], slope: normal [3]] => x.prelu(slope)),
        example!([x: normal [2, 4]] => x.glu(1)),
        example!([x: normal [2, 3]] => x.squareplus(2.0)),
        example!([x: distinct [2, 3]] => (x * 2.0).sparse_plus()),
        example!([x: distinct [2, 3]] => (x * 2.0).sparse_sigmoid()),
    ]
}
