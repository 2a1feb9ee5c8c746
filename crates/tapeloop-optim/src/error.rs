//! What can be wrong with options and saved states.

use std::fmt;

use tapeloop_autograd::Shape;

/// Why options or a saved state were refused.
///
/// ```
/// use tapeloop_optim::{AdamConfig, Error};
/// let error = AdamConfig { beta_1: 1.0, ..AdamConfig::default() }.validate().unwrap_err();
/// assert!(matches!(error, Error::Option { name: "beta_1", .. }));
/// assert_eq!(error.to_string(), "beta_1 is 1; it must be at least 0 and less than 1");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value that makes no sense.
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// The state is another optimizer's.
    Optimizer {
        /// The optimizer that was to take it.
        expected: &'static str,
        /// The optimizer that saved it.
        found: String,
    },
    /// The state has a parameter the module has not.
    UnknownParam {
        /// The parameter.
        param: String,
    },
    /// The state of a parameter has other buffers than the optimizer's options need.
    Buffers {
        /// The parameter.
        param: String,
        /// What the optimizer needs.
        expected: Vec<String>,
        /// What the state has.
        found: Vec<String>,
    },
    /// A buffer's shape is not its parameter's.
    Shape {
        /// The parameter.
        param: String,
        /// The buffer.
        buffer: String,
        /// The parameter's shape.
        expected: Box<Shape>,
        /// The buffer's shape.
        found: Box<Shape>,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option { name, value, rule } => write!(f, "{name} is {value}; it must be {rule}"),
            Self::Optimizer { expected, found } => write!(f, "the state is of `{found}`, not of `{expected}`"),
            Self::UnknownParam { param } => write!(f, "the state's parameter `{param}` is not in the module"),
            Self::Buffers { param, expected, found } => {
                write!(f, "the state of `{param}` has the buffers {found:?}; with these options it needs {expected:?}")
            }
            Self::Shape { param, buffer, expected, found } => {
                write!(f, "`{buffer}` of `{param}` has shape {found}; the parameter has shape {expected}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// At least 0 and finite.
pub(crate) fn not_negative(name: &'static str, value: f64) -> Result<(), Error> {
    check(value >= 0.0 && value.is_finite(), name, value, "finite and at least 0")
}

/// In [0, 1).
pub(crate) fn fraction(name: &'static str, value: f64) -> Result<(), Error> {
    check((0.0..1.0).contains(&value), name, value, "at least 0 and less than 1")
}

pub(crate) fn check(holds: bool, name: &'static str, value: f64, rule: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Option { name, value, rule }) }
}

/// Options written in the program are the programmer's: a wrong one panics at the caller's line.
#[track_caller]
pub(crate) fn require(result: Result<(), Error>) {
    if let Err(error) = result {
        panic!("{error}");
    }
}
