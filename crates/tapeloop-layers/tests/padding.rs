//! Padding with a mask changes no bit of a step that counts, and gets no gradient: every layer that a configuration can
//! name, both ways, in stacks, behind and before other layers. What masks do to cells is in `masks.rs`.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tapeloop_autograd::{Rng, Tape, Tensor, Var};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{Gru, Layer, LayerConfig, Lstm, Masked, Pass, Rnn, RnnOptions, StackedCells};

const TIME: usize = 6;

/// What lies in the padding.
#[derive(Clone, Copy, PartialEq)]
enum Junk {
    /// NaN and infinities: nothing of it may be looked at.
    Wild,
    /// Large numbers: a layer without a mask computes with them.
    Large,
    /// What a `Masking` in front looks for.
    Marked(f64),
}

struct Row {
    name: String,
    layers: Vec<Box<dyn Layer<f64>>>,
    step: Vec<usize>,
    sequences: bool,
    /// Whether outputs are from the last step to the first.
    turned: bool,
    /// Whether a last output is 0 where the step that is processed last does not count, as Keras has it.
    zero: bool,
    junk: Junk,
}

/// Every recurrent configuration, with an input's shape behind time.
fn recurrent() -> Vec<(Json, Vec<usize>)> {
    let mut all = vec![
        (json!({"layer": "simple_rnn", "units": 4}), vec![3]),
        (json!({"layer": "lstm", "units": 4}), vec![3]),
        (json!({"layer": "lstm", "units": 4, "use_bias": false, "activation": "relu"}), vec![3]),
        (json!({"layer": "gru", "units": 4}), vec![3]),
        (json!({"layer": "gru", "units": 4, "reset_after": false}), vec![3]),
    ];
    let cells = json!([{"cell": "zoneout", "inner": {"cell": "lstm", "units": 4}, "rates": [0.5]}, {"cell": "mgu", "units": 4}]);
    all.push((json!({"layer": "rnn", "cell": {"cell": "stacked", "cells": cells}}), vec![3]));
    for (kind, axes) in [("lstm", 1), ("lstm", 2), ("lstm", 3), ("gru", 1), ("gru", 2), ("gru", 3)] {
        let layer = format!("conv_{kind}{axes}d");
        let grid = [vec![3; axes], vec![2]].concat();
        all.push((json!({"layer": layer, "filters": 2, "kernel_size": 2, "padding": "same"}), grid));
    }
    all
}

fn with(config: &Json, settings: &[(&str, bool)]) -> Json {
    let mut config = config.clone();
    settings.iter().for_each(|&(name, value)| config[name] = json!(value));
    config
}

/// Layers one behind the other.
fn chain(configs: &[Json], step: &[usize]) -> Vec<Box<dyn Layer<f64>>> {
    let mut axes: Vec<Option<usize>> = [None].into_iter().chain(step.iter().map(|&n| Some(n))).collect();
    let mut rng = Rng::new(1);
    let build = |json: &Json| {
        let config: LayerConfig = serde_json::from_value(json.clone()).unwrap_or_else(|e| panic!("{json}: {e}"));
        let layer = config.build::<f64>(&axes, &mut rng).unwrap_or_else(|e| panic!("{json}: {e}"));
        axes = layer.output_shape(&axes).unwrap();
        layer
    };
    configs.iter().map(build).collect()
}

