//! The liquid time-constant cell.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, columns, config, substeps};
use crate::cells::wiring::Wiring;
use crate::{BuildCell, Cell, Constraint, Error, Initializer, Rules, State, StateShapes};

config! {
    /// The liquid time-constant cell (Hasani et al. 2021, arXiv:2006.04439): neurons that leak, and whose synapses open as
    /// the neuron before them is excited, solved by the paper's fused steps. Its output are the motor neurons of the
    /// `wiring`. State: v.
    ///
    /// ```text
    /// s_ij(v) = w_ij σ(σ_ij (v_i − μ_ij)) m_ij,   m_ij 1 where there is a synapse
    /// u = x ∘ w_in + b_in, with synapses s̃ of its own
    /// v_j ← (c_j/δ v_j + g_j l_j + Σ_i s_ij(v) E_ij + Σ_i s̃_ij(u) Ẽ_ij) / (c_j/δ + g_j + Σ_i s_ij(v) + Σ_i s̃_ij(u) + 10⁻⁸)
    /// y = v ∘ w_out + b_out, of the motor neurons
    /// ```
    ///
    /// `unfolds` times a step, with δ = Δ / `unfolds`. Δ is the time since the step before: 1, or the last feature of the
    /// input, if it is `timed`; then it must be positive. c, g, w and w̃ are kept from below 0 by constraints.
    ///
    /// ```
    /// use tapeloop_layers::{Ltc, Recurrent, Sequential, Wiring};
    /// let ltc = Ltc::new(16).wiring(Wiring::auto(2));
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(ltc)).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    Ltc(LtcCell) {
        /// The number of neurons.
        units,
        /// Which synapses there are. Default all, and all neurons are motor neurons.
        wiring: Wiring = Wiring::Full,
        /// How many steps of the solver a step makes. Default 6.
        unfolds: usize = 6,
        /// Whether the last feature of the input is Δ. Default false.
        timed: bool = false,
    }
}

/// What [`Ltc`] builds. Weights of synapses are (from, to).
#[derive(Clone, Debug)]
pub struct LtcCell<T: Element = f32> {
    /// g, (units): starts in 0.001..1.
    pub leak: Param<T>,
    /// l, (units): starts in −0.2..0.2.
    pub leak_potential: Param<T>,
    /// c, (units): starts in 0.4..0.6.
    pub capacitance: Param<T>,
    /// w, (units, units): starts in 0.001..1.
    pub weight: Param<T>,
    /// σ, (units, units): starts in 3..8.
    pub slope: Param<T>,
    /// μ, (units, units): starts in 0.3..0.8.
    pub threshold: Param<T>,
    /// E, (units, units): starts from ±1, drawn with the wiring.
    pub reversal: Param<T>,
    /// w̃, (input, units).
    pub sensory_weight: Param<T>,
    /// σ̃, (input, units).
    pub sensory_slope: Param<T>,
    /// μ̃, (input, units).
    pub sensory_threshold: Param<T>,
    /// Ẽ, (input, units).
    pub sensory_reversal: Param<T>,
    /// w_in, (input).
    pub input_scale: Param<T>,
    /// b_in, (input).
    pub input_bias: Param<T>,
    /// w_out, (motors).
    pub output_scale: Param<T>,
    /// b_out, (motors).
    pub output_bias: Param<T>,
    /// Which synapses there are, (units, units): not trained.
    pub synapses: Param<T>,
    /// Which synapses there are, (input, units): not trained.
    pub sensory_synapses: Param<T>,
    /// How many steps of the solver a step makes.
    pub unfolds: usize,
    /// Whether the last feature of the input is Δ.
    pub timed: bool,
}
module!(LtcCell<T> {
    leak, leak_potential, capacitance, weight, slope, threshold, reversal, sensory_weight, sensory_slope,
    sensory_threshold, sensory_reversal, input_scale, input_bias, output_scale, output_bias, synapses, sensory_synapses
} rest { unfolds, timed });

