//! Losses of probabilities and of distributions' parameters.

use super::Reduction;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};

/// Binary cross-entropy of probabilities: −t ln p − (1 − t) ln(1 − p), the logarithms not below −100.
/// [`bce_with_logits`] is more accurate.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, bce}};
/// let tape = Tape::new();
/// let p = tape.leaf(Tensor::from([0.0f32, 1.0]));
/// assert_eq!(bce(p, &Tensor::from([1.0f32, 1.0]), Reduction::None).value().to_vec(), [100.0, 0.0]);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn bce<'t, T: Element>(p: Var<'t, T>, target: impl Operand<'t, T>, reduction: Reduction) -> Var<'t, T> {
    reduction.of(p.binary_cross_entropy(target))
}

/// Binary cross-entropy of logits: ln(1 + e^(−x)) + (1 − t) x.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, bce_with_logits}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([-1000.0f32, 1000.0]));
/// assert_eq!(bce_with_logits(x, 1.0, Reduction::None).value().to_vec(), [1000.0, 0.0]);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn bce_with_logits<'t, T: Element>(
    x: Var<'t, T>,
    target: impl Operand<'t, T>,
    reduction: Reduction,
) -> Var<'t, T> {
    bce_with_logits_weighted(x, target, None, None, reduction)
}

/// As [`bce_with_logits`], each term times `weight`, and its part for t = 1 times `positive`.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, bce_with_logits_weighted}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([-1000.0f32]));
/// let positive = tape.scalar(3.0);
/// let y = bce_with_logits_weighted(x, 1.0, None, Some(positive), Reduction::Sum);
/// assert_eq!(y.item(), 3000.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn bce_with_logits_weighted<'t, T: Element>(
    x: Var<'t, T>,
    target: impl Operand<'t, T>,
    weight: Option<Var<'t, T>>,
    positive: Option<Var<'t, T>>,
    reduction: Reduction,
) -> Var<'t, T> {
    let target = target.on(x.tape());
    let softplus = (-x).softplus();
    let softplus = match positive {
        Some(positive) => softplus * ((positive - 1.0) * target + 1.0),
        None => softplus,
    };
    let terms = (1.0 - target) * x + softplus;
    reduction.of(match weight {
        Some(weight) => terms * weight,
        None => terms,
    })
}

/// How [`kl_div`] takes its target and brings its terms together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KlDiv {
    /// Whether the target holds logarithms too.
    pub log_target: bool,
    /// Whether the sum is divided by the first axis' length instead of reduced.
    pub batch_mean: bool,
    /// How the terms come together.
    pub reduction: Reduction,
}

/// The Kullback-Leibler divergence of a target t from log-probabilities x: t (ln t − x), 0 where t is 0.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{KlDiv, kl_div}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([[0.5f64, 0.5]])).ln();
/// let t = Tensor::from([[1.0f64, 0.0]]);
/// let y = kl_div(x, &t, KlDiv { batch_mean: true, ..Default::default() });
/// assert!((y.item() - 2f64.ln()).abs() < 1e-15);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn kl_div<'t, T: Element>(x: Var<'t, T>, target: impl Operand<'t, T>, options: KlDiv) -> Var<'t, T> {
    let target = target.on(x.tape());
    let terms = if options.log_target {
        target.exp() * (target - x)
    } else {
        target.xlogy(target) - target * x
    };
    if options.batch_mean {
        return terms.sum_all() / terms.dim(0).max(1) as f64;
    }
    options.reduction.of(terms)
}

/// The negative log-likelihood of counts, up to ln t!: eˣ − t x for log-rates x, or x − t ln(x + 10⁻⁸) for rates.
/// With `full`, Stirling's formula for ln t! is added where t > 1.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, poisson_nll}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([0.0f32]));
/// assert_eq!(poisson_nll(x, 2.0, true, false, Reduction::Sum).item(), 1.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn poisson_nll<'t, T: Element>(
    x: Var<'t, T>,
    target: impl Operand<'t, T>,
    log_input: bool,
    full: bool,
    reduction: Reduction,
) -> Var<'t, T> {
    PoissonNll { log_input, full, reduction, ..PoissonNll::default() }.of(x, target)
}

