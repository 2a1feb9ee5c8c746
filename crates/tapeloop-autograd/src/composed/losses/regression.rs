//! Losses of numbers.

use super::Reduction;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};

/// Squared error: (y − t)².
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, mse}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([1.0f32, 2.0]));
/// assert_eq!(mse(y, &Tensor::from([0.0f32, 4.0]), Reduction::Mean).item(), 2.5);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn mse<'t, T: Element>(y: Var<'t, T>, target: impl Operand<'t, T>, reduction: Reduction) -> Var<'t, T> {
    reduction.of((y - target.on(y.tape())).square())
}

/// Absolute error: |y − t|.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, l1}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([1.0f32, 2.0]));
/// assert_eq!(l1(y, &Tensor::from([0.0f32, 4.0]), Reduction::Sum).item(), 3.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn l1<'t, T: Element>(y: Var<'t, T>, target: impl Operand<'t, T>, reduction: Reduction) -> Var<'t, T> {
    reduction.of((y - target.on(y.tape())).abs())
}

/// ½ e² for |e| ≤ δ, else δ (|e| − ½ δ), e = y − t (Huber 1964).
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, huber}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([1.0f32, 5.0]));
/// assert_eq!(huber(y, 0.0, 2.0, Reduction::None).value().to_vec(), [0.5, 8.0]);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn huber<'t, T: Element>(
    y: Var<'t, T>,
    target: impl Operand<'t, T>,
    delta: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    let error = y - target.on(y.tape());
    let size = error.abs();
    reduction.of(size.lt(delta).if_else(error.square() * 0.5, (size - 0.5 * delta) * delta))
}

/// ½ e² / β for |e| < β, else |e| − ½ β, e = y − t; for β = 0 it is [`l1`].
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, smooth_l1}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([1.0f32, 5.0]));
/// assert_eq!(smooth_l1(y, 0.0, 2.0, Reduction::None).value().to_vec(), [0.25, 4.0]);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn smooth_l1<'t, T: Element>(
    y: Var<'t, T>,
    target: impl Operand<'t, T>,
    beta: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    let error = y - target.on(y.tape());
    let size = error.abs();
    if beta == 0.0 {
        return reduction.of(size);
    }
    reduction.of(size.lt(beta).if_else(error.square() * 0.5 / beta, size - 0.5 * beta))
}

/// The pinball loss: q e for e > 0, else (q − 1) e, e = t − y. Its least mean is at the q-quantile
/// (Koenker and Bassett 1978).
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, quantile}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([0.0f32, 0.0]));
/// assert_eq!(quantile(y, &Tensor::from([4.0f32, -4.0]), 0.75, Reduction::None).value().to_vec(), [3.0, 1.0]);
/// ```
///
/// # Panics
/// If `q` is not in 0..=1, or the shapes do not broadcast.
#[track_caller]
pub fn quantile<'t, T: Element>(
    y: Var<'t, T>,
    target: impl Operand<'t, T>,
    q: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    assert!((0.0..=1.0).contains(&q), "quantile: {q} is not in 0..=1");
    let error = target.on(y.tape()) - y;
    reduction.of((error * q).maximum(error * (q - 1.0)))
}

pub(super) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([y: normal [2, 3], t: normal [3]] => mse(y, t, Reduction::Mean)),
        example!([y: distinct [2, 3], t: values ([3], [0.1, 0.2, 0.3])] => l1(y, t, Reduction::None)),
        example!([y: normal [2, 3], t: normal [3], w: positive [3]] => super::weighted(mse(y, t, Reduction::None), w, Reduction::Mean)),
        example!([y: normal [2, 3, 2], t: normal [2]] => {
            let counts = crate::Tensor::from_vec([2, 3], vec![true, false, true, true, false, false]);
            super::masked(mse(y, t, Reduction::None), &counts, Reduction::Mean)
        }),
        example!([y: distinct [6], t: values ([1], [0.06])] => huber(y, t, 0.5, Reduction::Sum)),
        example!([y: distinct [6], t: values ([1], [0.06])] => smooth_l1(y, t, 0.5, Reduction::None)),
        example!([y: distinct [6], t: values ([1], [0.06])] => quantile(y, t, 0.9, Reduction::None)),
    ]
}
