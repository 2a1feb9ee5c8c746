//! y[.., place, c] = Σ x[.., patch, k · channels + c] over the patches' places k that lie there: the transpose of `patches`;
//! x̄ is the patches of ȳ

use super::patches::{Patches, count, size, ways};
use crate::element::Element;
use crate::kernels::patches::{self, Axes};
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PatchesAdd(pub(crate) Axes);

impl<T: Element> Op<T> for PatchesAdd {
    fn name(&self) -> &'static str {
        "patches_add"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        let (Self(axes), places) = (self, size(&self.0));
        match inputs[0].split_last_chunk::<2>() {
            Some((lead, &[patches, row])) if patches == count(axes) && places > 0 && row.is_multiple_of(places) => {
                let grid = axes.iter().map(|axis| axis.length);
                Ok(lead.iter().copied().chain(grid).chain([row / places]).collect())
            }
            _ => Err(ShapeError::new("patches_add", inputs, "it needs (.., patches, places of a patch · channels)")),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let dense = run.dense(inputs[0]);
        let channels = out.shape()[out.rank() - 1];
        patches::add(dense.as_slice().unwrap_or_default(), &self.0, channels, out.as_mut_slice(), run.threads);
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(self.clone())
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Patches(self.0.clone())));
    }
}

impl<T: Element> Var<'_, T> {
    /// (.., patches, places of a patch · channels) added up to (.., grid, channels).
    #[track_caller]
    pub(crate) fn patches_add(self, axes: Axes) -> Self {
        self.unary(PatchesAdd(axes))
    }
}

impl Examples for PatchesAdd {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [2, 3, 6]] => x.patches_add(ways()[..1].into())),
            example!([x: normal [12, 9]] => x.patches_add([ways()[2], ways()[3]].as_slice().into())),
        ]
    }
}
