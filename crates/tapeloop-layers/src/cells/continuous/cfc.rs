//! The closed-form continuous-time cell.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, substeps};
use crate::layers::positive;
use crate::{Activation, BuildCell, Cell, Error, Initializer, LstmCell, State, StateShapes, Variational};

/// How a [`Cfc`] depends on time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CfcMode {
    /// A gate that time opens goes from one candidate to the other: a ∘ (1 − k) + k ∘ b.
    #[default]
    Gated,
    /// The gate only adds: a + k ∘ b.
    NoGate,
    /// The solution of the differential equation itself: A − A ∘ exp(−Δ (|w| + |f|)) ∘ f.
    Pure,
}

config! {
    /// The closed-form continuous-time cell (Hasani et al. 2022, arXiv:2106.13898), a liquid network without a solver. State:
    /// h, with `mixed_memory` also c.
    ///
    /// ```text
    /// q = backbone([x, h]): layers of 1.7159 tanh(0.666 (… W + b))
    /// a = tanh(q W_1 + b_1)
    /// b = tanh(q W_2 + b_2)
    /// k = σ(Δ (q W_a + b_a) + q W_b + b_b)
    /// h′ = a ∘ (1 − k) + k ∘ b
    /// ```
    ///
    /// The pure mode has f = q W_1 + b_1, h′ = A − A ∘ exp(−Δ (|w| + |f|)) ∘ f, where w starts from 0 and A from 1. Δ is the
    /// time since the step before: 1, or the last feature of the input, if it is `timed`. With `mixed_memory` the h of the
    /// equations is that of an LSTM which has just made a step from h and c.
    Cfc(CfcCell) {
        /// The width of h.
        units,
        /// How it depends on time. Default with a gate.
        mode: CfcMode = CfcMode::Gated,
        /// The width of the backbone's layers. Default 128.
        backbone_units: usize = 128,
        /// How many layers the backbone has. Default 1.
        backbone_layers: usize = 1,
        /// Whether the last feature of the input is Δ. Default false.
        timed: bool = false,
        /// Whether an LSTM carries a memory. Default false.
        mixed_memory: bool = false,
        /// Of all weights but the LSTM's recurrent ones. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of all biases but the LSTM's. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Cfc`] builds. The rows of the first weights read x, then h.
#[derive(Clone, Debug)]
pub struct CfcCell<T: Element = f32> {
    /// The backbone's weights, (input + units, backbone) and (backbone, backbone).
    pub backbone_kernels: Vec<Param<T>>,
    /// The backbone's biases, (backbone).
    pub backbone_biases: Vec<Param<T>>,
    /// (…, 4·units) with the parts W_1, W_2, W_a, W_b; of the pure mode (…, units).
    pub kernel: Param<T>,
    /// (4·units) with the parts b_1, b_2, b_a, b_b; of the pure mode (units).
    pub bias: Param<T>,
    /// w, (units), of the pure mode.
    pub time_constant: Option<Param<T>>,
    /// A, (units), of the pure mode.
    pub amplitude: Option<Param<T>>,
    /// The LSTM.
    pub memory: Option<LstmCell<T>>,
    /// How it depends on time.
    pub mode: CfcMode,
    /// Whether the last feature of the input is Δ.
    pub timed: bool,
}
module!(CfcCell<T> {
    backbone_kernels, backbone_biases, kernel, bias, time_constant, amplitude, memory
} rest { mode, timed });

impl BuildCell for Cfc {
    type Built<T: Element> = CfcCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CfcCell<T>, Error> {
        let mut fresh = Fresh::new("cfc", input, self.units, rng)?;
        if self.timed {
            fresh = fresh.timed()?;
        }
        let (units, pure) = (self.units, self.mode == CfcMode::Pure);
        let mut width = fresh.input.saturating_add(units);
        let (mut backbone_kernels, mut backbone_biases) = (Vec::new(), Vec::new());
        if self.backbone_layers > 0 {
            positive("cfc", "backbone_units", self.backbone_units)?;
            for _ in 0..substeps("cfc", "backbone_layers", self.backbone_layers)? {
                let shape = [width, self.backbone_units];
                backbone_kernels.push(fresh.weight("kernel_initializer", shape, &self.kernel_initializer)?);
                width = self.backbone_units;
                backbone_biases.push(fresh.weight("bias_initializer", [width], &self.bias_initializer)?);
            }
        }
        let heads = vec![("kernel_initializer", &self.kernel_initializer); if pure { 1 } else { 4 }];
        let own = |fresh: &mut Fresh<'_>, value: f64| match pure {
            true => Ok(Some(fresh.bias(1, &Initializer::Constant { value })?)),
            false => Ok(None),
        };
        let memory = match self.mixed_memory {
            false => None,
            true => Some(LstmCell {
                kernel: fresh.kernel(4, &self.kernel_initializer)?,
                recurrent_kernel: fresh.recurrent_kernel(4, &Initializer::Orthogonal { gain: 1.0 })?,
                bias: Some(
                    fresh.parts(
                        &[],
                        units,
                        &[0.0, 1.0, 0.0, 0.0]
                            .map(|value| ("units", Initializer::Constant { value }))
                            .each_ref()
                            .map(|(setting, from)| (*setting, from)),
                    )?,
                ),
                activation: Activation::Tanh,
                recurrent_activation: Activation::Sigmoid,
                variational: Variational::default(),
            }),
        };
        Ok(CfcCell {
            backbone_kernels,
            backbone_biases,
            kernel: fresh.parts(&[width], units, &heads)?,
            bias: fresh.bias(heads.len(), &self.bias_initializer)?,
            time_constant: own(&mut fresh, 0.0)?,
            amplitude: own(&mut fresh, 1.0)?,
            memory,
            mode: self.mode,
            timed: self.timed,
        })
    }
}

impl<T: Element> CfcCell<T> {
    /// The width of h.
    fn units(&self) -> usize {
        columns(&self.bias, if self.mode == CfcMode::Pure { 1 } else { 4 })[0]
    }

    /// [x, h] times the first weight there is.
    #[track_caller]
    fn joined<'t>(&self, x: Var<'t, T>, h: Var<'t, T>) -> Var<'t, T> {
        let kernel = x.tape().param(self.backbone_kernels.first().unwrap_or(&self.kernel));
        let features = x.dim(-1) as isize;
        x.matmul(kernel.slice(0, ..features)) + h.matmul(kernel.slice(0, features..))
    }
}

impl<T: Element> Cell<T> for CfcCell<T> {
    fn input_shape(&self) -> Shape {
        let joined = self.backbone_kernels.first().unwrap_or(&self.kernel).value().shape()[0];
        Shape::from([joined - self.units() + usize::from(self.timed)])
    }

    fn state_shapes(&self) -> StateShapes {
        let units = Shape::from([self.units()]);
        if self.memory.is_some() { smallvec![units; 2] } else { smallvec![units] }
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (x, elapsed) = match self.timed {
            true => (x.slice(-1, ..-1), x.slice(-1, -1..)),
            false => (x, x.tape().scalar(1.0)),
        };
        let mut next = match &self.memory {
            Some(memory) => memory.step(x, state),
            None => smallvec![state[0]],
        };
        let mut q = self.joined(x, next[0]);
        for (k, bias) in self.backbone_biases.iter().enumerate() {
            q = 1.7159 * (0.666 * (q + bias)).tanh();
            q = q.matmul(self.backbone_kernels.get(k + 1).unwrap_or(&self.kernel));
        }
        let q = q + &self.bias;
        next[0] = match (self.mode, &self.time_constant, &self.amplitude) {
            (CfcMode::Pure, Some(w), Some(amplitude)) => {
                let (w, amplitude) = (x.tape().param(w).abs(), x.tape().param(amplitude));
                amplitude - amplitude * (-elapsed * (w + q.abs())).exp() * q
            }
            _ => {
                let [a, b, ka, kb] = q.gates();
                let (a, b, k) = (a.tanh(), b.tanh(), (elapsed * ka + kb).sigmoid());
                if self.mode == CfcMode::NoGate { a + k * b } else { a * (1.0 - k) + k * b }
            }
        };
        next
    }
}
