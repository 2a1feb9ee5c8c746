//! Calls that show an operation. Gradient checks, documentation and benches read them.

use std::panic::Location;

use crate::element::Element;
use crate::shape::Shape;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::tensor::random::Rng;

/// A call of an operation on sampled inputs.
#[derive(Clone, Debug)]
pub struct Example<T: Element> {
    /// The call as one would write it.
    pub text: &'static str,
    /// Where each input is drawn from.
    pub inputs: Vec<Sample>,
    /// Where it is written.
    pub at: &'static Location<'static>,
    /// The call.
    pub call: for<'t> fn(&[Var<'t, T>]) -> Var<'t, T>,
}

/// Where an example's input is drawn from: inside the operation's domain, away from its kinks.
#[derive(Clone, Debug)]
pub enum Sample {
    /// Standard normal.
    Normal(Shape),
    /// Uniform in [low, high).
    Uniform(Shape, f64, f64),
    /// A random permutation of equally spaced values in −1..1: no two are close, none is near 0.
    Distinct(Shape),
    /// These values.
    Values(Shape, Vec<f64>),
}

impl Sample {
    /// Standard normal.
    pub fn normal(shape: impl Into<Shape>) -> Self {
        Self::Normal(shape.into())
    }

    /// Uniform in [low, high).
    pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64) -> Self {
        Self::Uniform(shape.into(), low, high)
    }

    /// Uniform in 0.3..2.
    pub fn positive(shape: impl Into<Shape>) -> Self {
        Self::uniform(shape, 0.3, 2.0)
    }

    /// All different, with gaps, none near 0.
    pub fn distinct(shape: impl Into<Shape>) -> Self {
        Self::Distinct(shape.into())
    }

    /// These values.
    pub fn values(shape: impl Into<Shape>, values: &[f64]) -> Self {
        Self::Values(shape.into(), values.to_vec())
    }

    /// A tensor of it.
    pub fn draw<T: Element>(&self, rng: &mut Rng) -> Tensor<T> {
        match self {
            Self::Normal(shape) => Tensor::normal(shape, 0.0, 1.0, rng),
            Self::Uniform(shape, low, high) => Tensor::uniform(shape, *low, *high, rng),
            Self::Distinct(shape) => {
                let n = shape.size();
                let order = rng.permutation(n);
                let value = |i: usize| (2 * order[i] + 1) as f64 / n as f64 - 1.0 + 0.3 / n as f64;
                Tensor::from_vec(shape, (0..n).map(|i| T::from_f64(value(i))).collect())
            }
            Self::Values(shape, values) => Tensor::from_vec(shape, values.iter().map(|&x| T::from_f64(x)).collect()),
        }
    }
}

/// The examples of an operation, generic over the element type.
pub(crate) trait Examples {
    fn examples<T: Element>() -> Vec<Example<T>>;
}

/// `example!([x: normal [2, 3], y: positive [3]] => x.div(y))`: one example, its text included.
macro_rules! example {
    ([$($x:ident: $sample:ident $args:tt),* $(,)?] => $call:expr) => {{
        fn call<'t, T: Element>(inputs: &[$crate::tape::Var<'t, T>]) -> $crate::tape::Var<'t, T> {
            let [$($x),*] = inputs else { unreachable!("an example is called with its own inputs") };
            $(let $x = *$x;)*
            $call
        }
        $crate::ops::Example {
            text: stringify!($call),
            inputs: vec![$($crate::ops::example!(@sample $sample $args)),*],
            at: std::panic::Location::caller(),
            call: call::<T>,
        }
    }};
    (@sample normal $dims:tt) => { $crate::ops::Sample::normal($dims) };
    (@sample positive $dims:tt) => { $crate::ops::Sample::positive($dims) };
    (@sample distinct $dims:tt) => { $crate::ops::Sample::distinct($dims) };
    (@sample uniform ($dims:tt, $low:expr, $high:expr)) => { $crate::ops::Sample::uniform($dims, $low, $high) };
    (@sample values ($dims:tt, $values:expr)) => { $crate::ops::Sample::values($dims, &$values) };
}
pub(crate) use example;
