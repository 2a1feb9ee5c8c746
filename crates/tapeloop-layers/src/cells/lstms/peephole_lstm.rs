//! The LSTM whose gates see its memory.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, clipped, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The LSTM with peepholes (Gers & Schmidhuber 2000): the gates see c, the output gate the new one. With the
    /// options that ONNX and TensorFlow have. States: h, c.
    ///
    /// ```text
    /// i = σ(x Wᵢ + h Uᵢ + pᵢ ∘ c + bᵢ)
    /// f = σ(x W_f + h U_f + p_f ∘ c + b_f)
    /// g = tanh(x W_g + h U_g + b_g)
    /// c′ = f ∘ c + i ∘ g
    /// o = σ(x Wₒ + h Uₒ + pₒ ∘ c′ + bₒ)
    /// h′ = o ∘ tanh(c′)
    /// ```
    ///
    /// * `input_forget`: f = 1 − i, and there are no weights for f.
    /// * `cell_clip`: c′ is kept within ± that, before anything reads it, and is carried so.
    /// * `clip`: what goes into σ and tanh is kept within ± that, also c′ on its way to the output; c′ itself is carried as
    ///   it is.
    ///
    /// ```
    /// use tapeloop_layers::{PeepholeLstm, Recurrent, Sequential};
    /// let cell = PeepholeLstm::new(8).cell_clip(Some(3.0));
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(cell)).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    PeepholeLstm(PeepholeLstmCell) {
        /// The width of h and c.
        units,
        /// Whether the forget gate is what the input gate leaves. Default false.
        input_forget: bool = false,
        /// The bound of c. Default none.
        cell_clip: Option<f64> = None,
        /// The bound of what goes into an activation. Default none.
        clip: Option<f64> = None,
        /// Of each gate's part of `peephole`. Default Glorot uniform.
        peephole_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
        /// Puts 1 in the forget gate's part of the bias, if it has one. Default true.
        unit_forget_bias: bool = true,
    }
}

/// What [`PeepholeLstm`] builds. The last axis of each weight holds the parts i, f, g, o; without f
/// if `input_forget`, and then 3·units are all.
#[derive(Clone, Debug)]
pub struct PeepholeLstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// What i, f and o see of c, (3·units); without f (2·units).
    pub peephole: Param<T>,
    /// Whether the forget gate is what the input gate leaves.
    pub input_forget: bool,
    /// The bound of c.
    pub cell_clip: Option<f64>,
    /// The bound of what goes into an activation.
    pub clip: Option<f64>,
}
module!(PeepholeLstmCell<T> { kernel, recurrent_kernel, bias, peephole } rest { input_forget, cell_clip, clip });

impl BuildCell for PeepholeLstm {
    type Built<T: Element> = PeepholeLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<PeepholeLstmCell<T>, Error> {
        let mut fresh = Fresh::new("peephole_lstm", input, self.units, rng)?;
        fresh.bound("cell_clip", self.cell_clip)?;
        fresh.bound("clip", self.clip)?;
        let gates = if self.input_forget { 3 } else { 4 };
        let ones = (self.unit_forget_bias && !self.input_forget).then_some(1);
        let width = self.units.saturating_mul(gates - 1);
        let peephole =
            Initializer::PerGate { gates: gates - 1, initializer: Box::new(self.peephole_initializer.clone()) };
        Ok(PeepholeLstmCell {
            kernel: fresh.kernel(gates, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(gates, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(gates, &self.bias_initializer, ones)?,
            peephole: fresh.weight("peephole_initializer", [width], &peephole)?,
            input_forget: self.input_forget,
            cell_clip: self.cell_clip,
            clip: self.clip,
        })
    }
}

impl<T: Element> Cell<T> for PeepholeLstmCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias;
        let p = x.tape().param(&self.peephole);
        let (i, f, g, o, p_o);
        if self.input_forget {
            let ([zi, zg, zo], [pi, po]) = (z.gates(), p.gates());
            i = clipped(zi + pi * c, self.clip).sigmoid();
            f = 1.0 - i;
            (g, o, p_o) = (zg, zo, po);
        } else {
            let ([zi, zf, zg, zo], [pi, pf, po]) = (z.gates(), p.gates());
            i = clipped(zi + pi * c, self.clip).sigmoid();
            f = clipped(zf + pf * c, self.clip).sigmoid();
            (g, o, p_o) = (zg, zo, po);
        }
        let c = clipped(f * c + i * clipped(g, self.clip).tanh(), self.cell_clip);
        let o = clipped(o + p_o * c, self.clip).sigmoid();
        smallvec![o * clipped(c, self.clip).tanh(), c]
    }
}
