//! Losses. Each takes a prediction, a target, and how to bring the terms together.
//!
//! A target may be anything that becomes a value on a tape: a tensor, or a variable that gets a gradient too.

mod classification;
mod ctc;
mod distance;
mod probability;
mod regression;

use crate::element::Element;
use crate::ops::Example;
use crate::tape::{Mask, Operand, Var};

pub use classification::{CrossEntropy, cross_entropy};
pub use ctc::{Ctc, ctc};
pub use distance::{
    TripletMargin, cosine_embedding, cosine_similarity, hinge_embedding, margin_ranking, pairwise_distance, soft_margin,
    triplet_margin,
};
pub use probability::{
    KlDiv, PoissonNll, bce, bce_with_logits, bce_with_logits_weighted, gaussian_nll, kl_div, poisson_nll,
};
pub use regression::{huber, l1, mse, quantile, smooth_l1};

/// How the terms of a loss come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Not at all.
    None,
}

/// The terms of any loss, computed with [`Reduction::None`], each times its weight. The mean divides by the sum of the
/// weights, broadcast to the terms, as that of PyTorch's `mse_loss` and `l1_loss` with weights does; that of its
/// `huber_loss` divides by the number of terms.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, mse, weighted}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([1.0f32, 2.0]));
/// let terms = mse(y, &Tensor::from([0.0f32, 4.0]), Reduction::None);
/// assert_eq!(weighted(terms, &Tensor::from([3.0f32, 1.0]), Reduction::Mean).item(), 1.75);
/// ```
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn weighted<'t, T: Element>(
    terms: Var<'t, T>,
    weights: impl Operand<'t, T>,
    reduction: Reduction,
) -> Var<'t, T> {
    let weights = weights.on(terms.tape());
    let products = terms * weights;
    match reduction {
        Reduction::Mean => products.sum_all() / weights.broadcast_to(products.shape()).sum_all(),
        reduction => reduction.of(products),
    }
}

/// The terms of any loss, computed with [`Reduction::None`], of those steps that count for which `mask` says so. Axes that
/// the terms have behind those of the mask count with their step. The mean divides by the number of terms that count, and
/// is 0 without any; not reduced, the others are 0. As Keras does with the mask of a prediction; its `sample_weight` is a
/// factor of the terms.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Reduction, masked, mse}};
/// let tape = Tape::new();
/// let y = tape.leaf(Tensor::from([[[1.0f32], [2.0], [f32::NAN]]])); // batch, time, features
/// let terms = mse(y, 0.0, Reduction::None);
/// let counts = Tensor::from_vec([1, 3], vec![true, true, false]);
/// assert_eq!(masked(terms, &counts, Reduction::Mean).item(), 2.5);
/// ```
///
/// Whatever is where a step does not count, NaN too, changes no loss. To change no gradient either it must be finite on the
/// way to the terms, since 0 times NaN is NaN: padding of a target is best 0.
///
/// # Panics
/// If the mask has more axes than the terms, or others than their first.
#[track_caller]
pub fn masked<'t, T: Element>(terms: Var<'t, T>, mask: impl Mask<'t, T>, reduction: Reduction) -> Var<'t, T> {
    let mask = mask.on(terms.tape());
    let (shape, own) = (terms.shape(), mask.shape());
    let rank = own.rank();
    assert!(
        rank <= shape.rank() && own[..] == shape[..rank],
        "masked: terms of shape {shape} with a mask of {own}; it needs their first axes"
    );
    let mut counts = mask;
    while counts.rank() < shape.rank() {
        counts = counts.unsqueeze(-1);
    }
    let kept = counts.if_else(terms, 0.0);
    match reduction {
        Reduction::Mean => {
            let within = shape[rank..].iter().product::<usize>();
            // Never by 0: then the sum is 0, too.
            let number = (mask.ne(0.0).sum_all() * within as f64).maximum(1.0);
            kept.sum_all() / number
        }
        reduction => reduction.of(kept),
    }
}

impl Reduction {
    #[track_caller]
    fn of<T: Element>(self, terms: Var<'_, T>) -> Var<'_, T> {
        match self {
            Self::Mean => terms.mean_all(),
            Self::Sum => terms.sum_all(),
            Self::None => terms,
        }
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    [regression::examples(), classification::examples(), probability::examples(), distance::examples(), ctc::examples()]
        .into_iter()
        .flatten()
        .collect()
}
