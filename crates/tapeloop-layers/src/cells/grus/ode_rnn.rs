//! The recurrent network whose state moves between inputs.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, substeps};
use crate::layers::positive;
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The ODE-RNN (Rubanova et al. 2019, arXiv:1907.03907): between two inputs h follows a differential equation, which is
    /// solved in Euler steps; then a GRU takes the input. The last feature of a step's input is the time Δ since the one
    /// before. State: h.
    ///
    /// ```text
    /// h ← h + Δ / n (tanh(h A + a) B + b),   n = `substeps` times
    /// z = σ(x W_z + h U_z + b_z)
    /// r = σ(x W_r + h U_r + b_r)
    /// ĥ = tanh(x W_h + (r ∘ h) U_h + b_h)
    /// h′ = z ∘ h + (1 − z) ∘ ĥ
    /// ```
    OdeRnn(OdeRnnCell) {
        /// The width of h.
        units,
        /// The width of the network that gives the derivative. Default none: as many as units.
        hidden_units: Option<usize> = None,
        /// How many Euler steps there are between two inputs. Default 1.
        substeps: usize = 1,
        /// Of `kernel` and the network of the derivative. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of all biases. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`OdeRnn`] builds. The last axis of `kernel`, `recurrent_kernel` and `bias` holds the parts z, r, h.
#[derive(Clone, Debug)]
pub struct OdeRnnCell<T: Element = f32> {
    /// Input weights, (input − 1, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// A, (units, hidden).
    pub hidden_kernel: Param<T>,
    /// a, (hidden).
    pub hidden_bias: Param<T>,
    /// B, (hidden, units).
    pub derivative_kernel: Param<T>,
    /// b, (units).
    pub derivative_bias: Param<T>,
    /// How many Euler steps there are between two inputs.
    pub substeps: usize,
}
module!(OdeRnnCell<T> {
    kernel, recurrent_kernel, bias, hidden_kernel, hidden_bias, derivative_kernel, derivative_bias
} rest { substeps });

impl BuildCell for OdeRnn {
    type Built<T: Element> = OdeRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<OdeRnnCell<T>, Error> {
        let mut fresh = Fresh::new("ode_rnn", input, self.units, rng)?.timed()?;
        let (units, hidden) = (self.units, self.hidden_units.unwrap_or(self.units));
        positive("ode_rnn", "hidden_units", hidden)?;
        let substeps = substeps("ode_rnn", "substeps", self.substeps)?;
        Ok(OdeRnnCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            hidden_kernel: fresh.weight("kernel_initializer", [units, hidden], &self.kernel_initializer)?,
            hidden_bias: fresh.weight("bias_initializer", [hidden], &self.bias_initializer)?,
            derivative_kernel: fresh.weight("kernel_initializer", [hidden, units], &self.kernel_initializer)?,
            derivative_bias: fresh.bias(1, &self.bias_initializer)?,
            substeps,
        })
    }
}

impl<T: Element> Cell<T> for OdeRnnCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0] + 1])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.derivative_bias, 1)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let mut h = state[0];
        let (x, elapsed) = (x.slice(-1, ..-1), x.slice(-1, -1..));
        let part = elapsed / self.substeps as f64;
        for _ in 0..self.substeps {
            let hidden = (h.matmul(&self.hidden_kernel) + &self.hidden_bias).tanh();
            h = h + part * (hidden.matmul(&self.derivative_kernel) + &self.derivative_bias);
        }
        let [xz, xr, xh] = (x.matmul(&self.kernel) + &self.bias).gates();
        let [uz, ur, uh] = x.tape().param(&self.recurrent_kernel).gates();
        let z = (xz + h.matmul(uz)).sigmoid();
        let r = (xr + h.matmul(ur)).sigmoid();
        let ĥ = (xh + (r * h).matmul(uh)).tanh();
        smallvec![z * h + (1.0 - z) * ĥ]
    }
}
