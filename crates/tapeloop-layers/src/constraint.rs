//! Constraints: what a weight is projected to after every step of an optimizer, under Keras' names.

use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{Element, Shape, Tensor};

use crate::named::{Field, Named, Names, written};

/// What a weight keeps to: it is projected there after every step of an optimizer.
///
/// ‖w‖ is the norm along `axis`, which may be one or several axes, counted from the end where they are negative; an
/// empty list stands for all. The default is the first one: in a kernel (inputs, outputs), what goes to an output. As
/// in Keras, a norm is divided by 10⁻⁷ later, so that a vector of zeros stays one.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::Constraint;
/// let w = Tensor::from([[3.0f64, 0.3], [4.0, -0.4]]);
/// let shorter = Constraint::max_norm(2.0).apply(&w).to_vec();
/// assert!(shorter.iter().zip([1.2, 0.3, 1.6, -0.4]).all(|(a, b)| (a - b).abs() < 1e-6));
/// assert_eq!(Constraint::NonNeg.apply(&w).to_vec(), [3.0, 0.3, 4.0, 0.0]);
/// ```
///
/// In a configuration it is a name, which stands for Keras' defaults, or an object of a name and parameters. Keras' own
/// form with a `class_name` and a `config` is read as well.
///
/// ```
/// use tapeloop_layers::Constraint;
/// let json = |text| serde_json::from_str::<Constraint>(text).unwrap();
/// assert_eq!(json(r#""max_norm""#), Constraint::max_norm(2.0));
/// assert_eq!(json(r#"{"unit_norm": {"axis": [0, -1]}}"#), Constraint::unit_norm().along(&[0, -1]));
/// assert_eq!(json(r#"{"class_name": "NonNeg", "config": {}}"#), Constraint::NonNeg);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Constraint {
    /// w min(‖w‖, max) / ‖w‖
    MaxNorm {
        /// The largest norm. Default 2.
        max_value: f64,
        /// What the norm goes along.
        axis: Vec<isize>,
    },
    /// max(w, 0)
    NonNeg,
    /// w / ‖w‖
    UnitNorm {
        /// What the norm goes along.
        axis: Vec<isize>,
    },
    /// w n / ‖w‖, n between ‖w‖ and the nearest norm in min..=max: the share `rate` of the way.
    MinMaxNorm {
        /// The smallest norm. Default 0.
        min_value: f64,
        /// The largest norm. Default 1.
        max_value: f64,
        /// How far to go at once. Default 1.
        rate: f64,
        /// What the norm goes along.
        axis: Vec<isize>,
    },
}

/// What Keras adds to a norm before it divides by it.
const EPSILON: f64 = 1e-7;

impl Constraint {
    /// Norms of at most `max_value` along the first axis.
    pub fn max_norm(max_value: f64) -> Self {
        Self::MaxNorm { max_value, axis: vec![0] }
    }

    /// Norms of 1 along the first axis.
    pub fn unit_norm() -> Self {
        Self::UnitNorm { axis: vec![0] }
    }

    /// Norms within `min_value..=max_value` along the first axis, at once.
    pub fn min_max_norm(min_value: f64, max_value: f64) -> Self {
        Self::MinMaxNorm { min_value, max_value, rate: 1.0, axis: vec![0] }
    }

    /// The same with norms along these axes, all of them if the list is empty.
    pub fn along(mut self, axes: &[isize]) -> Self {
        match &mut self {
            Self::MaxNorm { axis, .. } | Self::UnitNorm { axis } | Self::MinMaxNorm { axis, .. } => *axis = axes.into(),
            Self::NonNeg => {}
        }
        self
    }

