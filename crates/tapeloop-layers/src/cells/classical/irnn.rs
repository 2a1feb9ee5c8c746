//! The network of rectified linear units that starts as the identity.

use tapeloop_autograd::{Element, Rng, Shape};

use crate::cells::config::{Fresh, config};
use crate::{Activation, BuildCell, Error, Initializer, SimpleRnnCell, Variational};

config! {
    /// The IRNN (Le et al. 2015, arXiv:1504.00941): Elman's network with relu, whose recurrent weights start as the
    /// identity, so that at first a state stays what it is and errors pass through unchanged. State: h.
    ///
    /// ```text
    /// h′ = relu(x W + h U + b),   at first W ~ N(0, 0.001²), U = α I, b = 0
    /// ```
    ///
    /// For tasks with short dependencies the paper scales the identity, by 0.01 for speech.
    Irnn(SimpleRnnCell) {
        /// The width of h.
        units,
        /// α. Default 1.
        scale: f64 = 1.0,
        /// Of `kernel`. Default normal with deviation 0.001.
        kernel_initializer: Initializer = Initializer::Normal { mean: 0.0, std: 0.001 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

impl BuildCell for Irnn {
    type Built<T: Element> = SimpleRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SimpleRnnCell<T>, Error> {
        let mut fresh = Fresh::new("irnn", input, self.units, rng)?;
        Ok(SimpleRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: fresh.weight("scale", [self.units; 2], &Initializer::Identity { gain: self.scale })?,
            bias: Some(fresh.bias(1, &self.bias_initializer)?),
            activation: Activation::Relu,
            variational: Variational::default(),
        })
    }
}
