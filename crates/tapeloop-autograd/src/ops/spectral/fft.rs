//! yₖ = Σ xⱼ e^(−2πi jk/n), complex numbers as pairs on the last axis;  x̄ is the transform of ȳ with e^(+…)

use crate::element::Element;
use crate::kernels::fft::Plan;
use crate::ops::{Example, Examples, Form, Op, Run, example};
use crate::shape::{Shape, ShapeError, ShapeResult};
use crate::tape::{Backward, Var};
use crate::tensor::Tensor;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fft {
    inverse: bool,
}

impl<T: Element> Op<T> for Fft {
    fn name(&self) -> &'static str {
        "fft"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        match inputs[0].dims() {
            [.., _, 2] => Ok(inputs[0].clone()),
            _ => Err(ShapeError::new("fft", inputs, "it needs [.., n, 2], complex numbers as pairs")),
        }
    }
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T> {
        let mut out = run.output();
        let n = out.shape()[out.rank() - 2];
        if out.size() == 0 {
            return out;
        }
        let plan = Plan::new(n, self.inverse);
        let dense = run.dense(inputs[0]);
        let x = dense.as_slice().unwrap_or_default();
        run.threads.for_chunks(out.as_mut_slice(), 2 * n, |row, out| {
            let pairs = x[row * 2 * n..(row + 1) * 2 * n].chunks_exact(2);
            let mut line: Vec<[f64; 2]> = pairs.map(|pair| [pair[0].to_f64(), pair[1].to_f64()]).collect();
            plan.run(&mut line);
            for (out, y) in out.iter_mut().zip(line.as_flattened()) {
                *out = T::from_f64(*y);
            }
        });
        run.free_dense(dense);
        out
    }
    fn form(&self) -> Form<T> {
        Form::along(*self)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        back.give(0, |g| g.unary(Self { inverse: !self.inverse }));
    }
}

impl<T: Element> Var<'_, T> {
    /// The discrete Fourier transform of complex numbers that lie as pairs (re, im) on the last axis, along the axis
    /// before it: with e^(−2πi jk/n), or e^(+2πi jk/n) if `inverse`; never divided by n. Computed in double precision.
    /// [`Complex`](crate::Complex) has the usual transforms.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 0.0], [2.0, 0.0]]));
    /// assert_eq!(x.fft_pairs(false).value().to_vec(), [3.0, 0.0, -1.0, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the last axis has not length 2, or is the only one.
    #[track_caller]
    pub fn fft_pairs(self, inverse: bool) -> Self {
        self.unary(Fft { inverse })
    }
}

impl Examples for Fft {
    fn examples<T: Element>() -> Vec<Example<T>> {
        vec![
            example!([x: normal [8, 2]] => x.fft_pairs(false)),
            example!([x: normal [3, 5, 2]] => x.fft_pairs(true)),
            example!([x: normal [1, 2]] => x.fft_pairs(false)),
        ]
    }
}
