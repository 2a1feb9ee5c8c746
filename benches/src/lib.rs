#![forbid(unsafe_code)]
//! What the benches measure: the models of the workloads, built once for all of them.

use tapeloop::prelude::*;
use tapeloop::{Error, LayerConfig};

/// A model on fixed random data, ready to train.
pub struct Workload {
    model: Model,
    x: Tensor,
    y: Tensor,
    optimizer: Adam,
    tape: Tape,
}

impl Workload {
    /// Batch 32, (10, 1) → a recurrent layer's last output → Dense(1), mean squared error.
    ///
    /// # Errors
    /// If the layer cannot be built.
    pub fn forecast(layer: impl Into<LayerConfig>) -> Result<Self, Error> {
        let model = Sequential::new([10, 1]).add(layer).add(Dense::new(1)).build(0)?;
        let mut rng = Rng::new(1);
        let (x, y) = (Tensor::normal([32, 10, 1], 0.0, 1.0, &mut rng), Tensor::normal([32, 1], 0.0, 1.0, &mut rng));
        Ok(Self { model, x, y, optimizer: Adam::new(1e-3), tape: Tape::new() })
    }

    /// Forward, without gradients.
    pub fn forward(&self) -> Result<Tensor, Error> {
        self.model.predict(&self.x)
    }

    /// Forward, loss, backward, Adam: returns the loss.
    pub fn step(&mut self) -> f32 {
        let Self { model, x, y, optimizer, tape } = self;
        let (loss, gradients) = tape.value_and_grad(|tape| {
            let forecast = model.forward(tape.constant(x.clone()), &mut Pass::training(0));
            losses::mse(forecast, &*y, Reduction::Mean)
        });
        optimizer.step(model, &gradients);
        loss
    }
}
