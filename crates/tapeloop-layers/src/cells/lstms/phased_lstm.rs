//! The phased LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The phased LSTM (Neil et al. 2016, arXiv:1610.09513): every unit has a clock, and changes only while that is
    /// open. The last feature of the input is the time of the step, t, in any unit; the others are x. States: h, c.
    ///
    /// ```text
    /// i, f, o = σ(x W + h U + b), each with its own weights
    /// g = tanh(x W_g + h U_g + b_g)
    /// c̃ = f ∘ c + i ∘ g
    /// h̃ = o ∘ tanh(c̃)
    /// φ = ((t − s) mod τ) / τ
    /// k = 2φ/r if φ < r/2,   2 − 2φ/r if φ < r,   αφ otherwise
    /// c′ = k ∘ c̃ + (1 − k) ∘ c
    /// h′ = k ∘ h̃ + (1 − k) ∘ h
    /// ```
    ///
    /// The periods τ, the shifts s and the open ratios r are learned. The paper has a leak α in training alone; here it
    /// is what it is, and a cell's `leak` may be set to 0 afterwards. Its peepholes, which it calls optional, are left
    /// out.
    ///
    /// ```
    /// use tapeloop_layers::{PhasedLstm, Recurrent, Sequential};
    /// // Two features and the time.
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(PhasedLstm::new(8))).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    PhasedLstm(PhasedLstmCell) {
        /// The width of h and c.
        units,
        /// The shortest and the longest period; what a fresh one is drawn from, its logarithm uniformly. Default 1 to
        /// 1000.
        periods: [f64; 2] = [1.0, 1000.0],
        /// The part of its period a fresh unit is open for. Default 0.05.
        open_ratio: f64 = 0.05,
        /// How much of it a unit is open the rest of the time: α. Default 0.001.
        leak: f64 = 0.001,
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

/// What [`PhasedLstm`] builds. The last axis of each weight holds the parts i, f, g, o.
#[derive(Clone, Debug)]
pub struct PhasedLstmCell<T: Element = f32> {
    /// Input weights, (input − 1, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units).
    pub bias: Param<T>,
    /// τ, (units).
    pub period: Param<T>,
    /// s, (units). A fresh one is uniform in 0..τ.
    pub shift: Param<T>,
    /// r, (units).
    pub open_ratio: Param<T>,
    /// α.
    pub leak: f64,
}
module!(PhasedLstmCell<T> { kernel, recurrent_kernel, bias, period, shift, open_ratio } rest { leak });

impl BuildCell for PhasedLstm {
    type Built<T: Element> = PhasedLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<PhasedLstmCell<T>, Error> {
        let mut fresh = Fresh::new("phased_lstm", input, self.units, rng)?;
        let (units, [shortest, longest]) = (self.units, self.periods);
        if !(0.0 < shortest && shortest <= longest && longest.is_finite()) {
            return Err(fresh.wrong(format!("periods: from {shortest} to {longest} is no range of periods")));
        }
        if !(0.0 < self.open_ratio && self.open_ratio <= 1.0) {
            return Err(fresh.wrong(format!("open_ratio: {} is not above 0 and at most 1", self.open_ratio)));
        }
        fresh.at_least_0("leak", self.leak)?;
        if fresh.input < 2 {
            return Err(fresh.wrong("the input is at least one feature, and the time of the step as the last one"));
        }
        fresh.input -= 1;
        let kernel = fresh.kernel(4, &self.kernel_initializer)?;
        let logarithm = Initializer::Uniform { low: shortest.ln(), high: longest.ln() };
        let mut period: Param<T> = fresh.weight("periods", [units], &logarithm)?;
        period.value_mut().iter_mut().for_each(|τ| *τ = τ.exp());
        let mut shift: Param<T> = fresh.weight("periods", [units], &Initializer::Uniform { low: 0.0, high: 1.0 })?;
        shift.value_mut().iter_mut().zip(period.value().to_vec()).for_each(|(s, τ)| *s *= τ);
        Ok(PhasedLstmCell {
            kernel,
            recurrent_kernel: fresh.recurrent_kernel(4, &self.recurrent_initializer)?,
            bias: fresh.bias_with_ones(4, &self.bias_initializer, self.unit_forget_bias.then_some(1))?,
            period,
            shift,
            open_ratio: fresh.weight("open_ratio", [units], &Initializer::Constant { value: self.open_ratio })?,
            leak: self.leak,
        })
    }
}

impl<T: Element> Cell<T> for PhasedLstmCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([rows(&self.kernel)[0] + 1])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [h, c] = [state[0], state[1]];
        let features = rows(&self.kernel)[0] as isize;
        let t = x.slice(-1, features..features + 1);
        let x = x.slice(-1, 0..features);
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + &self.bias).gates();
        let c̃ = f.sigmoid() * c + i.sigmoid() * g.tanh();
        let h̃ = o.sigmoid() * c̃.tanh();
        let r = x.tape().param(&self.open_ratio);
        let turns = (t - &self.shift) / &self.period;
        let φ = turns - turns.floor();
        let rise = 2.0 * φ / r;
        let k = φ.lt(0.5 * r).if_else(rise, φ.lt(r).if_else(2.0 - rise, self.leak * φ));
        smallvec![k * h̃ + (1.0 - k) * h, k * c̃ + (1.0 - k) * c]
    }
}
