#![forbid(unsafe_code)]
//! candle.
//!
//!     loop     the step in its operations
//!     layers   its own LSTM and GRU

use std::process::ExitCode;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use candle_nn::rnn::{GRUConfig, LSTMConfig, RNN};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss, ops};
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

const CPU: &Device = &Device::Cpu;

fn main() -> ExitCode {
    Job::main("candle", "0.11.1", LISTS, |job| match job.name.chars().next() {
        Some('T') => training(job),
        _ => forward(job),
    })
}

/// A tensor of two axes.
#[derive(Clone)]
struct Two(Tensor);

/// A result of an operation on shapes that fit.
fn fine(result: Result<Tensor>) -> Two {
    Two(result.expect("the shapes of a workload fit"))
}

fn tensors(parts: &[Two]) -> Vec<&Tensor> {
    parts.iter().map(|part| &part.0).collect()
}

impl Matrix for Two {
    fn product(&self, other: &Self) -> Self {
        fine(self.0.matmul(&other.0))
    }
    fn plus(&self, other: &Self) -> Self {
        fine(if self.0.dims() == other.0.dims() { &self.0 + &other.0 } else { self.0.broadcast_add(&other.0) })
    }
    fn minus(&self, other: &Self) -> Self {
        fine(if self.0.dims() == other.0.dims() { &self.0 - &other.0 } else { self.0.broadcast_sub(&other.0) })
    }
    fn times(&self, other: &Self) -> Self {
        fine(if self.0.dims() == other.0.dims() { &self.0 * &other.0 } else { self.0.broadcast_mul(&other.0) })
    }
    fn affine(&self, a: f64, b: f64) -> Self {
        fine(self.0.affine(a, b))
    }
    fn sigmoid(&self) -> Self {
        fine(ops::sigmoid(&self.0))
    }
    fn tanh(&self) -> Self {
        fine(self.0.tanh())
    }
    fn relu(&self) -> Self {
        fine(self.0.relu())
    }
    fn root(&self) -> Self {
        fine(self.0.sqrt().and_then(|root| root.recip()))
    }
    fn mean(&self) -> Self {
        fine(self.0.mean_keepdim(D::Minus1))
    }
    fn columns(&self, parts: usize) -> Vec<Self> {
        self.0.chunk(parts, 1).expect("the shapes of a workload fit").into_iter().map(Self).collect()
    }
    fn row(&self, from: usize, count: usize) -> Self {
        fine(self.0.narrow(0, from, count))
    }
    fn below(parts: &[Self]) -> Self {
        fine(Tensor::cat(&tensors(parts), 0))
    }
    fn beside(parts: &[Self]) -> Self {
        fine(Tensor::cat(&tensors(parts), 1))
    }
    fn mean_of_groups(&self, rows: usize) -> Self {
        fine(self.0.reshape(((), rows, self.0.dims()[1])).and_then(|groups| groups.mean(0)))
    }
}

fn tensor(array: &Array) -> Result<Tensor> {
    Tensor::from_slice(&array.data, (array.rows, array.columns), CPU)
}

/// Steps of `x`, batch first.
fn steps(x: &Tensor) -> Result<Vec<Two>> {
    (0..x.dim(1)?).map(|t| Ok(Two(x.narrow(1, t, 1)?.squeeze(1)?.contiguous()?))).collect()
}

/// What a network is made of: parameters that are trained, and how they make outputs.
struct Net {
    work: Work,
    vars: Vec<Var>,
    layers: Vec<Layer>,
    masks: Vec<Two>,
}

enum Layer {
    Lstm(candle_nn::rnn::LSTM),
    Gru(candle_nn::rnn::GRU),
}

impl Net {
    fn new(work: &Work, own: bool) -> Result<Self> {
        let all = weights(work);
        let mut net = Self { work: *work, vars: Vec::new(), layers: Vec::new(), masks: Vec::new() };
        let (first, layers) = (usize::from(work.vocabulary > 0), work.layers * work.cell.directions());
        if !own {
            for layer in 0..layers {
                net.add_layer(&all[first + 3 * layer..][..3])?;
            }
        }
        let per_layer = (all.len() - first - if work.outputs > 0 { 2 } else { 0 }) / layers;
        for (place, array) in all.iter().enumerate() {
            if own || place < first || place >= first + per_layer * layers {
                net.vars.push(Var::from_tensor(&tensor(array)?)?);
            }
        }
        if work.cell == Cell::Both {
            let column = |mask: Vec<f32>| Tensor::from_vec(mask, (work.batch, 1), CPU).map(Two);
            net.masks = cells::masks(work).into_iter().map(column).collect::<Result<_>>()?;
        }
        Ok(net)
    }