fn rows() -> (Vec<Row>, BTreeSet<String>) {
    let (mut rows, mut kinds) = (Vec::new(), BTreeSet::new());
    let mut row = |configs: &[Json], step: &[usize], sequences: bool, turned: bool, junk: Junk| {
        let zero = configs.iter().any(|config| config["zero_output_for_mask"] == json!(true)) && !sequences;
        configs.iter().for_each(|config| _ = kinds.insert(config["layer"].as_str().unwrap().to_string()));
        let name = configs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
        let layers = chain(configs, step);
        rows.push(Row { name, layers, step: step.to_vec(), sequences, turned, zero, junk });
    };
    for (base, step) in recurrent() {
        for k in 0..16 {
            let [sequences, turned, zero, unroll] = [1, 2, 4, 8].map(|bit| k & bit > 0);
            let settings = [
                ("return_sequences", sequences),
                ("go_backwards", turned),
                ("zero_output_for_mask", zero),
                ("unroll", unroll),
            ];
            row(&[with(&base, &settings)], &step, sequences, turned, Junk::Wild);
        }
        for sequences in [false, true] {
            let one = with(&base, &[("return_sequences", sequences)]);
            for merge in ["concat", "sum", "mul", "ave"] {
                let both = json!({"layer": "bidirectional", "forward_layer": one, "merge_mode": merge});
                row(&[both], &step, sequences, false, Junk::Wild);
            }
            let all = with(&base, &[("return_sequences", true)]);
            let both = json!({"layer": "bidirectional", "forward_layer": all});
            row(&[all.clone(), one.clone()], &step, sequences, false, Junk::Wild);
            row(&[both, one.clone()], &step, sequences, false, Junk::Wild);
            let kept = json!({"layer": "layer_norm"});
            row(&[all.clone(), kept.clone(), one.clone()], &step, sequences, false, Junk::Wild);
            let between = [
                json!({"layer": "dense", "units": 3}),
                kept,
                json!({"layer": "activation", "activation": "gelu"}),
                json!({"layer": "dropout", "rate": 0.5}),
                json!({"layer": "alpha_dropout", "rate": 0.5}),
                json!({"layer": "gaussian_dropout", "rate": 0.5}),
                json!({"layer": "gaussian_noise", "stddev": 0.5}),
                json!({"layer": "time_distributed", "inner": {"layer": "activation", "activation": "tanh"}}),
            ];
            for other in between {
                row(&[other.clone(), one.clone()], &step, sequences, false, Junk::Large);
                row(&[all.clone(), other.clone(), one.clone()], &step, sequences, false, Junk::Wild);
                if sequences {
                    row(&[all.clone(), other], &step, true, false, Junk::Wild);
                }
            }
            if step.len() == 1 {
                let masking = json!({"layer": "masking", "mask_value": 7.0});
                row(&[masking, one.clone()], &step, sequences, false, Junk::Marked(7.0));
            }
        }
    }
    for kind in ["torch_rnn", "torch_lstm", "torch_gru"] {
        for bidirectional in [false, true] {
            let layer = json!({"layer": kind, "hidden_size": 4, "num_layers": 2, "batch_first": true, "bidirectional": bidirectional});
            row(&[layer], &[3], true, false, Junk::Wild);
        }
    }
    let spatial = json!({"layer": "spatial_dropout1d", "rate": 0.5});
    row(&[spatial, json!({"layer": "lstm", "units": 4})], &[3], false, false, Junk::Large);
    for sequences in [false, true] {
        let rng = &mut Rng::new(2);
        let cells = StackedCells::new(vec![Box::new(Lstm::new(4).cell(3, rng)), Box::new(Gru::new(2).cell(4, rng))]);
        let options = RnnOptions { return_sequences: sequences, ..RnnOptions::default() };
        let layers: Vec<Box<dyn Layer<f64>>> = vec![Box::new(Rnn::new(cells, options))];
        let (name, step) = ("stacked".into(), vec![3]);
        rows.push(Row { name, layers, step, sequences, turned: false, zero: false, junk: Junk::Wild });
    }
    (rows, kinds)
}

fn bits(x: &Tensor<f64>) -> Vec<u64> {
    x.to_vec().iter().map(|x| x.to_bits()).collect()
}

/// Output, then the gradients of the input and of all weights.
fn run(row: &Row, x: &Tensor<f64>, mask: Option<&Tensor<bool>>) -> (Tensor<f64>, Tensor<f64>, Vec<Tensor<f64>>) {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let mut value = match mask {
        Some(mask) if !matches!(row.junk, Junk::Marked(_)) => Masked::new(x, mask),
        _ => x.into(),
    };
    for layer in &row.layers {
        value = layer.forward_masked(value, &mut Pass::inference());
    }
    let y: Var<'_, f64> = value.value;
    let weights = Tensor::normal(y.shape(), 0.0, 1.0, &mut Rng::new(9));
    let gradients = (y * &weights).sum_all().backward();
    let params = row.layers.iter().flat_map(|layer| layer.params());
    let of_params = params.filter_map(|(_, param)| gradients.of(param).cloned()).collect();
    (y.value(), gradients.wrt(x).cloned().unwrap(), of_params)
}

