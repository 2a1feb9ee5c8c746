//! RMSprop.

use tapeloop_autograd::Element;

use crate::convention::Convention;
use crate::core::{Algorithm, At};
use crate::error::{Error, fraction, not_negative};

optimizer! {
    /// RMSprop (Tieleman and Hinton 2012, [lecture 6e](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf)),
    /// centered as in Graves 2013 ([arXiv:1308.0850](https://arxiv.org/abs/1308.0850)).
    ///
    /// With learning rate η, momentum μ and gradient g: v ← ρv + (1 − ρ)g². Centered, also
    /// a ← ρa + (1 − ρ)g, and v − a² stands for v in
    ///
    /// | | Keras | Torch |
    /// | --- | --- | --- |
    /// | step | s = ηg / √(v + ε) | s = g / (√v + ε) |
    /// | no momentum | w ← w − s | w ← w − ηs |
    /// | momentum | u ← μu + s, w ← w − u | u ← μu + s, w ← w − ηu |
    ///
    /// A variance v − a² that rounding makes negative is 0.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// use tapeloop_optim::{Optimizer, RmsProp};
    /// let mut w = Param::new(Tensor::from([3.0f64]));
    /// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
    /// RmsProp::new(0.1).rho(0.75).step(&mut w, &gradients);
    /// assert!((w.value().item() - 2.8).abs() < 1e-6); // 0.1 · 6 / √(36 / 4)
    /// ```
    RmsProp,
    /// Options of [`RmsProp`](crate::RmsProp).
    ///
    /// ```
    /// use tapeloop_optim::RmsPropConfig;
    /// assert_eq!(RmsPropConfig::default().rho, 0.9);
    /// ```
    RmsPropConfig {
        learning_rate = 1e-3,
        /// How much of the mean squared gradient stays, ρ; in [0, 1). Default 0.9.
        rho: f64 = 0.9,
        /// How much of the velocity stays, μ; in [0, 1). Default 0: no velocity is kept.
        momentum: f64 = 0.0,
        /// What keeps the denominator from 0, ε; at least 0. Default 10⁻⁷.
        epsilon: f64 = 1e-7,
        /// Whether the gradient's variance is used in place of its mean square. Default no.
        centered: bool = false,
        /// Weight decay, λ; at least 0. Keras: w ← w − ηλw first. Torch: g ← g + λw. Default 0.
        weight_decay: f64 = 0.0,
        /// Whose formulas. Default Keras.
        convention: Convention = Convention::Keras,
    }
}

impl RmsPropConfig {
    /// Whether every option makes sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), Error> {
        not_negative("learning_rate", self.learning_rate)?;
        fraction("rho", self.rho)?;
        fraction("momentum", self.momentum)?;
        not_negative("epsilon", self.epsilon)?;
        not_negative("weight_decay", self.weight_decay)
    }
}

impl Algorithm for RmsPropConfig {
    const NAME: &'static str = "rmsprop";

    fn buffers(&self) -> &'static [&'static str] {
        match (self.momentum != 0.0, self.centered) {
            (false, false) => &["velocity"],
            (true, false) => &["velocity", "momentum"],
            (false, true) => &["velocity", "average_gradient"],
            (true, true) => &["velocity", "average_gradient", "momentum"],
        }
    }

    fn update<T: Element>(&self, at: At, value: &mut [T], gradient: &[T], buffers: &mut [Vec<T>]) {
        let (shrink, l2) = at.decay::<T>(self.convention == Convention::Torch);
        // Both conventions are s = inside·g / (√(v + under) + beside) and w ← w − outside·s.
        let (inside, outside, under, beside) = match self.convention {
            Convention::Keras => (at.learning_rate, 1.0, self.epsilon, 0.0),
            Convention::Torch => (1.0, at.learning_rate, 0.0, self.epsilon),
        };
        let [inside, outside, under, beside] = [inside, outside, under, beside].map(T::from_f64);
        let [rho, enter, momentum] = [self.rho, 1.0 - self.rho, self.momentum].map(T::from_f64);
        let [square, rest @ ..] = buffers else { unreachable!("rmsprop has at least one buffer") };
        let (mut mean, mut velocity) = match rest {
            [] => (None, None),
            [mean, velocity] => (Some(mean), Some(velocity)),
            [mean, ..] if self.centered => (Some(mean), None),
            [velocity, ..] => (None, Some(velocity)),
        };
        for (i, ((w, &g), square)) in value.iter_mut().zip(gradient).zip(square).enumerate() {
            *w -= shrink * *w;
            let g = g + l2 * *w;
            *square = rho * *square + enter * g * g;
            let variance = mean.as_mut().map_or(*square, |mean| {
                mean[i] = rho * mean[i] + enter * g;
                (*square - mean[i] * mean[i]).maximum(T::ZERO)
            });
            let step = inside * g / ((variance + under).sqrt() + beside);
            let step = velocity.as_mut().map_or(step, |velocity| {
                velocity[i] = momentum * velocity[i] + step;
                velocity[i]
            });
            *w -= outside * step;
        }
    }
}
