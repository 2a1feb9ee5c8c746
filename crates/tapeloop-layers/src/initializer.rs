//! Initial weights, under Keras' and PyTorch's names.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Tensor};

/// Which of a weight's fans a variance is divided by.
///
/// Weights are (…, fan in, fan out), as in Keras; a convolution's receptive field multiplies both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fan {
    /// The number of inputs of an output.
    #[default]
    FanIn,
    /// The number of outputs of an input.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// What [`Initializer::VarianceScaling`] draws from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Normal, cut at two standard deviations, with the variance wanted after the cut.
    #[default]
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
    /// Uniform.
    Uniform,
}

/// Which function follows a weight: decides the gain of `KaimingUniform` and `KaimingNormal`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonlinearity {
    /// Gain 1.
    Linear,
    /// Gain 1.
    Sigmoid,
    /// Gain 5/3.
    Tanh,
    /// Gain √2.
    Relu,
    /// Gain √(2 / (1 + a²)), a the slope.
    #[default]
    LeakyRelu,
    /// Gain 3/4.
    Selu,
}

/// How a weight gets its first value.
///
/// ```
/// use tapeloop_autograd::{Rng, Tensor};
/// use tapeloop_layers::Initializer;
/// let kernel: Tensor = Initializer::GlorotUniform.tensor([120, 80], &mut Rng::new(0));
/// let limit = (6.0f32 / 200.0).sqrt();
/// assert!(kernel.to_vec().iter().all(|x| x.abs() <= limit));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// 0
    Zeros,
    /// 1
    Ones,
    /// One value.
    Constant {
        /// The value.
        value: f64,
    },
    /// `gain` on the diagonal of a matrix.
    Identity {
        /// The value on the diagonal.
        gain: f64,
    },
    /// 1 in the middle of a convolution's window, from channel k to channel k.
    Dirac,
    /// Uniform in low..high: Keras' `RandomUniform` is −0.05..0.05.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normal: Keras' `RandomNormal` has mean 0 and deviation 0.05.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Normal, drawn again outside of `cut` standard deviations: Keras cuts at 2.
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before the cut.
        std: f64,
        /// Where it is cut, in standard deviations.
        cut: f64,
    },
    /// Variance `scale` / fan.
    VarianceScaling {
        /// The factor.
        scale: f64,
        /// What it is divided by.
        mode: Fan,
        /// What is drawn from.
        distribution: Distribution,
    },
    /// Variance scaling by 1 / fan average, uniform (Glorot and Bengio 2010); PyTorch's `xavier_uniform_`.
    GlorotUniform,
    /// Variance scaling by 1 / fan average, truncated normal.
    GlorotNormal,
    /// Variance scaling by 2 / fan in, uniform (He et al. 2015).
    HeUniform,
    /// Variance scaling by 2 / fan in, truncated normal.
    HeNormal,
    /// Variance scaling by 1 / fan in, uniform (LeCun et al. 1998).
    LecunUniform,
    /// Variance scaling by 1 / fan in, truncated normal.
    LecunNormal,
    /// PyTorch's `xavier_uniform_` with a gain.
    XavierUniform {
        /// The factor.
        gain: f64,
    },
    /// PyTorch's `xavier_normal_`: not truncated.
    XavierNormal {
        /// The factor.
        gain: f64,
    },
    /// PyTorch's `kaiming_uniform_`.
    KaimingUniform {
        /// The slope of a leaky relu.
        a: f64,
        /// What the variance is divided by.
        mode: Fan,
        /// What follows the weight.
        nonlinearity: Nonlinearity,
    },
    /// PyTorch's `kaiming_normal_`: not truncated.
    KaimingNormal {
        /// The slope of a leaky relu.
        a: f64,
        /// What the variance is divided by.
        mode: Fan,
        /// What follows the weight.
        nonlinearity: Nonlinearity,
    },
    /// Orthonormal rows, or columns where there are fewer of them, of the matrix (…, last) times `gain`
    /// (Saxe et al. 2014): the Q of a normal matrix, signs taken from R so that it is uniformly distributed.
    Orthogonal {
        /// The factor.
        gain: f64,
    },
    /// PyTorch's `sparse_`: normal, with this share of every column 0.
    Sparse {
        /// The share of zeros.
        sparsity: f64,
        /// The standard deviation of the rest.
        std: f64,
    },
    /// Another initializer for each of `gates` equal parts of the last axis.
    PerGate {
        /// The number of parts.
        gates: usize,
        /// What each part gets.
        initializer: Box<Initializer>,
    },
}

