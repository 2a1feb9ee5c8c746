//! minGRU, whose gates do not read its state: as a cell for the loop over time.

use tapeloop::prelude::*;
use tapeloop::{DenseLayer, Layer};

use crate::workload::{dense, within};

/// g(v)
fn positive<'t, T: Element>(v: Var<'t, T>) -> Var<'t, T> {
    v.ge(0.0).if_else(v + 0.5, v.sigmoid())
}

/// The minimal gated recurrent unit (Feng et al. 2024, "Were RNNs All We Needed?"). State: h.
pub struct MinGruCell<T: Element = f32> {
    kernel: Param<T>, // W, (input, 2·units)
    bias: Param<T>,   // b, (2·units)
}
module!(MinGruCell<T> { kernel, bias });

impl<T: Element> MinGruCell<T> {
    /// Fresh weights.
    pub fn new(input: usize, units: usize, rng: &mut Rng) -> Self {
        Self {
            kernel: within(input).param([input, 2 * units], rng),
            bias: Param::new(Tensor::zeros([2 * units])),
        }
    }
}

impl<T: Element> Cell<T> for MinGruCell<T> {
    fn input_size(&self) -> usize {
        self.kernel.value().shape()[0]
    }
    fn state_shapes(&self) -> StateShapes {
        StateShapes::from_elem([self.bias.value().size() / 2].into(), 1)
    }
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let [k, v] = (x.matmul(&self.kernel) + &self.bias).gates();
        let z = k.sigmoid();
        State::from_slice(&[(1.0 - z) * state[0] + z * positive(v)])
    }
}

/// doc
pub struct MinGruNetwork {
    rnn: Rnn<f32, MinGruCell>,
    dense: DenseLayer,
}
module!(MinGruNetwork { rnn, dense });

impl MinGruNetwork {
    /// A network with fresh weights.
    pub fn new(inputs: usize, units: usize, outputs: usize, rng: &mut Rng) -> Self {
        let rnn = Rnn::new(MinGruCell::new(inputs, units, rng), RnnOptions { return_sequences: true, ..RnnOptions::default() });
        Self { rnn, dense: dense(units, outputs).layer(units, rng) }
    }

    /// The output for `x`, (batch, time, features).
    pub fn forward<'t>(&self, x: Var<'t>, pass: &mut Pass) -> Var<'t> {
        if std::env::var("SCAN").is_ok() {
            let cell = self.rnn.cell();
            let [k, v] = (x.matmul(&cell.kernel) + &cell.bias).gates();
            let z = k.sigmoid();
            let h = (z * positive(v)).linear_recurrence(1.0 - z, None, 1, false);
            return self.dense.forward(h.mean(&[1], false), pass);
        }
        let h = self.rnn.forward(x, pass);
        if std::env::var("EXPLAIN").is_ok() { eprintln!("{}", self.rnn.explain()); }
        self.dense.forward(h.mean(&[1], false), pass)
    }
}
