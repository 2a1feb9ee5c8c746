//! The Mogrifier LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The Mogrifier LSTM (Melis et al. 2020, arXiv:1909.01792): input and state modulate each other for some rounds
    /// before the LSTM sees them. States: h, c.
    ///
    /// ```text
    /// for r in 1..=rounds:
    ///     x ← 2σ(h Qᵣ) ∘ x    if r is odd
    ///     h ← 2σ(x Rᵣ) ∘ h    if r is even
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// c′ = f ∘ c + i ∘ g
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// With `rank` k every Qᵣ and Rᵣ is a product of two matrices, through k features. Without rounds it is an LSTM.
    ///
    /// ```
    /// use tapeloop_layers::{MogrifierLstm, Recurrent, Sequential};
    /// let cell = MogrifierLstm::new(8).rounds(4).rank(Some(2));
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(cell)).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    MogrifierLstm(MogrifierLstmCell) {
        /// The width of h and c.
        units,
        /// How often one modulates the other: at most 64. Default 5, as in the paper.
        rounds: usize = 5,
        /// The rank of each round's matrix. Default none: full matrices.
        rank: Option<usize> = None,
        /// Of the rounds' matrices. Default Glorot uniform.
        round_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Puts 1 in the forget gate's part of the bias. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`MogrifierLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct MogrifierLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// Q₁ (units, input), R₂ (input, units), Q₃ and so on: one matrix each, or two whose product it is.
    pub rounds: Vec<Vec<Param<T>>>,
}
module!(MogrifierLstmCell<T> { kernel, recurrent_kernel, bias, rounds });

impl BuildCell for MogrifierLstm {
    type Built<T: Element> = MogrifierLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MogrifierLstmCell<T>, Error> {
        let mut fresh = Fresh::new("mogrifier_lstm", input, self.units, rng)?;
        fresh.at_most("rounds", self.rounds, 64)?;
        let mut rounds = Vec::new();
        for r in 0..self.rounds {
            let (from, to) = if r % 2 == 0 { (fresh.units, fresh.input) } else { (fresh.input, fresh.units) };
            let shapes = match self.rank {
                None => vec![[from, to]],
                Some(0) => return Err(fresh.wrong("rank must be at least 1")),
                Some(rank) => vec![[from, rank], [rank, to]],
            };
            let mut matrices = Vec::new();
            for shape in shapes {
                matrices.push(fresh.weight("round_initializer", shape, &self.round_initializer)?);
            }
            rounds.push(matrices);
        }
        Ok(MogrifierLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
            rounds,
        })
    }
}

impl<T: Element> Cell<T> for MogrifierLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (mut x, mut h, c) = (x, state[0], state[1]);
        for (r, matrices) in self.rounds.iter().enumerate() {
            let (from, to) = if r % 2 == 0 { (h, &mut x) } else { (x, &mut h) };
            let mut gate = from;
            for matrix in matrices {
                gate = gate.matmul(matrix);
            }
            *to = 2.0 * gate.sigmoid() * *to;
        }
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c = f.sigmoid() * c + i.sigmoid() * g.tanh();
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
