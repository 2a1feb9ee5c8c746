//! hₜ = aₜ hₜ₋₁ + bₜ along an axis, complex;  b̄ₜ = λₜ = h̄ₜ + aₜ₊₁* λₜ₊₁,  āₜ = λₜ hₜ₋₁*,  h̄₀ = a₁* λ₁

use super::linear_recurrence::{fits, shape_rule, with_axis};
use crate::element::Element;
use crate::kernels::elementwise::Strided;
use crate::kernels::recurrence::{self, Course};
use crate::ops::{Example, Examples, Op, Run, example};
use crate::shape::{Dims, Shape, ShapeError, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

/// Of Re b, Im b, Re a, Im a and, where there is one, Re h₀, Im h₀, which have length 1 along the axis. The result has a
/// first axis of length 2: real parts, imaginary parts. To a loop it is opaque: it is one itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ComplexLinearRecurrence {
    course: Course,
}

impl<T: Element> Op<T> for ComplexLinearRecurrence {
    fn name(&self) -> &'static str {
        "complex_linear_recurrence"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let (name, axis) = ("complex_linear_recurrence", self.course.axis);
        let b = rule::broadcast(name, &inputs[..2])?;
        let a = rule::broadcast(name, &inputs[2..4])?;
        let initial = if inputs.len() > 4 { Some(rule::broadcast(name, &inputs[4..])?) } else { None };
        match fits(axis, &b, &a, initial.as_ref()) {
            true => Ok([2].iter().chain(b.iter()).copied().collect()),
            false => Err(ShapeError::new(name, inputs, shape_rule(axis))),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let shape = Shape::from(&run.shape[1..]);
        let strides: [Option<Dims>; 6] = std::array::from_fn(|k| Some(inputs.get(k)?.broadcast_strides(&shape)));
        let view = |k: usize| Some(Strided { data: inputs.get(k)?.storage(), strides: strides[k].as_ref()? });
        let pair = |k: usize| Some([view(k)?, view(k + 1)?]);
        let [Some(b), Some(a), initial] = [0, 2, 4].map(pair) else { unreachable!("the shape rule saw to it") };
        recurrence::linear(self.course, a, b, initial, &shape, out.as_mut_slice(), run.threads);
        out
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let (course, tape) = (self.course, back.tape());
        let parts = |x: Var<'t, T>| [x.select(0, 0), x.select(0, 1)];
        let a = [back.input(2), back.input(3)];
        let (g, h) = (parts(back.cotangent()), parts(back.output()));
        let λ = parts(tape.apply(Self { course: course.adjoint() }, &[g[0], g[1], a[0], a[1]]));
        let initial = (back.input_count() == 6).then(|| [back.input(4), back.input(5)]);
        for (k, λ) in λ.into_iter().enumerate() {
            back.give(k, |_| λ);
        }
        // λ h*
        back.give(2, |_| course.factor_cotangent(a[0], λ, h, initial, |λ, h| λ[0] * h[0] + λ[1] * h[1]));
        back.give(3, |_| match course.conjugate {
            false => course.factor_cotangent(a[1], λ, h, initial, |λ, h| λ[1] * h[0] - λ[0] * h[1]),
            true => course.factor_cotangent(a[1], λ, h, initial, |λ, h| λ[0] * h[1] - λ[1] * h[0]),
        });
        if initial.is_some() {
            let a = a.map(|a| course.first(a, course.own_axis(a, h[0])));
            let λ = λ.map(|λ| course.first(λ, Some(course.axis)));
            // a* λ: only what goes on from an initial state has one, and that is never conjugated.
            back.give(4, |_| a[0] * λ[0] + a[1] * λ[1]);
            back.give(5, |_| a[0] * λ[1] - a[1] * λ[0]);
        }
    }
}

impl<'t, T: Element> Var<'t, T> {
    /// [`Complex::linear_recurrence`](crate::Complex::linear_recurrence) of real and imaginary parts.
    #[track_caller]
    pub(crate) fn complex_linear_recurrence(
        [b, b_im]: [Self; 2],
        [a, a_im]: [Self; 2],
        initial: Option<[Self; 2]>,
        axis: isize,
        reverse: bool,
    ) -> [Self; 2] {
        let name = "complex_linear_recurrence";
        let (tape, shape) = (b.tape(), rule::broadcast(name, &[&b.shape(), &b_im.shape()]));
        let (shape, axis) = match shape.and_then(|shape| rule::axis(name, &shape, axis).map(|axis| (shape, axis))) {
            Ok(found) => found,
            Err(error) => panic!("{error}"),
        };
        let op = ComplexLinearRecurrence { course: Course { axis, reverse, lagged: false, conjugate: false } };
        let h = match initial {
            None => tape.apply(op, &[b, b_im, a, a_im]),
            Some([h, h_im]) => {
                let (h, h_im) = (with_axis(h, axis, shape.rank()), with_axis(h_im, axis, shape.rank()));
                tape.apply(op, &[b, b_im, a, a_im, h, h_im])
            }
        };
        [h.select(0, 0), h.select(0, 1)]
    }
}

impl Examples for ComplexLinearRecurrence {
    fn examples<T: Element>() -> Vec<Example<T>> {
        /// Both parts in one variable.
        #[track_caller]
        fn recurrence<'t, T: Element>(
            b: [Var<'t, T>; 2],
            a: [Var<'t, T>; 2],
            initial: Option<[Var<'t, T>; 2]>,
            axis: isize,
            reverse: bool,
        ) -> Var<'t, T> {
            Var::stack(Var::complex_linear_recurrence(b, a, initial, axis, reverse), 0)
        }
        vec![
            example!([b: normal [2, 4], a: normal [2, 4]] => recurrence([b.select(0, 0), b.select(0, 1)], [a.select(0, 0), a.select(0, 1)], None, 0, false)),
            example!([b: normal [4, 3], c: normal [4, 3], a: normal [2, 3], h: normal [2, 3]] => recurrence([b, c], [a.select(0, 0), a.select(0, 1)], Some([h.select(0, 0), h.select(0, 1)]), 0, false)),
            example!([b: normal [2, 4, 5], a: normal [2, 4, 5], h: normal [2, 5]] => recurrence([b, b * 0.5], [a, a * a], Some([h, -h]), 1, true)),
        ]
    }
}
