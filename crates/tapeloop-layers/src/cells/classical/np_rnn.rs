//! The network of rectified linear units that starts positive definite.

use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Tensor};

use crate::cells::config::{Fresh, config};
use crate::{Activation, BuildCell, Error, Initializer, SimpleRnnCell, Variational};

config! {
    /// The np-RNN (Talathi & Vartak 2015, arXiv:1511.03771): Elman's network with relu, whose recurrent weights start
    /// symmetric and positive definite with a largest eigenvalue of 1, so that all directions but one fade. State: h.
    ///
    /// ```text
    /// h′ = relu(x W + h U + b)
    /// at first U = (A + I) / λ,  A = R Rᵀ / units,  R ~ N(0, 1),  λ the largest eigenvalue of A + I
    ///          W ~ N(0, α² / units),  α = √2 e^(1.2 / (max(units, 6) − 2.4))
    /// ```
    NpRnn(SimpleRnnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default none: the normal distribution above.
        kernel_initializer: Option<Initializer> = None,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

impl BuildCell for NpRnn {
    type Built<T: Element> = SimpleRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<SimpleRnnCell<T>, Error> {
        let units = self.units;
        let mut fresh = Fresh::new("np_rnn", input, units, rng)?;
        let n = units as f64;
        let std = 2f64.sqrt() * (1.2 / (n.max(6.0) - 2.4)).exp() / n.sqrt();
        let from = self.kernel_initializer.clone().unwrap_or(Initializer::Normal { mean: 0.0, std });
        let kernel = fresh.kernel(1, &from)?;
        let r = fresh.weight::<f64>("units", [units; 2], &Initializer::Normal { mean: 0.0, std: 1.0 })?;
        Ok(SimpleRnnCell {
            kernel,
            recurrent_kernel: Param::new(normalized(r.value()).cast()),
            bias: Some(fresh.bias(1, &self.bias_initializer)?),
            activation: Activation::Relu,
            variational: Variational::default(),
        })
    }
}

/// (A + I) / λ of A = R Rᵀ / n, λ by the power method.
fn normalized(r: &Tensor<f64>) -> Tensor<f64> {
    /// More than the gap between eigenvalues needs: the estimate's error falls with the square of their quotient.
    const MOST: usize = 5000;
    let n = r.shape()[0];
    let tape = Tape::<f64>::inference();
    let r = tape.constant(r.clone());
    let a = (r.matmul(r.t()) / n as f64 + &Tensor::eye(n)).value();
    let rows = a.to_vec();
    let mut v = vec![1.0 / (n as f64).sqrt(); n];
    let mut λ = 0.0;
    for _ in 0..MOST {
        let w: Vec<f64> = rows.chunks(n).map(|row| row.iter().zip(&v).map(|(a, v)| a * v).sum()).collect();
        let length = w.iter().map(|w| w * w).sum::<f64>().sqrt();
        let before = std::mem::replace(&mut λ, length);
        v = w.into_iter().map(|w| w / length).collect();
        if (λ - before).abs() <= 1e-14 * λ {
            break;
        }
    }
    a.map(|x| x / λ)
}
