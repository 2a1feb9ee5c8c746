//! Cells of the zoo against references that were written straight from their papers.

mod classical;
mod continuous;
mod grus;
mod linear;
mod lstms;

use serde_json::Value as Json;
use tapeloop::{CellConfig, Element, Module, Param, Path, Recurrent, Rng, Shape, Tape, Tensor, Var};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};
use crate::torch_rnn::states;

/// How a reference's cell is called here.
pub struct Ours {
    /// The cell.
    config: CellConfig,
    /// The ends of its parameters' names, and the reference's weights of which each is made: side by side on the last axis.
    weights: Vec<(&'static str, Vec<String>)>,
    /// The reference's names of the states, in the cell's order. One with a `?` may be missing there: it starts from 0.
    states: Vec<&'static str>,
    /// The reference's inputs of which a step's input is made: side by side.
    inputs: Vec<&'static str>,
    /// The reference's name of the output.
    output: &'static str,
}

impl Ours {
    /// A cell with these states, whose input is x and whose output y.
    pub fn new(config: impl Into<CellConfig>, states: &[&'static str]) -> Self {
        Self { config: config.into(), weights: Vec::new(), states: states.into(), inputs: vec!["x"], output: "y" }
    }

    /// One of our weights, made of these.
    pub fn weight(mut self, ours: &'static str, theirs: &[&str]) -> Self {
        self.weights.push((ours, theirs.iter().map(ToString::to_string).collect()));
        self
    }

    /// `kernel`, `recurrent_kernel` and `bias`, made of W_k, U_k and b_k for each of these gates.
    pub fn gates(self, gates: &[&str]) -> Self {
        let named = |letter: &str| gates.iter().map(|gate| format!("{letter}_{gate}")).collect::<Vec<_>>();
        let mut ours = self;
        for (weight, letter) in [("kernel", "W"), ("recurrent_kernel", "U"), ("bias", "b")] {
            ours.weights.push((weight, named(letter)));
        }
        ours
    }

    /// What a step's input is made of.
    #[allow(dead_code, reason = "for cells that take more than x")]
    pub fn inputs(self, inputs: &[&'static str]) -> Self {
        Self { inputs: inputs.into(), ..self }
    }

    /// How the output is called.
    #[allow(dead_code, reason = "for cells whose states are called y")]
    pub fn output(self, output: &'static str) -> Self {
        Self { output, ..self }
    }
}

/// What a case says of its cell.
pub struct Of<'a> {
    /// Its name.
    pub cell: &'a str,
    /// The width of its input.
    pub features: usize,
    /// The width of its state.
    pub units: usize,
    options: &'a Json,
}

impl Of<'_> {
    /// A number among the options.
    #[allow(dead_code, reason = "for cells with numbers among their options")]
    pub fn number(&self, option: &str) -> Option<f64> {
        self.options[option].as_f64()
    }

    /// A text among the options.
    #[allow(dead_code, reason = "for cells with words among their options")]
    pub fn text(&self, option: &str) -> Option<&str> {
        self.options[option].as_str()
    }

