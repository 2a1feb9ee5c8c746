//! Losses of distances and angles.

use super::Reduction;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};

/// The cosine of the angle between vectors along an axis: ⟨a, b⟩ / (max(‖a‖, ε) · max(‖b‖, ε)).
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::cosine_similarity};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([3.0f32, 4.0]));
/// let b = tape.leaf(Tensor::from([4.0f32, 3.0]));
/// assert!((cosine_similarity(a, b, 0, 1e-8).item() - 0.96).abs() < 1e-6);
/// ```
///
/// # Panics
/// If the axis does not exist or the shapes do not broadcast.
#[track_caller]
pub fn cosine_similarity<'t, T: Element>(a: Var<'t, T>, b: Var<'t, T>, axis: isize, epsilon: f64) -> Var<'t, T> {
    let _line = a.tape().called();
    let unit = |x: Var<'t, T>| x / x.norm(2.0, &[axis], true).maximum(epsilon);
    (unit(a) * unit(b)).sum(&[axis], false)
}

/// 1 − cos for pairs that belong together (t = 1), max(0, cos − margin) for others (t = −1), the vectors along the
/// last axis.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, cosine_embedding}};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([[3.0f32, 4.0]]));
/// let y = cosine_embedding(a, a, &Tensor::from([-1.0f32]), 0.25, Reduction::Sum);
/// assert!((y.item() - 0.75).abs() < 1e-6);
/// ```
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn cosine_embedding<'t, T: Element>(
    a: Var<'t, T>,
    b: Var<'t, T>,
    target: impl Operand<'t, T>,
    margin: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    const EPSILON: f64 = 1e-12;
    let _line = a.tape().called();
    let target = target.on(a.tape());
    let square = |x: Var<'t, T>| x.square().sum(&[-1], false) + EPSILON;
    let cosine = (a * b).sum(&[-1], false) / (square(a) * square(b)).sqrt();
    let together = target.eq(1.0).if_else(1.0 - cosine, 0.0);
    let apart = target.eq(-1.0).if_else((cosine - margin).relu(), 0.0);
    reduction.of(together + apart)
}

/// x for pairs that belong together (t = 1), max(0, margin − x) for others (t = −1), x a distance.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, hinge_embedding}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([0.5f32, 0.25]));
/// let y = hinge_embedding(x, &Tensor::from([1.0f32, -1.0]), 1.0, Reduction::None);
/// assert_eq!(y.value().to_vec(), [0.5, 0.75]);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn hinge_embedding<'t, T: Element>(
    x: Var<'t, T>,
    target: impl Operand<'t, T>,
    margin: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    let target = target.on(x.tape());
    let apart = target.ne(1.0).if_else((margin - x).relu(), 0.0);
    let together = target.ne(-1.0).if_else(x, 0.0);
    reduction.of(together + apart)
}

/// max(0, −t (a − b) + margin): a should be above b for t = 1, below for t = −1.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, margin_ranking}};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([1.0f32]));
/// assert_eq!(margin_ranking(a, 3.0, 1.0, 0.5, Reduction::Sum).item(), 2.5);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn margin_ranking<'t, T: Element>(
    a: Var<'t, T>,
    b: impl Operand<'t, T>,
    target: impl Operand<'t, T>,
    margin: f64,
    reduction: Reduction,
) -> Var<'t, T> {
    let (b, target) = (b.on(a.tape()), target.on(a.tape()));
    reduction.of((-target * (a - b) + margin).relu())
}

/// ln(1 + e^(−t x)), t = ±1.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, soft_margin}};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([1000.0f32]));
/// assert_eq!(soft_margin(x, -1.0, Reduction::Sum).item(), 1000.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn soft_margin<'t, T: Element>(x: Var<'t, T>, target: impl Operand<'t, T>, reduction: Reduction) -> Var<'t, T> {
    reduction.of((-target.on(x.tape()) * x).softplus())
}

/// ‖a − b + ε‖ₚ along the last axis.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::pairwise_distance};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([3.0f32, 4.0]));
/// assert_eq!(pairwise_distance(a, a * 0.0, 2.0, 0.0).item(), 5.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn pairwise_distance<'t, T: Element>(a: Var<'t, T>, b: Var<'t, T>, p: f64, epsilon: f64) -> Var<'t, T> {
    (a - b + epsilon).norm(p, &[-1], false)
}

/// max(0, d(anchor, positive) − d(anchor, negative) + margin), d the [`pairwise_distance`] with ε = 10⁻⁶. With
/// `swap`, the negative's distance is the smaller one of those to anchor and positive.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, triplet_margin}};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([[0.0f32, 0.0]]));
/// let y = triplet_margin([a, a, a], 1.0, 2.0, false, Reduction::Mean);
/// assert_eq!(y.item(), 1.0);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn triplet_margin<'t, T: Element>(
    triplet: [Var<'t, T>; 3],
    margin: f64,
    p: f64,
    swap: bool,
    reduction: Reduction,
) -> Var<'t, T> {
    TripletMargin { margin, p, swap, reduction, ..TripletMargin::default() }.of(triplet)
}

/// Options of [`triplet_margin`], and the ε of its distances.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::TripletMargin};
/// let tape = Tape::new();
/// let a = tape.leaf(Tensor::from([[0.0f32]]));
/// let loss = TripletMargin { epsilon: 0.0, ..Default::default() };
/// assert_eq!(loss.of([a, a + 2.0, a - 1.0]).item(), 2.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripletMargin {
    /// How much farther the negative should be than the positive.
    pub margin: f64,
    /// The norm of the distances.
    pub p: f64,
    /// Whether the negative's distance is the smaller one of those to anchor and positive.
    pub swap: bool,
    /// What is added to every difference.
    pub epsilon: f64,
    /// How the terms come together.
    pub reduction: Reduction,
}

impl Default for TripletMargin {
    fn default() -> Self {
        Self { margin: 1.0, p: 2.0, swap: false, epsilon: 1e-6, reduction: Reduction::Mean }
    }
}

impl TripletMargin {
    /// The loss of an anchor, a positive and a negative.
    ///
    /// # Panics
    /// If the shapes do not broadcast.
    #[track_caller]
    pub fn of<'t, T: Element>(&self, [anchor, positive, negative]: [Var<'t, T>; 3]) -> Var<'t, T> {
        let near = pairwise_distance(anchor, positive, self.p, self.epsilon);
        let mut far = pairwise_distance(anchor, negative, self.p, self.epsilon);
        if self.swap {
            far = far.minimum(pairwise_distance(positive, negative, self.p, self.epsilon));
        }
        self.reduction.of((near - far + self.margin).relu())
    }
}

pub(super) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([a: normal [2, 3], b: normal [2, 3]] => cosine_similarity(a, b, 1, 1e-8)),
        example!([a: normal [2, 3], b: normal [2, 3]] => cosine_embedding(a, b, &crate::Tensor::from_vec([2], vec![T::ONE, -T::ONE]), -2.0, Reduction::Sum)),
        example!([x: uniform ([2], 0.1, 0.9)] => hinge_embedding(x, &crate::Tensor::from_vec([2], vec![T::ONE, -T::ONE]), 1.0, Reduction::None)),
        example!([a: normal [3], b: normal [3]] => margin_ranking(a, b, 1.0, 20.0, Reduction::Mean)),
        example!([x: normal [3]] => soft_margin(x, -1.0, Reduction::Mean)),
        example!([a: normal [2, 3], p: normal [2, 3], n: normal [2, 3]] => triplet_margin([a, p, n], 9.0, 2.0, true, Reduction::Mean)),
    ]
}