impl BuildCell for Ltc {
    type Built<T: Element> = LtcCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LtcCell<T>, Error> {
        let mut wires = rng.fork(0);
        let mut fresh = Fresh::new("ltc", input, self.units, rng)?;
        if self.timed {
            fresh = fresh.timed()?;
        }
        let (units, features) = (self.units, fresh.input);
        let unfolds = substeps("ltc", "unfolds", self.unfolds)?;
        let uniform = |low: f64, high: f64| Initializer::Uniform { low, high };
        let mut drawn = |shape: &[usize], low: f64, high: f64| fresh.weight("units", shape, &uniform(low, high));
        let (own, sensory) = ([units, units], [features, units]);
        let weight = drawn(&own, 0.001, 1.0)?;
        let sensory_weight = drawn(&sensory, 0.001, 1.0)?;
        let wired = self.wiring.draw(features, units, &mut wires);
        let wired = wired.map_err(|problem| Error::config("ltc", format!("wiring: {problem}")))?;
        let matrix = |shape: [usize; 2], from: &[f64], f: fn(f64) -> f64| {
            Param::new(Tensor::from_vec(shape, from.iter().map(|&x| T::from_f64(f(x))).collect()))
        };
        let fixed = |shape: [usize; 2], from: &[f64]| {
            let mut mask = matrix(shape, from, f64::abs);
            mask.set_trainable(false);
            mask
        };
        let full = |count: usize, value: f64| Param::new(Tensor::full([count], T::from_f64(value)));
        Ok(LtcCell {
            leak: drawn(&[units], 0.001, 1.0)?,
            leak_potential: drawn(&[units], -0.2, 0.2)?,
            capacitance: drawn(&[units], 0.4, 0.6)?,
            weight,
            slope: drawn(&own, 3.0, 8.0)?,
            threshold: drawn(&own, 0.3, 0.8)?,
            reversal: matrix(own, &wired.own, |x| x),
            sensory_weight,
            sensory_slope: drawn(&sensory, 3.0, 8.0)?,
            sensory_threshold: drawn(&sensory, 0.3, 0.8)?,
            sensory_reversal: matrix(sensory, &wired.sensory, |x| x),
            input_scale: full(features, 1.0),
            input_bias: full(features, 0.0),
            output_scale: full(wired.motors, 1.0),
            output_bias: full(wired.motors, 0.0),
            synapses: fixed(own, &wired.own),
            sensory_synapses: fixed(sensory, &wired.sensory),
            unfolds,
            timed: self.timed,
        })
    }

    fn rules(&self) -> Rules {
        let mut rules = Rules::new();
        for weight in ["leak", "capacitance", "weight", "sensory_weight"] {
            rules = rules.constraint(weight, Constraint::NonNeg);
        }
        rules
    }
}

/// How open the synapses from `v` (batch, from) are: (batch, from, to).
#[track_caller]
fn open<'t, T: Element>(v: Var<'t, T>, [slope, threshold]: [&Param<T>; 2], weight: Var<'t, T>) -> Var<'t, T> {
    weight * ((v.unsqueeze(-1) - threshold) * slope).sigmoid()
}

impl<T: Element> Cell<T> for LtcCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.input_scale.value().size() + usize::from(self.timed)])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![columns(&self.leak, 1)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let tape = x.tape();
        let (x, elapsed) = match self.timed {
            true => (x.slice(-1, ..-1), x.slice(-1, -1..)),
            false => (x, tape.scalar(1.0)),
        };
        let mut v = state[0];
        let u = x * &self.input_scale + &self.input_bias;
        let w = tape.param(&self.sensory_weight) * &self.sensory_synapses;
        let sensory = open(u, [&self.sensory_slope, &self.sensory_threshold], w);
        let g = tape.param(&self.leak);
        let pull = (sensory * &self.sensory_reversal).sum(&[1], false) + g * &self.leak_potential;
        let hold = sensory.sum(&[1], false) + g;
        let c = tape.param(&self.capacitance) / (elapsed / self.unfolds as f64);
        let w = tape.param(&self.weight) * &self.synapses;
        for _ in 0..self.unfolds {
            let s = open(v, [&self.slope, &self.threshold], w);
            let drive = c * v + pull + (s * &self.reversal).sum(&[1], false);
            v = drive / (c + hold + s.sum(&[1], false) + 1e-8);
        }
        smallvec![v]
    }

    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        let motors = self.output_scale.value().size() as isize;
        state[0].slice(-1, ..motors) * &self.output_scale + &self.output_bias
    }

    fn output_shape(&self) -> Shape {
        columns(&self.output_scale, 1)
    }
}
