#![forbid(unsafe_code)]
//! burn, on its Flex backend.
//!
//!     loop     the step in its operations
//!     layers   its own LSTM and GRU

use std::process::ExitCode;

use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{GateController, Gru, GruConfig, Lstm, LstmConfig, LstmState};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use tapeloop_peers_rust::cells::{self, Matrix, network};
use tapeloop_peers_rust::{Array, CHUNK, Cell, Job, Lists, Outcome, Work, classes, normal, weights};

const BOTH: &[&str] = &["loop", "layers"];
const OWN: &[&str] = &["loop"];
const LISTS: Lists = &[
    ("T1", BOTH),
    ("T2", BOTH),
    ("T3", BOTH),
    ("T4", BOTH),
    ("T5", BOTH),
    ("T6", BOTH),
    ("T7", OWN),
    ("T8", OWN),
    ("T9", OWN),
    ("I1-lstm", BOTH),
    ("I1-gru", BOTH),
    ("I2", BOTH),
    ("I3", BOTH),
];

fn main() -> ExitCode {
    Job::main("burn", "0.23.0-pre.1 (Flex)", LISTS, |job| match job.name.chars().next() {
        Some('T') => training(job),
        _ if job.name.starts_with("I1") => stream(job),
        _ => sequence(job),
    })
}

/// A tensor of two axes.
#[derive(Clone)]
struct Two(Tensor<2>);

impl Matrix for Two {
    fn product(&self, other: &Self) -> Self {
        Self(self.0.clone().matmul(other.0.clone()))
    }
    fn plus(&self, other: &Self) -> Self {
        Self(self.0.clone() + other.0.clone())
    }
    fn minus(&self, other: &Self) -> Self {
        Self(self.0.clone() - other.0.clone())
    }
    fn times(&self, other: &Self) -> Self {
        Self(self.0.clone() * other.0.clone())
    }
    fn affine(&self, a: f64, b: f64) -> Self {
        Self(self.0.clone().mul_scalar(a).add_scalar(b))
    }
    fn sigmoid(&self) -> Self {
        Self(activation::sigmoid(self.0.clone()))
    }
    fn tanh(&self) -> Self {
        Self(self.0.clone().tanh())
    }
    fn relu(&self) -> Self {
        Self(activation::relu(self.0.clone()))
    }
    fn root(&self) -> Self {
        Self(self.0.clone().sqrt().recip())
    }
    fn mean(&self) -> Self {
        Self(self.0.clone().mean_dim(1))
    }
    fn columns(&self, parts: usize) -> Vec<Self> {
        self.0.clone().chunk(parts, 1).into_iter().map(Self).collect()
    }
    fn row(&self, from: usize, count: usize) -> Self {
        Self(self.0.clone().narrow(0, from, count))
    }
    fn below(parts: &[Self]) -> Self {
        Self(Tensor::cat(parts.iter().map(|part| part.0.clone()).collect(), 0))
    }
    fn beside(parts: &[Self]) -> Self {
        Self(Tensor::cat(parts.iter().map(|part| part.0.clone()).collect(), 1))
    }
    fn mean_of_groups(&self, rows: usize) -> Self {
        let [all, columns] = self.0.dims();
        Self(self.0.clone().reshape([all / rows, rows, columns]).mean_dim(0).squeeze_dim(0))
    }
}

fn matrix(array: &Array, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(array.data.clone(), [array.rows, array.columns]), device)
}

/// Parameters, and layers of the library: what the optimizer sees.
#[derive(Module, Debug)]
struct Net {
    parameters: Vec<Param<Tensor<2>>>,
    lstms: Vec<Lstm>,
    grus: Vec<Gru>,
}

