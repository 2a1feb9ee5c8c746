//! Regularizers: penalties on weights and outputs, under Keras' names.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Shape, Var};

use crate::named::{Field, Named, Names, written};

/// Which vectors of a matrix are to be orthogonal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vectors {
    /// Its rows.
    #[default]
    Rows,
    /// Its columns.
    Columns,
}

/// A penalty that is added to the loss: of a weight, or of what a layer puts out.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// use tapeloop_layers::Regularizer;
/// let tape = Tape::new();
/// let w = tape.leaf(Tensor::from([[1.0f64, -2.0], [3.0, 0.0]]));
/// assert_eq!(Regularizer::l1(0.5).penalty(w).item(), 3.0);
/// assert_eq!(Regularizer::l2(0.5).penalty(w).item(), 7.0);
/// ```
///
/// In a configuration it is a name, which stands for Keras' defaults, or an object of a name and parameters. Keras' own
/// form with a `class_name` and a `config` is read as well.
///
/// ```
/// use tapeloop_layers::Regularizer;
/// let json = |text| serde_json::from_str::<Regularizer>(text).unwrap();
/// assert_eq!(json(r#""l2""#), Regularizer::l2(0.01));
/// assert_eq!(json(r#"{"l1_l2": {"l1": 0.1}}"#), Regularizer::l1_l2(0.1, 0.0));
/// assert_eq!(json(r#"{"class_name": "L2", "config": {"l2": 0.5}}"#), Regularizer::l2(0.5));
/// assert_eq!("l2(l2=0.5)".parse(), Ok(Regularizer::l2(0.5)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Regularizer {
    /// l1 Σ |w|
    L1 {
        /// The factor. Default 0.01.
        l1: f64,
    },
    /// l2 Σ w²
    L2 {
        /// The factor. Default 0.01.
        l2: f64,
    },
    /// l1 Σ |w| + l2 Σ w²
    L1L2 {
        /// The factor of the absolute values. Default 0.
        l1: f64,
        /// The factor of the squares. Default 0.
        l2: f64,
    },
    /// factor times the mean of |cos| between any two different rows, or columns, of a matrix. A vector of zeros is
    /// orthogonal to all others; a single vector has no penalty, where Keras' is NaN.
    Orthogonal {
        /// The factor. Default 0.01.
        factor: f64,
        /// Default rows.
        mode: Vectors,
    },
}

/// Keras' least norm of a vector that is divided by its norm.
const EPSILON: f64 = 1e-7;

impl Regularizer {
    /// l1 Σ |w|
    pub fn l1(l1: f64) -> Self {
        Self::L1 { l1 }
    }

    /// l2 Σ w²
    pub fn l2(l2: f64) -> Self {
        Self::L2 { l2 }
    }

    /// l1 Σ |w| + l2 Σ w²
    pub fn l1_l2(l1: f64, l2: f64) -> Self {
        Self::L1L2 { l1, l2 }
    }

    /// factor times the mean of |cos| between any two rows, or columns.
    pub fn orthogonal(factor: f64, mode: Vectors) -> Self {
        Self::Orthogonal { factor, mode }
    }

    /// Its name, without parameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::L1 { .. } => "l1",
            Self::L2 { .. } => "l2",
            Self::L1L2 { .. } => "l1_l2",
            Self::Orthogonal { .. } => "orthogonal",
        }
    }

    /// The penalty of `w`, a scalar. It can be differentiated twice.
    ///
    /// # Panics
    /// If `w` is no matrix and its rows or columns are to be orthogonal.
    #[track_caller]
    pub fn penalty<'t, T: Element>(&self, w: Var<'t, T>) -> Var<'t, T> {
        match *self {
            Self::L1 { l1 } | Self::L1L2 { l1, l2: 0.0 } => w.abs().sum_all() * l1,
            Self::L2 { l2 } | Self::L1L2 { l1: 0.0, l2 } => w.square().sum_all() * l2,
            Self::L1L2 { l1, l2 } => w.abs().sum_all() * l1 + w.square().sum_all() * l2,
            Self::Orthogonal { factor, mode } => {
                let shape = w.shape();
                assert!(shape.rank() == 2, "penalty: orthogonal takes a matrix, not a value of shape {shape}");
                let (count, axis) = match mode {
                    Vectors::Rows => (shape[0], 1),
                    Vectors::Columns => (shape[1], 0),
                };
                let unit = w / w.norm(2.0, &[axis], true).maximum(EPSILON);
                let cosines = match mode {
                    Vectors::Rows => unit.matmul(unit.t()),
                    Vectors::Columns => unit.t().matmul(unit),
                };
                let pairs = (count * count.saturating_sub(1) / 2).max(1);
                // Every pair once: above the diagonal.
                cosines.triu(1).abs().sum_all() * (factor / pairs as f64)
            }
        }
    }

    /// What is wrong with it for a value of this shape.
    pub(crate) fn check(&self, shape: &Shape) -> Result<(), String> {
        let mut copy = *self;
        for (names, field) in copy.fields() {
            if let Field::Number(factor) = field
                && !(factor.is_finite() && *factor >= 0.0)
            {
                return Err(format!("{}: `{}` is {factor}; it must be a number of at least 0", self.name(), names[0]));
            }
        }
        match self {
            Self::Orthogonal { .. } if shape.rank() != 2 => {
                Err(format!("{} needs a matrix, not the shape {shape}", self.name()))
            }
            _ => Ok(()),
        }
    }
}

impl Named for Regularizer {
    const WHAT: &'static str = "regularizer";
    const A: &'static str = "a regularizer";
    const NAMES: Names<Self> = &[
        ("l1", || Self::L1 { l1: 0.01 }),
        ("l2", || Self::L2 { l2: 0.01 }),
        // As Keras' code has it; its page says 0.01.
        ("l1_l2", || Self::L1L2 { l1: 0.0, l2: 0.0 }),
        ("l1l2", || Self::L1L2 { l1: 0.0, l2: 0.0 }),
        ("orthogonal", || Self::Orthogonal { factor: 0.01, mode: Vectors::Rows }),
    ];

    fn name(&self) -> &'static str {
        self.name()
    }

    fn fields(&mut self) -> Vec<(&'static [&'static str], Field<'_>)> {
        match self {
            Self::L1 { l1 } => vec![(&["l1"], Field::Number(l1))],
            Self::L2 { l2 } => vec![(&["l2"], Field::Number(l2))],
            Self::L1L2 { l1, l2 } => vec![(&["l1"], Field::Number(l1)), (&["l2"], Field::Number(l2))],
            Self::Orthogonal { factor, mode } => {
                vec![(&["factor"], Field::Number(factor)), (&["mode"], Field::Word(mode))]
            }
        }
    }
}

written!(Regularizer);
