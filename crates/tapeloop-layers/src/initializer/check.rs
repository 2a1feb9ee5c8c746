//! Which parameters make sense, and which shapes suit.

use tapeloop_autograd::{Element, Shape};

use super::Initializer;
use super::draw::part;
use crate::layer::with_batch;
use crate::named::{Field, Named};

impl Initializer {
    /// What is wrong with it for a weight of this shape.
    pub(super) fn check<T: Element>(&self, shape: &Shape) -> Result<(), String> {
        self.check_values::<T>()?;
        // With what is on the way to the value: orthogonal matrices are made in double precision, with some copies.
        let bytes = match self {
            Self::Orthogonal { .. } => 4 * size_of::<f64>(),
            Self::Sparse { .. } | Self::PerGate { .. } => size_of::<T>() + size_of::<f64>(),
            _ => size_of::<T>(),
        };
        has_memory(shape, bytes)?;
        let name = self.name();
        let unsuited = |needs: &str| Err(format!("{name} needs {needs}, not the shape {shape}"));
        match self {
            Self::Identity { .. } | Self::Sparse { .. } if shape.rank() != 2 => return unsuited("a matrix"),
            Self::Orthogonal { .. } if shape.rank() < 2 => return unsuited("a matrix, or more axes"),
            Self::Dirac { .. } if shape.rank() < 3 => return unsuited("a convolution's kernel (window…, in, out)"),
            Self::Dirac { groups } if *groups == 0 || !shape[shape.rank() - 1].is_multiple_of(*groups) => {
                return unsuited(&format!("a last axis that divides into {groups} groups"));
            }
            Self::PerGate { gates, initializer } => {
                if shape.rank() == 0 || *gates == 0 || !shape[shape.rank() - 1].is_multiple_of(*gates) {
                    return unsuited(&format!("a last axis that divides into {gates} parts"));
                }
                initializer.check::<T>(&part(shape, *gates)).map_err(|problem| format!("{name}: {problem}"))?;
            }
            _ => {}
        }
        if let Some(scaling) = self.scaling() {
            let variance = scaling.variance(shape);
            // Three times the variance is what the limit of a uniform distribution is the root of.
            if !finite::<T>((3.0 * variance).sqrt()) {
                return Err(format!("{name}: a variance of {variance} is too much for {}", T::NAME));
            }
        }
        Ok(())
    }

    /// Whether a weight of this shape can be made.
    pub(crate) fn suits<T: Element>(&self, shape: &[usize]) -> Result<(), String> {
        self.check::<T>(&Shape::from(shape))
    }

    /// What is wrong with its parameters.
    fn check_values<T: Element>(&self) -> Result<(), String> {
        let name = self.name();
        let mut copy = self.clone();
        for (names, field) in copy.fields() {
            if let Field::Number(x) = field
                && !finite::<T>(*x)
            {
                return Err(format!("{name}: `{}` is {x:e}, which is no finite {} number", names[0], T::NAME));
            }
        }
        let wrong = |problem: String| Err(format!("{name}: {problem}"));
        match *self {
            Self::Normal { std, .. }
            | Self::TruncatedNormal { std, .. }
            | Self::TruncNormal { std, .. }
            | Self::Sparse { std, .. }
                if std < 0.0 =>
            {
                wrong(format!("a standard deviation of {std} is less than 0"))
            }
            Self::Uniform { low, high } if low > high || !finite::<T>(high - low) => {
                wrong(format!("from {low} to {high} is no range of {} numbers", T::NAME))
            }
            Self::TruncNormal { a, b, .. } if a > b => wrong(format!("from {a} to {b} is no range")),
            Self::TruncatedNormal { cut, .. } if cut <= 0.0 => {
                wrong(format!("a cut at {cut} standard deviations leaves nothing; it must be above 0"))
            }
            Self::VarianceScaling { scale, .. } if scale <= 0.0 => wrong(format!("a scale of {scale} is not above 0")),
            Self::Sparse { sparsity, .. } if !(0.0..=1.0).contains(&sparsity) => {
                wrong(format!("a sparsity of {sparsity} is not in 0..=1"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether this type holds the number.
fn finite<T: Element>(x: f64) -> bool {
    T::from_f64(x).to_f64().is_finite()
}

/// Whether the machine has memory for one row of a value with these axes behind the batch.
pub(crate) fn has_memory_for_row(axes: &[Option<usize>], bytes: usize) -> Result<(), String> {
    let row: Shape = axes.iter().map(|n| n.unwrap_or(1)).collect();
    has_memory(&row, bytes).map_err(|_| format!("there is no memory for an output of shape {}", with_batch(axes)))
}

/// Whether the machine has memory for so many elements of so many bytes: a failed allocation would end the process.
fn has_memory(shape: &Shape, bytes: usize) -> Result<(), String> {
    // More than any machine has; a system that promises more than it has would agree to it.
    const MOST: u64 = 1 << 36;
    let size = Shape::try_new(shape).map(|shape| shape.size()).ok().filter(|&size| size as u64 <= MOST);
    match size.and_then(|size| size.checked_mul(bytes)) {
        Some(bytes) if Vec::<u8>::new().try_reserve_exact(bytes).is_ok() => Ok(()),
        _ => Err(format!("there is no memory for a weight of shape {shape}")),
    }
}
