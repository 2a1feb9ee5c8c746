//! The echo state network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::keeps_shape;
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The echo state network (Jaeger 2001): a reservoir that is drawn once and never trained; what is trained reads its
    /// states, most often by ridge regression. State: h.
    ///
    /// ```text
    /// h′ = (1 − a) h + a tanh(x W + h U + b)
    /// ```
    ///
    /// W and b are uniform in ±`input_scale` and ±`bias_scale`. Of U's weights a share `connectivity` is there, uniform
    /// around 0, and all are scaled so that its spectral radius is `spectral_radius`.
    Esn(EsnCell) {
        /// The width of h.
        units,
        /// a. Default 1.
        leak: f64 = 1.0,
        /// The share of recurrent weights that are not 0. Default 0.1.
        connectivity: f64 = 0.1,
        /// The spectral radius of the recurrent weights. Default 0.9.
        spectral_radius: f64 = 0.9,
        /// The end of the input weights' range. Default 1.
        input_scale: f64 = 1.0,
        /// The end of the biases' range. Default 0.
        bias_scale: f64 = 0.0,
        /// Of the state. Default tanh.
        activation: Activation = Activation::Tanh,
    }
}

/// What [`Esn`] builds. None of its weights is trained.
#[derive(Clone, Debug)]
pub struct EsnCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// U, (units, units).
    pub recurrent_kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// a.
    pub leak: f64,
    /// Of the state.
    pub activation: Activation,
}
module!(EsnCell<T> { kernel, recurrent_kernel, bias } rest { leak, activation });

/// The largest absolute value of an eigenvalue: lim ‖Aⁿ‖^{1/n}, n doubled again and again.
fn spectral_radius(matrix: &Tensor<f64>) -> f64 {
    let tape = Tape::<f64>::inference();
    let (mut power, mut log, mut share) = (matrix.clone(), 0.0, 1.0);
    for _ in 0..40 {
        let norm = power.to_vec().iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            return 0.0;
        }
        log += share * norm.ln();
        share /= 2.0;
        let scaled = tape.constant(power.map(|x| x / norm));
        power = scaled.matmul(scaled).value();
    }
    log.exp()
}

impl BuildCell for Esn {
    type Built<T: Element> = EsnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<EsnCell<T>, Error> {
        let mut connected = rng.fork(0);
        let mut fresh = Fresh::new("esn", input, self.units, rng)?;
        keeps_shape("esn", "activation", self.activation)?;
        for (setting, value, most) in [
            ("leak", self.leak, 1.0),
            ("connectivity", self.connectivity, 1.0),
            ("spectral_radius", self.spectral_radius, f64::MAX),
            ("input_scale", self.input_scale, f64::MAX),
            ("bias_scale", self.bias_scale, f64::MAX),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(fresh.wrong(format!("{setting} {value}: must be in 0..={most}")));
            }
        }
        let around = |scale: f64| match scale {
            0.0 => Initializer::Zeros,
            scale => Initializer::Uniform { low: -scale, high: scale },
        };
        let kernel = fresh.kernel(1, &around(self.input_scale))?;
        let bias = fresh.bias(1, &around(self.bias_scale))?;
        let dense = fresh.recurrent_kernel::<f64>(1, &around(1.0))?;
        let sparse = dense.value().map(|x| if connected.uniform() < self.connectivity { x } else { 0.0 });
        let radius = spectral_radius(&sparse);
        let scale = if radius > 0.0 { self.spectral_radius / radius } else { 1.0 };
        let recurrent_kernel = Param::new(sparse.map(|x| x * scale).cast());
        let mut cell = EsnCell { kernel, recurrent_kernel, bias, leak: self.leak, activation: self.activation };
        tapeloop_autograd::Module::set_trainable(&mut cell, false);
        Ok(cell)
    }
}

impl<T: Element> Cell<T> for EsnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let new = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias;
        smallvec![(1.0 - self.leak) * h + self.leak * self.activation.apply(new)]
    }
}
