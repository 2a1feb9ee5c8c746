//! The orthogonal network by the Cayley transform.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use super::exp_rnn::{SkewInitializer, modrelu, skew};
use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The scaled Cayley network (scoRNN; Helfrich et al. 2018, arXiv:1707.09520): the recurrent matrix is the Cayley
    /// transform of a skew symmetric one, and so orthogonal whatever its weights are. State: h.
    ///
    /// ```text
    /// A = triu(S) − triu(S)ᵀ
    /// U = (I + A)⁻¹ (I − A) D,   D = diag(−1, …, −1, 1, …, 1)
    /// h′ = modReLU(x W + h U; b),   modReLU(z; b) = sign(z) relu(|z| + b)
    /// ```
    ///
    /// A transform has no eigenvalue −1; D lets the product have some. How many of its entries are −1 is a matter of
    /// search. The transform is computed once for a sequence, by a solve in double precision.
    CayleyRnn(CayleyRnnCell) {
        /// The width of h.
        units,
        /// How many entries of D are −1. Default 0.
        negatives: usize = 0,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of S. Default the paper's.
        skew: SkewInitializer = SkewInitializer::Cayley,
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`CayleyRnn`] builds.
#[derive(Clone, Debug)]
pub struct CayleyRnnCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// S, (units, units), of which the part above the diagonal counts.
    pub recurrent_kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// The diagonal of D, (units).
    pub signs: Tensor<T>,
    /// I, (units, units).
    pub identity: Tensor<T>,
}
module!(CayleyRnnCell<T> { kernel, recurrent_kernel, bias } rest { signs, identity });

impl BuildCell for CayleyRnn {
    type Built<T: Element> = CayleyRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<CayleyRnnCell<T>, Error> {
        let Self { units, negatives, .. } = *self;
        let mut fresh = Fresh::new("cayley_rnn", input, units, rng)?;
        if negatives > units {
            return Err(fresh.wrong(format!("negatives: {negatives} of {units} entries")));
        }
        Ok(CayleyRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: self.skew.weight(&mut fresh)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
            signs: Tensor::from_fn([units], |i| T::from_f64(if i[0] < negatives { -1.0 } else { 1.0 })),
            identity: Tensor::eye(units),
        })
    }
}

impl<T: Element> Cell<T> for CayleyRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let a = skew(x.tape().param(&self.recurrent_kernel));
        let u = (a + &self.identity).solve(-a + &self.identity) * &self.signs;
        smallvec![modrelu(x.matmul(&self.kernel) + h.matmul(u), x.tape().param(&self.bias))]
    }
}