/// Options of [`poisson_nll`], and what it adds to rates.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::PoissonNll};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([0.0f32]));
/// let loss = PoissonNll { log_input: false, epsilon: 1.0, ..Default::default() };
/// assert_eq!(loss.of(x, 2.0).item(), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoissonNll {
    /// Whether the prediction is the logarithm of the rate.
    pub log_input: bool,
    /// Whether Stirling's formula for ln t! is added where t > 1.
    pub full: bool,
    /// What is added to a rate before its logarithm is taken.
    pub epsilon: f64,
    /// How the terms come together.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> Self {
        Self { log_input: true, full: false, epsilon: 1e-8, reduction: Reduction::Mean }
    }
}

impl PoissonNll {
    /// The loss.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn of<'t, T: Element>(&self, x: Var<'t, T>, target: impl Operand<'t, T>) -> Var<'t, T> {
        let target = target.on(x.tape());
        let mut terms =
            if self.log_input { x.exp() - target * x } else { x - target * (x + self.epsilon).ln() };
        if self.full {
            let many = target.gt(1.0);
            let safe = many.if_else(target, 1.0);
            let stirling = safe * safe.ln() - safe + (safe * std::f64::consts::TAU).ln() * 0.5;
            terms = terms + many.if_else(stirling, 0.0);
        }
        self.reduction.of(terms)
    }
}

/// The negative log-likelihood of a normal distribution: ½ (ln v + (y − t)² / v), with variances v not below
/// `epsilon`, through which gradients still flow. With `full`, ½ ln 2π is added.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, gaussian_nll}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([2.0f32]));
/// assert_eq!(gaussian_nll(y, 0.0, 1.0, 1e-6, false, Reduction::Sum).item(), 2.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn gaussian_nll<'t, T: Element>(
    y: Var<'t, T>,
    target: impl Operand<'t, T>,
    variance: impl Operand<'t, T>,
    epsilon: f64,
    full: bool,
    reduction: Reduction,
) -> Var<'t, T> {
    let (target, variance) = (target.on(y.tape()), variance.on(y.tape()));
    let variance = variance + (variance.maximum(epsilon) - variance).detach();
    let mut terms = (variance.ln() + (y - target).square() / variance) * 0.5;
    if full {
        terms = terms + 0.5 * std::f64::consts::TAU.ln();
    }
    reduction.of(terms)
}

pub(super) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([p: uniform ([2, 3], 0.1, 0.9), t: uniform ([3], 0.1, 0.9)] => bce(p, t, Reduction::Mean)),
        example!([x: normal [2, 3], t: uniform ([3], 0.1, 0.9)] => bce_with_logits(x, t, Reduction::Sum)),
        example!([x: normal [2, 3], t: uniform ([3], 0.1, 0.9), w: positive [2, 1], p: positive [3]] => bce_with_logits_weighted(x, t, Some(w), Some(p), Reduction::None)),
        example!([x: normal [2, 3], t: positive [2, 3]] => kl_div(x, t, KlDiv { batch_mean: true, ..KlDiv::default() })),
        example!([x: normal [2, 3], t: normal [2, 3]] => kl_div(x, t, KlDiv { log_target: true, ..KlDiv::default() })),
        example!([x: normal [4], t: values ([4], [0.5, 1.5, 3.0, 0.0])] => poisson_nll(x, t, true, true, Reduction::None)),
        example!([x: positive [4], t: positive [4]] => poisson_nll(x, t, false, false, Reduction::Mean)),
        example!([y: normal [2, 3], t: normal [3], v: positive [2, 1]] => gaussian_nll(y, t, v, 1e-6, true, Reduction::Mean)),
    ]
}