    /// One of the library's own, filled with our weights: rows of gates, a GRU's in the order r, z, n.
    fn add_layer(&mut self, arrays: &[Array]) -> Result<()> {
        let (work, map) = (&self.work, VarMap::new());
        let (inputs, hidden, builder) = (arrays[0].rows, work.hidden, VarBuilder::from_varmap(&map, DType::F32, CPU));
        let order: &[usize] = match work.cell {
            Cell::Gru => {
                self.layers.push(Layer::Gru(candle_nn::rnn::gru(inputs, hidden, GRUConfig::default(), builder)?));
                &[1, 0, 2]
            }
            _ => {
                self.layers.push(Layer::Lstm(candle_nn::rnn::lstm(inputs, hidden, LSTMConfig::default(), builder)?));
                &[0, 1, 2, 3]
            }
        };
        let turned = |array: &Array| -> Result<Tensor> {
            let gates = order.iter().map(|&gate| tensor(&array.gate(gate, order.len()).transposed()));
            Tensor::cat(&gates.collect::<Result<Vec<_>>>()?, 0)
        };
        let data = map.data().lock().expect("nobody else has it");
        let set = |name: &str, value: Tensor| data[name].set(&value);
        set("weight_ih_l0", turned(&arrays[0])?)?;
        set("weight_hh_l0", turned(&arrays[1])?)?;
        let bias = turned(&arrays[2])?;
        set("bias_ih_l0", bias.narrow(1, 0, 1)?.squeeze(1)?)?;
        drop(data);
        self.vars.extend(map.all_vars());
        Ok(())
    }

    /// Outputs: one matrix, or one for each step where there is a vocabulary or no Dense.
    fn forward(&self, inputs: &[Two], x: &Tensor, zeros: &Tensor) -> Result<Vec<Tensor>> {
        let work = &self.work;
        if self.layers.is_empty() {
            let parameters: Vec<Two> = self.vars.iter().map(|var| Two(var.as_tensor().clone())).collect();
            let outputs = network(work, &parameters, inputs.to_vec(), &Two(zeros.clone()), &self.masks);
            return Ok(outputs.into_iter().map(|output| output.0).collect());
        }
        let mut x = x.clone();
        let mut last = zeros.clone();
        for (place, layer) in self.layers.iter().enumerate() {
            let every = place + 1 < self.layers.len() || work.vocabulary > 0 || work.outputs == 0;
            let states: Vec<Tensor> = match layer {
                Layer::Lstm(lstm) => lstm.seq(&x)?.iter().map(|state| state.h().clone()).collect(),
                Layer::Gru(gru) => gru.seq(&x)?.iter().map(|state| state.h().clone()).collect(),
            };
            if every {
                x = Tensor::stack(&states, 1)?;
            }
            last = states.last().cloned().unwrap_or(last);
        }
        let dense = &self.vars[self.vars.len() - 2..];
        let output = |h: &Tensor| h.matmul(dense[0].as_tensor())?.broadcast_add(dense[1].as_tensor());
        match (work.outputs, work.vocabulary) {
            (0, _) => Ok(vec![x]),
            (_, 0) => Ok(vec![output(&last)?]),
            _ => Ok(vec![output(&x.reshape((work.batch * work.time, work.hidden))?)?]),
        }
    }
}

