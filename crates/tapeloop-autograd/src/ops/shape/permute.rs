//! y = x with axes in another order;  ∂y/∂x puts them back

use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;
use crate::tensor::views::permute_rule;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Permute {
    order: Dims,
}

impl<T: Element> Op<T> for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(self.order.iter().map(|&axis| inputs[0][axis]).collect())
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].permuted(&self.order)
    }
    fn form(&self) -> Form<T> {
        Form::permute(&self.order)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let mut inverse = Dims::from_elem(0, self.order.len());
        self.order.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
        back.give(0, |g| g.unary(Permute { order: inverse }));
    }
}

impl<T: Element> Var<'_, T> {
    /// Axes in another order: axis k of the result is axis `axes[k]`. A view: nothing is copied.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::<f32>::zeros([2, 3, 4]));
    /// assert_eq!(x.permute(&[2, 0, 1]).shape(), [4, 2, 3]);
    /// ```
    ///
    /// # Panics
    /// Unless `axes` names every axis exactly once.
    #[track_caller]
    pub fn permute(self, axes: &[isize]) -> Self {
        let order = permute_rule(&self.shape(), axes).or_panic();
        self.unary(Permute { order })
    }

    /// As [`permute`](Self::permute), with axes known to be right.
    #[track_caller]
    pub(crate) fn permute_to(self, order: Dims) -> Self {
        self.unary(Permute { order })
    }

    /// Two axes exchanged.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::<f32>::zeros([2, 3, 4]));
    /// assert_eq!(x.swap_axes(0, -1).shape(), [4, 3, 2]);
    /// ```
    ///
    /// # Panics
    /// If an axis does not exist.
    #[track_caller]
    pub fn swap_axes(self, a: isize, b: isize) -> Self {
        let shape = self.shape();
        let axis = |axis| crate::shape::rule::axis("swap_axes", &shape, axis).or_panic();
        let mut order: Dims = (0..shape.rank()).collect();
        order.swap(axis(a), axis(b));
        self.unary(Permute { order })
    }

    /// The matrix transpose: the last two axes exchanged.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0]]));
    /// assert_eq!(x.t().shape(), [2, 1]);
    /// ```
    ///
    /// # Panics
    /// With fewer than two axes.
    #[track_caller]
    pub fn t(self) -> Self {
        self.swap_axes(-2, -1)
    }
}

impl Examples for Permute {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3, 4]] => x.permute(&[2, 0, 1])),
            example!([x: normal [2, 3]] => x.t()),
        ]
    }
}
