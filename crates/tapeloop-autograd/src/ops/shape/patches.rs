//! y[.., patch, k · channels + c] = x[.., place k of the patch, c], 0 beyond the grid;  x̄ adds what overlaps

use super::patches_add::PatchesAdd;
use crate::element::Element;
use crate::kernels::patches::{self, Axes, Axis};
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Patches(pub(crate) Axes);

/// The number of patches of a grid.
pub(crate) fn count(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.count).product()
}

/// The number of places of a patch.
pub(crate) fn size(axes: &[Axis]) -> usize {
    axes.iter().map(|axis| axis.size).product()
}

impl<T: Element> Op<T> for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let Self(axes) = self;
        let shape = inputs[0];
        let lead = shape.rank().checked_sub(axes.len() + 1);
        let grid = lead.map(|lead| shape[lead..].iter().zip(axes).all(|(&n, axis)| n == axis.length));
        let (Some(lead), Some(true)) = (lead, grid) else {
            return Err(ShapeError::new("patches", inputs, "it needs (.., grid, channels)"));
        };
        let row = size(axes) * shape[shape.rank() - 1];
        Ok(shape[..lead].iter().copied().chain([count(axes), row]).collect())
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let channels = dense.shape()[dense.rank() - 1];
        patches::gather(dense.as_slice().unwrap_or_default(), &self.0, channels, out.as_mut_slice(), run.threads);
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(self.clone())
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(PatchesAdd(self.0.clone())));
    }
}

impl<T: Element> Var<'_, T> {
    /// (.., grid, channels) as (.., patches, places of a patch · channels).
    #[track_caller]
    pub(crate) fn patches(self, axes: Axes) -> Self {
        self.unary(Patches(axes))
    }
}

/// Patches in all their ways along an axis of 5 places.
pub(super) fn ways() -> [Axis; 4] {
    let axis = |count, size, stride, dilation, before| Axis { length: 5, count, size, stride, dilation, before };
    [axis(3, 3, 1, 1, 0), axis(5, 2, 1, 1, 0), axis(3, 3, 2, 1, 1), axis(4, 3, 1, 2, 2)]
}

impl Examples for Patches {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 5, 3]] => x.patches(ways()[..1].into())),
            example!([x: normal [2, 5, 2]] => x.patches(ways()[1..2].into())),
            example!([x: normal [5, 5, 1]] => x.patches([ways()[2], ways()[3]].as_slice().into())),
        ]
    }
}