fn training(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let (batch, time) = (work.batch, work.time);
    let own = job.variant == "loop";
    let net = Net::new(work, own)?;
    let zeros = Tensor::zeros((batch, work.hidden), DType::F32, CPU)?;
    let ids =
        (work.vocabulary > 0).then(|| (classes(100, batch * time, work.vocabulary), classes(102, batch * time, 96)));
    let x = match &ids {
        Some((ids, _)) => Tensor::from_slice(ids, (batch, time), CPU)?,
        None => Tensor::from_vec(normal(100, batch * time * work.inputs), (batch, time, work.inputs), CPU)?,
    };
    let inputs: Vec<Two> = if ids.is_some() { Vec::new() } else { steps(&x)? };
    let y = match &ids {
        // Rows as the outputs come: by steps in the loop, by sequences otherwise.
        Some((_, classes)) => {
            let y = Tensor::from_slice(classes, (batch, time), CPU)?;
            if own { y.t()?.contiguous()?.flatten_all()? } else { y.flatten_all()? }
        }
        None => Tensor::from_vec(normal(102, batch * work.outputs), (batch, work.outputs), CPU)?,
    };
    let params = ParamsAdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    let mut adam = AdamW::new(net.vars.clone(), params)?;
    let embedding = net.vars.iter().find(|var| var.dims() == [work.vocabulary, work.inputs]).cloned();
    job.measure(1, || {
        let loss = if let Some(table) = embedding.as_ref().filter(|_| ids.is_some()) {
            let (inputs, embedded) = if own {
                let all = steps(&x)?;
                (
                    all.iter().map(|ids| table.index_select(&ids.0, 0).map(Two)).collect::<Result<Vec<_>>>()?,
                    zeros.clone(),
                )
            } else {
                let rows = table.index_select(&x.flatten_all()?, 0)?;
                (Vec::new(), rows.reshape((batch, time, work.inputs))?)
            };
            let outputs = net.forward(&inputs, &embedded, &zeros)?;
            loss::cross_entropy(&Tensor::cat(&outputs, 0)?, &y)?
        } else {
            loss::mse(&net.forward(&inputs, &x, &zeros)?[0], &y)?
        };
        adam.backward_step(&loss)?;
        Ok(loss.to_scalar::<f32>()?)
    })
}

/// I1, I2, I3. Parameters are constants here: nothing is recorded.
fn forward(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let own = job.variant == "loop";
    let mut net = Net::new(work, own)?;
    if job.name.starts_with("I1") {
        return stream(job, &net);
    }
    net.vars.iter_mut().try_for_each(|var| Var::from_tensor(&var.as_tensor().detach()).map(|new| *var = new))?;
    let zeros = Tensor::zeros((work.batch, work.hidden), DType::F32, CPU)?;
    let count = work.batch * work.time * work.inputs;
    let x = Tensor::from_vec(normal(100, count), (work.batch, work.time, work.inputs), CPU)?;
    let inputs = steps(&x)?;
    job.measure(1, || {
        let outputs = net.forward(&inputs, &x, &zeros)?;
        // All steps in one tensor, as everybody gives them.
        let all = if own { Tensor::stack(&outputs, 1)? } else { outputs[0].clone() };
        Ok(all.get(0)?.get(work.time - 1)?.get(0)?.to_scalar::<f32>()?)
    })
}

fn stream(job: &Job, net: &Net) -> Outcome<()> {
    let work = &job.work;
    let inputs = normal(100, CHUNK);
    let constants: Vec<Two> = net.vars.iter().map(|var| Two(var.as_tensor().detach())).collect();
    let zeros = Two(Tensor::zeros((1, work.hidden), DType::F32, CPU)?);
    let (mut h, mut c) = (zeros.clone(), zeros);
    let dense = constants[constants.len() - 2..].to_vec();
    job.measure(CHUNK, || {
        let mut number = 0.0;
        for &x in &inputs {
            let x = Two(Tensor::from_slice(&[x], (1, 1), CPU)?);
            match net.layers.first() {
                Some(Layer::Lstm(lstm)) => {
                    let state = lstm.step(&x.0, &candle_nn::rnn::LSTMState::new(h.0.clone(), c.0.clone()))?;
                    (h, c) = (Two(state.h.detach()), Two(state.c.detach()));
                }
                Some(Layer::Gru(gru)) => {
                    h = Two(gru.step(&x.0, &candle_nn::rnn::GRUState { h: h.0.clone() })?.h.detach())
                }
                None if work.cell == Cell::Gru => {
                    let (inner, outer) = (constants[2].row(0, 1), constants[2].row(1, 1));
                    let x = x.product(&constants[0]).plus(&inner);
                    h = cells::gru(&x, &h.product(&constants[1]).plus(&outer), &h);
                }
                None => {
                    let z = x.product(&constants[0]).plus(&h.product(&constants[1])).plus(&constants[2]);
                    (h, c) = cells::lstm(&z, &c);
                }
            }
            number = h.product(&dense[0]).plus(&dense[1]).0.flatten_all()?.get(0)?.to_scalar::<f32>()?;
        }
        Ok(number)
    })
}
