//! Keras' recurrent layers: the same configuration, weights, inputs and states.

use serde_json::{Map, Value as Json, json};
use tapeloop::{Cell, Element, Gru, Lstm, Param, Rng, Rnn, SimpleRnn, Tape, Tensor, Var};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};

/// Arguments that change no number, at least not here.
const WITHOUT_EFFECT: [&str; 8] =
    ["unroll", "implementation", "use_cudnn", "zero_output_for_mask", "name", "seed", "dtype", "trainable"];

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let mut arguments: Map<String, Json> = case.config["args"].as_object().cloned().unwrap_or_default();
    if case.config.get("mask").is_some_and(|mask| !mask.is_null()) {
        return Ok(Outcome::Skipped("masks are not supported yet".into()));
    }
    for name in ["dropout", "recurrent_dropout"] {
        let rate = arguments.remove(name).and_then(|rate| rate.as_f64()).unwrap_or(0.0);
        if rate > 0.0 && case.config["training"] == json!(true) {
            return Ok(Outcome::Skipped(format!("{name} inside a recurrent layer is not supported yet")));
        }
    }
    for activation in ["activation", "recurrent_activation"] {
        // Python's None is the identity.
        if arguments.get(activation).is_some_and(Json::is_null) {
            arguments.insert(activation.into(), json!("linear"));
        }
    }
    // Weights come from the file; what is None is not there.
    arguments.retain(|name, value| {
        !WITHOUT_EFFECT.contains(&name.as_str()) && !name.ends_with("_initializer") && !value.is_null()
    });
    let config = Json::Object(arguments);
    let width = case.config["input_shape"][2].as_u64().ok_or("the case has no input shape")? as usize;
    let (layer, rng) = (case.config["layer"].as_str().unwrap_or_default(), &mut Rng::new(0));
    // What the configuration does not know is no failure: it does not exist yet.
    macro_rules! layer {
        ($config:ty) => {
            match serde_json::from_value::<$config>(config) {
                Ok(config) => Ok(Outcome::Ran(call(config.layer::<T>(width, rng), case, file)?)),
                Err(error) => Ok(Outcome::Skipped(error.to_string())),
            }
        };
    }
    match layer {
        "SimpleRNN" => layer!(SimpleRnn),
        "LSTM" => layer!(Lstm),
        "GRU" => layer!(Gru),
        other => Ok(Outcome::Skipped(format!("{other} is not supported yet"))),
    }
}

fn call<T: Element, C: Cell<T>>(mut layer: Rnn<T, C>, case: &Case, file: &File<T>) -> Result<Numbers<T>, String> {
    load(layer.cell_mut(), file)?;
    let tape = Tape::new();
    let leaf = |name: &str| file.need(name).map(|value| tape.leaf(value.clone()));
    let mut leaves: Vec<(String, Var<'_, T>)> = Vec::new();
    let mut roots: Vec<(Var<'_, T>, &Tensor<T>)> = Vec::new();
    let mut numbers = Numbers::new();
    let mut record = |outputs: &[Var<'_, T>], prefix: &str| {
        outputs.iter().enumerate().for_each(|(k, output)| {
            numbers.insert(format!("out/{prefix}{k}"), Any::Float(output.value()));
        });
    };
    if case.config["stateful"] == json!(true) {
        let batches = file.names("in/").iter().filter(|name| name.starts_with('x')).count();
        for k in 0..batches {
            leaves.push((format!("in/x{k}"), leaf(&format!("in/x{k}"))?));
        }
        // After `reset_state` the first batch comes again, where the case has that.
        let again = file.tensors.keys().any(|name| name.starts_with("out/r0/"));
        let steps = (0..batches).map(|k| (k.to_string(), k)).chain(again.then(|| ("r0".to_string(), 0)));
        for (name, x) in steps {
            if name == "r0" {
                layer.reset_state();
            }
            let outputs = layer.call(leaves[x].1, None);
            record(&outputs, &format!("{name}/"));
            let carried = layer.carried_state().ok_or("a stateful layer carries nothing")?;
            let carried: Vec<_> = carried.into_iter().map(|state| tape.constant(state)).collect();
            record(&carried, &format!("state_after_{name}/"));
            for (k, output) in outputs.into_iter().enumerate() {
                roots.extend(file.float(&format!("cot/{name}/{k}")).map(|cotangent| (output, cotangent)));
            }
        }
    } else {
        leaves.push(("in/x".into(), leaf("in/x")?));
        let states = file.names("state/").len();
        for k in 0..states {
            leaves.push((format!("state/{k}"), leaf(&format!("state/{k}"))?));
        }
        let initial: Vec<_> = leaves[1..].iter().map(|(_, state)| *state).collect();
        let outputs = layer.call(leaves[0].1, (states > 0).then_some(&initial));
        record(&outputs, "");
        for (k, output) in outputs.into_iter().enumerate() {
            roots.extend(file.float(&format!("cot/{k}")).map(|cotangent| (output, cotangent)));
        }
    }
    let gradients = tape.backward(&roots);
    for (name, leaf) in &leaves {
        let gradient = gradients.wrt(*leaf).cloned().unwrap_or_else(|| Tensor::zeros(leaf.shape()));
        numbers.insert(format!("grad/{name}"), Any::Float(gradient));
    }
    for name in file.names("w/") {
        let field = field(&name);
        for (own, param) in layer.cell().params() {
            if own == field {
                let gradient = gradients.of(param).cloned().unwrap_or_else(|| param.value().zeros_like());
                numbers.insert(format!("grad/w/{name}"), Any::Float(gradient));
            }
        }
    }
    Ok(numbers)
}

/// Keras' path without the cell's name.
fn field(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every parameter from the file, and every weight of the file into a parameter.
fn load<T: Element, C: Cell<T>>(cell: &mut C, file: &File<T>) -> Result<(), String> {
    let mut problem = None;
    let mut names: Vec<String> = file.names("w/");
    cell.visit_mut(&mut tapeloop::Path::default(), &mut |path, param: &mut Param<T>| match names
        .iter()
        .position(|name| field(name) == path.as_str())
    {
        Some(at) => match file.need(&format!("w/{}", names.remove(at))) {
            Ok(value) => param.set(value.clone()),
            Err(error) => problem = Some(error),
        },
        None => problem = Some(format!("the file has no weight {}", path.as_str())),
    });
    match (problem, names.first()) {
        (Some(problem), _) => Err(problem),
        (None, Some(name)) => Err(format!("we have no weight {name}")),
        (None, None) => Ok(()),
    }
}
