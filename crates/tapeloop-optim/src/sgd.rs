//! Stochastic gradient descent.

use tapeloop_autograd::Element;

use crate::convention::Convention;
use crate::core::{Algorithm, At};
use crate::error::{Error, check, fraction, not_negative};

optimizer! {
    /// Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013,
    /// [On the importance of initialization and momentum](https://proceedings.mlr.press/v28/sutskever13.html)).
    ///
    /// With learning rate η, momentum μ, dampening δ and gradient g:
    ///
    /// | | Keras | Torch |
    /// | --- | --- | --- |
    /// | velocity | v ← μv − ηg | v ← μv + (1 − δ)g; at first v = g |
    /// | update | w ← w + v | w ← w − ηv |
    /// | Nesterov | w ← w + μv − ηg | w ← w − η(g + μv) |
    /// | no momentum | w ← w − ηg | w ← w − ηg |
    ///
    /// They differ when the learning rate changes: Torch applies a new one to the whole velocity.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// use tapeloop_optim::{Optimizer, Sgd};
    /// let mut w = Param::new(Tensor::from([2.0f32]));
    /// let mut optimizer = Sgd::new(0.25).momentum(0.5);
    /// for _ in 0..2 {
    ///     let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
    ///     optimizer.step(&mut w, &gradients);
    /// }
    /// assert_eq!(w.value().item(), 0.0); // 2 − 1, then − 1/2 − 1/2
    /// ```
    Sgd,
    /// Options of [`Sgd`](crate::Sgd).
    ///
    /// ```
    /// use tapeloop_optim::SgdConfig;
    /// assert_eq!(SgdConfig::default().learning_rate, 0.01);
    /// ```
    SgdConfig {
        learning_rate = 0.01,
        /// How much of the velocity stays, μ; in [0, 1). Default 0: no velocity is kept.
        momentum: f64 = 0.0,
        /// What of a gradient does not enter the velocity, δ; only Torch's formula has it. Default 0.
        dampening: f64 = 0.0,
        /// Whether the gradient counts as if taken after the velocity's step. Means nothing without momentum.
        nesterov: bool = false,
        /// Weight decay, λ; at least 0. Keras: w ← w − ηλw first. Torch: g ← g + λw. Default 0.
        weight_decay: f64 = 0.0,
        /// Whose formulas. Default Keras.
        convention: Convention = Convention::Keras,
    }
}

impl SgdConfig {
    /// Whether every option makes sense.
    ///
    /// # Errors
    /// Names the first that does not.
    pub fn validate(&self) -> Result<(), Error> {
        not_negative("learning_rate", self.learning_rate)?;
        fraction("momentum", self.momentum)?;
        check((0.0..=1.0).contains(&self.dampening), "dampening", self.dampening, "between 0 and 1")?;
        not_negative("weight_decay", self.weight_decay)
    }
}

impl Algorithm for SgdConfig {
    const NAME: &'static str = "sgd";

    fn buffers(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { &["momentum"] }
    }

    fn update<T: Element>(&self, at: At, value: &mut [T], gradient: &[T], buffers: &mut [Vec<T>]) {
        let (shrink, l2) = at.decay::<T>(self.convention == Convention::Torch);
        let rate = T::from_f64(at.learning_rate);
        let [velocity] = buffers else {
            for (w, &g) in value.iter_mut().zip(gradient) {
                *w -= shrink * *w;
                *w -= rate * (g + l2 * *w);
            }
            return;
        };
        // Both conventions are v ← μv + inside·g and w ← w + outside·v.
        let (inside, outside) = match self.convention {
            Convention::Keras => (-at.learning_rate, 1.0),
            Convention::Torch if at.steps == 1 => (1.0, -at.learning_rate),
            Convention::Torch => (1.0 - self.dampening, -at.learning_rate),
        };
        // Nesterov's update is theirs too: outside·μv − ηg.
        let (of_velocity, of_gradient) =
            if self.nesterov { (outside * self.momentum, -at.learning_rate) } else { (outside, 0.0) };
        let [momentum, inside, of_velocity, of_gradient] =
            [self.momentum, inside, of_velocity, of_gradient].map(T::from_f64);
        for ((w, &g), v) in value.iter_mut().zip(gradient).zip(velocity) {
            *w -= shrink * *w;
            let g = g + l2 * *w;
            *v = momentum * *v + inside * g;
            *w += of_velocity * *v + of_gradient * g;
        }
    }
}
