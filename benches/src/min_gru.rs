//! minGRU as a user of the library writes it, outside of it: as a cell for the loop over time; and as what it is, a linear
//! recurrence of products that read no state.

use tapeloop::prelude::*;
use tapeloop::{DenseLayer, Layer};

use crate::workload::{dense, within};

/// The minimal gated recurrent unit (Feng et al. 2024, "Were RNNs All We Needed?", arXiv:2410.01201). State: h.
///
/// ```text
/// [k, v] = x W + b
/// z = σ(k)
/// h′ = (1 − z) ∘ h + z ∘ g(v),   g(v) = v + ½ where v ≥ 0, else σ(v)
/// ```
pub struct MinGru<T: Element = f32> {
    kernel: Param<T>, // W, (input, 2·units)
    bias: Param<T>,   // b, (2·units)
}
module!(MinGru<T> { kernel, bias });

impl<T: Element> MinGru<T> {
    /// Fresh weights: uniform within 1 / √(its inputs); b = 0.
    pub fn new(input: usize, units: usize, rng: &mut Rng) -> Self {
        let kernel = within(input).param([input, 2 * units], rng);
        Self { kernel, bias: Param::new(Tensor::zeros([2 * units])) }
    }

    /// z and g(v), for one step or for all of them.
    fn gate_and_candidate<'t>(&self, x: Var<'t, T>) -> [Var<'t, T>; 2] {
        let [k, v] = (x.matmul(&self.kernel) + &self.bias).gates();
        [k.sigmoid(), v.ge(0.0).if_else(v + 0.5, v.sigmoid())]
    }

    /// The states after every step of `x`, (batch, time, features), from zeros: without a loop over steps. The loop is
    /// faster on a processor, since all between its product and its state stays in the first cache.
    pub fn scan<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        let [z, candidate] = self.gate_and_candidate(x);
        (z * candidate).linear_recurrence(1.0 - z, None, 1, false)
    }
}

impl<T: Element> Cell<T> for MinGru<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }

    fn state_shapes(&self) -> StateShapes {
        StateShapes::from_elem([self.bias.value().size() / 2].into(), 1)
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, [z, candidate]) = (state[0], self.gate_and_candidate(x));
        State::from_slice(&[h + z * (candidate - h)])
    }
}

/// The cell over time, the mean over time, and a `Dense` on it.
pub struct MinGruNetwork {
    rnn: Rnn<f32, MinGru>,
    dense: DenseLayer,
}
module!(MinGruNetwork { rnn, dense });

impl MinGruNetwork {
    /// A network with fresh weights.
    pub fn new(inputs: usize, units: usize, outputs: usize, rng: &mut Rng) -> Self {
        let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
        Self { rnn: Rnn::new(MinGru::new(inputs, units, rng), options), dense: dense(units, outputs).layer(units, rng) }
    }

    /// The output for `x`, (batch, time, features).
    pub fn forward<'t>(&self, x: Var<'t>, pass: &mut Pass) -> Var<'t> {
        let h = self.rnn.forward(x, pass);
        self.dense.forward(h.mean(&[1], false), pass)
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
        let mut cell = MinGru::<f64>::new(input, units, &mut rng);
        cell.bias.set(Tensor::normal([2 * units], 0.0, 1.0, &mut rng));
        let [x, h] = [input, units].map(|n| Tensor::normal([batch, n], 0.0, 1.0, &mut rng));
        let tape = Tape::new();
        let next = cell.step(tape.constant(x.clone()), &[tape.constant(h.clone())])[0].value();
        for row in 0..batch {
            for j in 0..units {
                let affine = |column: usize| {
                    let sum = |k| x.at(&[row, k]) * cell.kernel.value().at(&[k, column]);
                    (0..input).map(sum).sum::<f64>() + cell.bias.value().at(&[column])
                };
                let (z, v) = (sigmoid(affine(j)), affine(units + j));
                let candidate = if v >= 0.0 { v + 0.5 } else { sigmoid(v) };
                let wanted = (1.0 - z) * h.at(&[row, j]) + z * candidate;
                let given = next.at(&[row, j]);
                assert!((given - wanted).abs() < 1e-14, "{given} is not {wanted}");
            }
        }
    }

    /// The loop over steps, the recurrence over all of them: one function, and one derivative.
    #[test]
    fn loop_and_scan_agree() {
        let (batch, time, input, units) = (3, 50, 4, 6);
        let mut rng = Rng::new(1);
        let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
        let mut rnn = Rnn::new(MinGru::<f64>::new(input, units, &mut rng), options);
        rnn.cell_mut().bias.set(Tensor::normal([2 * units], 0.0, 1.0, &mut rng));
        let x = Tensor::normal([batch, time, input], 0.0, 1.0, &mut rng);
        let weights = Tensor::normal([batch, time, units], 0.0, 1.0, &mut rng);
        let mut tape = Tape::new();
        let mut run = |scan: bool| {
            let mut states = None;
            let (_, gradients) = tape.value_and_grad(|tape| {
                let x = tape.constant(x.clone());
                let h = if scan { rnn.cell().scan(x) } else { rnn.run(x, None).output };
                states = Some(h.value());
                (h * &weights).sum_all()
            });
            let of = |param| gradients.of(param).expect("both are used").to_vec();
            let states = states.expect("the step was called").to_vec();
            [states, of(&rnn.cell().kernel), of(&rnn.cell().bias)]
        };
        for (looped, scanned) in run(false).iter().zip(run(true)) {
            let scale = scanned.iter().fold(1.0f64, |max, x| max.max(x.abs()));
            let apart = looped.iter().zip(&scanned).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            // Sums of at most batch · time numbers in another order.
            assert!(looped.len() == scanned.len() && apart < 150.0 * f64::EPSILON * scale, "{apart:e} of {scale:e}");
        }
    }
}