    /// Whether an option is set.
    #[allow(dead_code, reason = "for cells with switches among their options")]
    pub fn flag(&self, option: &str) -> bool {
        self.options[option].as_bool().unwrap_or(false)
    }
}

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let name = case.config["cell"].as_str().ok_or("the case names no cell")?;
    let dim = |k: usize| case.config["dims"][k].as_u64().ok_or("the case has no dims").map(|n| n as usize);
    let of = Of { cell: name, features: dim(2)?, units: dim(3)?, options: &case.config["options"] };
    let families = [classical::ours, lstms::ours, grus::ours, continuous::ours, linear::ours];
    let Some(ours) = families.iter().find_map(|ours| ours(&of)) else {
        return Ok(Outcome::Skipped(format!("there is no cell {name} yet")));
    };
    let tape = Tape::new();
    let mut inputs = Vec::new();
    for name in &ours.inputs {
        inputs.push(tape.leaf(file.need(&format!("in/{name}"))?.clone()));
    }
    let x = if inputs.len() == 1 { inputs[0] } else { Var::concat(inputs.iter().copied(), -1) };
    let config = Recurrent::new(ours.config.clone()).return_sequences(true);
    let step: Shape = x.shape()[2..].into();
    let mut rnn = config.try_layer::<T>(step, &mut Rng::new(0)).map_err(|error| error.to_string())?;
    for (own, theirs) in &ours.weights {
        let theirs: Vec<_> =
            theirs.iter().map(|name| file.need(&format!("w/{name}")).cloned()).collect::<Result<_, _>>()?;
        let value = side_by_side(&theirs);
        let mut found = Err(format!("{name} has no weight {own}"));
        rnn.visit_mut(&mut Path::default(), &mut |path, param: &mut Param<T>| {
            if path.as_str().strip_prefix("cell.") == Some(*own) {
                // A row here may be a vector there.
                let row = [&[1], value.shape().dims()].concat();
                found = if [value.shape().dims(), &row].contains(&param.value().shape().dims()) {
                    param.set(value.reshape(&param.value().shape().iter().map(|&n| n as isize).collect::<Vec<_>>()));
                    Ok(())
                } else {
                    Err(format!("{own} has the shape {}, not {}", param.value().shape(), value.shape()))
                };
            }
        });
        found?;
    }
    if let Some((path, _)) = rnn.params().iter().find(|(path, param)| {
        param.trainable() && !ours.weights.iter().any(|(own, _)| path.strip_prefix("cell.") == Some(*own))
    }) {
        return Err(format!("the reference has no weight for {path}"));
    }
    let given = states(&tape, file)?;
    let mut initial: Vec<Var<'_, T>> = Vec::new();
    for (name, shape) in ours.states.iter().zip(rnn.cell().state_shapes()) {
        let zeros = || {
            let shape: Shape = [x.dim(0)].iter().chain(shape.iter()).copied().collect();
            name.ends_with('?').then(|| tape.leaf(Tensor::zeros(shape)))
        };
        let found = given.iter().find(|(own, _)| own == name.trim_end_matches('?')).map(|(_, leaf)| *leaf);
        initial.push(found.or_else(zeros).ok_or_else(|| format!("no state {name}"))?);
    }
    let named = ours.states.iter().map(|name| name.trim_end_matches('?'));
    let ran = rnn.run(x, Some(&initial));
    let outputs: Vec<(&str, Var<'_, T>)> =
        [(ours.output, ran.output)].into_iter().chain(named.zip(ran.state)).collect();
    let roots: Vec<_> = outputs
        .iter()
        .filter_map(|(name, output)| file.float(&format!("cot/{name}")).map(|cotangent| (*output, cotangent)))
        .collect();
    let gradients = tape.backward(&roots);
    let mut numbers = Numbers::new();
    numbers.extend(outputs.iter().map(|(name, output)| (format!("out/{name}"), Any::Float(output.value()))));
    let leaves = inputs.iter().zip(&ours.inputs).map(|(leaf, name)| (format!("grad/in/{name}"), *leaf));
    for (name, leaf) in leaves.chain(given.iter().map(|(name, leaf)| (format!("grad/state/{name}"), *leaf))) {
        let gradient = gradients.wrt(leaf).cloned().unwrap_or_else(|| Tensor::zeros(leaf.shape()));
        numbers.insert(name, Any::Float(gradient));
    }
    for (own, theirs) in &ours.weights {
        let params = rnn.params();
        let (_, param) = params.iter().find(|(path, _)| path.strip_prefix("cell.") == Some(*own)).ok_or("lost")?;
        let gradient = gradients.of(param).cloned().unwrap_or_else(|| Tensor::zeros(param.value().shape()));
        let mut start = 0;
        for name in theirs {
            let shape = file.need(&format!("w/{name}"))?.shape();
            let width = shape.last().copied().unwrap_or(1) as isize;
            let part = if shape.rank() == 0 { gradient.clone() } else { gradient.slice(-1, start..start + width) };
            let part = part.reshape(&shape.iter().map(|&n| n as isize).collect::<Vec<_>>());
            numbers.insert(format!("grad/w/{name}"), Any::Float(part));
            start += width;
        }
    }
    Ok(Outcome::Ran(numbers))
}

/// One tensor of several, joined on the last axis.
fn side_by_side<T: Element>(parts: &[Tensor<T>]) -> Tensor<T> {
    match parts {
        [one] => one.clone(),
        parts => {
            let tape = Tape::inference();
            Var::concat(parts.iter().map(|part| tape.constant(part.clone())), -1).value()
        }
    }
}