/// The standard deviation of a normal distribution cut at two of its own.
const CUT_AT_TWO: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// Uniform in −0.05..0.05: Keras' `uniform`.
    pub const RANDOM_UNIFORM: Self = Self::Uniform { low: -0.05, high: 0.05 };

    /// Orthonormal in each of `gates` parts, where Keras makes the rows of all gates together orthonormal.
    pub fn orthogonal_per_gate(gates: usize) -> Self {
        Self::PerGate { gates, initializer: Box::new(Self::Orthogonal { gain: 1.0 }) }
    }

    /// A parameter with a first value.
    ///
    /// # Panics
    /// As [`tensor`](Self::tensor).
    #[track_caller]
    pub fn param<T: Element>(&self, shape: impl Into<Shape>, rng: &mut Rng) -> Param<T> {
        Param::new(self.tensor(shape, rng))
    }

    /// A first value.
    ///
    /// # Panics
    /// If the shape does not suit it: `Identity` needs a matrix, `Dirac` a convolution's kernel, `PerGate` a last axis
    /// that divides.
    #[track_caller]
    pub fn tensor<T: Element>(&self, shape: impl Into<Shape>, rng: &mut Rng) -> Tensor<T> {
        let shape = shape.into();
        match self {
            Self::Zeros => Tensor::zeros(shape),
            Self::Ones => Tensor::ones(shape),
            Self::Constant { value } => Tensor::full(shape, T::from_f64(*value)),
            Self::Identity { gain } => {
                assert!(shape.rank() == 2, "identity: shape {shape} is no matrix");
                Tensor::from_fn(shape, |i| T::from_f64(if i[0] == i[1] { *gain } else { 0.0 }))
            }
            Self::Dirac => {
                let rank = shape.rank();
                assert!(rank > 2, "dirac: shape {shape} is no kernel of a convolution, (window…, in, out)");
                let middle: Vec<usize> = shape[..rank - 2].iter().map(|n| n / 2).collect();
                Tensor::from_fn(shape, |i| {
                    T::from_f64(f64::from(i[..rank - 2] == middle && i[rank - 2] == i[rank - 1]))
                })
            }
            Self::Uniform { low, high } => Tensor::uniform(shape, *low, *high, rng),
            Self::Normal { mean, std } => Tensor::normal(shape, *mean, *std, rng),
            Self::TruncatedNormal { mean, std, cut } => truncated(shape, *mean, *std, *cut, rng),
            Self::VarianceScaling { scale, mode, distribution } => scaled(shape, *scale, *mode, *distribution, rng),
            Self::GlorotUniform => scaled(shape, 1.0, Fan::FanAvg, Distribution::Uniform, rng),
            Self::GlorotNormal => scaled(shape, 1.0, Fan::FanAvg, Distribution::TruncatedNormal, rng),
            Self::HeUniform => scaled(shape, 2.0, Fan::FanIn, Distribution::Uniform, rng),
            Self::HeNormal => scaled(shape, 2.0, Fan::FanIn, Distribution::TruncatedNormal, rng),
            Self::LecunUniform => scaled(shape, 1.0, Fan::FanIn, Distribution::Uniform, rng),
            Self::LecunNormal => scaled(shape, 1.0, Fan::FanIn, Distribution::TruncatedNormal, rng),
            Self::XavierUniform { gain } => scaled(shape, gain * gain, Fan::FanAvg, Distribution::Uniform, rng),
            Self::XavierNormal { gain } => {
                scaled(shape, gain * gain, Fan::FanAvg, Distribution::UntruncatedNormal, rng)
            }
            Self::KaimingUniform { a, mode, nonlinearity } => {
                scaled(shape, nonlinearity.gain(*a).powi(2), *mode, Distribution::Uniform, rng)
            }
            Self::KaimingNormal { a, mode, nonlinearity } => {
                scaled(shape, nonlinearity.gain(*a).powi(2), *mode, Distribution::UntruncatedNormal, rng)
            }
            Self::Orthogonal { gain } => orthogonal(shape, *gain, rng),
            Self::Sparse { sparsity, std } => sparse(shape, *sparsity, *std, rng),
            Self::PerGate { gates, initializer } => {
                let rank = shape.rank();
                assert!(
                    rank > 0 && *gates > 0 && shape[rank - 1].is_multiple_of(*gates),
                    "per gate: the last axis of {shape} does not divide into {gates} parts"
                );
                let part: Shape = shape[..rank - 1].iter().copied().chain([shape[rank - 1] / gates]).collect();
                let parts: Vec<Tensor<T>> = (0..*gates).map(|_| initializer.tensor(&part, rng)).collect();
                let width = part[rank - 1];
                Tensor::from_fn(shape, |i| {
                    let mut at = i.to_vec();
                    at[rank - 1] %= width;
                    parts[i[rank - 1] / width].at(&at)
                })
            }
        }
    }
}

