//! Connectionist temporal classification (Graves et al. 2006): the forward recursion in logarithms, in operations;
//! the backward recursion is its derivative.

use super::Reduction;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::Var;
use crate::tensor::Tensor;

/// Options of [`ctc`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ctc {
    /// The class that stands for nothing.
    pub blank: usize,
    /// The mean divides every loss by the length of its target first.
    pub reduction: Reduction,
    /// Whether a target that cannot be reached costs nothing, instead of ∞.
    pub zero_infinity: bool,
}

/// −ln p(target), p summed over all ways to write it in `input_lengths` steps, from log-probabilities (time, batch,
/// classes). Targets are (batch, longest), or all of them one after the other.
///
/// The gradient is that of this formula in its log-probabilities: minus the share of paths that write a class at a step.
/// PyTorch's `ctc_loss` gives the probability minus that share instead, which takes the `log_softmax` before it for
/// granted; behind a `log_softmax` both give the same gradient of the logits. A target that cannot be reached costs ∞ and
/// has gradient 0 (in PyTorch NaN), unless `zero_infinity` makes its cost 0 as well.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::{Ctc, ctc}};
/// let tape = Tape::new();
/// let logs = tape.leaf(Tensor::from([[[0.5f64, 0.5]], [[0.5, 0.5]]])).ln();
/// // a, -a and a- are three of four ways to spend two steps.
/// let y = ctc(logs, &Tensor::from([[1i64]]), &[2], &[1], Ctc::default());
/// assert!((y.item() + 0.75f64.ln()).abs() < 1e-15);
/// ```
///
/// # Panics
/// If lengths or shapes do not fit, or a target is no class.
#[track_caller]
pub fn ctc<'t, T: Element>(
    log_probabilities: Var<'t, T>,
    targets: &Tensor<i64>,
    input_lengths: &[usize],
    target_lengths: &[usize],
    options: Ctc,
) -> Var<'t, T> {
    let tape = log_probabilities.tape();
    let shape = log_probabilities.shape();
    assert!(shape.rank() == 3, "ctc: log-probabilities have shape {shape}, not (time, batch, classes)");
    let (steps, batch, classes) = (shape[0], shape[1], shape[2]);
    assert!(
        input_lengths.len() == batch && target_lengths.len() == batch,
        "ctc: {} input lengths and {} target lengths for a batch of {batch}",
        input_lengths.len(),
        target_lengths.len()
    );
    assert!(
        input_lengths.iter().all(|&n| n <= steps),
        "ctc: an input length of {input_lengths:?} is above the {steps} steps"
    );
    let longest = target_lengths.iter().copied().max().unwrap_or(0);
    let width = 2 * longest + 1;
    // Every target with blanks between, before and behind its labels; shorter ones end in blanks.
    let _line = tape.called();
    let labels = padded(targets, target_lengths, longest, options.blank as i64, classes);
    let mut extended = vec![options.blank as i64; batch * width];
    let mut skips = vec![false; batch * width];
    for b in 0..batch {
        let row = &labels[b * longest..(b + 1) * longest];
        for (k, &label) in row.iter().enumerate() {
            extended[b * width + 2 * k + 1] = label;
            // Over the blank between two labels one may only go if they differ.
            skips[b * width + 2 * k + 1] = k > 0 && label != row[k - 1];
        }
    }
    let extended = Tensor::from_vec([batch, width], extended);
    let skips = Tensor::from_vec([batch, width], skips);
    let never = |length: usize| tape.full([batch, length], f64::NEG_INFINITY);

    let start = Tensor::from_fn([batch, width], |i| i[1] == 0 || (i[1] == 1 && target_lengths[i[0]] > 0));
    let mut alpha = tape.mask(&start).if_else(0.0, never(width));
    for t in 0..steps {
        let emitted = log_probabilities.select(0, t).gather(1, &extended);
        let moved = if t == 0 {
            alpha + emitted
        } else {
            let shifted = |by: usize| {
                let kept = width.saturating_sub(by) as isize;
                Var::concat([never(by.min(width)), alpha.slice(1, 0..kept)], 1)
            };
            let over = tape.mask(&skips).if_else(shifted(2), f64::NEG_INFINITY);
            alpha.logaddexp(shifted(1)).logaddexp(over) + emitted
        };
        let running = Tensor::from_fn([batch, 1], |i| t < input_lengths[i[0]]);
        alpha = if running.to_vec().iter().all(|&running| running) {
            moved
        } else {
            tape.mask(&running).if_else(moved, alpha)
        };
    }
    // A path ends on the last label or on the blank behind it.
    let last = Tensor::from_fn([batch, 1], |i| 2 * target_lengths[i[0]] as i64);
    let before = last.map(|at| (at - 1).max(0));
    let empty = Tensor::from_fn([batch, 1], |i| target_lengths[i[0]] == 0);
    let on_label = alpha.gather(1, &before).masked_fill(&empty, f64::NEG_INFINITY);
    let mut losses = -alpha.gather(1, &last).logaddexp(on_label).reshape_to([batch]);
    if options.zero_infinity {
        losses = losses.masked_fill(losses.eq(f64::INFINITY), 0.0);
    }
    match options.reduction {
        Reduction::Mean => {
            let lengths = target_lengths.iter().map(|&n| T::from_f64(n.max(1) as f64)).collect::<Vec<_>>();
            (losses / &Tensor::from(lengths)).mean_all()
        }
        reduction => reduction.of(losses),
    }
}

/// Targets as (batch, longest), filled up with blanks.
#[track_caller]
fn padded(targets: &Tensor<i64>, lengths: &[usize], longest: usize, blank: i64, classes: usize) -> Vec<i64> {
    let flat = targets.to_vec();
    let mut padded = vec![blank; lengths.len() * longest];
    let mut start = 0;
    for (b, &length) in lengths.iter().enumerate() {
        if targets.rank() == 2 {
            start = b * targets.shape()[1];
            assert!(
                targets.shape()[0] == lengths.len() && length <= targets.shape()[1],
                "ctc: targets of shape {} for lengths {lengths:?}",
                targets.shape()
            );
        }
        assert!(start + length <= flat.len(), "ctc: {} labels for lengths {lengths:?}", flat.len());
        let row = &flat[start..start + length];
        for &label in row {
            assert!(
                (0..classes as i64).contains(&label) && label != blank,
                "ctc: label {label} is no class of {classes}, or is the blank"
            );
        }
        padded[b * longest..b * longest + length].copy_from_slice(row);
        start += length;
    }
    padded
}

pub(super) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [5, 2, 3]] => ctc(x.log_softmax(-1), &Tensor::from([[1i64, 1], [2, 1]]), &[5, 4], &[2, 1], Ctc::default())),
        example!([x: normal [3, 1, 3]] => ctc(x.log_softmax(-1), &Tensor::from([2i64]), &[3], &[0], Ctc { blank: 1, reduction: Reduction::None, zero_infinity: true })),
    ]
}
