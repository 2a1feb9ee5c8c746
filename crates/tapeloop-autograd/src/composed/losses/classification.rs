//! Losses of classes.

use super::Reduction;
use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::{OrPanic, ShapeError, rule};
use crate::tape::{Operand, Var};
use crate::tensor::Tensor;

/// The cross-entropy of classes: −ln pₜ, p the softmax of logits, t the class that is right.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::CrossEntropy};
/// let tape = Tape::new();
/// let logits = tape.leaf(Tensor::from([[0.0f64, 0.0], [9.0, 9.0]]));
/// let loss = CrossEntropy { ignore_index: Some(-1), ..Default::default() };
/// let y = loss.of(logits, &Tensor::from([1i64, -1]));
/// assert!((y.item() - 2f64.ln()).abs() < 1e-15);
/// ```
#[derive(Clone, Debug)]
pub struct CrossEntropy<T: Element> {
    /// The axis of the classes. PyTorch's is 1, Keras' the last, which is the default.
    pub axis: isize,
    /// A weight for each class.
    pub weight: Option<Tensor<T>>,
    /// Targets of this value do not count.
    pub ignore_index: Option<i64>,
    /// This much of the target is spread over all classes (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// The mean divides by the weights of the targets that count.
    pub reduction: Reduction,
}

impl<T: Element> Default for CrossEntropy<T> {
    fn default() -> Self {
        Self { axis: -1, weight: None, ignore_index: None, label_smoothing: 0.0, reduction: Reduction::Mean }
    }
}

/// The mean cross-entropy of logits (…, classes) and classes (…): [`CrossEntropy`] with its defaults.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor, losses::cross_entropy};
/// let tape = Tape::new();
/// let logits = tape.leaf(Tensor::from([[100.0f32, 0.0]]));
/// assert_eq!(cross_entropy(logits, &Tensor::from([0i64])).item(), 0.0);
/// ```
///
/// # Panics
/// If the shapes do not fit, or a target is no class.
#[track_caller]
pub fn cross_entropy<'t, T: Element>(logits: Var<'t, T>, targets: &Tensor<i64>) -> Var<'t, T> {
    CrossEntropy::default().of(logits, targets)
}

impl<T: Element> CrossEntropy<T> {
    /// The loss of logits, for classes. Targets have the logits' shape without the axis of the classes.
    ///
    /// # Panics
    /// If the shapes do not fit, or a target is no class.
    #[track_caller]
    pub fn of<'t>(&self, logits: Var<'t, T>, targets: &Tensor<i64>) -> Var<'t, T> {
        self.of_log_probabilities(logits.log_softmax(self.axis), targets)
    }

    /// The negative log-likelihood: the loss of log-probabilities instead of logits.
    ///
    /// # Panics
    /// If the shapes do not fit, or a target is no class.
    #[track_caller]
    pub fn of_log_probabilities<'t>(&self, logs: Var<'t, T>, targets: &Tensor<i64>) -> Var<'t, T> {
        let tape = logs.tape();
        let (axis, classes) = self.classes(logs);
        let mut expected = logs.shape();
        expected.0.remove(axis);
        if targets.shape() != &expected {
            let rule = format!("targets have the shape of the predictions without axis {axis}, the classes");
            panic!("{}", ShapeError::new("cross_entropy", &[&logs.shape(), targets.shape()], rule));
        }
        let counts = targets.map(|target| Some(target) != self.ignore_index);
        let safe = targets.map(|target| if Some(target) == self.ignore_index { 0 } else { target });
        for target in safe.to_vec() {
            assert!((0..classes as i64).contains(&target), "cross_entropy: target {target} is outside 0..{classes}");
        }
        let at = Tensor::from_vec(logs.shape().with(axis, 1), safe.to_vec());
        let weights = match &self.weight {
            Some(weight) => safe.map(|target| weight.at(&[target as usize])),
            None => safe.map(|_| T::ONE),
        };
        let weights = tape.constant(weights).masked_fill(&counts.map(|counts| !counts), 0.0);
        let likelihood = logs.gather(axis as isize, &at).reshape_to(expected);
        let ignored = counts.map(|counts| !counts);
        let mut terms = -likelihood.masked_fill(&ignored, 0.0) * weights;
        if self.label_smoothing != 0.0 {
            let spread = match self.weight_along(logs, axis) {
                Some(weight) => logs * weight,
                None => logs,
            };
            let smooth = -spread.sum(&[axis as isize], false).masked_fill(&ignored, 0.0);
            terms = terms * (1.0 - self.label_smoothing) + smooth * (self.label_smoothing / classes as f64);
        }
        match self.reduction {
            Reduction::Mean => terms.sum_all() / weights.sum_all(),
            reduction => reduction.of(terms),
        }
    }

    /// The loss of logits, for probabilities of classes, of the same shape. The mean divides by the number of
    /// distributions.
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn of_distribution<'t>(&self, logits: Var<'t, T>, target: impl Operand<'t, T>) -> Var<'t, T> {
        let (axis, classes) = self.classes(logits);
        let mut target = target.on(logits.tape());
        if self.label_smoothing != 0.0 {
            target = target * (1.0 - self.label_smoothing) + self.label_smoothing / classes as f64;
        }
        let logs = logits.log_softmax(self.axis);
        let weighted = match self.weight_along(logs, axis) {
            Some(weight) => logs * weight,
            None => logs,
        };
        let terms = -(weighted * target).sum(&[axis as isize], false);
        self.reduction.of(terms)
    }

    #[track_caller]
    fn classes(&self, x: Var<'_, T>) -> (usize, usize) {
        let shape = x.shape();
        let axis = rule::axis("cross_entropy", &shape, self.axis).or_panic();
        if let Some(weight) = &self.weight {
            assert!(
                *weight.shape() == [shape[axis]],
                "cross_entropy: weights of shape {} for {} classes",
                weight.shape(),
                shape[axis]
            );
        }
        (axis, shape[axis])
    }

    /// The classes' weights along their axis.
    #[track_caller]
    fn weight_along<'t>(&self, x: Var<'t, T>, axis: usize) -> Option<Var<'t, T>> {
        let weight = self.weight.as_ref()?;
        let dims: Vec<isize> = (0..x.rank()).map(|a| if a == axis { weight.size() as isize } else { 1 }).collect();
        Some(x.tape().constant(weight.reshape(&dims)))
    }
}

pub(super) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [3, 4]] => cross_entropy(x, &Tensor::from([1i64, 0, 3]))),
        example!([x: normal [2, 3, 4]] => CrossEntropy {
            axis: 1,
            weight: Some(Tensor::from_vec([3], [0.5, 2.0, 1.0].map(T::from_f64).to_vec())),
            ignore_index: Some(-100),
            label_smoothing: 0.2,
            ..CrossEntropy::default()
        }.of(x, &Tensor::from([[1i64, 0, 2, -100], [2, 2, -100, 1]]))),
        example!([x: normal [2, 3], p: positive [2, 3]] => CrossEntropy {
            label_smoothing: 0.1,
            reduction: Reduction::Sum,
            ..CrossEntropy::default()
        }.of_distribution(x, p)),
    ]
}
