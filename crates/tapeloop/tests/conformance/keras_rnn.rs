//! Keras' recurrent layers, both directions of them, and chains of layers: the same configuration, weights, inputs,
//! masks and states.

use serde_json::{Map, Value as Json, json};
use tapeloop::layers::Config;
use tapeloop::{
    Bidirectional, BidirectionalLayer, Cell, Element, InputShape, Layer, LayerConfig, Masked, Model, Module, Noise,
    Param, Pass, Path, Rng, Rnn, Sequential, Tape, Tensor, TimeDistributed, Var,
};

use crate::case::{Any, Case, File, Numbers};
use crate::{Outcome, keras_cells};

/// Arguments that change no number, at least not here.
const WITHOUT_EFFECT: [&str; 6] = ["unroll", "use_cudnn", "name", "seed", "dtype", "trainable"];

type AnyCell<T> = Box<dyn Cell<T>>;

enum Built<T: Element> {
    Rnn(Box<Rnn<T, AnyCell<T>>>),
    Both(Box<BidirectionalLayer<T, AnyCell<T>, AnyCell<T>>>),
    Chain(Model<T>),
}

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    Ok(Outcome::Ran(call(build(case)?, case, file)?))
}

/// The layer of a case.
fn build<T: Element>(case: &Case) -> Result<Built<T>, String> {
    let shape = case.config["input_shape"].as_array().ok_or("the case has no input shape")?;
    let axes: Vec<Option<usize>> = shape[1..].iter().map(|n| n.as_u64().map(|n| n as usize)).collect();
    let rng = &mut Rng::new(0);
    let error = |error: tapeloop::Error| error.to_string();
    if let Some(layers) = case.config["layers"].as_array() {
        let mut chain = Sequential::new(InputShape(axes));
        for layer in layers {
            chain = chain.add(config(layer)?);
        }
        return Ok(Built::Chain(chain.build(0).map_err(error)?));
    }
    let width = axes.last().copied().flatten().ok_or("the case has no width");
    if case.config["layer"] == json!("RNN") {
        return Ok(Built::Rnn(Box::new(keras_cells::rnn(&case.config, width?, config)?)));
    }
    Ok(match config(&case.config)? {
        config @ LayerConfig::TimeDistributed(_) => {
            Built::Chain(Sequential::new(InputShape(axes)).add(config).build(0).map_err(error)?)
        }
        LayerConfig::Bidirectional(both) => Built::Both(Box::new(both.try_layer_on(&axes, rng).map_err(error)?)),
        config => Built::Rnn(Box::new(config.recurrent(&axes, rng).map_err(error)?)),
    })
}

/// Our configuration of Keras' one. What we do not know of it is an error that names it.
pub fn config(layer: &Json) -> Result<LayerConfig, String> {
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
        "RepeatVector" => "repeat_vector",
        "Dense" => "dense",
        "LayerNormalization" => "layer_norm",
        // Keras calls the layer within past its activity regularizer, so that its references lack the term. Ours has it: see
        // tapeloop-layers/tests/keras_layers.rs.
        "TimeDistributed" => {
            let mut inner = layer["inner"].clone();
            if let Some(arguments) = inner["args"].as_object_mut() {
                arguments.remove("activity_regularizer");
            }
            let distributed = TimeDistributed {
                inner: Box::new(config(&inner)?),
                activity_regularizer: match arguments.remove("activity_regularizer") {
                    Some(own) => serde_json::from_value(own).map_err(|error| error.to_string())?,
                    None => None,
                },
            };
            arguments.retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
            return match arguments.keys().next() {
                Some(name) => Err(format!("{name} of TimeDistributed is not known")),
                None => Ok(distributed.into()),
            };
        }
        "Bidirectional" => {
            let merge = serde_json::from_value(arguments.remove("merge_mode").unwrap_or(json!("concat")));
            let both = Bidirectional {
                forward_layer: Box::new(config(&layer["inner"])?),
                backward_layer: match &layer["backward"] {
                    Json::Null => None,
                    other => Some(Box::new(config(other)?)),
                },
                merge_mode: merge.map_err(|error| error.to_string())?,
                activity_regularizer: match arguments.remove("activity_regularizer") {
                    Some(own) => serde_json::from_value(own).map_err(|error| error.to_string())?,
                    None => None,
                },
            };
            arguments.retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
            return match arguments.keys().next() {
                Some(name) => Err(format!("{name} of Bidirectional is not known")),
                None => Ok(both.into()),
            };
        }
        other => return Err(format!("{other} is not known")),
    };
    for activation in ["activation", "recurrent_activation"] {
        // Python's None is the identity.
        if arguments.get(activation).is_some_and(Json::is_null) {
            arguments.insert(activation.into(), json!("linear"));
        }
    }
    // Keras' SimpleRNN takes an activity regularizer and drops it, so its references lack the term. Ours has it: see
    // tapeloop-layers/tests/rules.rs.
    if name == "simple_rnn" {
        arguments.remove("activity_regularizer");
    }
    // What is None is not there.
    arguments.retain(|name, value| !WITHOUT_EFFECT.contains(&name.as_str()) && !value.is_null());
    arguments.insert("layer".into(), json!(name));
    serde_json::from_value(Json::Object(arguments)).map_err(|error| error.to_string())
}