impl Nonlinearity {
    fn gain(self, a: f64) -> f64 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu => (2.0 / (1.0 + a * a)).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// Fan in and fan out of (window…, in, out).
fn fans(shape: &Shape) -> (f64, f64) {
    match shape.dims() {
        [] => (1.0, 1.0),
        [n] => (*n as f64, *n as f64),
        [window @ .., fan_in, fan_out] => {
            let field = window.iter().product::<usize>() as f64;
            (field * *fan_in as f64, field * *fan_out as f64)
        }
    }
}

fn scaled<T: Element>(shape: Shape, scale: f64, mode: Fan, distribution: Distribution, rng: &mut Rng) -> Tensor<T> {
    let (fan_in, fan_out) = fans(&shape);
    let fan = match mode {
        Fan::FanIn => fan_in,
        Fan::FanOut => fan_out,
        Fan::FanAvg => (fan_in + fan_out) / 2.0,
    };
    let variance = scale / fan.max(1.0);
    match distribution {
        Distribution::TruncatedNormal => truncated(shape, 0.0, variance.sqrt() / CUT_AT_TWO, 2.0, rng),
        Distribution::UntruncatedNormal => Tensor::normal(shape, 0.0, variance.sqrt(), rng),
        Distribution::Uniform => {
            let limit = (3.0 * variance).sqrt();
            Tensor::uniform(shape, -limit, limit, rng)
        }
    }
}

fn truncated<T: Element>(shape: Shape, mean: f64, std: f64, cut: f64, rng: &mut Rng) -> Tensor<T> {
    Tensor::from_fn(shape, |_| {
        loop {
            let z = rng.normal();
            if z.abs() <= cut {
                return T::from_f64(mean + std * z);
            }
        }
    })
}

fn orthogonal<T: Element>(shape: Shape, gain: f64, rng: &mut Rng) -> Tensor<T> {
    assert!(shape.rank() >= 2, "orthogonal: shape {shape} is no matrix");
    let cols = shape[shape.rank() - 1];
    let rows = shape.size().checked_div(cols).unwrap_or(0);
    let (long, short) = (rows.max(cols), rows.min(cols));
    if short == 0 {
        return Tensor::zeros(shape);
    }
    let tape = Tape::<f64>::inference();
    let (q, r) = tape.constant(Tensor::normal([long, short], 0.0, 1.0, rng)).qr();
    let signs = r.diagonal(0, -2, -1).value().map(|x| if x < 0.0 { -1.0 } else { 1.0 });
    let q = q * &signs * gain;
    let q = if rows < cols { q.t() } else { q };
    Tensor::from_vec(shape, q.value().cast::<T>().to_vec())
}

fn sparse<T: Element>(shape: Shape, sparsity: f64, std: f64, rng: &mut Rng) -> Tensor<T> {
    assert!(shape.rank() == 2, "sparse: shape {shape} is no matrix");
    let (rows, cols) = (shape[0], shape[1]);
    let zeros = (sparsity * rows as f64).ceil() as usize;
    let mut data = Tensor::<T>::normal(shape, 0.0, std, rng);
    let elements = data.as_mut_slice();
    for col in 0..cols {
        for &row in rng.permutation(rows).iter().take(zeros) {
            elements[row * cols + col] = T::ZERO;
        }
    }
    data
}
