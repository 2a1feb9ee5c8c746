//! Operations that work element by element.

use crate::element::Element;
pub(crate) use crate::kernels::elementwise::Pointwise;
use crate::kernels::elementwise::{self, Strided};
use crate::ops::Run;
use crate::shape::Dims;
use crate::tensor::Tensor;

impl<T: Element> Run<'_, T> {
    /// `f` of the inputs, broadcast to the result's shape.
    pub(crate) fn pointwise<const N: usize>(&mut self, f: impl Pointwise<N>, inputs: &[&Tensor<T>]) -> Tensor<T> {
        let mut out = self.output();
        // Most operations combine values that lie alike: nothing to find out about strides then.
        if inputs.iter().all(|x| x.shape() == self.shape && x.is_contiguous()) {
            let n = out.size();
            elementwise::dense(f, std::array::from_fn(|k| &inputs[k].storage()[..n]), out.as_mut_slice(), self.threads);
            return out;
        }
        let strides: [Dims; N] = std::array::from_fn(|k| inputs[k].broadcast_strides(self.shape));
        let views = std::array::from_fn(|k| Strided { data: inputs[k].storage(), strides: &strides[k] });
        elementwise::pointwise(f, views, self.shape, out.as_mut_slice(), self.threads);
        out
    }
}

/// The parts of an [`Op`](crate::ops::Op) that all pointwise operations share.
macro_rules! pointwise {
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }
        fn shape(&self, inputs: &[&$crate::shape::Shape]) -> $crate::shape::ShapeResult {
            $crate::shape::rule::broadcast($name, inputs)
        }
        fn forward(
            &self,
            inputs: &[&$crate::tensor::Tensor<T>],
            run: &mut $crate::ops::Run<'_, T>,
        ) -> $crate::tensor::Tensor<T> {
            run.pointwise(*self, inputs)
        }
        fn form(&self) -> $crate::ops::Form<T> {
            $crate::ops::Form::pointwise(*self)
        }
    };
}
pub(crate) use pointwise;
