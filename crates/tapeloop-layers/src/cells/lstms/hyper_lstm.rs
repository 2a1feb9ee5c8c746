//! The HyperLSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::positive;
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The HyperLSTM (Ha et al. 2016, arXiv:1609.09106): a small LSTM looks on and scales what the large one's weights
    /// give, unit by unit and step by step. States: h, c, and ĥ, ĉ of the small one.
    ///
    /// ```text
    /// ĥ′, ĉ′ = LSTM((x, h), (ĥ, ĉ))
    /// for each gate y of i, f, g, o:
    ///     y = d_xy ∘ (x W_y) + d_hy ∘ (h U_y) + b_y + d_by
    ///     d_xy = (ĥ′ Z_xy + z_xy) D_xy,   d_hy = (ĥ′ Z_hy + z_hy) D_hy,   d_by = (ĥ′ Z_by) D_by
    /// c′ = σ(LN f) ∘ c + σ(LN i) ∘ tanh(LN g)
    /// h′ = σ(LN o) ∘ tanh(LN c′)
    /// ```
    ///
    /// LN is layer normalization, for every gate with a gain and a shift of its own; the small LSTM has it, too. That
    /// the scales are made of the new ĥ, and where the normalizations are, is as in the authors' code. Fresh weights
    /// are those of the authors' code: Z_x, Z_h = 0, z = 1, D_x, D_h = 0.1 / `embedding`, D_b = 0, a deviation of 0.01
    /// in Z_b, so that a new cell is an LSTM whose products are scaled by 0.1.
    HyperLstm(HyperLstmCell) {
        /// The width of h and c.
        units,
        /// The width of ĥ and ĉ. Default 128.
        hyper_units: usize = 128,
        /// The number of features between ĥ and a scale. Default 16.
        embedding: usize = 16,
        /// Whether there is layer normalization. Default true.
        layer_norm: bool = true,
        /// The ε of the normalizations. Default 1e-3.
        epsilon: f64 = 1e-3,
        /// Of `kernel` and `hyper_kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel` and `hyper_recurrent_kernel`. Default orthogonal for each gate.
        recurrent_initializer: Initializer = Initializer::orthogonal_per_gate(4),
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Puts 1 in the forget gates' parts of what is added last. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`HyperLstm`] builds. The last axis of each weight that is for all gates holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct HyperLstmCell<T: Element = f32> {
    /// W, (input, 4·units).
    pub kernel: Param<T>,
    /// U, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// b, (4·units).
    pub bias: Param<T>,
    /// Input weights of the small LSTM, (input + units, 4·hyper_units).
    pub hyper_kernel: Param<T>,
    /// Recurrent weights of the small LSTM, (hyper_units, 4·hyper_units).
    pub hyper_recurrent_kernel: Param<T>,
    /// Bias of the small LSTM, (4·hyper_units).
    pub hyper_bias: Param<T>,
    /// Z_x of each gate, then Z_h, (hyper_units, 8·embedding).
    pub scale_kernel: Param<T>,
    /// z_x of each gate, then z_h, (8·embedding).
    pub scale_bias: Param<T>,
    /// D_x of each gate, then D_h, (embedding, 8·units).
    pub scale: Param<T>,
    /// Z_b, (hyper_units, 4·embedding).
    pub shift_kernel: Param<T>,
    /// D_b, (embedding, 4·units).
    pub shift: Param<T>,
    /// The layer normalizations.
    pub norms: Option<GateNorms<T>>,
    /// Those of the small LSTM.
    pub hyper_norms: Option<GateNorms<T>>,
    /// ε.
    pub epsilon: f64,
}
module!(HyperLstmCell<T> {
    kernel, recurrent_kernel, bias, hyper_kernel, hyper_recurrent_kernel, hyper_bias, scale_kernel, scale_bias, scale,
    shift_kernel, shift, norms, hyper_norms
} rest { epsilon });

/// Gains and shifts of an LSTM's layer normalizations.
#[derive(Clone, Debug)]
pub struct GateNorms<T: Element = f32> {
    /// The gains of the gates, (4·units).
    pub gamma: Param<T>,
    /// The shifts of the gates, (4·units).
    pub beta: Param<T>,
    /// The gain of c, (units).
    pub cell_gamma: Param<T>,
    /// The shift of c, (units).
    pub cell_beta: Param<T>,
}
module!(GateNorms<T> { gamma, beta, cell_gamma, cell_beta });

