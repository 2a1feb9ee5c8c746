//! What can go wrong at a model's door.

use std::fmt;

/// Why a model could not be built, or could not take what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Kind>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Config { layer: String, problem: String },
    Input { layer: Option<String>, expected: String, given: String },
    Other(String),
}

impl Error {
    /// A layer cannot be built so.
    pub fn config(layer: impl Into<String>, problem: impl Into<String>) -> Self {
        Self(Box::new(Kind::Config { layer: layer.into(), problem: problem.into() }))
    }

    /// A value of the wrong shape.
    pub fn input(expected: impl Into<String>, given: impl Into<String>) -> Self {
        Self(Box::new(Kind::Input { layer: None, expected: expected.into(), given: given.into() }))
    }

    /// Anything else, in words.
    pub fn other(problem: impl Into<String>) -> Self {
        Self(Box::new(Kind::Other(problem.into())))
    }

    /// Whether a layer's configuration is at fault.
    pub fn is_config(&self) -> bool {
        matches!(*self.0, Kind::Config { .. })
    }

    /// Whether a value of the wrong shape is at fault.
    pub fn is_input(&self) -> bool {
        matches!(*self.0, Kind::Input { .. })
    }

    /// The same error, as it happened in layer `name`.
    pub(crate) fn in_layer(self, name: &str) -> Self {
        match *self.0 {
            // `dense_1` says already that it is a `dense`.
            Kind::Config { layer, problem } if name.starts_with(&layer) => Self::config(name, problem),
            Kind::Config { layer, problem } => Self::config(format!("{name} ({layer})"), problem),
            Kind::Input { expected, given, .. } => {
                Self(Box::new(Kind::Input { layer: Some(name.into()), expected, given }))
            }
            other @ Kind::Other(_) => Self(Box::new(other)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Config { layer, problem } => write!(f, "{layer}: {problem}"),
            Kind::Input { layer, expected, given } => {
                write!(f, "{} expects {expected}, it was given {given}", layer.as_deref().unwrap_or("the model"))
            }
            Kind::Other(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Error {}
