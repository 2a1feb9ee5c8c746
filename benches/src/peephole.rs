//! A cell as a user of the library writes one, outside of it and in primitive operations; and the network around it.

use tapeloop::prelude::*;
use tapeloop::{DenseLayer, Layer};

use crate::workload::{dense, within};

/// As PyTorch's `layer_norm` has it.
const EPSILON: f64 = 1e-5;

/// Long short-term memory with diagonal peepholes (Gers & Schmidhuber 2000) and layer normalisation of every gate and
/// of the cell's state (Ba et al. 2016). States: h, c.
///
/// ```text
/// [aᵢ, a_f, a_g, aₒ] = x W + h U
/// i = σ(N₀(aᵢ + p₀ ∘ c))
/// f = σ(N₁(a_f + p₁ ∘ c))
/// g = tanh(N₂(a_g))
/// c′ = f ∘ c + i ∘ g
/// o = σ(N₃(aₒ + p₂ ∘ c′))
/// h′ = o ∘ tanh(N₄(c′))
/// Nₖ(v) = γₖ ∘ (v − mean v) / √(var v + ε) + βₖ
/// ```
pub struct Peephole<T: Element = f32> {
    kernel: Param<T>,           // W, (input, 4·units)
    recurrent_kernel: Param<T>, // U, (units, 4·units)
    peepholes: Vec<Param<T>>,   // p, three of (units)
    scales: Vec<Param<T>>,      // γ, five of (units)
    shifts: Vec<Param<T>>,      // β, five of (units)
}
module!(Peephole<T> { kernel, recurrent_kernel, peepholes, scales, shifts });

impl<T: Element> Peephole<T> {
    /// Fresh weights: uniform within 1 / √(their inputs), γ = 1, and β = 1 for the forget gate, else 0.
    pub fn new(input: usize, units: usize, rng: &mut Rng) -> Self {
        Self {
            kernel: within(input).param([input, 4 * units], rng),
            recurrent_kernel: within(units).param([units, 4 * units], rng),
            peepholes: (0..3).map(|_| within(units).param([units], rng)).collect(),
            scales: (0..5).map(|_| Param::new(Tensor::ones([units]))).collect(),
            shifts: (0..5).map(|k| Param::new(Tensor::full([units], T::from_f64(f64::from(k == 1))))).collect(),
        }
    }
}

impl<T: Element> Cell<T> for Peephole<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }

    fn state_shapes(&self) -> StateShapes {
        let units = self.recurrent_kernel.value().shape()[0];
        StateShapes::from([[units].into(), [units].into()])
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, c) = (state[0], state[1]);
        let param = |param| x.tape().param(param);
        let norm = |k: usize, v: Var<'t, T>| {
            v.layer_norm(&[-1], Some(param(&self.scales[k])), Some(param(&self.shifts[k])), EPSILON)
        };
        let [i, f, g, o] = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel)).gates();
        let i = norm(0, i + c * &self.peepholes[0]).sigmoid();
        let f = norm(1, f + c * &self.peepholes[1]).sigmoid();
        let c = f * c + i * norm(2, g).tanh();
        let o = norm(3, o + c * &self.peepholes[2]).sigmoid();
        State::from([o * norm(4, c).tanh(), c])
    }
}

/// The cell over time, and a `Dense` on its last output.
pub struct Network {
    rnn: Rnn<f32, Peephole>,
    dense: DenseLayer,
}
module!(Network { rnn, dense });

impl Network {
    /// A network with fresh weights.
    pub fn new(inputs: usize, units: usize, outputs: usize, rng: &mut Rng) -> Self {
        let rnn = Rnn::new(Peephole::new(inputs, units, rng), RnnOptions::default());
        Self { rnn, dense: dense(units, outputs).layer(units, rng) }
    }

    /// The output for `x`, (batch, time, features).
    pub fn forward<'t>(&self, x: Var<'t>, pass: &mut Pass) -> Var<'t> {
        self.dense.forward(self.rnn.forward(x, pass), pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// The oracle is the formula number by number.
    #[test]
    fn step_is_its_formula() {
        let (batch, input, units) = (2, 3, 4);
        let mut rng = Rng::new(0);
        let mut cell = Peephole::<f64>::new(input, units, &mut rng);
        // γ = 1 and β = 0 would hide which of them is where.
        for param in cell.scales.iter_mut().chain(&mut cell.shifts) {
            param.set(Tensor::normal([units], 0.0, 1.0, &mut rng));
        }
        let [x, h, c] = [input, units, units].map(|n| Tensor::normal([batch, n], 0.0, 1.0, &mut rng));
        let tape = Tape::new();
        let next = cell.step(tape.constant(x.clone()), &[tape.constant(h.clone()), tape.constant(c.clone())]);

        let at = |params: &[Param<f64>], k: usize, j: usize| params[k].value().at(&[j]);
        for row in 0..batch {
            let gate = |gate: usize, j: usize| {
                let column = gate * units + j;
                let from = |v: &Tensor<f64>, w: &Param<f64>, n| -> f64 {
                    (0..n).map(|k| v.at(&[row, k]) * w.value().at(&[k, column])).sum()
                };
                from(&x, &cell.kernel, input) + from(&h, &cell.recurrent_kernel, units)
            };
            let norm = |k: usize, v: &dyn Fn(usize) -> f64, j: usize| {
                let mean = (0..units).map(v).sum::<f64>() / units as f64;
                let variance = (0..units).map(|j| (v(j) - mean).powi(2)).sum::<f64>() / units as f64;
                at(&cell.scales, k, j) * (v(j) - mean) / (variance + 1e-5).sqrt() + at(&cell.shifts, k, j)
            };
            let c_old = |j: usize| c.at(&[row, j]);
            let c_new = |j: usize| {
                let i = sigmoid(norm(0, &|j| gate(0, j) + at(&cell.peepholes, 0, j) * c_old(j), j));
                let f = sigmoid(norm(1, &|j| gate(1, j) + at(&cell.peepholes, 1, j) * c_old(j), j));
                f * c_old(j) + i * norm(2, &|j| gate(2, j), j).tanh()
            };
            for j in 0..units {
                let o = sigmoid(norm(3, &|j| gate(3, j) + at(&cell.peepholes, 2, j) * c_new(j), j));
                let wanted = [o * norm(4, &c_new, j).tanh(), c_new(j)];
                for (state, wanted) in next.iter().zip(wanted) {
                    let given = state.value().at(&[row, j]);
                    assert!((given - wanted).abs() < 1e-12, "{given} is not {wanted}");
                }
            }
        }
    }
}