impl<T: Element> Built<T> {
    /// What it puts out, and the penalty of that.
    fn call<'t>(
        &self,
        x: Masked<'t, T>,
        initial: Option<&[Var<'t, T>]>,
        noise: &[Noise<T>; 2],
    ) -> (Vec<Var<'t, T>>, Option<Var<'t, T>>) {
        match self {
            Self::Rnn(rnn) => {
                let run = rnn.run_with(x, initial, &noise[0]);
                let state = run.state.into_iter().filter(|_| rnn.options().return_state);
                (std::iter::once(run.output).chain(state).collect(), run.penalty)
            }
            Self::Both(both) => {
                let run = both.run_with(x, initial, [&noise[0], &noise[1]]);
                let state = run.state.into_iter().filter(|_| both.forward_layer().options().return_state);
                (run.outputs.into_iter().chain(state).collect(), run.penalty)
            }
            Self::Chain(model) => {
                let Masked { value, penalty, .. } = model.forward_masked(x, &mut Pass::inference());
                (vec![value], penalty)
            }
        }
    }

    /// The penalties of weights one by one; of a chain, their sum.
    fn penalties<'t>(&self, tape: &'t Tape<T>) -> Vec<Var<'t, T>> {
        let of = |rnn: &Rnn<T, AnyCell<T>>| -> Vec<Var<'t, T>> {
            rnn.rules().penalties(rnn.cell(), tape).into_iter().map(|(_, penalty)| penalty).collect()
        };
        match self {
            Self::Rnn(rnn) => of(rnn),
            Self::Both(both) => [of(both.forward_layer()), of(both.backward_layer())].concat(),
            Self::Chain(model) => model.penalty(tape).into_iter().collect(),
        }
    }

    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        match self {
            Self::Rnn(rnn) => Layer::penalty(&**rnn, tape),
            Self::Both(both) => Layer::penalty(&**both, tape),
            Self::Chain(model) => model.penalty(tape),
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
            Self::Both(both) => Layer::reset_state(&**both),
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
                // What is within `time_distributed`, and that alone.
                (Self::Chain(_), None) if place == 1 && parts[0].contains("time_distributed") => {
                    own.push("inner".into())
                }
                (Self::Chain(model), None) if place == 0 && parts.len() == 2 => {
                    own.extend(model.layer_names().next().map(ToString::to_string));
                    own.push("inner".into());
                }
                _ if part.ends_with("cell") => own.push("cell".into()),
                _ if part.starts_with("cell_") => own.push(format!("cell.cells.{}", &part[5..])),
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
    let one = Tensor::scalar(T::ONE);
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
            let (outputs, _) = layer.call(masked(leaves[x].1, file.tensors.get(&format!("mask{x}"))), None, &noise);
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
        let (outputs, activity) = layer.call(x, (states > 0).then_some(&initial), &noise);
        record(&outputs, "");
        if case.config["add_losses"] == json!(true) {
            numbers.extend(losses(&layer, &tape, activity, file)?);
            roots.extend(activity.into_iter().chain(layer.penalty(&tape)).map(|penalty| (penalty, &one)));
        }
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

/// Keras' list of penalties in our numbers: first those of outputs, one for each, then those of weights. Where ours is
/// the sum of some of them, each is the reference's times our sum by theirs: it is as wrong as the sum.
fn losses<'t, T: Element>(
    layer: &Built<T>,
    tape: &'t Tape<T>,
    activity: Option<Var<'t, T>>,
    file: &File<T>,
) -> Result<Numbers<T>, String> {
    let listed = file.names("out_losses/").len();
    let mut groups: Vec<(usize, Option<Var<'t, T>>)> = Vec::new();
    let weights = layer.penalties(tape);
    if let Built::Chain(_) = layer {
        groups.push((listed, weights.into_iter().chain(activity).reduce(|a, b| a + b)));
    } else {
        let others = listed.checked_sub(weights.len()).ok_or("Keras has fewer penalties")?;
        groups.push((others, activity));
        groups.extend(weights.into_iter().map(|penalty| (1, Some(penalty))));
    }
    let (mut numbers, mut first) = (Numbers::new(), 0);
    for (count, ours) in groups {
        let names: Vec<String> = (first..first + count).map(|k| format!("out_losses/{k}")).collect();
        first += count;
        let Some(ours) = ours else { continue };
        if count == 0 {
            return Err(format!("Keras has no penalty of outputs, ours is {}", ours.item()));
        }
        let theirs = |name: &String| file.exact.get(name).map(Tensor::item).ok_or(format!("the file has no {name}"));
        let all = names.iter().map(theirs).collect::<Result<Vec<f64>, _>>()?;
        let sum: f64 = all.iter().sum();
        for (name, theirs) in names.into_iter().zip(all) {
            let share = if sum == 0.0 { 1.0 / count as f64 } else { theirs / sum };
            numbers.insert(name, Any::Float(Tensor::scalar(T::from_f64(ours.item().to_f64() * share))));
        }
    }
    Ok(numbers)
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
