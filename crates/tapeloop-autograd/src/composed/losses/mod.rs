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
use crate::tape::Var;

pub use classification::{CrossEntropy, cross_entropy};
pub use ctc::{Ctc, ctc};
pub use distance::{
    cosine_embedding, cosine_similarity, hinge_embedding, margin_ranking, pairwise_distance, soft_margin, triplet_margin,
};
pub use probability::{
    KlDiv, bce, bce_with_logits, bce_with_logits_weighted, gaussian_nll, kl_div, poisson_nll,
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
