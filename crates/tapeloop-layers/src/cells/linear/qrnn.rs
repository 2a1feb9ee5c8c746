//! The quasi-recurrent network.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::layers::positive;
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

/// How a [`Qrnn`] pools what its convolution gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// c′ = f ∘ c + (1 − f) ∘ z, which is the output.
    F,
    /// An output gate: h′ = o ∘ c′.
    #[default]
    Fo,
    /// An input gate besides: c′ = f ∘ c + i ∘ z.
    Ifo,
}

config! {
    /// The quasi-recurrent network (Bradbury et al. 2017, arXiv:1611.01576): gates from a convolution over the last
    /// `window` inputs, and a recurrence element by element. States: h, c, then the inputs 1, 2, … window − 1 steps ago.
    /// h is the output, which no later step reads; with [`Pooling::F`] the output is c, and there is no h.
    ///
    /// ```text
    /// z = tanh(Σ_k x_{t−k} W_k,z + b_z)
    /// f = σ(Σ_k x_{t−k} W_k,f + b_f)
    /// o = σ(Σ_k x_{t−k} W_k,o + b_o)
    /// c′ = f ∘ c + (1 − f) ∘ z
    /// h′ = o ∘ c′
    /// ```
    ///
    /// Before the first step inputs are 0. As in the paper, f keeps: well-known code has f and 1 − f the other way round.
    /// The paper's zoneout is a [`Zoneout`](crate::Zoneout) around it whose rate is 0 for all states but c.
    Qrnn(QrnnCell) {
        /// The width of c.
        units,
        /// How many inputs a gate sees. Default 2.
        window: usize = 2,
        /// Which gates there are. Default f and o.
        pooling: Pooling = Pooling::Fo,
        /// Of each of `kernels`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Qrnn`] builds. The last axis of each weight holds the parts z, f, o, i, as far as there are such gates.
#[derive(Clone, Debug)]
pub struct QrnnCell<T: Element = f32> {
    /// The weights of the input k steps ago, (input, gates·units), for every k.
    pub kernels: Vec<Param<T>>,
    /// Bias, (gates·units).
    pub bias: Param<T>,
    /// Which gates there are.
    pub pooling: Pooling,
}
module!(QrnnCell<T> { kernels, bias } rest { pooling });

impl Pooling {
    /// The number of parts of a weight.
    fn parts(self) -> usize {
        match self {
            Self::F => 2,
            Self::Fo => 3,
            Self::Ifo => 4,
        }
    }
}

/// More of them are a mistake.
const WIDEST: usize = 1 << 16;

impl BuildCell for Qrnn {
    type Built<T: Element> = QrnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<QrnnCell<T>, Error> {
        let mut fresh = Fresh::new("qrnn", input, self.units, rng)?;
        positive("qrnn", "window", self.window)?;
        if self.window > WIDEST {
            return Err(fresh.wrong(format!("a window of {} inputs: there may be {WIDEST}", self.window)));
        }
        let gates = self.pooling.parts();
        let mut kernels = Vec::new();
        for _ in 0..self.window {
            kernels.push(fresh.kernel(gates, &self.kernel_initializer)?);
        }
        Ok(QrnnCell { kernels, bias: fresh.bias(gates, &self.bias_initializer)?, pooling: self.pooling })
    }
}

impl<T: Element> Cell<T> for QrnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernels[0])
    }

    fn state_shapes(&self) -> StateShapes {
        let c = columns(&self.bias, self.pooling.parts());
        let mut shapes: StateShapes = smallvec![c.clone()];
        if self.pooling != Pooling::F {
            shapes.push(c);
        }
        shapes.extend(self.kernels[1..].iter().map(rows));
        shapes
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let own = state.len() + 1 - self.kernels.len();
        let (c, earlier) = (state[own - 1], &state[own..]);
        let mut sum = x.matmul(&self.kernels[0]) + &self.bias;
        for (x, kernel) in earlier.iter().zip(&self.kernels[1..]) {
            sum = sum + x.matmul(kernel);
        }
        let mut next: State<'t, T> = match self.pooling {
            Pooling::F => {
                let [z, f] = sum.gates();
                let f = f.sigmoid();
                smallvec![f * c + (1.0 - f) * z.tanh()]
            }
            Pooling::Fo => {
                let [z, f, o] = sum.gates();
                let f = f.sigmoid();
                let c = f * c + (1.0 - f) * z.tanh();
                smallvec![o.sigmoid() * c, c]
            }
            Pooling::Ifo => {
                let [z, f, o, i] = sum.gates();
                let c = f.sigmoid() * c + i.sigmoid() * z.tanh();
                smallvec![o.sigmoid() * c, c]
            }
        };
        next.extend([x].into_iter().chain(earlier.iter().copied()).take(earlier.len()));
        next
    }
}
