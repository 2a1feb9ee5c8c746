//! Keras' recurrent layers, both directions of them, and chains of layers: the same configuration, weights, inputs,
//! masks and states.

use serde_json::{Map, Value as Json, json};
use tapeloop::layers::Config;
use tapeloop::{
    Bidirectional, BidirectionalLayer, BidirectionalOutput, Cell, Element, InputShape, LayerConfig, Masked, Model,
    Module, Noise, Param, Pass, Path, Rng, Rnn, RnnOutput, Sequential, State, Tape, Tensor, Var,
};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};

/// Arguments that change no number, at least not here.
const WITHOUT_EFFECT: [&str; 6] = ["unroll", "use_cudnn", "name", "seed", "dtype", "trainable"];

type AnyCell<T> = Box<dyn Cell<T>>;

enum Built<T: Element> {
    Rnn(Box<Rnn<T, AnyCell<T>>>),
    Both(Box<BidirectionalLayer<T, AnyCell<T>, AnyCell<T>>>),
    Chain(Model<T>),
}

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    match build(case)? {
        Ok(layer) => Ok(Outcome::Ran(call(layer, case, file)?)),
        Err(reason) => Ok(Outcome::Skipped(reason)),
    }
}

/// The layer of a case, or why it does not exist yet.
fn build<T: Element>(case: &Case) -> Result<Result<Built<T>, String>, String> {
    let shape = case.config["input_shape"].as_array().ok_or("the case has no input shape")?;
    let axes: Vec<Option<usize>> = shape[1..].iter().map(|n| n.as_u64().map(|n| n as usize)).collect();
    let rng = &mut Rng::new(0);
    let error = |error: tapeloop::Error| error.to_string();
    if let Some(layers) = case.config["layers"].as_array() {
        let mut chain = Sequential::new(InputShape(axes));
        for layer in layers {
            chain = match config(layer) {
                Ok(config) => chain.add(config),
                Err(reason) => return Ok(Err(reason)),
            };
        }
        return Ok(Ok(Built::Chain(chain.build(0).map_err(error)?)));
    }
    Ok(match config(&case.config) {
        Ok(LayerConfig::Bidirectional(both)) => {
            Ok(Built::Both(Box::new(both.try_layer_on(&axes, rng).map_err(error)?)))
        }
        Ok(config) => Ok(Built::Rnn(Box::new(config.recurrent(&axes, rng).map_err(error)?))),
        Err(reason) => Err(reason),
    })
}

/// Our configuration of Keras' one; what we do not know is no failure: it does not exist yet.
fn config(layer: &Json) -> Result<LayerConfig, String> {
    let kind = layer["layer"].as_str().unwrap_or_default();
    let mut arguments: Map<String, Json> = layer["args"].as_object().cloned().unwrap_or_default();
    if kind == "SimpleRNN" {
        // It has one product alone.
        arguments.remove("implementation");
    }
    let name = match kind {
        "SimpleRNN" => "simple_rnn",
        "LSTM" => "lstm",
        "GRU" => "gru",
        "ConvLSTM1D" => "conv_lstm1d",
        "ConvLSTM2D" => "conv_lstm2d",
        "ConvLSTM3D" => "conv_lstm3d",
        "Embedding" => "embedding",
        "Masking" => "masking",
        "Dense" => "dense",
        // A dense layer acts on the last axis, at every step.
        "TimeDistributed" if layer["inner"]["layer"] == "Dense" => return config(&layer["inner"]),
        "Bidirectional" => {
            let merge = serde_json::from_value(arguments.remove("merge_mode").unwrap_or(json!("concat")));
            let both = Bidirectional {
                forward_layer: Box::new(config(&layer["inner"])?),
                backward_layer: match &layer["backward"] {
                    Json::Null => None,
                    other => Some(Box::new(config(other)?)),
                },
                merge_mode: merge.map_err(|error| error.to_string())?,
            };
            arguments.retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
            return match arguments.keys().next() {
                Some(name) => Err(format!("{name} of Bidirectional is not supported yet")),
                None => Ok(both.into()),
            };
        }
        other => return Err(format!("{other} is not supported yet")),
    };
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
    arguments.insert("layer".into(), json!(name));
    serde_json::from_value(Json::Object(arguments)).map_err(|error| error.to_string())
}

