//! Adam.

use tapeloop_autograd::Element;

use crate::convention::Convention;
use crate::core::{Algorithm, At};
use crate::error::{Error, fraction, not_negative};

optimizer! {
    /// Adam (Kingma and Ba 2015, [arXiv:1412.6980](https://arxiv.org/abs/1412.6980)), with AMSGrad (Reddi, Kale and
    /// Kumar 2018, [arXiv:1904.09237](https://arxiv.org/abs/1904.09237)) as an option.
    ///
    /// With learning rate η and gradient g, at step t:
    ///
    /// m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², and
    ///
    /// | Keras | Torch |
    /// | --- | --- |
    /// | w ← w − η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε) | w ← w − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε) |
    ///
    /// AMSGrad puts the largest v so far in place of v.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// use tapeloop_optim::{Adam, Optimizer};
    /// let mut w = Param::new(Tensor::from([3.0f64, -2.0]));
    /// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
    /// Adam::new(0.1).step(&mut w, &gradients);
    /// // The first step is the learning rate, whatever the gradient's size.
    /// assert!((w.value().at(&[0]) - 2.9).abs() < 1e-6);
    /// assert!((w.value().at(&[1]) + 1.9).abs() < 1e-6);
    /// ```
    Adam,
    /// Options of [`Adam`](crate::Adam).
    ///
    /// ```
    /// use tapeloop_optim::AdamConfig;
    /// let config: AdamConfig = serde_json::from_str(r#"{"learning_rate": 0.01, "amsgrad": true}"#)?;
    /// assert_eq!(config, AdamConfig { learning_rate: 0.01, amsgrad: true, ..AdamConfig::default() });
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    AdamConfig {
        learning_rate = 1e-3,
        /// How much of the mean gradient stays, β₁; in [0, 1). Default 0.9.
        beta_1: f64 = 0.9,
        /// How much of the mean squared gradient stays, β₂; in [0, 1). Default 0.999.
        beta_2: f64 = 0.999,
        /// What keeps the denominator from 0, ε; at least 0. Default 10⁻⁷.
        epsilon: f64 = 1e-7,
        /// Whether the largest mean squared gradient so far is used. Default no.
        amsgrad: bool = false,
        /// Weight decay, λ; at least 0. Keras: w ← w − ηλw first. Torch: g ← g + λw. Default 0.
        weight_decay: f64 = 0.0,
        /// Whose formulas. Default Keras.
        convention: Convention = Convention::Keras,
    }
}

impl AdamConfig {
    /// Whether every option makes sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), Error> {
        not_negative("learning_rate", self.learning_rate)?;
        fraction("beta_1", self.beta_1)?;
        fraction("beta_2", self.beta_2)?;
        not_negative("epsilon", self.epsilon)?;
        not_negative("weight_decay", self.weight_decay)
    }

    /// `coupled`: whether weight decay is part of the gradient.
    pub(crate) fn update<T: Element>(
        &self,
        coupled: bool,
        at: At,
        value: &mut [T],
        gradient: &[T],
        buffers: &mut [Vec<T>],
    ) {
        let steps = match self.convention {
            Convention::Keras => at.iteration,
            Convention::Torch => at.steps,
        };
        // 2³¹ steps and more: both corrections are 1 long before.
        let t = i32::try_from(steps).unwrap_or(i32::MAX);
        let (first, second) = (1.0 - self.beta_1.powi(t), (1.0 - self.beta_2.powi(t)).sqrt());
        // Both conventions are w ← w − alpha·m / (√v·scale + ε).
        let (alpha, scale) = match self.convention {
            Convention::Keras => (at.learning_rate * second / first, 1.0),
            Convention::Torch => (at.learning_rate / first, 1.0 / second),
        };
        let (shrink, l2) = at.decay::<T>(coupled);
        let [alpha, scale, epsilon] = [alpha, scale, self.epsilon].map(T::from_f64);
        let [enter_m, enter_v] = [1.0 - self.beta_1, 1.0 - self.beta_2].map(T::from_f64);
        let moments = |w: &mut T, g: T, m: &mut T, v: &mut T| {
            *w -= shrink * *w;
            let g = g + l2 * *w;
            *m += (g - *m) * enter_m;
            *v += (g * g - *v) * enter_v;
        };
        let [m, v, hat @ ..] = buffers else { unreachable!("adam has two buffers or three") };
        let elements = value.iter_mut().zip(gradient).zip(m).zip(v);
        match hat {
            [] => {
                for (((w, &g), m), v) in elements {
                    moments(w, g, m, v);
                    *w -= alpha * *m / (v.sqrt() * scale + epsilon);
                }
            }
            [hat, ..] => {
                for ((((w, &g), m), v), hat) in elements.zip(hat) {
                    moments(w, g, m, v);
                    *hat = hat.maximum(*v);
                    *w -= alpha * *m / (hat.sqrt() * scale + epsilon);
                }
            }
        }
    }
}

impl Algorithm for AdamConfig {
    const NAME: &'static str = "adam";

    fn buffers(&self) -> &'static [&'static str] {
        if self.amsgrad { &["momentum", "velocity", "velocity_hat"] } else { &["momentum", "velocity"] }
    }

    fn update<T: Element>(&self, at: At, value: &mut [T], gradient: &[T], buffers: &mut [Vec<T>]) {
        Self::update(self, self.convention == Convention::Torch, at, value, gradient, buffers);
    }
}
