//! The GRU for values that may be missing.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, columns, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The GRU-D (Che et al. 2018, arXiv:1606.01865), a GRU for series with missing values: what was last seen fades towards
    /// a mean, and the state fades, the longer nothing is seen. A step's input is the values x, a mask m (1 where a value is
    /// there, else 0) and the times δ since each was last seen, side by side: 3·features wide. States: h, and the last values
    /// seen, x₋.
    ///
    /// ```text
    /// γ_x = exp(−max(0, w_γ ∘ δ + a_γ))
    /// γ_h = exp(−max(0, δ W_γ + b_γ))
    /// x̂ = m ∘ x + (1 − m) ∘ (γ_x ∘ x₋ + (1 − γ_x) ∘ x̄)
    /// ĥ₋ = γ_h ∘ h
    /// z = σ(x̂ W_z + ĥ₋ U_z + m V_z + b_z)
    /// r = σ(x̂ W_r + ĥ₋ U_r + m V_r + b_r)
    /// h̃ = tanh(x̂ W_h + (r ∘ ĥ₋) U_h + m V_h + b_h)
    /// h′ = (1 − z) ∘ ĥ₋ + z ∘ h̃
    /// x₋′ = m ∘ x + (1 − m) ∘ x₋
    /// ```
    ///
    /// Where m is 0, x counts for nothing but must be a number. The paper names no first values for the decays: they start
    /// small and positive, as one below 0 would have no gradient.
    GruD(GruDCell) {
        /// The width of h.
        units,
        /// x̄, of every value: the training data's. Default none: zeros.
        mean: Vec<f64> = Vec::new(),
        /// Of `kernel` and `mask_kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal, each part by itself.
        recurrent_initializer: Initializer = Initializer::orthogonal_per_gate(3),
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Of `input_decay` and `state_decay`. Default uniform in 0..0.1.
        decay_initializer: Initializer = Initializer::Uniform { low: 0.0, high: 0.1 },
    }
}

/// What [`GruD`] builds. The last axis of `kernel`, `recurrent_kernel`, `mask_kernel` and `bias` holds the parts z, r, h.
#[derive(Clone, Debug)]
pub struct GruDCell<T: Element = f32> {
    /// W, (features, 3·units).
    pub kernel: Param<T>,
    /// U, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// V, (features, 3·units).
    pub mask_kernel: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// w_γ, (features).
    pub input_decay: Param<T>,
    /// a_γ, (features).
    pub input_decay_bias: Param<T>,
    /// W_γ, (features, units).
    pub state_decay: Param<T>,
    /// b_γ, (units).
    pub state_decay_bias: Param<T>,
    /// x̄, (features): not trained.
    pub mean: Param<T>,
}
module!(GruDCell<T> {
    kernel, recurrent_kernel, mask_kernel, bias, input_decay, input_decay_bias, state_decay, state_decay_bias, mean
});

impl BuildCell for GruD {
    type Built<T: Element> = GruDCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<GruDCell<T>, Error> {
        let mut fresh = Fresh::new("gru_d", input, self.units, rng)?;
        if !fresh.input.is_multiple_of(3) {
            let problem = format!("{} features are not values, a mask and times side by side", fresh.input);
            return Err(fresh.wrong(problem));
        }
        fresh.input /= 3;
        let (features, units) = (fresh.input, self.units);
        if !self.mean.is_empty() && self.mean.len() != features {
            return Err(fresh.wrong(format!("mean: {} numbers for {features} values", self.mean.len())));
        }
        let mean = |k: &[usize]| T::from_f64(self.mean.get(k[0]).copied().unwrap_or(0.0));
        let decay = ("decay_initializer", &self.decay_initializer);
        let mut cell = GruDCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(3, &self.recurrent_initializer)?,
            mask_kernel: fresh.kernel(3, &self.kernel_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            input_decay: fresh.weight(decay.0, [features], decay.1)?,
            input_decay_bias: fresh.weight("units", [features], &Initializer::Zeros)?,
            state_decay: fresh.weight(decay.0, [features, units], decay.1)?,
            state_decay_bias: fresh.bias(1, &Initializer::Zeros)?,
            mean: Param::new(Tensor::from_fn([features], mean)),
        };
        cell.mean.set_trainable(false);
        Ok(cell)
    }
}

impl<T: Element> Cell<T> for GruDCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([3 * self.mean.value().size()])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel), columns(&self.mean, 1)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, seen) = (state[0], state[1]);
        let tape = x.tape();
        let [x, m, δ] = x.gates();
        let γx = (-(δ * &self.input_decay + &self.input_decay_bias).relu()).exp();
        let γh = (-(δ.matmul(&self.state_decay) + &self.state_decay_bias).relu()).exp();
        let faded = γx * seen + (1.0 - γx) * &self.mean;
        let x̂ = m * x + (1.0 - m) * faded;
        let h = γh * h;
        let [xz, xr, xh] = (x̂.matmul(&self.kernel) + m.matmul(&self.mask_kernel) + &self.bias).gates();
        let [uz, ur, uh] = tape.param(&self.recurrent_kernel).gates();
        let z = (xz + h.matmul(uz)).sigmoid();
        let r = (xr + h.matmul(ur)).sigmoid();
        let new = (xh + (r * h).matmul(uh)).tanh();
        smallvec![(1.0 - z) * h + z * new, m * x + (1.0 - m) * seen]
    }
}