impl Net {
    fn new(work: &Work, own: bool, device: &Device) -> Self {
        let all = weights(work);
        let (first, layers) = (usize::from(work.vocabulary > 0), work.layers * work.cell.directions());
        let per_layer = (all.len() - first - if work.outputs > 0 { 2 } else { 0 }) / layers;
        let mut net = Self { parameters: Vec::new(), lstms: Vec::new(), grus: Vec::new() };
        for (place, array) in all.iter().enumerate() {
            if own || place < first || place >= first + per_layer * layers {
                net.parameters.push(Param::from_tensor(matrix(array, device)));
            }
        }
        for arrays in all[first..].chunks(per_layer).take(if own { 0 } else { layers }) {
            let inputs = arrays[0].rows;
            if work.cell == Cell::Gru {
                let mut gru = GruConfig::new(inputs, work.hidden, true).init(device);
                fill(&mut gru.update_gate, arrays, 0, 3, device);
                fill(&mut gru.reset_gate, arrays, 1, 3, device);
                fill(&mut gru.new_gate, arrays, 2, 3, device);
                net.grus.push(gru);
            } else {
                let mut lstm = LstmConfig::new(inputs, work.hidden, true).init(device);
                fill(&mut lstm.input_gate, arrays, 0, 4, device);
                if let Some(gate) = &mut lstm.forget_gate {
                    fill(gate, arrays, 1, 4, device);
                }
                fill(&mut lstm.cell_gate, arrays, 2, 4, device);
                fill(&mut lstm.output_gate, arrays, 3, 4, device);
                net.lstms.push(lstm);
            }
        }
        net
    }

    fn matrices(&self) -> Vec<Two> {
        self.parameters.iter().map(|parameter| Two(parameter.val())).collect()
    }

    /// The outputs of the last layer of the library's own, all of them and the last.
    fn layers(&self, mut x: Tensor<3>) -> (Tensor<3>, Option<Tensor<2>>) {
        let mut last = None;
        for lstm in &self.lstms {
            let (output, state) = lstm.forward(x, None);
            (x, last) = (output, Some(state.hidden));
        }
        for gru in &self.grus {
            x = gru.forward(x, None);
            let steps = x.dims()[1];
            last = Some(x.clone().narrow(1, steps - 1, 1).squeeze_dim(1));
        }
        (x, last)
    }

    fn dense(&self, h: Tensor<2>) -> Tensor<2> {
        let [.., kernel, bias] = &self.parameters[..] else { panic!("a Dense has a kernel and a bias") };
        h.matmul(kernel.val()) + bias.val()
    }
}

/// A gate of ours into one of theirs; the second row of a GRU's bias belongs to the state.
fn fill(gate: &mut GateController, arrays: &[Array], at: usize, gates: usize, device: &Device) {
    let columns = |array: &Array| matrix(&array.gate(at, gates), device);
    gate.input_transform.weight = Param::from_tensor(columns(&arrays[0]));
    gate.hidden_transform.weight = Param::from_tensor(columns(&arrays[1]));
    let bias = columns(&arrays[2]);
    let rows = bias.dims()[0];
    let row = |row: usize| Param::from_tensor(bias.clone().narrow(0, row, 1).squeeze_dim(0));
    gate.input_transform.bias = Some(row(0));
    let outer = if rows == 2 { row(1) } else { Param::from_tensor(Tensor::zeros([bias.dims()[1]], device)) };
    gate.hidden_transform.bias = Some(outer);
}

/// Steps of `x`, batch first.
fn steps(x: &Tensor<3>) -> Vec<Two> {
    (0..x.dims()[1]).map(|t| Two(x.clone().narrow(1, t, 1).squeeze_dim(1))).collect()
}

