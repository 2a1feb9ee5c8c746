//! What a search over GRU-like cells found.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

/// Which [`Mutant`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mutation {
    /// z sees only the input, and the candidate only tanh of it.
    #[default]
    Mut1,
    /// The GRU, where the paper has x itself in r.
    Mut2,
    /// z sees tanh of the state.
    Mut3,
}

config! {
    /// The three cells that a search over architectures found (Jozefowicz, Zaremba & Sutskever, ICML 2015): MUT1, MUT2, MUT3.
    /// State: h.
    ///
    /// ```text
    /// MUT1: z = σ(x W_z + b_z)
    ///       r = σ(x W_r + h U_r + b_r)
    ///       ĥ = tanh(tanh(x W_h) + (r ∘ h) U_h + b_h)
    /// MUT2: z = σ(x W_z + h U_z + b_z)
    ///       r = σ(x W_r + h U_r + b_r)
    ///       ĥ = tanh(x W_h + (r ∘ h) U_h + b_h)
    /// MUT3: as MUT2, with z = σ(x W_z + tanh(h) U_z + b_z)
    ///
    /// h′ = z ∘ ĥ + (1 − z) ∘ h
    /// ```
    ///
    /// The paper has x in place of x W_h in MUT1 and of x W_r in MUT2, so that features and units must be as many.
    Mutant(MutantCell) {
        /// The width of h.
        units,
        /// Which one. Default MUT1.
        mutation: Mutation = Mutation::Mut1,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Mutant`] builds. The last axis of each weight holds the parts z, r, h, but MUT1 has no U_z.
#[derive(Clone, Debug)]
pub struct MutantCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units), for MUT1 (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// Which one.
    pub mutation: Mutation,
}
module!(MutantCell<T> { kernel, recurrent_kernel, bias } rest { mutation });

impl BuildCell for Mutant {
    type Built<T: Element> = MutantCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MutantCell<T>, Error> {
        let mut fresh = Fresh::new("mutant", input, self.units, rng)?;
        let recurrent = if self.mutation == Mutation::Mut1 { 2 } else { 3 };
        Ok(MutantCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(recurrent, &self.recurrent_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            mutation: self.mutation,
        })
    }
}

impl<T: Element> Cell<T> for MutantCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xz, xr, xh] = x.matmul(&self.kernel).gates();
        let [bz, br, bh] = x.tape().param(&self.bias).gates();
        let recurrent = x.tape().param(&self.recurrent_kernel);
        let (z, r, xh, uh) = match self.mutation {
            Mutation::Mut1 => {
                let [ur, uh] = recurrent.gates();
                (xz, h.matmul(ur), xh.tanh(), uh)
            }
            Mutation::Mut2 => {
                let [uz, ur, uh] = recurrent.gates();
                (xz + h.matmul(uz), h.matmul(ur), xh, uh)
            }
            Mutation::Mut3 => {
                let [uz, ur, uh] = recurrent.gates();
                (xz + h.tanh().matmul(uz), h.matmul(ur), xh, uh)
            }
        };
        let z = (z + bz).sigmoid();
        let r = (xr + r + br).sigmoid();
        let ĥ = (xh + (r * h).matmul(uh) + bh).tanh();
        smallvec![z * ĥ + (1.0 - z) * h]
    }
}
