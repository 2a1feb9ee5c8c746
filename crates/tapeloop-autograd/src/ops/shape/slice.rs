//! y = x at start, start + step, … of an axis;  ∂y/∂x is zero elsewhere

use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;
use crate::tensor::views::Slice as Part;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slice {
    axis: usize,
    start: usize,
    count: usize,
    step: usize,
}

impl Slice {
    /// `count` neighbours from `start` on.
    pub(crate) fn part(axis: usize, start: usize, count: usize) -> Self {
        Self { axis, start, count, step: 1 }
    }
}

impl<T: Element> Op<T> for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].with(self.axis, self.count))
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].sliced(self.axis, self.start, self.count, self.step)
    }
    fn form(&self) -> Form<T> {
        Form::slice(self.axis, self.start, self.count, self.step)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give_part(0, (self.axis, self.start, self.step), |g| g);
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// Part of an axis: a range whose ends may count from the end, with a step. A view: nothing is copied.
    /// Ends beyond the axis are clipped, as in NumPy.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, s};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([0.0f32, 1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(x.slice(0, 1..3).value().to_vec(), [1.0, 2.0]);
    /// assert_eq!(x.slice(0, s(..).step(2)).value().to_vec(), [0.0, 2.0, 4.0]);
    /// assert_eq!(x.slice(0, -2..).value().to_vec(), [3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn slice(self, axis: isize, part: impl Into<Part>) -> Self {
        let shape = self.shape();
        let axis = rule::axis("slice", &shape, axis).or_panic();
        let (start, count, step) = part.into().resolve(shape[axis]);
        self.unary(Slice { axis, start, count, step })
    }

    /// One index of an axis, without that axis: `x.select(1, t)` is step t of a batch of sequences.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.select(1, 0).value().to_vec(), [1.0, 3.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis or the index does not exist.
    #[track_caller]
    pub fn select(self, axis: isize, index: usize) -> Self {
        let mut shape = self.shape();
        let axis = rule::axis("select", &shape, axis).or_panic();
        assert!(index < shape[axis], "select: index {index} is outside axis {axis} of shape {shape}");
        shape.0.remove(axis);
        self.unary(Slice { axis, start: index, count: 1, step: 1 }).reshape_to(shape)
    }

    /// The last axis in N equal parts: the gates of a recurrent cell.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let z = tape.leaf(Tensor::from([[1.0f32, 2.0, 3.0, 4.0]]));
    /// let [i, f] = z.gates();
    /// assert_eq!(f.value().to_vec(), [3.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If the length of the last axis is no multiple of N.
    #[track_caller]
    pub fn gates<const N: usize>(self) -> [Self; N] {
        let (axis, width) = (self.rank().wrapping_sub(1), self.dim(-1));
        assert!(width.is_multiple_of(N), "gates: the last axis of {} does not divide into {N} parts", self.shape());
        let count = width / N;
        let _line = self.tape().called();
        std::array::from_fn(|k| self.unary(Slice { axis, start: k * count, count, step: 1 }))
    }
}

impl Examples for Slice {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [5, 7]] => x.slice(0, crate::s(1..).step(2)).slice(1, crate::s(..).step(3))),
            example!([x: normal [2, 3, 4]] => x.select(1, 2)),
            example!([x: normal [2, 6]] => { let [a, b, c] = x.gates(); a * b + c }),
        ]
    }
}
