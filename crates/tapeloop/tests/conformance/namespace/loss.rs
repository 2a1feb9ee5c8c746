//! Losses.

use tapeloop::losses::{self, CrossEntropy, Ctc, KlDiv, PoissonNll, Reduction, TripletMargin};
use tapeloop::{Element, Tape, Tensor, Var};

use super::{Found, float};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let target = || a.get(1, "target").var();
    let classes = |reduction: Reduction| -> Result<CrossEntropy<T>> {
        Ok(CrossEntropy {
            axis: if a.var(0, "input")?.rank() == 1 { 0 } else { 1 },
            weight: a.maybe_var(2, "weight")?.map(Var::value),
            ignore_index: Some(a.integer(4, "ignore_index", -100)?),
            label_smoothing: a.number(7, "label_smoothing", 0.0)?,
            reduction,
        })
    };
    let y = match name {
        "mse_loss" => {
            weighted(a, 5, a.reduction(4)?, |reduction| Ok(losses::mse(a.var(0, "input")?, target()?, reduction)))?
        }
        "l1_loss" => {
            weighted(a, 5, a.reduction(4)?, |reduction| Ok(losses::l1(a.var(0, "input")?, target()?, reduction)))?
        }
        "huber_loss" => {
            let (delta, reduction) = (a.number(3, "delta", 1.0)?, a.reduction(2)?);
            let (x, y) = (a.var(0, "input")?, target()?);
            // Unlike the squared loss's, the mean is over the number of terms.
            match a.maybe_var(4, "weight")? {
                Some(weight) => reduced(losses::huber(x, y, delta, Reduction::None) * weight, reduction),
                None => losses::huber(x, y, delta, reduction),
            }
        }
        "smooth_l1_loss" => {
            losses::smooth_l1(a.var(0, "input")?, target()?, a.number(5, "beta", 1.0)?, a.reduction(4)?)
        }
        "cross_entropy" => match a.get(1, "target") {
            Value::Ints(targets) => classes(a.reduction(6)?)?.of(a.var(0, "input")?, &targets),
            target => classes(a.reduction(6)?)?.of_distribution(a.var(0, "input")?, target.var()?),
        },
        "nll_loss" => {
            let options = classes(a.reduction(6)?)?;
            options.of_log_probabilities(a.var(0, "input")?, &a.ints(1, "target")?)
        }
        "binary_cross_entropy" => {
            let terms = losses::bce(a.var(0, "input")?, target()?, Reduction::None);
            let terms = match a.maybe_var(2, "weight")? {
                Some(weight) => terms * weight,
                None => terms,
            };
            reduced(terms, a.reduction(5)?)
        }
        "binary_cross_entropy_with_logits" => losses::bce_with_logits_weighted(
            a.var(0, "input")?,
            target()?,
            a.maybe_var(2, "weight")?,
            a.maybe_var(6, "pos_weight")?,
            a.reduction(5)?,
        ),
        "kl_div" => {
            let reduction = a.text(4, "reduction", "mean")?;
            let options = KlDiv {
                log_target: a.truth(5, "log_target", false)?,
                batch_mean: reduction == "batchmean",
                reduction: if reduction == "batchmean" { Reduction::Sum } else { a.reduction(4)? },
            };
            losses::kl_div(a.var(0, "input")?, target()?, options)
        }
        "poisson_nll_loss" => {
            let (x, log_input) = (a.var(0, "input")?, a.truth(2, "log_input", true)?);
            let (full, epsilon, reduction) = (a.truth(3, "full", false)?, a.number(5, "eps", 1e-8)?, a.reduction(7)?);
            PoissonNll { log_input, full, epsilon, reduction }.of(x, target()?)
        }
        "gaussian_nll_loss" => {
            let (x, variance) = (a.var(0, "input")?, float(tape, &a.get(2, "var"))?);
            let variance = if variance.rank() + 1 == x.rank() && variance.shape()[..] == x.shape()[..variance.rank()] {
                variance.unsqueeze(-1)
            } else {
                variance
            };
            let (epsilon, full) = (a.number(4, "eps", 1e-6)?, a.truth(3, "full", false)?);
            losses::gaussian_nll(x, target()?, variance, epsilon, full, a.reduction(5)?)
        }
        "hinge_embedding_loss" => {
            losses::hinge_embedding(a.var(0, "input")?, target()?, a.number(2, "margin", 1.0)?, a.reduction(5)?)
        }
        "multi_margin_loss" => {
            let (x, targets) = (a.var(0, "input")?, a.ints(1, "target")?);
            let (p, margin) = (a.number(2, "p", 1.0)?, a.number(3, "margin", 1.0)?);
            let at = targets.reshape(&[-1, 1]);
            let terms = (margin - x.gather(1, &at) + x).relu().powf(p);
            let own = Tensor::<T>::one_hot(&targets, x.dim(1)).map(|x| x != T::ZERO);
            let terms = match a.maybe_var(4, "weight")? {
                Some(weight) => terms * weight.index_select(0, &targets).unsqueeze(1),
                None => terms,
            };
            let terms = terms.masked_fill(&own, 0.0).sum(&[1], false) / x.dim(1) as f64;
            reduced(terms, a.reduction(7)?)
        }
        "multilabel_soft_margin_loss" => {
            let terms = losses::bce_with_logits(a.var(0, "input")?, target()?, Reduction::None);
            let terms = match a.maybe_var(2, "weight")? {
                Some(weight) => terms * weight,
                None => terms,
            };
            let terms = terms.mean(&[-1], false);
            reduced(terms, a.reduction(5)?)
        }
        "soft_margin_loss" => losses::soft_margin(a.var(0, "input")?, target()?, a.reduction(4)?),
        "margin_ranking_loss" => losses::margin_ranking(
            a.var(0, "input1")?,
            a.var(1, "input2")?,
            a.var(2, "target")?,
            a.number(3, "margin", 0.0)?,
            a.reduction(6)?,
        ),
        "cosine_embedding_loss" => losses::cosine_embedding(
            a.var(0, "input1")?,
            a.var(1, "input2")?,
            a.var(2, "target")?,
            a.number(3, "margin", 0.0)?,
            a.reduction(6)?,
        ),
        "triplet_margin_loss" | "triplet_margin_with_distance_loss" => {
            let points = [a.var(0, "anchor")?, a.var(1, "positive")?, a.var(2, "negative")?];
            let plain = name == "triplet_margin_loss";
            let place = |place: usize| if plain { place } else { KEYWORD };
            let margin = a.number(place(3), "margin", 1.0)?;
            let (p, epsilon) = if plain { (a.number(4, "p", 2.0)?, a.number(5, "eps", 1e-6)?) } else { (2.0, 1e-6) };
            let (swap, reduction) = (a.truth(place(6), "swap", false)?, a.reduction(place(8))?);
            TripletMargin { margin, p, swap, epsilon, reduction }.of(points)
        }
        "ctc_loss" => {
            let options = Ctc {
                blank: a.integer(4, "blank", 0)? as usize,
                reduction: a.reduction(5)?,
                zero_infinity: a.truth(6, "zero_infinity", false)?,
            };
            let (inputs, lengths) = (a.lengths(2, "input_lengths", &[])?, a.lengths(3, "target_lengths", &[])?);
            let (logs, targets) = (a.var(0, "log_probs")?, a.ints(1, "targets")?);
            if logs.rank() == 2 {
                // One sequence without a batch.
                let y = losses::ctc(logs.unsqueeze(1), &targets.reshape(&[1, -1]), &inputs, &lengths, options);
                y.reshape(&[])
            } else {
                losses::ctc(logs, &targets, &inputs, &lengths, options)
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn reduced<'t, T: Element>(terms: Var<'t, T>, reduction: Reduction) -> Var<'t, T> {
    match reduction {
        Reduction::Mean => terms.mean_all(),
        Reduction::Sum => terms.sum_all(),
        Reduction::None => terms,
    }
}

/// A loss whose terms may have weights; their mean is over the weights' sum.
fn weighted<'t, T: Element>(
    a: &Arguments<'t, T>,
    place: usize,
    reduction: Reduction,
    loss: impl Fn(Reduction) -> Result<Var<'t, T>>,
) -> Result<Var<'t, T>> {
    let Some(weight) = a.maybe_var(place, "weight")? else { return loss(reduction) };
    Ok(losses::weighted(loss(Reduction::None)?, weight, reduction))
}