impl BuildCell for HyperLstm {
    type Built<T: Element> = HyperLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<HyperLstmCell<T>, Error> {
        let mut fresh = Fresh::new("hyper_lstm", input, self.units, rng)?;
        let (units, hyper, embedding) = (self.units, self.hyper_units, self.embedding);
        positive("hyper_lstm", "hyper_units", hyper)?;
        positive("hyper_lstm", "embedding", embedding)?;
        fresh.at_least_0("epsilon", self.epsilon)?;
        let times = usize::saturating_mul;
        let seen = fresh.input.saturating_add(units);
        let ones = (self.unit_forget_bias && !self.layer_norm).then_some(1);
        let small = Initializer::Normal { mean: 0.0, std: 0.01 };
        let even = Initializer::Constant { value: 0.1 / embedding as f64 };
        let kernel = fresh.kernel(4, &self.kernel_initializer)?;
        let recurrent_kernel = fresh.recurrent_kernel(4, &self.recurrent_initializer)?;
        let bias = fresh.bias_with_ones(4, &self.bias_initializer, ones)?;
        let scale_kernel = fresh.weight("embedding", [hyper, times(embedding, 8)], &Initializer::Zeros)?;
        let scale_bias = fresh.weight("embedding", [times(embedding, 8)], &Initializer::Ones)?;
        let scale = fresh.weight("embedding", [embedding, times(units, 8)], &even)?;
        let shift_kernel = fresh.weight("embedding", [hyper, times(embedding, 4)], &small)?;
        let shift = fresh.weight("embedding", [embedding, times(units, 4)], &Initializer::Zeros)?;
        let norms = self.norms(&mut fresh)?;
        fresh.units = hyper;
        Ok(HyperLstmCell {
            kernel,
            recurrent_kernel,
            bias,
            hyper_kernel: fresh.weight("kernel_initializer", [seen, times(hyper, 4)], &self.kernel_initializer)?,
            hyper_recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            hyper_bias: fresh.bias_with_ones(4, &self.bias_initializer, ones)?,
            scale_kernel,
            scale_bias,
            scale,
            shift_kernel,
            shift,
            norms,
            hyper_norms: self.norms(&mut fresh)?,
            epsilon: self.epsilon,
        })
    }
}

impl HyperLstm {
    fn norms<T: Element>(&self, fresh: &mut Fresh<'_>) -> Result<Option<GateNorms<T>>, Error> {
        if !self.layer_norm {
            return Ok(None);
        }
        let units = fresh.units;
        Ok(Some(GateNorms {
            gamma: fresh.bias(4, &Initializer::Ones)?,
            beta: fresh.bias_with_ones(4, &Initializer::Zeros, self.unit_forget_bias.then_some(1))?,
            cell_gamma: fresh.weight("cell_gamma", [units], &Initializer::Ones)?,
            cell_beta: fresh.weight("cell_beta", [units], &Initializer::Zeros)?,
        }))
    }
}

/// What an LSTM makes of the sums of its gates.
fn remember<'t, T: Element>(
    sums: [Var<'t, T>; 4],
    c: Var<'t, T>,
    norms: Option<&GateNorms<T>>,
    ε: f64,
) -> (Var<'t, T>, Var<'t, T>) {
    let mut sums = sums;
    if let Some(norms) = norms {
        let [γ, β] = [&norms.gamma, &norms.beta].map(|weight| c.tape().param(weight).gates::<4>());
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum = sum.standardize(&[-1], ε) * γ[k] + β[k];
        }
    }
    let [i, f, g, o] = sums;
    let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
    let seen = match norms {
        Some(norms) => c.standardize(&[-1], ε) * &norms.cell_gamma + &norms.cell_beta,
        None => c,
    };
    (o.sigmoid() * seen.tanh(), c)
}

impl<T: Element> Cell<T> for HyperLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        let [large, small] = [rows(&self.recurrent_kernel), rows(&self.hyper_recurrent_kernel)];
        smallvec![large.clone(), large, small.clone(), small]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c, ĥ, ĉ] = [state[0], state[1], state[2], state[3]];
        let tape = x.tape();
        let both = Var::concat([x, h], -1);
        let sums = both.matmul(&self.hyper_kernel) + ĥ.matmul(&self.hyper_recurrent_kernel) + &self.hyper_bias;
        let (ĥ, ĉ) = remember(sums.gates(), ĉ, self.hyper_norms.as_ref(), self.epsilon);

        let z = (ĥ.matmul(&self.scale_kernel) + &self.scale_bias).gates::<8>();
        let zb = ĥ.matmul(&self.shift_kernel).gates::<4>();
        let (d, db) = (tape.param(&self.scale).gates::<8>(), tape.param(&self.shift).gates::<4>());
        let (xw, hu) = (x.matmul(&self.kernel).gates::<4>(), h.matmul(&self.recurrent_kernel).gates::<4>());
        let b = tape.param(&self.bias).gates::<4>();
        let mut sums = xw;
        for k in 0..4 {
            let (dx, dh) = (z[k].matmul(d[k]), z[4 + k].matmul(d[4 + k]));
            sums[k] = dx * xw[k] + dh * hu[k] + b[k] + zb[k].matmul(db[k]);
        }
        let (h, c) = remember(sums, c, self.norms.as_ref(), self.epsilon);
        smallvec![h, c, ĥ, ĉ]
    }
}
