//! hₜ = aₜ hₜ₋₁ + bₜ along an axis;  b̄ₜ = λₜ = h̄ₜ + aₜ₊₁ λₜ₊₁,  āₜ = λₜ hₜ₋₁,  h̄₀ = a₁ λ₁

use crate::element::Element;
use crate::kernels::elementwise::Strided;
use crate::kernels::recurrence::{self, Course};
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Dims, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Operand, Var};
use crate::tensor::Tensor;

/// Of b, a and, where there is one, h₀, which has length 1 along the axis. To a loop it is opaque: it is one itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinearRecurrence {
    course: Course,
}

impl<T: Element> Op<T> for LinearRecurrence {
    fn name(&self) -> &'static str {
        "linear_recurrence"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let (b, a, initial) = (inputs[0], inputs[1], inputs.get(2).copied());
        match fits(self.course.axis, b, a, initial) {
            true => Ok(b.clone()),
            false => Err(ShapeError::new("linear_recurrence", inputs, shape_rule(self.course.axis))),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let strides: [Option<Dims>; 3] = std::array::from_fn(|k| Some(inputs.get(k)?.broadcast_strides(run.shape)));
        let view = |k: usize| Some([Strided { data: inputs.get(k)?.storage(), strides: strides[k].as_ref()? }]);
        let [Some(b), Some(a), initial] = [0, 1, 2].map(view) else { unreachable!("the shape rule saw to it") };
        recurrence::linear(self.course, a, b, initial, run.shape, out.as_mut_slice(), run.threads);
        out
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (course, tape) = (self.course, back.tape());
        let (a, h) = (back.input(1), back.output());
        let λ = tape.apply(Self { course: course.adjoint() }, &[back.cotangent(), a]);
        back.give(0, |_| λ);
        let initial = (back.input_count() == 3).then(|| back.input(2));
        back.give(1, |_| course.factor_cotangent(a, [λ], [h], initial.map(|h| [h]), |[λ], [h]| λ * h));
        if initial.is_some() {
            back.give(2, |_| course.first(a, course.own_axis(a, h)) * course.first(λ, Some(course.axis)));
        }
    }
}

/// The rule for a, and for a state before the first step, beside b.
pub(super) fn fits(axis: usize, b: &Shape, a: &Shape, initial: Option<&Shape>) -> bool {
    rule::broadcasts_to(a, b) && initial.is_none_or(|initial| rule::broadcasts_to(initial, &b.with(axis, 1)))
}

/// [`fits`] in words.
pub(super) fn shape_rule(axis: usize) -> String {
    format!("a must broadcast to b, the initial state to one step of b along axis {axis}")
}

impl Course {
    /// The way back: with the other step's factor, so each is what the other's derivative needs.
    pub(super) fn adjoint(self) -> Self {
        Self { reverse: !self.reverse, lagged: !self.lagged, conjugate: !self.conjugate, ..self }
    }

    /// The axis of time of a factor, if it has one of its own: shapes are aligned at their last axes.
    pub(super) fn own_axis<T: Element>(self, a: Var<'_, T>, h: Var<'_, T>) -> Option<usize> {
        let axis = (self.axis + a.rank()).checked_sub(h.rank())?;
        (a.dim(axis as isize) == h.dim(self.axis as isize)).then_some(axis)
    }

    /// The first step in the order of processing; of what is the same for all steps, itself.
    pub(super) fn first<'t, T: Element>(self, x: Var<'t, T>, axis: Option<usize>) -> Var<'t, T> {
        match axis {
            Some(axis) if self.reverse => x.slice(axis as isize, -1..),
            Some(axis) => x.slice(axis as isize, 0..1),
            None => x,
        }
    }

    /// Σ over what a was broadcast along of `product(λ of a step, h of the step before)`, at the step whose factor led from
    /// one to the other.
    pub(super) fn factor_cotangent<'t, T: Element, const P: usize>(
        self,
        a: Var<'t, T>,
        λ: [Var<'t, T>; P],
        h: [Var<'t, T>; P],
        initial: Option<[Var<'t, T>; P]>,
        product: impl Fn([Var<'t, T>; P], [Var<'t, T>; P]) -> Var<'t, T>,
    ) -> Var<'t, T> {
        let axis = self.axis as isize;
        let (all_but_first, all_but_last) = (|x: Var<'t, T>| x.slice(axis, 1..), |x: Var<'t, T>| x.slice(axis, ..-1));
        let inner = match self.reverse {
            false => product(λ.map(all_but_first), h.map(all_but_last)),
            true => product(λ.map(all_but_last), h.map(all_but_first)),
        };
        let outer = initial.map(|initial| product(λ.map(|λ| self.first(λ, Some(self.axis))), initial));
        match (self.own_axis(a, h[0]), outer) {
            (None, None) => inner,
            (None, Some(outer)) => inner.sum_to(a.shape()) + outer.sum_to(a.shape()),
            (Some(_), outer) => {
                // A factor that led nowhere got nothing.
                let outer = match outer {
                    Some(outer) => outer,
                    None => {
                        let shape = h[0].shape();
                        let count = shape[self.axis].min(1);
                        a.tape().full(shape.with(self.axis, count), 0.0)
                    }
                };
                let parts = if self.reverse == self.lagged { [outer, inner] } else { [inner, outer] };
                Var::concat(parts, axis)
            }
        }
    }
}

