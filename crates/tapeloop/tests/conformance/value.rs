//! What an expression computes with.

use tapeloop::{Element, Tensor, Var};

use crate::arguments::Arguments;

/// A value of the expression language.
#[derive(Clone, Debug)]
pub enum Value<'t, T: Element> {
    Var(Var<'t, T>),
    /// A tensor that PyTorch keeps in single precision, whatever the case's precision is.
    Single(Tensor<f32>),
    Ints(Tensor<i64>),
    Bools(Tensor<bool>),
    Number(f64),
    Integer(i64),
    Truth(bool),
    Text(String),
    List(Vec<Self>),
    Slice(Option<i64>, Option<i64>, i64),
    Ellipsis,
    None,
    /// A module, a type: what only stands in front of a dot or as an argument.
    Name(String),
    /// `nn.MSELoss(...)`: a function with some of its arguments.
    Partial(&'static str, Arguments<'t, T>),
}

pub type Result<T> = std::result::Result<T, String>;

impl<'t, T: Element> Value<'t, T> {
    pub fn var(&self) -> Result<Var<'t, T>> {
        match self {
            Self::Var(var) => Ok(*var),
            other => Err(format!("{} is no float tensor", other.describe())),
        }
    }

    pub fn number(&self) -> Result<f64> {
        match self {
            Self::Number(x) => Ok(*x),
            Self::Integer(n) => Ok(*n as f64),
            Self::Truth(b) => Ok(f64::from(*b)),
            Self::Var(var) if var.size() == 1 && !var.needs_grad() => Ok(var.item().to_f64()),
            Self::Ints(tensor) if tensor.size() == 1 => Ok(tensor.to_vec()[0] as f64),
            other => Err(format!("{} is no number", other.describe())),
        }
    }

    pub fn integer(&self) -> Result<i64> {
        match self {
            Self::Integer(n) => Ok(*n),
            Self::Truth(b) => Ok(i64::from(*b)),
            Self::Ints(tensor) if tensor.size() == 1 => Ok(tensor.to_vec()[0]),
            other => Err(format!("{} is no integer", other.describe())),
        }
    }

    pub fn truth(&self) -> Result<bool> {
        match self {
            Self::Truth(b) => Ok(*b),
            Self::Integer(n) => Ok(*n != 0),
            Self::Bools(tensor) if tensor.size() == 1 => Ok(tensor.to_vec()[0]),
            other => Err(format!("{} is neither True nor False", other.describe())),
        }
    }

    /// An integer or a sequence of them.
    pub fn integers(&self) -> Result<Vec<i64>> {
        match self {
            Self::List(items) => items.iter().map(Self::integer).collect(),
            Self::Ints(tensor) => Ok(tensor.to_vec()),
            other => other.integer().map(|n| vec![n]),
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether it is a tensor.
    pub fn is_tensor(&self) -> bool {
        matches!(self, Self::Var(_) | Self::Single(_) | Self::Ints(_) | Self::Bools(_))
    }

    /// What it is, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Var(var) => format!("a float tensor {}", var.shape()),
            Self::Single(tensor) => format!("a single precision tensor {}", tensor.shape()),
            Self::Ints(tensor) => format!("an integer tensor {}", tensor.shape()),
            Self::Bools(tensor) => format!("a truth tensor {}", tensor.shape()),
            Self::Number(x) => format!("{x}"),
            Self::Integer(n) => format!("{n}"),
            Self::Truth(b) => format!("{b}"),
            Self::Text(text) => format!("'{text}'"),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Slice(..) => "a slice".into(),
            Self::Ellipsis => "...".into(),
            Self::None => "None".into(),
            Self::Name(name) => format!("`{name}`"),
            Self::Partial(name, _) => format!("a module of {name}"),
        }
    }
}
