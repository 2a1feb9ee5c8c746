//! y[.., i] = x[.., i, i + offset] of the last two axes;  x̄ is zero elsewhere

use super::diagonal_place::DiagonalPlace;
use crate::element::Element;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Dims, OrPanic, Shape, ShapeResult, rule};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

/// Where the diagonal of a rows × cols matrix starts, and its length.
pub(crate) fn extent(offset: isize, rows: usize, cols: usize) -> (usize, usize, usize) {
    let (row, col) = ((-offset).max(0) as usize, offset.max(0) as usize);
    (row, col, rows.saturating_sub(row).min(cols.saturating_sub(col)))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Diagonal {
    pub(crate) offset: isize,
}

impl<T: Element> Op<T> for Diagonal {
    fn name(&self) -> &'static str {
        "diagonal"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let (lead, [rows, cols]) = inputs[0].split_last_chunk::<2>().expect("the method asks for two axes");
        let (_, _, n) = extent(self.offset, *rows, *cols);
        Ok(lead.iter().copied().chain([n]).collect())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let x = inputs[0];
        let axis = x.rank() - 2;
        let (row, col, n) = extent(self.offset, x.shape()[axis], x.shape()[axis + 1]);
        let start = if n == 0 { 0 } else { row * x.strides()[axis] + col * x.strides()[axis + 1] };
        let mut strides = Dims::from_slice(&x.strides()[..axis]);
        strides.push(x.strides()[axis] + x.strides()[axis + 1]);
        Tensor { shape: run.shape().clone(), strides, offset: x.offset + start, data: x.data.clone() }
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let shape = back.input(0).shape();
        let (rows, cols) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
        back.give(0, |g| g.unary(DiagonalPlace { offset: self.offset, rows, cols }));
    }
}

impl<T: Element> Var<'_, T> {
    /// The diagonal of two axes, as the last axis; `offset` above (or, negative, below) the main one. A view.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(x.diagonal(0, -2, -1).value().to_vec(), [1.0, 4.0]);
    /// assert_eq!(x.diagonal(1, 0, 1).value().to_vec(), [2.0]);
    /// ```
    ///
    /// # Panics
    /// If the axes do not exist or are the same.
    #[track_caller]
    pub fn diagonal(self, offset: isize, row_axis: isize, col_axis: isize) -> Self {
        let shape = self.shape();
        let axis = |axis| rule::axis("diagonal", &shape, axis).or_panic();
        let (row, col) = (axis(row_axis), axis(col_axis));
        assert!(row != col, "diagonal: axes {row_axis} and {col_axis} of shape {shape} are the same");
        let mut order: Dims = (0..shape.rank()).filter(|&axis| axis != row && axis != col).collect();
        order.extend([row, col]);
        let last = order.windows(2).all(|pair| pair[0] < pair[1]);
        let x = if last { self } else { self.permute_to(order) };
        x.unary(Diagonal { offset })
    }
}

impl Examples for Diagonal {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [3, 4]] => x.diagonal(0, -2, -1)),
            example!([x: normal [3, 2, 4]] => x.diagonal(-1, 2, 0)),
        ]
    }
}