/// A state without the axis of time, of a sequence of `rank` axes, with a length of 1 there.
#[track_caller]
pub(super) fn with_axis<'t, T: Element>(state: Var<'t, T>, axis: usize, rank: usize) -> Var<'t, T> {
    let mut shape = state.shape();
    if let Some(place) = (shape.rank() + axis + 1).checked_sub(rank) {
        shape.0.insert(place, 1);
    }
    state.reshape_to(shape)
}

impl<'t, T: Element> Var<'t, T> {
    /// hₜ = aₜ ∘ hₜ₋₁ + bₜ for every step t along an axis, where b is this: leaky integration, and the part of a linear
    /// recurrent network that is recurrent. With `reverse` it goes from the last step to the first: hₜ = aₜ ∘ hₜ₊₁ + bₜ.
    ///
    /// The result has the shape of b, and a broadcasts to it: one number, one for each feature, one for each step, all; it
    /// is never written out. The `initial` state h₀ broadcasts to the shape of one step, b's without the axis. Without one
    /// the first step is b₁, whatever a₁ is.
    ///
    /// One operation, as is its derivative. Source: Martin & Cundy 2018, "Parallelizing Linear Recurrent Neural Nets Over
    /// Sequence Length", arXiv:1709.04057, which has this as its one operation. Here it is parallel over everything that
    /// is not time.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let b = tape.leaf(Tensor::from([[1.0f32, 0.0, 0.0, 8.0]])); // batch, time
    /// let decay = tape.leaf(Tensor::scalar(0.5f32));
    /// let h = b.linear_recurrence(decay, None, 1, false);
    /// assert_eq!(h.value().to_vec(), [1.0, 0.5, 0.25, 8.125]);
    /// let gradients = h.sum_all().backward();
    /// assert_eq!(gradients.wrt(b).unwrap().to_vec(), [1.875, 1.75, 1.5, 1.0]);
    /// assert_eq!(gradients.wrt(decay).unwrap().item(), 2.75); // 1 · 1.75 + 0.5 · 1.5 + 0.25 · 1
    ///
    /// let start = tape.scalar(16.0);
    /// let backwards = b.linear_recurrence(0.5, Some(start), 1, true);
    /// assert_eq!(backwards.value().to_vec(), [3.0, 4.0, 8.0, 16.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist, a does not broadcast to b, or `initial` does not to a step of it.
    #[track_caller]
    pub fn linear_recurrence(
        self,
        a: impl Operand<'t, T>,
        initial: Option<Self>,
        axis: isize,
        reverse: bool,
    ) -> Self {
        let (tape, shape) = (self.tape(), self.shape());
        let axis = match rule::axis("linear_recurrence", &shape, axis) {
            Ok(axis) => axis,
            Err(error) => panic!("{error}"),
        };
        let op = LinearRecurrence { course: Course { axis, reverse, lagged: false, conjugate: false } };
        let a = a.on(tape);
        match initial {
            None => tape.apply(op, &[self, a]),
            Some(initial) => tape.apply(op, &[self, a, with_axis(initial, axis, shape.rank())]),
        }
    }
}

impl Examples for LinearRecurrence {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([b: normal [5], a: normal [5]] => b.linear_recurrence(a, None, 0, false)),
            example!([b: normal [4, 3], a: normal [4, 3], h: normal [3]] => b.linear_recurrence(a, Some(h), 0, true)),
            example!([b: normal [2, 4, 3], a: normal [3], h: normal [2, 3]] => b.linear_recurrence(a, Some(h), 1, false)),
            example!([b: normal [2, 4, 5], a: normal [4, 1]] => b.linear_recurrence(a, None, 1, true)),
            example!([b: normal [2, 3, 4], a: normal [], h: normal []] => b.linear_recurrence(a, Some(h), -1, false)),
            example!([b: normal [5, 4], a: normal [1, 4]] => b.t().linear_recurrence(a.t(), None, 1, false)),
        ]
    }
}
