//! Adam with decoupled weight decay.

use tapeloop_autograd::Element;

use crate::adam::AdamConfig;
use crate::convention::Convention;
use crate::core::{Algorithm, At};
use crate::error::Error;

optimizer! {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019,
    /// [arXiv:1711.05101](https://arxiv.org/abs/1711.05101)): w ← w − ηλw, then the step of [`Adam`](crate::Adam),
    /// whose gradient knows nothing of the decay.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// use tapeloop_optim::{AdamW, Optimizer};
    /// let mut w = Param::new(Tensor::from([3.0f64]));
    /// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
    /// AdamW::new(0.1).weight_decay(0.5).step(&mut w, &gradients);
    /// assert!((w.value().item() - (3.0 - 0.1 * 0.5 * 3.0 - 0.1)).abs() < 1e-6);
    /// ```
    AdamW,
    /// Options of [`AdamW`](crate::AdamW).
    ///
    /// ```
    /// use tapeloop_optim::AdamWConfig;
    /// assert_eq!(AdamWConfig::default().weight_decay, 0.004);
    /// ```
    AdamWConfig {
        learning_rate = 1e-3,
        /// How much of the mean gradient stays, β₁; in [0, 1). Default 0.9.
        beta_1: f64 = 0.9,
        /// How much of the mean squared gradient stays, β₂; in [0, 1). Default 0.999.
        beta_2: f64 = 0.999,
        /// What keeps the denominator from 0, ε; at least 0. Default 10⁻⁷.
        epsilon: f64 = 1e-7,
        /// Whether the largest mean squared gradient so far is used. Default no.
        amsgrad: bool = false,
        /// Weight decay, λ; at least 0. Default 0.004.
        weight_decay: f64 = 0.004,
        /// Whose formulas. Default Keras.
        convention: Convention = Convention::Keras,
    }
}

impl AdamWConfig {
    /// Whether every option makes sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), Error> {
        self.adam().validate()
    }

    fn adam(&self) -> AdamConfig {
        let &Self { learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, convention } = self;
        AdamConfig { learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, convention }
    }
}

impl Algorithm for AdamWConfig {
    const NAME: &'static str = "adamw";

    fn buffers(&self) -> &'static [&'static str] {
        self.adam().buffers()
    }

    fn update<T: Element>(&self, at: At, value: &mut [T], gradient: &[T], buffers: &mut [Vec<T>]) {
        AdamConfig::update(&self.adam(), false, at, value, gradient, buffers);
    }
}
