//! Initializers by name, with parameters or without: in configurations and as text.

use super::{Distribution, Fan, Initializer, Nonlinearity};
use crate::named::{Field, Named, Names, written};

impl Initializer {
    /// Its name, without parameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Ones => "ones",
            Self::Constant { .. } => "constant",
            Self::Identity { .. } => "identity",
            Self::Dirac { .. } => "dirac",
            Self::Uniform { .. } => "uniform",
            Self::Normal { .. } => "normal",
            Self::TruncatedNormal { .. } => "truncated_normal",
            Self::TruncNormal { .. } => "trunc_normal",
            Self::VarianceScaling { .. } => "variance_scaling",
            Self::GlorotUniform => "glorot_uniform",
            Self::GlorotNormal => "glorot_normal",
            Self::HeUniform => "he_uniform",
            Self::HeNormal => "he_normal",
            Self::LecunUniform => "lecun_uniform",
            Self::LecunNormal => "lecun_normal",
            Self::XavierUniform { .. } => "xavier_uniform",
            Self::XavierNormal { .. } => "xavier_normal",
            Self::KaimingUniform { .. } => "kaiming_uniform",
            Self::KaimingNormal { .. } => "kaiming_normal",
            Self::Orthogonal { .. } => "orthogonal",
            Self::Sparse { .. } => "sparse",
            Self::PerGate { .. } => "per_gate",
        }
    }
}

impl Named for Initializer {
    const WHAT: &'static str = "initializer";
    const A: &'static str = "an initializer";

    /// Keras' and PyTorch's names.
    const NAMES: Names<Self> = &[
        ("zeros", || Initializer::Zeros),
        ("zero", || Initializer::Zeros),
        ("ones", || Initializer::Ones),
        ("one", || Initializer::Ones),
        ("constant", || Initializer::Constant { value: 0.0 }),
        ("identity", || Initializer::Identity { gain: 1.0 }),
        ("eye", || Initializer::Identity { gain: 1.0 }),
        ("dirac", || Initializer::Dirac { groups: 1 }),
        ("uniform", || Initializer::RANDOM_UNIFORM),
        ("uniform_", || Initializer::Uniform { low: 0.0, high: 1.0 }),
        ("random_uniform", || Initializer::RANDOM_UNIFORM),
        ("normal", || Initializer::Normal { mean: 0.0, std: 0.05 }),
        ("normal_", || Initializer::Normal { mean: 0.0, std: 1.0 }),
        ("random_normal", || Initializer::Normal { mean: 0.0, std: 0.05 }),
        ("truncated_normal", || Initializer::TruncatedNormal { mean: 0.0, std: 0.05, cut: 2.0 }),
        ("trunc_normal", || Initializer::TruncNormal { mean: 0.0, std: 1.0, a: -2.0, b: 2.0 }),
        ("variance_scaling", || Initializer::VarianceScaling {
            scale: 1.0,
            mode: Fan::FanIn,
            distribution: Distribution::TruncatedNormal,
        }),
        ("glorot_uniform", || Initializer::GlorotUniform),
        ("glorot_normal", || Initializer::GlorotNormal),
        ("he_uniform", || Initializer::HeUniform),
        ("he_normal", || Initializer::HeNormal),
        ("lecun_uniform", || Initializer::LecunUniform),
        ("lecun_normal", || Initializer::LecunNormal),
        ("xavier_uniform", || Initializer::XavierUniform { gain: 1.0 }),
        ("xavier_normal", || Initializer::XavierNormal { gain: 1.0 }),
        ("kaiming_uniform", || Initializer::KaimingUniform {
            a: 0.0,
            mode: Fan::FanIn,
            nonlinearity: Nonlinearity::LeakyRelu,
        }),
        ("kaiming_normal", || Initializer::KaimingNormal {
            a: 0.0,
            mode: Fan::FanIn,
            nonlinearity: Nonlinearity::LeakyRelu,
        }),
        ("orthogonal", || Initializer::Orthogonal { gain: 1.0 }),
        ("sparse", || Initializer::Sparse { sparsity: f64::NAN, std: 0.01 }),
        ("per_gate", || Initializer::PerGate {
            gates: 0,
            initializer: Box::new(Initializer::Orthogonal { gain: 1.0 }),
        }),
    ];

    fn name(&self) -> &'static str {
        self.name()
    }

    fn fields(&mut self) -> Vec<(&'static [&'static str], Field<'_>)> {
        use Field::{Count, Number};
        const MEAN: &[&str] = &["mean"];
        const STD: &[&str] = &["std", "stddev"];
        match self {
            Self::Constant { value } => vec![(&["value", "val"], Number(value))],
            Self::Identity { gain }
            | Self::XavierUniform { gain }
            | Self::XavierNormal { gain }
            | Self::Orthogonal { gain } => vec![(&["gain"], Number(gain))],
            Self::Dirac { groups } => vec![(&["groups"], Count(groups))],
            Self::Uniform { low, high } => {
                vec![(&["low", "minval", "a"], Number(low)), (&["high", "maxval", "b"], Number(high))]
            }
            Self::Normal { mean, std } => vec![(MEAN, Number(mean)), (STD, Number(std))],
            Self::TruncatedNormal { mean, std, cut } => {
                vec![(MEAN, Number(mean)), (STD, Number(std)), (&["cut"], Number(cut))]
            }
            Self::TruncNormal { mean, std, a, b } => {
                vec![(MEAN, Number(mean)), (STD, Number(std)), (&["a"], Number(a)), (&["b"], Number(b))]
            }
            Self::VarianceScaling { scale, mode, distribution } => vec![
                (&["scale"], Number(scale)),
                (&["mode"], Field::Word(mode)),
                (&["distribution"], Field::Word(distribution)),
            ],
            Self::KaimingUniform { a, mode, nonlinearity } | Self::KaimingNormal { a, mode, nonlinearity } => vec![
                (&["a"], Number(a)),
                (&["mode"], Field::Word(mode)),
                (&["nonlinearity"], Field::Word(nonlinearity)),
            ],
            Self::Sparse { sparsity, std } => vec![(&["sparsity"], Number(sparsity)), (STD, Number(std))],
            Self::PerGate { gates, initializer } => {
                vec![(&["gates"], Count(gates)), (&["initializer"], Field::Initializer(initializer))]
            }
            Self::Zeros
            | Self::Ones
            | Self::GlorotUniform
            | Self::GlorotNormal
            | Self::HeUniform
            | Self::HeNormal
            | Self::LecunUniform
            | Self::LecunNormal => Vec::new(),
        }
    }
}

written!(Initializer);