#[test]
fn padding_changes_no_bit_and_gets_no_gradient() {
    let (rows, mut kinds) = rows();
    for row in &rows {
        let lead = |batch: usize, time: usize| [&[batch, time], &row.step[..]].concat();
        // Each row by itself, of another length at another place.
        let places = [(0, 6), (0, 3), (3, 3), (2, 1), (1, 4), (5, 1)];
        let own = places.map(|(at, n)| Tensor::<f64>::normal(lead(1, n), 0.0, 1.0, &mut Rng::new(20 + at as u64)));
        let inside = |b: usize, t: usize| (places[b].0..places[b].0 + places[b].1).contains(&t);
        let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
        let padded = Tensor::from_fn(lead(places.len(), TIME), |i| match (inside(i[0], i[1]), row.junk) {
            (true, _) => own[i[0]].at(&[&[0, i[1] - places[i[0]].0], &i[2..]].concat()),
            (false, Junk::Wild) => wild[i.iter().sum::<usize>() % 4],
            (false, Junk::Large) => 1e3 + i.iter().sum::<usize>() as f64,
            (false, Junk::Marked(value)) => value,
        });
        let mask = Tensor::from_fn([places.len(), TIME], |i| inside(i[0], i[1]));
        let name = &row.name;
        let (y, gradient, of_params) = run(row, &padded, Some(&mask));
        assert!(y.all_finite() && gradient.all_finite() && of_params.iter().all(Tensor::all_finite), "{name}");
        assert!(!of_params.is_empty() && of_params.iter().any(|g| g.to_vec().iter().any(|&g| g != 0.0)), "{name}");
        for (b, (at, n)) in places.into_iter().enumerate() {
            let (alone, ..) = run(row, &own[b], None);
            let (y, alone) = (y.select(0, b), alone.select(0, 0));
            for t in (0..TIME).filter(|&t| !inside(b, t)) {
                let zero = gradient.select(0, b).select(0, t).to_vec().iter().all(|&g| g == 0.0);
                assert!(zero, "{name}: row {b}, a gradient of padding at {t}");
            }
            if !row.sequences {
                let ends = inside(b, if row.turned { 0 } else { TIME - 1 });
                let expected = if row.zero && !ends { alone.zeros_like() } else { alone };
                assert_eq!(bits(&y), bits(&expected), "{name}: row {b}");
                continue;
            }
            for t in 0..n {
                let [there, here] = [(at + t, TIME), (t, n)].map(|(t, n)| if row.turned { n - 1 - t } else { t });
                assert_eq!(bits(&y.select(0, there)), bits(&alone.select(0, here)), "{name}: row {b}, step {t}");
            }
        }
    }
    // What a configuration can name is in the table, or below, or has no time before it.
    kinds.extend(["embedding", "repeat_vector"].map(String::from));
    // What merges masks is in `functional.rs`; what pools, reshapes or convolves over time, and so ends or reads masks in its own
    // way, is against Keras in `keras_layers.rs`.
    let merging = ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"];
    let pooling = ["average_pooling1d", "max_pooling1d", "global_average_pooling1d", "global_max_pooling1d", "conv1d"];
    let reshaping = ["cropping1d", "flatten", "permute", "reshape", "up_sampling1d", "zero_padding1d"];
    kinds.extend(merging.into_iter().chain(pooling).chain(reshaping).map(String::from));
    let error = serde_json::from_value::<LayerConfig>(json!({"layer": "?"})).unwrap_err().to_string();
    let (_, names) = error.split_once("expected one of ").unwrap();
    let names: BTreeSet<String> = names.split(", ").map(|name| name.trim_matches('`').to_string()).collect();
    let missing: Vec<_> =
        names.iter().filter(|name| !kinds.contains(*name) && *name != "layer_normalization").collect();
    assert!(missing.is_empty(), "{missing:?} in no row of {names:?}");
}

/// Ids that are padding: no bit, and no gradient for their row of the table.
#[test]
fn padding_of_ids_changes_no_bit_and_gets_no_gradient() {
    for (base, step) in recurrent().into_iter().filter(|(_, step)| step.len() == 1) {
        for sequences in [false, true] {
            let embedding = json!({"layer": "embedding", "input_dim": 9, "output_dim": 3, "mask_zero": true});
            let one = with(&base, &[("return_sequences", sequences)]);
            let mut rng = Rng::new(1);
            let of = |json: Json| serde_json::from_value::<LayerConfig>(json).unwrap();
            let layers = vec![
                of(embedding).build::<f64>(&[None], &mut rng).unwrap(),
                of(one).build::<f64>(&[None, Some(step[0])], &mut rng).unwrap(),
            ];
            let run = |ids: &Tensor<f64>| {
                let tape = Tape::new();
                let mut value = Masked::from(tape.constant(ids.clone()));
                for layer in &layers {
                    value = layer.forward_masked(value, &mut Pass::inference());
                }
                let gradients = value.value.square().sum_all().backward();
                let table = layers[0].params()[0].1;
                (value.value.value(), gradients.of(table).unwrap().clone())
            };
            let (long, table) = run(&Tensor::from([[3.0, 1.0, 4.0, 0.0, 0.0], [0.0, 5.0, 0.0, 8.0, 2.0]]));
            for (b, ids) in [[3.0, 1.0, 4.0], [5.0, 8.0, 2.0]].into_iter().enumerate() {
                let (short, _) = run(&Tensor::from([ids]));
                let places = [[0, 1, 2], [1, 3, 4]][b];
                if sequences {
                    for (k, t) in places.into_iter().enumerate() {
                        let (a, b) = (long.select(0, b).select(0, t), short.select(0, 0).select(0, k));
                        assert_eq!(bits(&a), bits(&b), "{base}: step {t}");
                    }
                } else {
                    assert_eq!(bits(&long.select(0, b)), bits(&short.select(0, 0)), "{base}");
                }
            }
            assert!(table.select(0, 0).to_vec().iter().all(|&g| g == 0.0), "{base}");
            assert!(table.select(0, 8).to_vec().iter().any(|&g| g != 0.0), "{base}");
        }
    }
}