impl<T: Element> Built<T> {
    fn call<'t>(&self, x: Masked<'t, T>, initial: Option<&[Var<'t, T>]>, noise: &[Noise<T>; 2]) -> Vec<Var<'t, T>> {
        match self {
            Self::Rnn(rnn) => {
                let RnnOutput { output, state } = rnn.run_with(x, initial, &noise[0]);
                let state = if rnn.options().return_state { state } else { State::new() };
                [output].into_iter().chain(state).collect()
            }
            Self::Both(both) => {
                let BidirectionalOutput { outputs, state } = both.run_with(x, initial, [&noise[0], &noise[1]]);
                let state = if both.forward_layer().options().return_state { state } else { State::new() };
                outputs.into_iter().chain(state).collect()
            }
            Self::Chain(model) => vec![model.forward(x, &mut Pass::inference())],
        }
    }

    fn carried(&self) -> Option<Vec<Tensor<T>>> {
        match self {
            Self::Rnn(rnn) => Some(rnn.carried_state()?.into_vec()),
            Self::Both(both) => {
                let halves = [both.forward_layer().carried_state()?, both.backward_layer().carried_state()?];
                Some(halves.into_iter().flatten().collect())
            }
            Self::Chain(_) => None,
        }
    }

    fn reset_state(&self) {
        match self {
            Self::Rnn(rnn) => rnn.reset_state(),
            Self::Both(both) => tapeloop::Layer::reset_state(&**both),
            Self::Chain(model) => model.reset_state(),
        }
    }

    fn module(&self) -> &dyn Module<T> {
        match self {
            Self::Rnn(rnn) => &**rnn,
            Self::Both(both) => &**both,
            Self::Chain(model) => model,
        }
    }

    fn module_mut(&mut self) -> &mut dyn Module<T> {
        match self {
            Self::Rnn(rnn) => &mut **rnn,
            Self::Both(both) => &mut **both,
            Self::Chain(model) => model,
        }
    }

    /// Our name of a weight with this path in Keras.
    fn own_name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('/').collect();
        let mut own = Vec::new();
        for (place, part) in parts.iter().enumerate() {
            // l1_lstm is the second layer of a chain.
            let layer = part.strip_prefix('l').and_then(|rest| rest.split('_').next()?.parse::<usize>().ok());
            match (self, layer) {
                _ if place + 1 == parts.len() => own.push((*part).to_string()),
                (Self::Chain(model), Some(layer)) => {
                    own.extend(model.layer_names().nth(layer).map(ToString::to_string));
                }
                _ if part.starts_with("forward_") => own.push("forward_layer".into()),
                _ if part.starts_with("backward_") => own.push("backward_layer".into()),
                _ if part.ends_with("_cell") => own.push("cell".into()),
                _ => {}
            }
        }
        own.join(".")
    }
}

fn call<T: Element>(mut layer: Built<T>, case: &Case, file: &File<T>) -> Result<Numbers<T>, String> {
    load(&mut layer, file)?;
    let noise = [noise(file, 0), noise(file, 1)];
    let given = file.names("drop/");
    let takes = |name: &String| match &layer {
        Built::Rnn(_) => name.ends_with("/0"),
        Built::Both(_) => name.ends_with("/0") || name.ends_with("/1"),
        Built::Chain(_) => false,
    };
    if let Some(name) = given.iter().find(|name| !takes(name)) {
        return Err(format!("nothing takes the mask drop/{name}"));
    }
    let tape = Tape::new();
    let leaf = |name: &str| match file.tensors.get(name) {
        Some(Any::Int(ids)) => Ok(tape.constant(ids.map(|id| T::from_f64(id as f64)))),
        _ => file.need(name).map(|value| tape.leaf(value.clone())),
    };
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
            let outputs = layer.call(masked(leaves[x].1, file.tensors.get(&format!("mask{x}"))), None, &noise);
            record(&outputs, &format!("{name}/"));
            let carried = layer.carried().ok_or("a stateful layer carries nothing")?;
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
        let x = masked(leaves[0].1, file.tensors.get("mask"));
        let outputs = layer.call(x, (states > 0).then_some(&initial), &noise);
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
        let own = layer.own_name(&name);
        layer.module().visit(&mut Path::default(), &mut |path, param| {
            if path.as_str() == own {
                let gradient = gradients.of(param).cloned().unwrap_or_else(|| param.value().zeros_like());
                numbers.insert(format!("grad/w/{name}"), Any::Float(gradient));
            }
        });
    }
    Ok(numbers)
}

/// What the layer of this place drew: masks of its input, then of its state, each one for all gates or (gates, batch, …).
fn noise<T: Element>(file: &File<T>, place: usize) -> Noise<T> {
    let mut noise = Noise::none();
    for kind in ["dropout", "recurrent_dropout"] {
        match file.float(&format!("drop/{kind}/{place}")) {
            // One for all gates is (batch, features).
            Some(masks) if masks.rank() >= 3 => {
                noise.held.extend((0..masks.shape()[0]).map(|gate| masks.select(0, gate)));
            }
            mask => noise.held.extend(mask.cloned()),
        }
    }
    noise
}

fn masked<'t, T: Element>(x: Var<'t, T>, mask: Option<&Any<T>>) -> Masked<'t, T> {
    match mask {
        Some(Any::Bool(mask)) => Masked::new(x, mask),
        _ => x.into(),
    }
}

/// Every parameter from the file, and every weight of the file into a parameter.
fn load<T: Element>(layer: &mut Built<T>, file: &File<T>) -> Result<(), String> {
    let mut problem = None;
    let mut names: Vec<(String, String)> =
        file.names("w/").into_iter().map(|name| (layer.own_name(&name), name)).collect();
    layer.module_mut().visit_mut(&mut Path::default(), &mut |path, param: &mut Param<T>| match names
        .iter()
        .position(|(own, _)| own == path.as_str())
    {
        Some(at) => match file.need(&format!("w/{}", names.remove(at).1)) {
            Ok(value) => param.set(value.clone()),
            Err(error) => problem = Some(error),
        },
        None => problem = Some(format!("the file has no weight {}", path.as_str())),
    });
    match (problem, names.first()) {
        (Some(problem), _) => Err(problem),
        (None, Some((_, name))) => Err(format!("we have no weight {name}")),
        (None, None) => Ok(()),
    }
}