fn integers(values: Vec<u32>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.into_iter().map(i64::from).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn training(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let (batch, time, own) = (work.batch, work.time, job.variant == "loop");
    let device = Device::flex().autodiff();
    let mut net = Net::new(work, own, &device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let zeros = Two(Tensor::zeros([batch, work.hidden], &device));
    let column = |mask: Vec<f32>| Two(Tensor::from_data(TensorData::new(mask, [batch, 1]), &device));
    let masks: Vec<Two> = match work.cell {
        Cell::Both => cells::masks(work).into_iter().map(column).collect(),
        _ => Vec::new(),
    };
    if work.vocabulary > 0 {
        let ids = integers(classes(100, batch * time, work.vocabulary), &device).reshape([batch, time]);
        let y = integers(classes(102, batch * time, work.vocabulary), &device).reshape([batch, time]);
        // Rows as the outputs come: by steps in the loop, by sequences otherwise.
        let y: Tensor<1, Int> = if own { y.swap_dims(0, 1) } else { y }.reshape([batch * time]);
        let each: Vec<Tensor<1, Int>> = (0..time).map(|t| ids.clone().narrow(1, t, 1).squeeze_dim(1)).collect();
        let flat: Tensor<1, Int> = ids.reshape([batch * time]);
        let entropy = CrossEntropyLossConfig::new().init(&device);
        let mut held = Some(net);
        return job.measure(1, || {
            let net = held.take().ok_or("a step failed")?;
            let table = net.parameters[0].val();
            let output = if own {
                let inputs = each.iter().map(|ids| Two(table.clone().select(0, ids.clone()))).collect();
                Two::below(&network(work, &net.matrices(), inputs, &zeros, &masks)).0
            } else {
                let embedded = table.select(0, flat.clone()).reshape([batch, time, work.inputs]);
                net.dense(net.layers(embedded).0.reshape([batch * time, work.hidden]))
            };
            let loss = entropy.forward(output, y.clone());
            let gradients = GradientsParams::from_grads(loss.backward(), &net);
            held = Some(adam.step(1e-3, net, gradients));
            Ok(loss.into_scalar::<f32>())
        });
    }
    let data = normal(100, batch * time * work.inputs);
    let x: Tensor<3> = Tensor::from_data(TensorData::new(data, [batch, time, work.inputs]), &device);
    let y = Tensor::<2>::from_data(TensorData::new(normal(102, batch * work.outputs), [batch, work.outputs]), &device);
    let inputs = steps(&x);
    job.measure(1, || {
        let output = if own {
            network(work, &net.matrices(), inputs.clone(), &zeros, &masks)[0].0.clone()
        } else {
            net.dense(net.layers(x.clone()).1.ok_or("there is no layer")?)
        };
        let loss = (output - y.clone()).square().mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &net);
        net = adam.step(1e-3, net.clone(), gradients);
        Ok(loss.into_scalar::<f32>())
    })
}

fn sequence(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let device = Device::flex();
    let net = Net::new(work, job.variant == "loop", &device);
    let data = normal(100, work.batch * work.time * work.inputs);
    let x: Tensor<3> = Tensor::from_data(TensorData::new(data, [work.batch, work.time, work.inputs]), &device);
    let (inputs, zeros) = (steps(&x), Two(Tensor::zeros([work.batch, work.hidden], &device)));
    let parameters = net.matrices();
    job.measure(1, || {
        // All steps in one tensor, as everybody gives them.
        let all: Tensor<3> = if job.variant == "loop" {
            let outputs = network(work, &parameters, inputs.clone(), &zeros, &[]);
            Tensor::stack(outputs.into_iter().map(|output| output.0).collect(), 1)
        } else {
            net.layers(x.clone()).0
        };
        Ok(all.narrow(0, 0, 1).narrow(1, work.time - 1, 1).narrow(2, 0, 1).into_scalar::<f32>())
    })
}

fn stream(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let device = Device::flex();
    let net = Net::new(work, job.variant == "loop", &device);
    let (constants, samples) = (net.matrices(), normal(100, CHUNK));
    let zeros = Two(Tensor::zeros([1, work.hidden], &device));
    let (mut h, mut c) = (zeros.clone(), zeros);
    job.measure(CHUNK, || {
        let mut number = 0.0;
        for &x in &samples {
            let x: Tensor<2> = Tensor::from_data(TensorData::new(vec![x], [1, 1]), &device);
            if let Some(lstm) = net.lstms.first() {
                let state = LstmState::new(c.0.clone(), h.0.clone());
                let (_, state) = lstm.forward(x.unsqueeze_dim(0), Some(state));
                (h, c) = (Two(state.hidden), Two(state.cell));
            } else if let Some(gru) = net.grus.first() {
                h = Two(gru.forward(x.unsqueeze_dim(0), Some(h.0.clone())).squeeze_dim(0));
            } else if work.cell == Cell::Gru {
                let x = Two(x).product(&constants[0]).plus(&constants[2].row(0, 1));
                h = cells::gru(&x, &h.product(&constants[1]).plus(&constants[2].row(1, 1)), &h);
            } else {
                let z = Two(x).product(&constants[0]).plus(&h.product(&constants[1])).plus(&constants[2]);
                (h, c) = cells::lstm(&z, &c);
            }
            number = net.dense(h.0.clone()).into_scalar::<f32>();
        }
        Ok(number)
    })
}
