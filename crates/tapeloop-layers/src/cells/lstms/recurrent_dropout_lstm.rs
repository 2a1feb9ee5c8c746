//! The LSTM with dropout that loses no memory.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, Noise, State, StateShapes};

config! {
    /// The LSTM with recurrent dropout without memory loss (Semeniuta et al. 2016, arXiv:1603.05118): in training, only
    /// what is about to enter the memory is dropped. States: h, c.
    ///
    /// ```text
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// c′ = f ∘ c + i ∘ m ∘ g,   m = 0 with probability p, else 1 / (1 − p)
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// Without training m = 1. (In the paper m is 0 or 1 in training and 1 − p otherwise.) Dropout of the input and of
    /// the state where they meet the weights is [`Lstm`](crate::Lstm)'s.
    ///
    /// ```
    /// use tapeloop_layers::{RecurrentDropoutLstm, Recurrent, Sequential};
    /// let cell = RecurrentDropoutLstm::new(8).rate(0.5).per_step(false);
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(cell)).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    RecurrentDropoutLstm(RecurrentDropoutLstmCell) {
        /// The width of h and c.
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
        /// Puts 1 in the forget gate's part of the bias. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`RecurrentDropoutLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct RecurrentDropoutLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// The probability with which a unit of the candidate is dropped in training.
    pub rate: f64,
    /// Draws for every step anew.
    pub per_step: bool,
}
module!(RecurrentDropoutLstmCell<T> { kernel, recurrent_kernel, bias } rest { rate, per_step });

impl BuildCell for RecurrentDropoutLstm {
    type Built<T: Element> = RecurrentDropoutLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<RecurrentDropoutLstmCell<T>, Error> {
        let mut fresh = Fresh::new("recurrent_dropout_lstm", input, self.units, rng)?;
        fresh.share("rate", self.rate)?;
        Ok(RecurrentDropoutLstmCell {
            kernel: fresh.kernel(4, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
            rate: self.rate,
            per_step: self.per_step,
        })
    }
}

impl<T: Element> Cell<T> for RecurrentDropoutLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
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
        let [h, c] = [state[0], state[1]];
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let mut g = g.tanh();
        if let [m] = noise {
            g = *m * g;
        }
        let c = f.sigmoid() * c + i.sigmoid() * g;
        smallvec![o.sigmoid() * c.tanh(), c]
    }
}
