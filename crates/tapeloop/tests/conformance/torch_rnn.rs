//! PyTorch's recurrent modules, composed of our layers: several of them, both directions, projections.

use smallvec::smallvec;
use tapeloop::{
    Activation, Cell, Element, Gradients, GruCell, LstmCell, Masked, Module, Param, Rnn, RnnOptions, Shape,
    SimpleRnnCell, State, StateShapes, Tape, Tensor, Var, Variational, module,
};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let stack = match Stack::new(case, file)? {
        Ok(stack) => stack,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let tape = Tape::new();
    let x = tape.leaf(file.need("in/x")?.clone());
    let states = states(&tape, file)?;
    let outputs = stack.call(x, &states);
    let roots: Vec<_> = outputs
        .iter()
        .filter_map(|(name, output)| file.float(&format!("cot/{name}")).map(|cotangent| (*output, cotangent)))
        .collect();
    let gradients = tape.backward(&roots);
    let mut numbers: Numbers<T> =
        outputs.iter().map(|(name, output)| (format!("out/{name}"), Any::Float(output.value()))).collect();
    stack.pack(outputs[0].1, &mut numbers);
    input_gradients(&gradients, x, &states, &mut numbers);
    stack.weight_gradients(&gradients, &mut numbers);
    Ok(Outcome::Ran(numbers))
}

/// The initial states as leaves, by name.
pub fn states<'t, T: Element>(tape: &'t Tape<T>, file: &File<T>) -> Result<Vec<(String, Var<'t, T>)>, String> {
    let leaf = |name: &String| file.need(&format!("state/{name}")).map(|value| tape.leaf(value.clone()));
    file.names("state/").into_iter().map(|name| leaf(&name).map(|leaf| (name, leaf))).collect()
}

