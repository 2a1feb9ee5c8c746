//! The orthogonal network by the exponential map.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, Nonlinearity, State, StateShapes};

config! {
    /// expRNN (Lezcano-Casado & Martínez-Rubio 2019, arXiv:1901.08428): the recurrent matrix is the exponential of a
    /// skew symmetric one, and so orthogonal whatever its weights are. State: h.
    ///
    /// ```text
    /// A = triu(S) − triu(S)ᵀ
    /// h′ = modReLU(x W + h e^A; b),   modReLU(z; b) = sign(z) relu(|z| + b)
    /// ```
    ///
    /// The exponential is computed once for a sequence, in double precision. The paper trains S ten times slower than
    /// the rest: give `recurrent_kernel` an optimizer's group of its own. Moving the point around which the map is
    /// taken ("dynamic trivializations") is a matter of training, and no part of the cell.
    ExpRnn(ExpRnnCell) {
        /// The width of h.
        units,
        /// Of `kernel`. Default Kaiming normal for relu.
        kernel_initializer: Initializer = Initializer::KaimingNormal {
            a: 0.0,
            mode: crate::Fan::FanIn,
            nonlinearity: Nonlinearity::Relu,
        },
        /// Of S. Default Henaff's.
        skew: SkewInitializer = SkewInitializer::Henaff,
        /// Of `bias`. Default uniform in −0.01..0.01.
        bias_initializer: Initializer = Initializer::Uniform { low: -0.01, high: 0.01 },
    }
}

/// How a skew symmetric matrix starts: zeros, but for the blocks of two rows on the diagonal, which have ±s beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkewInitializer {
    /// s ~ U(−π, π): rotations by any angle (Henaff et al. 2016).
    #[default]
    Henaff,
    /// s = −tan(t / 2), t ~ U(0, π/2) (Helfrich et al. 2018).
    Cayley,
}

impl SkewInitializer {
    /// The matrix, of which only the part above the diagonal counts.
    pub(super) fn weight<T: Element>(self, fresh: &mut Fresh<'_>) -> Result<Param<T>, Error> {
        use std::f64::consts::PI;
        let n = fresh.units;
        let mut weight = fresh.weight::<T>("units", [n, n], &Initializer::Zeros)?;
        let (low, high) = match self {
            Self::Henaff => (-PI, PI),
            Self::Cayley => (0.0, PI / 2.0),
        };
        let angles = fresh.weight::<f64>("units", [n / 2], &Initializer::Uniform { low, high })?.value().to_vec();
        for (block, angle) in angles.into_iter().enumerate() {
            let s = if self == Self::Henaff { angle } else { -(angle / 2.0).tan() };
            weight.value_mut()[2 * block * n + 2 * block + 1] = T::from_f64(s);
        }
        Ok(weight)
    }
}

/// What [`ExpRnn`] builds.
#[derive(Clone, Debug)]
pub struct ExpRnnCell<T: Element = f32> {
    /// W, (input, units).
    pub kernel: Param<T>,
    /// S, (units, units), of which the part above the diagonal counts.
    pub recurrent_kernel: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
}
module!(ExpRnnCell<T> { kernel, recurrent_kernel, bias });

impl BuildCell for ExpRnn {
    type Built<T: Element> = ExpRnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ExpRnnCell<T>, Error> {
        let mut fresh = Fresh::new("exp_rnn", input, self.units, rng)?;
        Ok(ExpRnnCell {
            kernel: fresh.kernel(1, &self.kernel_initializer)?,
            recurrent_kernel: self.skew.weight(&mut fresh)?,
            bias: fresh.bias(1, &self.bias_initializer)?,
        })
    }
}

impl<T: Element> Cell<T> for ExpRnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let u = skew(x.tape().param(&self.recurrent_kernel)).matrix_exp();
        let b = x.tape().param(&self.bias);
        smallvec![modrelu(x.matmul(&self.kernel) + h.matmul(u), b)]
    }
}

/// triu(S) − triu(S)ᵀ
#[track_caller]
pub(super) fn skew<T: Element>(s: Var<'_, T>) -> Var<'_, T> {
    let upper = s.triu(1);
    upper - upper.t()
}

/// sign(z) relu(|z| + b)
#[track_caller]
pub(super) fn modrelu<'t, T: Element>(z: Var<'t, T>, b: Var<'t, T>) -> Var<'t, T> {
    z.sign() * (z.abs() + b).relu()
}
