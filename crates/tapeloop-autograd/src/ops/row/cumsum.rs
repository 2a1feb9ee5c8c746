//! yₖ = x₀ + … + xₖ along the last axis (or xₖ + … from its end);  x̄ is ȳ summed from the other end

use crate::element::Element;
use crate::kernels::rows;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cumsum {
    from_end: bool,
}

impl<T: Element> Op<T> for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let from_end = self.from_end;
        run.rowwise(inputs[0], |x, out| rows::cumsum(x, from_end, out))
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Cumsum { from_end: !self.from_end }));
    }
}

impl<T: Element> Var<'_, T> {
    /// Running sums along an axis.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([1.0f32, 2.0, 3.0]));
    /// let y = x.cumsum(0);
    /// assert_eq!(y.value().to_vec(), [1.0, 3.0, 6.0]);
    /// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [3.0, 2.0, 1.0]);
    /// ```
    ///
    /// # Panics
    /// If the axis does not exist.
    #[track_caller]
    pub fn cumsum(self, axis: isize) -> Self {
        self.along_last(axis, |x| x.unary(Cumsum { from_end: false }))
    }
}

impl Examples for Cumsum {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.cumsum(-1)),
            example!([x: normal [2, 3, 4]] => x.cumsum(1)),
        ]
    }
}