/// The gradients of input and initial states, under their names.
pub fn input_gradients<T: Element>(
    gradients: &Gradients<T>,
    x: Var<'_, T>,
    states: &[(String, Var<'_, T>)],
    numbers: &mut Numbers<T>,
) {
    for (name, leaf) in states.iter().map(|(name, leaf)| (format!("state/{name}"), *leaf)).chain([("in/x".into(), x)]) {
        let gradient = gradients.wrt(leaf).cloned().unwrap_or_else(|| Tensor::zeros(leaf.shape()));
        numbers.insert(format!("grad/{name}"), Any::Float(gradient));
    }
}

/// LSTM whose h is a projection (Sak et al. 2014): a cell of the test's own.
struct ProjectedLstm<T: Element> {
    lstm: LstmCell<T>,
    projection: Param<T>,
}
module!(ProjectedLstm<T> { lstm, projection });

impl<T: Element> Cell<T> for ProjectedLstm<T> {
    fn input_shape(&self) -> Shape {
        self.lstm.input_shape()
    }

    fn state_shapes(&self) -> StateShapes {
        let [units, width] = [0, 1].map(|axis| self.projection.value().shape()[axis]);
        smallvec![Shape::from([width]), Shape::from([units])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let next = self.lstm.step(x, state);
        smallvec![next[0].matmul(&self.projection), next[1]]
    }
}

/// The order of our gates in PyTorch's: r, z, n there are z, r, h here.
fn order(module: &str) -> &'static [usize] {
    match module {
        "RNN" | "RNNCell" => &[0],
        "LSTM" | "LSTMCell" => &[0, 1, 2, 3],
        _ => &[1, 0, 2],
    }
}

/// (gates · H, n) → (n, gates · H), with the gates in our order.
fn to_kernel<T: Element>(weight: &Tensor<T>, order: &[usize]) -> Tensor<T> {
    let (rows, cols) = (weight.shape()[0], weight.shape()[1]);
    let units = rows / order.len();
    Tensor::from_fn([cols, rows], |i| weight.at(&[order[i[1] / units] * units + i[1] % units, i[0]]))
}

/// The gradient of a weight from that of its kernel.
fn from_kernel<T: Element>(kernel: &Tensor<T>, order: &[usize]) -> Tensor<T> {
    let (cols, rows) = (kernel.shape()[0], kernel.shape()[1]);
    let units = rows / order.len();
    Tensor::from_fn([rows, cols], |i| {
        let gate = order.iter().position(|&gate| gate == i[0] / units).unwrap_or_default();
        kernel.at(&[i[1], gate * units + i[0] % units])
    })
}

/// A recurrent module: `num_layers` times one or two directions.
pub struct Stack<T: Element> {
    module: String,
    rnns: Vec<Rnn<T, Box<dyn Cell<T>>>>,
    suffixes: Vec<String>,
    directions: usize,
    batch_first: bool,
    unbatched: bool,
    /// Of a packed sequence: the rows' lengths, what padding is filled with, and how long it then is.
    lengths: Option<Vec<usize>>,
    padding: f64,
    total: Option<usize>,
}

impl<T: Element> Stack<T> {
    /// The module of a case with its weights, or why it cannot be represented.
    pub fn new(case: &Case, file: &File<T>) -> Result<Result<Self, String>, String> {
        let module = case.config["module"].as_str().ok_or("the case has no module")?.to_string();
        let flag = |name: &str| case.arg(name).as_bool().unwrap_or(false);
        let directions = 1 + usize::from(flag("bidirectional"));
        let layers = case.arg("num_layers").as_u64().unwrap_or(1) as usize;
        if layers > 1 && case.arg("dropout").as_f64().unwrap_or(0.0) > 0.0 {
            return Ok(Err("dropout between layers is not supported yet".into()));
        }
        let activation = match case.arg("nonlinearity").as_str() {
            Some("relu") => Activation::Relu,
            _ => Activation::Tanh,
        };
        let (mut rnns, mut suffixes) = (Vec::new(), Vec::new());
        for layer in 0..layers {
            for direction in 0..directions {
                let suffix = match (module.ends_with("Cell"), direction) {
                    (true, _) => String::new(),
                    (false, 0) => format!("_l{layer}"),
                    (false, _) => format!("_l{layer}_reverse"),
                };
                let cell = cell(&module, activation, &suffix, file)?;
                let options = RnnOptions {
                    return_sequences: true,
                    go_backwards: direction == 1,
                    // What is packed has no steps behind a row's end.
                    zero_output_for_mask: true,
                    ..Default::default()
                };
                rnns.push(Rnn::new(cell, options));
                suffixes.push(suffix);
            }
        }
        let unbatched = case.config["unbatched"].as_bool().unwrap_or(false);
        let size = |x: &serde_json::Value| x.as_u64().map(|n| n as usize);
        Ok(Ok(Self {
            module,
            rnns,
            suffixes,
            directions,
            batch_first: flag("batch_first"),
            unbatched,
            lengths: case.config["lengths"].as_array().map(|lengths| lengths.iter().filter_map(size).collect()),
            padding: case.config["padding_value"].as_f64().unwrap_or(0.0),
            total: size(&case.config["total_length"]),
        }))
    }

    /// PyTorch's outputs by name, for its input and initial states.
    pub fn call<'t>(&self, x: Var<'t, T>, states: &[(String, Var<'t, T>)]) -> Vec<(String, Var<'t, T>)> {
        let cell = self.module.ends_with("Cell");
        let time_major = !self.batch_first && !self.unbatched;
        let mut x = match (self.unbatched, time_major) {
            (true, _) => x.unsqueeze(0),
            (_, true) => x.swap_axes(0, 1),
            _ => x,
        };
        let mut last: Vec<State<'t, T>> = Vec::new();
        for pair in self.rnns.chunks(self.directions) {
            let mut outputs = Vec::new();
            for (direction, rnn) in pair.iter().enumerate() {
                let place = last.len();
                let initial: Option<State<'t, T>> = ["h0", "c0"]
                    .iter()
                    .filter_map(|wanted| states.iter().find(|(name, _)| name == wanted))
                    .map(|(_, state)| {
                        let state = if cell { *state } else { state.select(0, place) };
                        Some(if self.unbatched { state.unsqueeze(0) } else { state })
                    })
                    .collect::<Option<State<'t, T>>>()
                    .filter(|states| !states.is_empty());
                let masked = self.lengths.as_ref().map_or(x.into(), |lengths| Masked::with_lengths(x, lengths));
                let run = rnn.run(masked, initial.as_deref());
                outputs.push(if direction == 1 { run.output.flip(&[1]) } else { run.output });
                last.push(run.state);
            }
            x = Var::concat(outputs, -1);
        }
        if let Some(lengths) = &self.lengths {
            x = self.padded(x, lengths);
        }
        let output = match (self.unbatched, time_major) {
            (true, _) => x.squeeze(0),
            (_, true) => x.swap_axes(0, 1),
            _ => x,
        };
        let stacked = |k: usize| {
            let states = last.iter().map(|state| if self.unbatched { state[k].squeeze(0) } else { state[k] });
            Var::stack(states, 0)
        };
        let carries_c = self.module.starts_with("LSTM");
        if cell {
            let single = |c: Var<'t, T>| if self.unbatched { c.squeeze(0) } else { c };
            let c = carries_c.then(|| ("c_last".to_string(), single(last[0][1])));
            return [("h_steps".to_string(), output)].into_iter().chain(c).collect();
        }
        let c = carries_c.then(|| ("c_n".to_string(), stacked(1)));
        [("output".to_string(), output), ("h_n".to_string(), stacked(0))].into_iter().chain(c).collect()
    }

    /// (batch, time, …) as `pad_packed_sequence` returns it: as long as the longest row, or as is asked for.
    fn padded<'t>(&self, x: Var<'t, T>, lengths: &[usize]) -> Var<'t, T> {
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let total = self.total.unwrap_or(longest);
        let x = x.slice(1, 0..longest as isize).place(1, 0, 1, total);
        let padding = Tensor::from_fn([lengths.len(), total, 1], |i| i[1] >= lengths[i[0]]);
        x.masked_fill(&padding, self.padding)
    }

    /// The packed form of a padded output: step by step the rows that go on, the longest first.
    fn pack(&self, output: Var<'_, T>, numbers: &mut Numbers<T>) {
        let Some(lengths) = &self.lengths else { return };
        let output = if self.batch_first { output } else { output.swap_axes(0, 1) }.value();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
        let (mut data, mut sizes) = (Vec::new(), Vec::new());
        for t in 0..lengths[order[0]] {
            let on: Vec<usize> = order.iter().copied().filter(|&row| lengths[row] > t).collect();
            sizes.push(on.len() as i64);
            on.into_iter().for_each(|row| data.extend(output.select(0, row).select(0, t).to_vec()));
        }
        let width = output.shape()[2];
        numbers.insert("out/packed_data".into(), Any::Float(Tensor::from_vec([data.len() / width, width], data)));
        numbers.insert("out/batch_sizes".into(), Any::Int(Tensor::from_vec([sizes.len()], sizes)));
    }

    /// The gradients of PyTorch's weights, under their names.
    pub fn weight_gradients(&self, gradients: &Gradients<T>, numbers: &mut Numbers<T>) {
        let order = order(&self.module);
        for (rnn, suffix) in self.rnns.iter().zip(&self.suffixes) {
            for (name, param) in rnn.cell().params() {
                let gradient = gradients.of(param).cloned().unwrap_or_else(|| param.value().zeros_like());
                let mut put = |name: &str, gradient| {
                    numbers.insert(format!("grad/w/{name}{suffix}"), Any::Float(gradient));
                };
                let bias = |row: &Tensor<T>| {
                    let width = row.size() as isize;
                    from_kernel(&row.reshape(&[1, width]), order).reshape(&[width])
                };
                match name.rsplit('.').next() {
                    Some("kernel") => put("weight_ih", from_kernel(&gradient, order)),
                    Some("recurrent_kernel") => put("weight_hh", from_kernel(&gradient, order)),
                    Some("projection") => put("weight_hr", from_kernel(&gradient, &[0])),
                    _ if gradient.rank() == 2 => {
                        put("bias_ih", bias(&gradient.select(0, 0)));
                        put("bias_hh", bias(&gradient.select(0, 1)));
                    }
                    // Two biases that are added have one gradient.
                    _ => {
                        put("bias_ih", bias(&gradient));
                        put("bias_hh", bias(&gradient));
                    }
                }
            }
        }
    }
}

fn cell<T: Element>(
    module: &str,
    activation: Activation,
    suffix: &str,
    file: &File<T>,
) -> Result<Box<dyn Cell<T>>, String> {
    let order = order(module);
    let weight = |name: &str| file.need(&format!("w/{name}{suffix}"));
    let kernel = Param::new(to_kernel(weight("weight_ih")?, order));
    let recurrent_kernel = Param::new(to_kernel(weight("weight_hh")?, order));
    let row = |name: &str| -> Option<Tensor<T>> {
        let bias = file.float(&format!("w/{name}{suffix}"))?;
        Some(to_kernel(&bias.reshape(&[-1, 1]), order).reshape(&[-1]))
    };
    let biases = row("bias_ih").zip(row("bias_hh"));
    let sum = biases.as_ref().map(|(a, b)| Param::new(Tensor::from_fn(a.shape(), |i| a.at(i) + b.at(i))));
    let (sigmoid, variational) = (Activation::Sigmoid, Variational::default());
    Ok(match module {
        "RNN" | "RNNCell" => Box::new(SimpleRnnCell { kernel, recurrent_kernel, bias: sum, activation, variational }),
        "LSTM" | "LSTMCell" => {
            let lstm = LstmCell {
                kernel,
                recurrent_kernel,
                bias: sum,
                activation: Activation::Tanh,
                recurrent_activation: sigmoid,
                variational,
            };
            match file.float(&format!("w/weight_hr{suffix}")) {
                Some(projection) => {
                    Box::new(ProjectedLstm { lstm, projection: Param::new(to_kernel(projection, &[0])) })
                }
                None => Box::new(lstm),
            }
        }
        "GRU" | "GRUCell" => {
            let bias = biases.map(|(a, b)| {
                let rows = [a, b];
                Param::new(Tensor::from_fn([2, rows[0].size()], |i| rows[i[0]].at(&[i[1]])))
            });
            Box::new(GruCell {
                kernel,
                recurrent_kernel,
                bias,
                activation: Activation::Tanh,
                recurrent_activation: sigmoid,
                variational,
                reset_after: true,
            })
        }
        other => return Err(format!("there is no module {other}")),
    })
}
