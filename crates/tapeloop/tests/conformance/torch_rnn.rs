//! PyTorch's recurrent modules and cells.

use serde_json::{Map, Value as Json, json};
use tapeloop::torch::{Stack, StackOutput};
use tapeloop::{Element, Gradients, LayerConfig, Masked, Rng, Tape, Tensor, Var};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let module = Module::new(case, file)?;
    let tape = Tape::new();
    let x = tape.leaf(file.need("in/x")?.clone());
    let states = states(&tape, file)?;
    let outputs = module.call(x, &states);
    let roots: Vec<_> = outputs
        .iter()
        .filter_map(|(name, output)| file.float(&format!("cot/{name}")).map(|cotangent| (*output, cotangent)))
        .collect();
    let gradients = tape.backward(&roots);
    let mut numbers: Numbers<T> =
        outputs.iter().map(|(name, output)| (format!("out/{name}"), Any::Float(output.value()))).collect();
    module.pack(outputs[0].1, &mut numbers);
    input_gradients(&gradients, x, &states, &mut numbers);
    module.weight_gradients(&gradients, &mut numbers);
    module.is_a_loop()?;
    Ok(Outcome::Ran(numbers))
}

/// The initial states as leaves, by name.
pub fn states<'t, T: Element>(tape: &'t Tape<T>, file: &File<T>) -> Result<Vec<(String, Var<'t, T>)>, String> {
    let leaf = |name: &String| file.need(&format!("state/{name}")).map(|value| tape.leaf(value.clone()));
    // c₀ comes first by name, h₀ in a call.
    file.names("state/").into_iter().rev().map(|name| leaf(&name).map(|leaf| (name, leaf))).collect()
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

/// A recurrent module, or a cell as a module of one layer.
pub struct Module<T: Element> {
    stack: Stack<T>,
    is_cell: bool,
    batch_first: bool,
    /// Of a packed sequence: the rows' lengths, what padding is filled with, and how long it then is.
    lengths: Option<Vec<usize>>,
    padding: f64,
    total: Option<usize>,
    /// The dropout masks between layers.
    dropped: Vec<Tensor<T>>,
}

impl<T: Element> Module<T> {
    /// The module of a case with its weights.
    pub fn new(case: &Case, file: &File<T>) -> Result<Self, String> {
        let module = case.config["module"].as_str().ok_or("the case has no module")?;
        let is_cell = module.ends_with("Cell");
        let mut config: Map<String, Json> = case.config["args"].as_object().cloned().unwrap_or_default();
        config.retain(|name, value| name != "device" && name != "dtype" && !value.is_null());
        // PyTorch warns that it does nothing; here it is an error.
        if case.arg("num_layers").as_u64().unwrap_or(1) == 1 {
            config.remove("dropout");
        }
        config.insert("layer".into(), json!(format!("torch_{}", module.trim_end_matches("Cell").to_lowercase())));
        let features = *file.need("in/x")?.shape().last().ok_or("the input has no features")?;
        let rng = &mut Rng::new(0);
        let mut stack = match serde_json::from_value(config.into()).map_err(|error| error.to_string())? {
            LayerConfig::TorchRnn(config) => config.try_layer(features, rng),
            LayerConfig::TorchLstm(config) => config.try_layer(features, rng),
            LayerConfig::TorchGru(config) => config.try_layer(features, rng),
            other => return Err(format!("{} is no module of PyTorch's", other.name())),
        }
        .map_err(|error| error.to_string())?;
        let named = |name: String| (format!("{name}{}", if is_cell { "_l0" } else { "" }), format!("w/{name}"));
        let weights = file.names("w/").into_iter().map(named);
        let weights: Vec<_> =
            weights.map(|(own, name)| Ok((own, file.need(&name)?.clone()))).collect::<Result<_, String>>()?;
        stack.load_state_dict(weights.clone()).map_err(|error| error.to_string())?;
        // There and back without loss.
        for (name, value) in stack.state_dict() {
            if weights.iter().find(|(own, _)| *own == name).is_none_or(|(_, own)| *own != value) {
                return Err(format!("{name} did not come back as it was"));
            }
        }
        let places = case.arg("num_layers").as_u64().unwrap_or(1) - 1;
        let dropped = match file.names("drop/").len() {
            0 => Vec::new(),
            _ => (0..places).map(|place| file.need(&format!("drop/{place}")).cloned()).collect::<Result<_, _>>()?,
        };
        let size = |x: &Json| x.as_u64().map(|n| n as usize);
        Ok(Self {
            stack,
            is_cell,
            batch_first: case.arg("batch_first").as_bool().unwrap_or(false),
            lengths: case.config["lengths"].as_array().map(|lengths| lengths.iter().filter_map(size).collect()),
            padding: case.config["padding_value"].as_f64().unwrap_or(0.0),
            total: size(&case.config["total_length"]),
            dropped,
        })
    }

    /// PyTorch's outputs by name, for its input and initial states.
    pub fn call<'t>(&self, x: Var<'t, T>, states: &[(String, Var<'t, T>)]) -> Vec<(String, Var<'t, T>)> {
        let one_layer = |state: Var<'t, T>| if self.is_cell { state.unsqueeze(0) } else { state };
        let initial: Vec<Var<'t, T>> = states.iter().map(|(_, state)| one_layer(*state)).collect();
        let initial = (!initial.is_empty()).then_some(&initial[..]);
        let masked = self.lengths.as_ref().map_or_else(|| Masked::from(x), |lengths| self.stack.padded(x, lengths));
        let StackOutput { output, h_n, c_n } = match &self.dropped[..] {
            [] => self.stack.run(masked, initial),
            dropped => self.stack.run_with(masked, initial, dropped),
        };
        let output = self.lengths.as_ref().map_or(output, |lengths| self.padded(output, lengths));
        let all = if self.is_cell {
            [Some(("h_steps", output)), None, c_n.map(|c| ("c_last", c.squeeze(0)))]
        } else {
            [Some(("output", output)), Some(("h_n", h_n)), c_n.map(|c| ("c_n", c))]
        };
        all.into_iter().flatten().map(|(name, value)| (name.to_string(), value)).collect()
    }

    /// As `pad_packed_sequence` returns it: as long as the longest row, or as is asked for.
    fn padded<'t>(&self, x: Var<'t, T>, lengths: &[usize]) -> Var<'t, T> {
        let time = isize::from(self.batch_first);
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let total = self.total.unwrap_or(longest);
        let x = x.slice(time, 0..longest as isize).place(time, 0, 1, total);
        let padding = Tensor::from_fn([lengths.len(), total, 1], |i| i[1] >= lengths[i[0]]);
        let padding = if self.batch_first { padding } else { padding.permute(&[1, 0, 2]) };
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
        for (name, gradient) in self.stack.named_gradients(gradients) {
            let name = if self.is_cell { name.trim_end_matches("_l0") } else { &name };
            numbers.insert(format!("grad/w/{name}"), Any::Float(gradient));
        }
    }

    /// Whether all of it ran as loops, and so did its derivatives.
    pub fn is_a_loop(&self) -> Result<(), String> {
        let how = self.stack.explain();
        let parts = self.stack.layers().iter().map(Vec::len).sum();
        let enough = how.matches("loop:").count() >= parts && how.matches("derivative:").count() >= parts;
        if enough && !how.contains("unrolled") && !how.contains("no loop") { Ok(()) } else { Err(how) }
    }
}