    /// Its name, without parameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MaxNorm { .. } => "max_norm",
            Self::NonNeg => "non_neg",
            Self::UnitNorm { .. } => "unit_norm",
            Self::MinMaxNorm { .. } => "min_max_norm",
        }
    }

    /// The nearest value that keeps to it.
    ///
    /// # Panics
    /// If a setting makes no sense, or `w` has no such axis.
    #[track_caller]
    pub fn apply<T: Element>(&self, w: &Tensor<T>) -> Tensor<T> {
        if let Err(problem) = self.check(w.shape()) {
            panic!("{problem}");
        }
        let mut w = w.contiguous();
        let shape = w.shape().clone();
        self.project(&shape, w.as_mut_slice());
        w
    }

    /// As [`apply`](Self::apply), in place and without allocation, of elements in row-major order.
    pub(crate) fn project<T: Element>(&self, shape: &Shape, w: &mut [T]) {
        let axes = match self {
            Self::NonNeg => return w.iter_mut().for_each(|w| *w = w.maximum(T::ZERO)),
            Self::MaxNorm { axis, .. } | Self::UnitNorm { axis } | Self::MinMaxNorm { axis, .. } => axis,
        };
        let along = |axis: usize| {
            let is = |&named: &isize| named.rem_euclid(shape.rank() as isize) as usize == axis;
            axes.is_empty() || axes.iter().any(is)
        };
        // A norm belongs to a place on the axes it does not go along. Places side by side are taken together, to read
        // rows.
        let beside: usize = (0..shape.rank()).rev().take_while(|&axis| !along(axis)).map(|axis| shape[axis]).product();
        let (mut over, mut places) = (Walk::new(), Walk::new());
        let mut stride = w.len();
        for axis in 0..shape.rank() {
            stride = stride.checked_div(shape[axis]).unwrap_or(0);
            match along(axis) {
                true => over.push((shape[axis], stride)),
                false if stride >= beside => places.push((shape[axis], stride)),
                false => {}
            }
        }
        if w.is_empty() {
            return;
        }
        const LANES: usize = 32;
        for_each(&places, |place| {
            for first in (0..beside).step_by(LANES) {
                let (start, count) = (place + first, LANES.min(beside - first));
                let mut scales = [0.0; LANES];
                for_each(&over, |at| {
                    for (sum, w) in scales.iter_mut().zip(&w[start + at..][..count]) {
                        *sum += w.to_f64() * w.to_f64();
                    }
                });
                scales[..count].iter_mut().for_each(|scale| *scale = self.scale(scale.sqrt()));
                for_each(&over, |at| {
                    for (w, scale) in w[start + at..][..count].iter_mut().zip(scales) {
                        *w = T::from_f64(w.to_f64() * scale);
                    }
                });
            }
        });
    }

    /// What a vector of this norm is multiplied by.
    fn scale(&self, norm: f64) -> f64 {
        let wanted = match *self {
            Self::NonNeg => norm,
            Self::UnitNorm { .. } => 1.0,
            Self::MaxNorm { max_value, .. } => norm.clamp(0.0, max_value),
            Self::MinMaxNorm { min_value, max_value, rate, .. } => {
                rate * norm.clamp(min_value, max_value) + (1.0 - rate) * norm
            }
        };
        wanted / (EPSILON + norm)
    }

    /// What is wrong with it for a weight of this shape.
    pub(crate) fn check(&self, shape: &Shape) -> Result<(), String> {
        let name = self.name();
        let mut copy = self.clone();
        for (names, field) in copy.fields() {
            match field {
                Field::Number(x) if !(x.is_finite() && *x >= 0.0) => {
                    return Err(format!("{name}: `{}` is {x}; it must be a number of at least 0", names[0]));
                }
                Field::Axes(axes) => {
                    let rank = shape.rank() as isize;
                    for (place, &axis) in axes.iter().enumerate() {
                        if !(-rank..rank).contains(&axis) {
                            return Err(format!("{name}: a weight of shape {shape} has no axis {axis}"));
                        }
                        if axes[..place].iter().any(|&before| (before - axis) % rank == 0) {
                            return Err(format!("{name}: axis {axis} is named twice"));
                        }
                    }
                }
                _ => {}
            }
        }
        match *self {
            Self::MinMaxNorm { min_value, max_value, .. } if min_value > max_value => {
                Err(format!("{name}: from {min_value} to {max_value} is no range"))
            }
            Self::MinMaxNorm { rate, .. } if rate > 1.0 => Err(format!("{name}: a rate of {rate} is not in 0..=1")),
            _ => Ok(()),
        }
    }
}

/// Axes to walk over: lengths and strides.
type Walk = SmallVec<[(usize, usize); 6]>;

/// Every offset of a walk, in row-major order.
fn for_each(walk: &Walk, mut visit: impl FnMut(usize)) {
    let mut index: SmallVec<[usize; 6]> = smallvec![0; walk.len()];
    let mut offset = 0;
    loop {
        visit(offset);
        let mut axis = walk.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            let (length, stride) = walk[axis];
            index[axis] += 1;
            offset += stride;
            if index[axis] < length {
                break;
            }
            offset -= length * stride;
            index[axis] = 0;
        }
    }
}

impl Named for Constraint {
    const WHAT: &'static str = "constraint";
    const A: &'static str = "a constraint";
    const NAMES: Names<Self> = &[
        ("max_norm", || Self::max_norm(2.0)),
        ("non_neg", || Self::NonNeg),
        ("unit_norm", Self::unit_norm),
        ("min_max_norm", || Self::min_max_norm(0.0, 1.0)),
    ];

    fn name(&self) -> &'static str {
        self.name()
    }

    fn fields(&mut self) -> Vec<(&'static [&'static str], Field<'_>)> {
        use Field::{Axes, Number};
        const AXIS: &[&str] = &["axis"];
        match self {
            Self::MaxNorm { max_value, axis } => vec![(&["max_value"], Number(max_value)), (AXIS, Axes(axis))],
            Self::NonNeg => Vec::new(),
            Self::UnitNorm { axis } => vec![(AXIS, Axes(axis))],
            Self::MinMaxNorm { min_value, max_value, rate, axis } => vec![
                (&["min_value"], Number(min_value)),
                (&["max_value"], Number(max_value)),
                (&["rate"], Number(rate)),
                (AXIS, Axes(axis)),
            ],
        }
    }
}

written!(Constraint);
