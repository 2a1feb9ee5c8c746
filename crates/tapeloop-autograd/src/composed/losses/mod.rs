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
use crate::tape::{Operand, Var};

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
