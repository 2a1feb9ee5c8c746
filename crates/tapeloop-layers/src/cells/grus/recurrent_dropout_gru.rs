//! The GRU with dropout that loses no memory.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, Noise, State, StateShapes};

config! {
    /// The GRU with recurrent dropout without memory loss (Semeniuta et al. 2016, arXiv:1603.05118): in training, only
    /// what is about to enter the state is dropped. State: h.
    ///
    /// ```text
    /// z = σ(x W_z + h U_z + b_z)
    /// r = σ(x Wᵣ + h Uᵣ + bᵣ)
    /// ĥ = tanh(x W_h + (r ∘ h) U_h + b_h)
    /// h′ = (1 − z) ∘ h + z ∘ m ∘ ĥ,   m = 0 with probability p, else 1 / (1 − p)
    /// ```
    ///
    /// Without training m = 1. (In the paper m is 0 or 1 in training and 1 − p otherwise.) The paper's z lets in, where
    /// [`Gru`](crate::Gru)'s keeps.
    RecurrentDropoutGru(RecurrentDropoutGruCell) {
        /// The width of h.
        units,
        /// The probability with which a unit of the candidate is dropped in training. Default 0.25, one of the paper's.
        rate: f64 = 0.25,
        /// Draws for every step anew; otherwise once for a sequence. Default true.
        per_step: bool = true,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`RecurrentDropoutGru`] builds. The last axis of each weight holds the parts z, r, h.
#[derive(Clone, Debug)]
pub struct RecurrentDropoutGruCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// The probability with which a unit of the candidate is dropped in training.
    pub rate: f64,
    /// Draws for every step anew.
    pub per_step: bool,
}
module!(RecurrentDropoutGruCell<T> { kernel, recurrent_kernel, bias } rest { rate, per_step });

impl BuildCell for RecurrentDropoutGru {
    type Built<T: Element> = RecurrentDropoutGruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RecurrentDropoutGruCell<T>, Error> {
        let mut fresh = Fresh::new("recurrent_dropout_gru", input, self.units, rng)?;
        fresh.share("rate", self.rate)?;
        Ok(RecurrentDropoutGruCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            rate: self.rate,
            per_step: self.per_step,
        })
    }
}

impl<T: Element> Cell<T> for RecurrentDropoutGruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noises(&self) -> [usize; 2] {
        match (self.rate > 0.0, self.per_step) {
            (false, _) => [0, 0],
            (true, false) => [1, 0],
            (true, true) => [0, 1],
        }
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let units = self.recurrent_kernel.value().shape()[0];
        let mut noise = Noise::none();
        match self.noises() {
            [1, _] => noise.held.push(tape.dropout_mask([batch, units], self.rate, rng).value()),
            [_, 1] => noise.each.push(tape.dropout_mask([batch, time, units], self.rate, rng).value()),
            _ => {}
        }
        noise
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let [xz, xr, xh] = (x.matmul(&self.kernel) + &self.bias).gates();
        let [uz, ur, uh] = x.tape().param(&self.recurrent_kernel).gates();
        let z = (xz + h.matmul(uz)).sigmoid();
        let r = (xr + h.matmul(ur)).sigmoid();
        let mut ĥ = (xh + (r * h).matmul(uh)).tanh();
        if let [m] = noise {
            ĥ = *m * ĥ;
        }
        smallvec![(1.0 - z) * h + z * ĥ]
    }
}
