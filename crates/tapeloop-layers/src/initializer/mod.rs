//! Initial weights, under Keras' and PyTorch's names.

mod check;
mod draw;
mod names;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor};

use crate::Error;

pub(crate) use check::has_memory_for_row;

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
///
/// Keras' names stand for Keras' defaults, PyTorch's, also with their underscore, for PyTorch's:
///
/// ```
/// use tapeloop_layers::Initializer;
/// assert_eq!("random_normal".parse(), Ok(Initializer::Normal { mean: 0.0, std: 0.05 }));
/// assert_eq!("normal_".parse(), Ok(Initializer::Normal { mean: 0.0, std: 1.0 }));
/// assert_eq!("orthogonal(gain=2)".parse(), Ok(Initializer::Orthogonal { gain: 2.0 }));
/// ```
///
/// In a configuration it is a name, or an object of a name and parameters, of which those that are left out have
/// their defaults:
///
/// ```
/// use tapeloop_layers::Initializer;
/// let json = |text| serde_json::from_str::<Initializer>(text).unwrap();
/// assert_eq!(json(r#""orthogonal""#), Initializer::Orthogonal { gain: 1.0 });
/// assert_eq!(json(r#"{"random_normal": {"stddev": 0.1}}"#), Initializer::Normal { mean: 0.0, std: 0.1 });
/// let per_gate = r#"{"per_gate": {"gates": 4, "initializer": "orthogonal"}}"#;
/// assert_eq!(json(per_gate), Initializer::orthogonal_per_gate(4));
/// ```
#[derive(Clone, Debug, PartialEq)]
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
    /// `gain` on the diagonal of a matrix; PyTorch's `eye_`.
    Identity {
        /// The value on the diagonal.
        gain: f64,
    },
    /// 1 in the middle of a convolution's window, from channel k to channel k of every group: PyTorch's `dirac_`.
    Dirac {
        /// The number of equal parts of the output channels.
        groups: usize,
    },
    /// Uniform in low..high: Keras' `RandomUniform` is −0.05..0.05, PyTorch's `uniform_` 0..1.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Normal with mean 0: Keras' `RandomNormal` has the deviation 0.05, PyTorch's `normal_` 1.
    Normal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        std: f64,
    },
    /// Normal, cut at `cut` standard deviations: Keras cuts at 2.
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before the cut.
        std: f64,
        /// Where it is cut, in standard deviations.
        cut: f64,
    },
    /// Normal, cut outside of a..b: PyTorch's `trunc_normal_`.
    TruncNormal {
        /// The mean before the cut.
        mean: f64,
        /// The standard deviation before the cut.
        std: f64,
        /// The lower end.
        a: f64,
        /// The upper end.
        b: f64,
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
    /// PyTorch's `sparse_`: normal, with this share of every column 0: here a column is what one output reads.
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
    /// Where [`try_tensor`](Self::try_tensor) returns an error.
    #[track_caller]
    pub fn tensor<T: Element>(&self, shape: impl Into<Shape>, rng: &mut Rng) -> Tensor<T> {
        match self.try_tensor(shape, rng) {
            Ok(tensor) => tensor,
            Err(error) => panic!("{error}"),
        }
    }

    /// A first value.
    ///
    /// # Errors
    /// If a parameter makes no sense, as a negative deviation; if the shape does not suit: `Orthogonal` needs a matrix
    /// or more axes, `Identity` and `Sparse` a matrix, `Dirac` a convolution's kernel whose outputs divide into its
    /// groups, `PerGate` a last axis that divides; if there is no memory for so many elements.
    pub fn try_tensor<T: Element>(&self, shape: impl Into<Shape>, rng: &mut Rng) -> Result<Tensor<T>, Error> {
        let shape = shape.into();
        self.check::<T>(&shape).map_err(Error::other)?;
        Ok(self.draw(shape, rng))
    }

    /// The weight of a layer, for which its setting is to blame if there can be none.
    pub(crate) fn weight<T: Element>(
        &self,
        layer: &str,
        setting: &str,
        shape: impl Into<Shape>,
        rng: &mut Rng,
    ) -> Result<Param<T>, Error> {
        let value = self.try_tensor(shape, rng).map_err(|error| Error::config(layer, format!("{setting}: {error}")))?;
        Ok(Param::new(value))
    }
}
