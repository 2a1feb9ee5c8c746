//! Gradients that are not too large.

use tapeloop_autograd::{Element, Gradients, Tensor};

use crate::error::{check, require};

/// Puts every element of every parameter's gradient into [−`max`, `max`], as Keras' `clipvalue` and PyTorch's
/// `clip_grad_value_`. Infinities become ±`max`; NaN stays NaN.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::clip_by_value;
/// let w = Param::new(Tensor::from([3.0f32, -0.1]));
/// let (_, mut gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// clip_by_value(&mut gradients, 1.0);
/// assert_eq!(gradients.of(&w).unwrap().to_vec(), [1.0, -0.2]);
/// ```
///
/// # Panics
/// If `max` is negative or NaN.
#[track_caller]
pub fn clip_by_value<T: Element>(gradients: &mut Gradients<T>, max: f64) {
    require_bound(max);
    let max = T::from_f64(max);
    for (_, gradient) in gradients.params_mut() {
        gradient.iter_mut().for_each(|g| *g = g.maximum(-max).minimum(max));
    }
}

/// Scales every parameter's gradient whose own norm is above `max` to norm `max`, as Keras' `clipnorm`:
/// g ← g · max / ‖g‖₂.
///
/// Squares are added in f64. A gradient whose norm is not finite stays as it is.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::clip_by_norm;
/// let w = Param::new(Tensor::from([1.5f64, 2.0]));
/// let (_, mut gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// clip_by_norm(&mut gradients, 1.0);
/// assert_eq!(gradients.of(&w).unwrap().to_vec(), [3.0 * 0.2, 4.0 * 0.2]);
/// ```
///
/// # Panics
/// If `max` is negative or NaN.
#[track_caller]
pub fn clip_by_norm<T: Element>(gradients: &mut Gradients<T>, max: f64) {
    require_bound(max);
    for (_, gradient) in gradients.params_mut() {
        let norm = squares(gradient).sqrt();
        if norm.is_finite() && norm > max {
            let factor = T::from_f64(max / norm);
            gradient.iter_mut().for_each(|g| *g *= factor);
        }
    }
}

/// Scales all parameters' gradients together if their norm is above `max`, as Keras' `global_clipnorm`:
/// g ← g · max / ‖all g‖₂ (Pascanu, Mikolov and Bengio 2013, [arXiv:1211.5063](https://arxiv.org/abs/1211.5063)).
/// Returns the norm before.
///
/// Squares are added in f64. If the norm is not finite, gradients stay as they are: the norm that is returned
/// says so, and the step can be skipped.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::{clip_by_global_norm, global_norm};
/// let w = Param::new(Tensor::from([1.5f64, 2.0]));
/// let (_, mut gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// assert_eq!(clip_by_global_norm(&mut gradients, 1.0), 5.0);
/// assert_eq!(global_norm(&gradients), 1.0);
/// ```
///
/// # Panics
/// If `max` is negative or NaN.
#[track_caller]
pub fn clip_by_global_norm<T: Element>(gradients: &mut Gradients<T>, max: f64) -> f64 {
    require_bound(max);
    let norm = global_norm(gradients);
    if norm.is_finite() && norm > max {
        gradients.scale(T::from_f64(max / norm));
    }
    norm
}

/// PyTorch's `clip_grad_norm_`: scales all parameters' gradients together by max / (‖all g‖ₚ + 10⁻⁶) if that is
/// below 1. Returns the norm before. Infinite `p` means the largest |g|.
///
/// The 10⁻⁶, which [`clip_by_global_norm`] has not, is what makes the same numbers as PyTorch. If the norm is not
/// finite, gradients stay as they are, where PyTorch would write zeros or NaN.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::clip_grad_norm;
/// let w = Param::new(Tensor::from([1.5f64, 2.0]));
/// let (_, mut gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// assert_eq!(clip_grad_norm(&mut gradients, 1.0, f64::INFINITY), 4.0);
/// ```
///
/// # Panics
/// If `max` is negative or NaN, or `p` is not above 0.
#[track_caller]
pub fn clip_grad_norm<T: Element>(gradients: &mut Gradients<T>, max: f64, p: f64) -> f64 {
    require_bound(max);
    require(check(p > 0.0, "p", p, "above 0"));
    let elements = gradients.params_mut().flat_map(|(_, gradient)| gradient.iter().map(|g| g.to_f64().abs()));
    let norm = if p == f64::INFINITY {
        // Not f64::max, which would lose a NaN.
        elements.fold(0.0, Element::maximum)
    } else if p == 2.0 {
        elements.map(|g| g * g).sum::<f64>().sqrt()
    } else {
        elements.map(|g| g.powf(p)).sum::<f64>().powf(1.0 / p)
    };
    let factor = max / (norm + 1e-6);
    if norm.is_finite() && factor < 1.0 {
        gradients.scale(T::from_f64(factor));
    }
    norm
}

/// √Σg² over all parameters' gradients, added in f64.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::global_norm;
/// let w = Param::new(Tensor::from([1.5f32, 2.0]));
/// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// assert_eq!(global_norm(&gradients), 5.0);
/// ```
pub fn global_norm<T: Element>(gradients: &Gradients<T>) -> f64 {
    let dense =
        |(_, gradient): (_, &Tensor<T>)| squares(gradient.as_slice().expect("a backward pass makes gradients dense"));
    gradients.params().map(dense).sum::<f64>().sqrt()
}

fn squares<T: Element>(gradient: &[T]) -> f64 {
    gradient.iter().map(|g| g.to_f64() * g.to_f64()).sum()
}

#[track_caller]
fn require_bound(max: f64) {
    require(check(max >= 0.0, "max", max, "at least 0"));
}
