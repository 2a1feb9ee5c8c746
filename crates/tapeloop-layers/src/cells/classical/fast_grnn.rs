//! The gated network with shared weights.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::positive;
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// FastGRNN (Kusupati et al. 2018, arXiv:1901.02358): a gate and a candidate made of the same product, apart only
    /// by their biases. Few weights, and fewer with low rank: for small machines. State: h.
    ///
    /// ```text
    /// p = x W + h U
    /// z = σ(p + b_z)
    /// c = tanh(p + b_h)
    /// h′ = z ∘ h + (σ(ζ) (1 − z) + σ(ν)) ∘ c
    /// ```
    ///
    /// W may be a product of (input, rank) and (rank, units), and U likewise. The paper goes on to make weights sparse
    /// and to round them to 8 bits, which are matters of training.
    ///
    /// ```
    /// use tapeloop_autograd::{Module, Rng};
    /// use tapeloop_layers::FastGrnn;
    /// let cell = FastGrnn::new(16).input_rank(Some(2)).recurrent_rank(Some(4)).cell::<f32>(3, &mut Rng::new(0));
    /// assert_eq!(cell.param_count(), 2 * (3 + 16) + 4 * (16 + 16) + 2 * 16 + 2);
    /// ```
    FastGrnn(FastGrnnCell) {
        /// The width of h.
        units,
        /// The rank of W. Default none: full.
        input_rank: Option<usize> = None,
        /// The rank of U. Default none: full.
        recurrent_rank: Option<usize> = None,
        /// Where ζ starts. Default 1.
        zeta: f64 = 1.0,
        /// Where ν starts. Default −4.
        nu: f64 = -4.0,
        /// Of W, or its factors. Default normal with deviation 0.1.
        kernel_initializer: Initializer = Initializer::Normal { mean: 0.0, std: 0.1 },
        /// Of U, or its factors. Default normal with deviation 0.1.
        recurrent_initializer: Initializer = Initializer::Normal { mean: 0.0, std: 0.1 },
        /// Of `bias`. Default ones.
        bias_initializer: Initializer = Initializer::Ones,
    }
}

/// What [`FastGrnn`] builds.
#[derive(Clone, Debug)]
pub struct FastGrnnCell<T: Element = f32> {
    /// W, (input, units), or its first factor, (input, rank).
    pub kernel: Param<T>,
    /// The second factor of W, (rank, units).
    pub kernel_factor: Option<Param<T>>,
    /// U, (units, units), or its first factor, (units, rank).
    pub recurrent_kernel: Param<T>,
    /// The second factor of U, (rank, units).
    pub recurrent_factor: Option<Param<T>>,
    /// Bias, (2·units): of z, of the candidate.
    pub bias: Param<T>,
    /// ζ, (1).
    pub zeta: Param<T>,
    /// ν, (1).
    pub nu: Param<T>,
}
module!(FastGrnnCell<T> { kernel, kernel_factor, recurrent_kernel, recurrent_factor, bias, zeta, nu });

impl BuildCell for FastGrnn {
    type Built<T: Element> = FastGrnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<FastGrnnCell<T>, Error> {
        let (name, units) = ("fast_grnn", self.units);
        let mut fresh = Fresh::new(name, input, units, rng)?;
        let input = fresh.input;
        let mut factors = |setting, rank_setting, rows, rank: Option<usize>, from| {
            let Some(rank) = rank else { return Ok((fresh.weight(setting, [rows, units], from)?, None)) };
            positive(name, rank_setting, rank)?;
            let first = fresh.weight(setting, [rows, rank], from)?;
            Ok::<_, Error>((first, Some(fresh.weight(setting, [rank, units], from)?)))
        };
        let (kernel, kernel_factor) =
            factors("kernel_initializer", "input_rank", input, self.input_rank, &self.kernel_initializer)?;
        let recurrent = &self.recurrent_initializer;
        let (recurrent_kernel, recurrent_factor) =
            factors("recurrent_initializer", "recurrent_rank", units, self.recurrent_rank, recurrent)?;
        Ok(FastGrnnCell {
            kernel,
            kernel_factor,
            recurrent_kernel,
            recurrent_factor,
            bias: fresh.bias(2, &self.bias_initializer)?,
            zeta: fresh.weight("zeta", [1], &Initializer::Constant { value: self.zeta })?,
            nu: fresh.weight("nu", [1], &Initializer::Constant { value: self.nu })?,
        })
    }
}

impl<T: Element> Cell<T> for FastGrnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let parameter = |param| x.tape().param(param);
        let (ζ, ν) = (parameter(&self.zeta).sigmoid(), parameter(&self.nu).sigmoid());
        let [b_z, b_h] = parameter(&self.bias).gates();
        let p = factored(x, &self.kernel, &self.kernel_factor)
            + factored(h, &self.recurrent_kernel, &self.recurrent_factor);
        let (z, c) = ((p + b_z).sigmoid(), (p + b_h).tanh());
        smallvec![z * h + (ζ * (1.0 - z) + ν) * c]
    }
}

#[track_caller]
fn factored<'t, T: Element>(x: Var<'t, T>, first: &Param<T>, second: &Option<Param<T>>) -> Var<'t, T> {
    match second {
        Some(second) => x.matmul(first).matmul(second),
        None => x.matmul(first),
    }
}
