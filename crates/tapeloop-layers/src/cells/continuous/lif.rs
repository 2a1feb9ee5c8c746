//! The leaky integrate-and-fire neuron.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Backward, Element, Op, Param, Rng, Run, Shape, ShapeResult, Tensor, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

/// What stands for the derivative of a spike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Surrogate {
    /// 1 / (1 + k |u|)², the derivative of u / (1 + k |u|).
    FastSigmoid {
        /// k.
        slope: f64,
    },
    /// 1 / (1 + (k u)²), the derivative of atan(k u) / k.
    Arctan {
        /// k.
        slope: f64,
    },
}

impl Surrogate {
    /// The function whose derivative it is.
    #[track_caller]
    fn graded<T: Element>(self, u: Var<'_, T>) -> Var<'_, T> {
        match self {
            Self::FastSigmoid { slope } => u / (1.0 + slope * u.abs()),
            Self::Arctan { slope } => (slope * u).atan() / slope,
        }
    }

    /// The derivative.
    #[track_caller]
    fn derivative<T: Element>(self, u: Var<'_, T>) -> Var<'_, T> {
        match self {
            Self::FastSigmoid { slope } => (1.0 + slope * u.abs()).powf(-2.0),
            Self::Arctan { slope } => 1.0 / (1.0 + (slope * u).square()),
        }
    }
}

/// y = 1 for u > 0, else 0;  dy/du is the surrogate's
#[derive(Debug)]
struct Spike(Surrogate);

impl<T: Element> Op<T> for Spike {
    fn name(&self) -> &'static str {
        "spike"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut spikes = run.output();
        let u = run.dense(inputs[0]);
        for (spike, &u) in spikes.as_mut_slice().iter_mut().zip(u.as_slice().into_iter().flatten()) {
            *spike = if u > T::ZERO { T::ONE } else { T::ZERO };
        }
        run.free_dense(u);
        spikes
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let u = back.input(0);
        back.give(0, |g| g * self.0.derivative(u));
    }
}

config! {
    /// The leaky integrate-and-fire neuron, trained with a surrogate gradient (Neftci, Mostafa & Zenke 2019,
    /// arXiv:1901.09948): a membrane potential u that leaks, and a spike s where it is above a threshold. The output is s.
    /// State: u; with `synaptic_decay` also the current I.
    ///
    /// ```text
    /// I = x W + b                 or α I + x W + b with `synaptic_decay` α; and + s U if it is `recurrent`
    /// u′ = β u + I − ϑ [u > ϑ]
    /// s = [u′ > ϑ]
    /// ```
    ///
    /// A spike of the step before is one of the u before. Forward, a spike is 0 or 1; backward, its derivative is the
    /// surrogate's, but none goes through the reset. With `graded`, s is the function whose derivative the surrogate is:
    /// then derivatives are true.
    Lif(LifCell) {
        /// The number of neurons.
        units,
        /// β. Default 0.9.
        decay: f64 = 0.9,
        /// ϑ. Default 1.
        threshold: f64 = 1.0,
        /// α. Default none: the current is the input's.
        synaptic_decay: Option<f64> = None,
        /// Whether spikes reach the neurons of the layer. Default false.
        recurrent: bool = false,
        /// What stands for the derivative of a spike. Default the fast sigmoid's with a slope of 25.
        surrogate: Surrogate = Surrogate::FastSigmoid { slope: 25.0 },
        /// Whether spikes are graded. Default false.
        graded: bool = false,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Lif`] builds.
#[derive(Clone, Debug)]
pub struct LifCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// U, (units, units), if it is recurrent.
    pub recurrent_kernel: Option<Param<T>>,
    /// b, (units).
    pub bias: Param<T>,
    /// β.
    pub decay: f64,
    /// ϑ.
    pub threshold: f64,
    /// α.
    pub synaptic_decay: Option<f64>,
    /// What stands for the derivative of a spike.
    pub surrogate: Surrogate,
    /// Whether spikes are graded.
    pub graded: bool,
}
module!(LifCell<T> { kernel, recurrent_kernel, bias } rest { decay, threshold, synaptic_decay, surrogate, graded });

impl BuildCell for Lif {
    type Built<T: Element> = LifCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LifCell<T>, Error> {
        let mut fresh = Fresh::new("lif", input, self.units, rng)?;
        let (Surrogate::FastSigmoid { slope } | Surrogate::Arctan { slope }) = self.surrogate;
        if !(slope > 0.0 && slope.is_finite()) {
            return Err(fresh.wrong(format!("surrogate: a slope of {slope} is not positive")));
        }
        for (setting, decay) in [("decay", self.decay), ("synaptic_decay", self.synaptic_decay.unwrap_or(0.0))] {
            if !(0.0..=1.0).contains(&decay) {
                return Err(fresh.wrong(format!("{setting} {decay}: must be in 0..=1")));
            }
        }
        if !self.threshold.is_finite() {
            return Err(fresh.wrong(format!("threshold {}: must be finite", self.threshold)));
        }
        let recurrent = &self.recurrent_initializer;
        Ok(LifCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: if self.recurrent { Some(fresh.recurrent_kernel(1, recurrent)?) } else { None },
            bias: fresh.bias(1, &self.bias_initializer)?,
            decay: self.decay,
            threshold: self.threshold,
            synaptic_decay: self.synaptic_decay,
            surrogate: self.surrogate,
            graded: self.graded,
        })
    }
}

impl<T: Element> LifCell<T> {
    /// The spikes of these membrane potentials.
    #[track_caller]
    fn spikes<'t>(&self, u: Var<'t, T>) -> Var<'t, T> {
        let above = u - self.threshold;
        if self.graded { self.surrogate.graded(above) } else { u.tape().custom(Spike(self.surrogate), &[above]) }
    }
}

impl<T: Element> Cell<T> for LifCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.bias, 1); if self.synaptic_decay.is_some() { 2 } else { 1 }]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let u = state[0];
        let mut current = x.matmul(&self.kernel) + &self.bias;
        if let Some(recurrent) = &self.recurrent_kernel {
            current = current + self.spikes(u).matmul(recurrent);
        }
        if let Some(decay) = self.synaptic_decay {
            current = decay * state[1] + current;
        }
        let u = self.decay * u + current - self.threshold * u.gt(self.threshold);
        let mut next: State<'t, T> = smallvec![u];
        next.extend(self.synaptic_decay.map(|_| current));
        next
    }

    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        self.spikes(state[0])
    }
}
