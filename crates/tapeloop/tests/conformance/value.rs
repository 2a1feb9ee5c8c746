//! What an expression computes with.

use tapeloop::{Element, Tensor, Var};

/// A value of the expression language.
#[derive(Clone, Debug)]
pub enum Value<'t, T: Element> {
    Var(Var<'t, T>),
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
}

pub type Result<T> = std::result::Result<T, String>;

impl<'t, T: Element> Value<'t, T> {
    pub fn var(&self) -> Result<Var<'t, T>> {
        match self {
            Self::Var(var) => Ok(*var),
            other => Err(format!("{other:?} is no float tensor")),
        }
    }

    pub fn number(&self) -> Result<f64> {
        match self {
            Self::Number(x) => Ok(*x),
            Self::Integer(n) => Ok(*n as f64),
            Self::Truth(b) => Ok(f64::from(*b)),
            Self::Var(var) if var.size() == 1 => Ok(var.item().to_f64()),
            other => Err(format!("{other:?} is no number")),
        }
    }

    pub fn integer(&self) -> Result<i64> {
        match self {
            Self::Integer(n) => Ok(*n),
            Self::Ints(tensor) if tensor.size() == 1 => Ok(tensor.to_vec()[0]),
            other => Err(format!("{other:?} is no integer")),
        }
    }

    pub fn truth(&self) -> Result<bool> {
        match self {
            Self::Truth(b) => Ok(*b),
            Self::Integer(n) => Ok(*n != 0),
            other => Err(format!("{other:?} is neither True nor False")),
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
}
