//! Shapes: what reshapes, joins and repeats.

use smallvec::SmallVec;

use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::{OrPanic, Shape, rule};
use crate::tape::Var;
use crate::tensor::Tensor;

/// What lies beyond the ends of a padded axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pad {
    /// One value.
    Constant(f64),
    /// The axis mirrored at its ends, which are not repeated.
    Reflect,
    /// The elements at the ends.
    Replicate,
    /// The axis again, from the other end.
    Circular,
}

impl<T: Element> Var<'_, T> {
    /// Without an axis of length 1.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::<f32>::zeros([2, 1, 3])).squeeze(1).shape(), [2, 3]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or has another length.
    #[track_caller]
    pub fn squeeze(self, axis: isize) -> Self {
        let mut shape = self.shape();
        let axis = rule::axis("squeeze", &shape, axis).or_panic();
        assert!(shape[axis] == 1, "squeeze: axis {axis} of shape {shape} has not length 1");
        shape.0.remove(axis);
        self.reshape_to(shape)
    }

    /// With a new axis of length 1.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::<f32>::zeros([2, 3]));
    /// assert_eq!(x.unsqueeze(1).shape(), [2, 1, 3]);
    /// assert_eq!(x.unsqueeze(-1).shape(), [2, 3, 1]);
    /// ```
    ///
    /// # Panics
    /// If the new axis is not in −rank−1..=rank.
    #[track_caller]
    pub fn unsqueeze(self, axis: isize) -> Self {
        let mut shape = self.shape();
        shape.0.push(1);
        let axis = rule::axis("unsqueeze", &shape, axis).or_panic();
        shape.0.pop();
        shape.0.insert(axis, 1);
        self.reshape_to(shape)
    }

    /// The axes from `first` to `last`, both included, as one.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::<f32>::zeros([2, 3, 4])).flatten(1, -1).shape(), [2, 12]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist or they are in the wrong order.
    #[track_caller]
    pub fn flatten(self, first: isize, last: isize) -> Self {
        let shape = self.shape();
        if shape.rank() == 0 {
            return self.reshape_to([1]);
        }
        let axis = |axis| rule::axis("flatten", &shape, axis).or_panic();
        let (first, last) = (axis(first), axis(last));
        assert!(first <= last, "flatten: axis {first} comes after axis {last}");
        let one = shape[first..=last].iter().product();
        self.reshape_to(shape[..first].iter().copied().chain([one]).chain(shape[last + 1..].iter().copied()).collect::<Shape>())
    }

    /// An axis moved to another place; the others keep their order.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::<f32>::zeros([2, 3, 4])).move_axis(0, -1).shape(), [3, 4, 2]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist.
    #[track_caller]
    pub fn move_axis(self, from: isize, to: isize) -> Self {
        let shape = self.shape();
        let axis = |axis| rule::axis("move_axis", &shape, axis).or_panic();
        let (from, to) = (axis(from), axis(to));
        let mut order: SmallVec<[isize; 8]> = (0..shape.rank() as isize).collect();
        let moved = order.remove(from);
        order.insert(to, moved);
        self.permute(&order)
    }

    /// Parts of these lengths along an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let parts = x.split(&[1, 2], 0);
    /// assert_eq!(parts[1].value().to_vec(), [2.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or the lengths do not add up to its own.
    #[track_caller]
    pub fn split(self, lengths: &[usize], axis: isize) -> Vec<Self> {
        let n = self.dim(axis);
        assert!(
            lengths.iter().sum::<usize>() == n,
            "split: parts of {lengths:?} do not add up to the {n} of axis {axis} of shape {}",
            self.shape()
        );
        let mut start = 0;
        let mut parts = Vec::with_capacity(lengths.len());
        for &length in lengths {
            parts.push(self.slice(axis, start..start + length as isize));
            start += length as isize;
        }
        parts
    }

    /// At most `count` parts of equal length along an axis; the last one may be shorter.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let parts = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0])).chunk(2, 0);
    /// assert_eq!(parts[0].value().to_vec(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist or `count` is 0.
    #[track_caller]
    pub fn chunk(self, count: usize, axis: isize) -> Vec<Self> {
        assert!(count > 0, "chunk: there must be at least one part");
        let n = self.dim(axis);
        let length = n.div_ceil(count).max(1);
        let lengths: Vec<usize> = (0..n.div_ceil(length).max(1)).map(|k| length.min(n - k * length)).collect();
        self.split(&lengths, axis)
    }

    /// Every element moved `shift` places along an axis; what leaves one end enters at the other.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// assert_eq!(x.roll(1, 0).value().to_vec(), [3.0, 1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn roll(self, shift: isize, axis: isize) -> Self {
        let n = self.dim(axis);
        if n == 0 {
            return self;
        }
        let cut = (n as isize - shift.rem_euclid(n as isize)) % n as isize;
        if cut == 0 {
            return self;
        }
        Self::concat([self.slice(axis, cut..), self.slice(axis, 0..cut)], axis)
    }

    /// More elements at both ends of an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Pad, Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// assert_eq!(x.pad(0, 1, 0, Pad::Constant(9.0)).value().to_vec(), [9.0, 1.0, 2.0, 3.0]);
    /// assert_eq!(x.pad(0, 2, 1, Pad::Reflect).value().to_vec(), [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
    /// assert_eq!(x.pad(0, 1, 1, Pad::Replicate).value().to_vec(), [1.0, 1.0, 2.0, 3.0, 3.0]);
    /// assert_eq!(x.pad(0, 1, 1, Pad::Circular).value().to_vec(), [3.0, 1.0, 2.0, 3.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, or is too short for the padding: `Reflect` needs one element more than it adds
    /// at an end, `Circular` as many, `Replicate` one.
    #[track_caller]
    pub fn pad(self, axis: isize, before: usize, after: usize, pad: Pad) -> Self {
        let _line = self.tape().called();
        let n = self.dim(axis);
        if before == 0 && after == 0 {
            return self;
        }
        let needed = match pad {
            Pad::Constant(value) => {
                if value == 0.0 {
                    // A cotangent of zeros that nobody writes.
                    return self.place(axis, before, 1, before + n + after);
                }
                let shape = self.shape();
                let at = rule::axis("pad", &shape, axis).or_panic();
                let beyond = |length| self.tape().full(shape.with(at, length), value);
                return Self::concat([beyond(before), self, beyond(after)], axis);
            }
            Pad::Reflect => before.max(after) + 1,
            Pad::Replicate => 1,
            Pad::Circular => before.max(after),
        };
        assert!(
            n >= needed,
            "pad: {pad:?} by {before} and {after} needs an axis of at least {needed}; axis {axis} of shape {} is too short",
            self.shape()
        );
        let n = n as i64;
        let index = |i: i64| match pad {
            Pad::Reflect => (n - 1) - ((n - 1) - i.abs()).abs(),
            Pad::Circular => i.rem_euclid(n),
            _ => i.clamp(0, n - 1),
        };
        let places: Vec<i64> = (-(before as i64)..n + after as i64).map(index).collect();
        self.index_select(axis, &Tensor::from(places))
    }

    /// The whole repeated along every axis, as tiles. More counts than axes add leading ones.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.repeat(&[2, 2]).value().to_vec(), [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If there are fewer counts than axes.
    #[track_caller]
    pub fn repeat(self, counts: &[usize]) -> Self {
        let shape = self.shape();
        assert!(counts.len() >= shape.rank(), "repeat: {counts:?} has fewer counts than {shape} has axes");
        let lead = counts.len() - shape.rank();
        let own = |axis: usize| if axis < lead { 1 } else { shape[axis - lead] };
        // (n₀, …) → (1, n₀, …) → (c₀, n₀, …) → (c₀ n₀, …)
        let split: Shape = (0..counts.len()).flat_map(|axis| [1, own(axis)]).collect();
        let spread: Shape = (0..counts.len()).flat_map(|axis| [counts[axis], own(axis)]).collect();
        let joined: Shape = (0..counts.len()).map(|axis| counts[axis] * own(axis)).collect();
        self.reshape_to(split).broadcast_to(spread).reshape_to(joined)
    }

    /// Every element `count` times in a row along an axis.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(x.repeat_interleave(2, 0).value().to_vec(), [1.0, 1.0, 2.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn repeat_interleave(self, count: usize, axis: isize) -> Self {
        let shape = self.shape();
        let axis = rule::axis("repeat_interleave", &shape, axis).or_panic();
        let inner = self.unsqueeze(axis as isize + 1);
        let spread = inner.shape().with(axis + 1, count);
        inner.broadcast_to(spread).reshape_to(shape.with(axis, shape[axis] * count))
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [2, 1, 3]] => x.squeeze(1).unsqueeze(-1)),
        example!([x: normal [2, 3, 2]] => x.flatten(0, 1)),
        example!([x: normal [2, 3, 2]] => x.move_axis(2, 0)),
        example!([x: normal [2, 5]] => x.split(&[1, 3, 1], 1)[1]),
        example!([x: normal [5, 2]] => x.chunk(3, 0)[2]),
        example!([x: normal [2, 5]] => x.roll(-2, 1)),
        example!([x: normal [2, 3]] => x.pad(1, 1, 2, Pad::Constant(0.5))),
        example!([x: normal [2, 4]] => x.pad(1, 3, 2, Pad::Reflect)),
        example!([x: normal [2, 3]] => x.pad(0, 3, 2, Pad::Replicate)),
        example!([x: normal [2, 3]] => x.pad(1, 3, 2, Pad::Circular)),
        example!([x: normal [2, 3]] => x.repeat(&[2, 1, 3])),
        example!([x: normal [2, 3]] => x.repeat_interleave(2, 0)),
    ]
}
