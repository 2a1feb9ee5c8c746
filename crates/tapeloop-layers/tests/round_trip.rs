//! A model with every layer there is: through JSON, and its weights through bytes, bit for bit.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use tapeloop_autograd::{Module, Param, Path, Rng, Tensor};
use tapeloop_layers::{Functional, LayerConfig};

/// Layers with the shapes of what they are given, behind the batch.
fn layers() -> Vec<(Json, Vec<Vec<usize>>)> {
    let sequence = || vec![vec![6, 4]];
    let two = || vec![vec![6, 4]; 2];
    let norm = json!({"max_norm": {"max_value": 0.5}});
    let cell = json!({"cell": "stacked", "cells": [
        {"cell": "zoneout", "inner": {"cell": "lstm", "units": 3}, "rates": [0.1]},
        {"cell": "residual", "inner": {"cell": "gru", "units": 3, "reset_after": false}},
        {"cell": "mgu", "units": 2},
    ]});
    let mut all = vec![
        (json!({"layer": "activation", "activation": "gelu"}), sequence()),
        (json!({"layer": "alpha_dropout", "rate": 0.2}), sequence()),
        (json!({"layer": "average_pooling1d", "pool_size": 2}), sequence()),
        (
            json!({"layer": "bidirectional", "forward_layer": {"layer": "lstm", "units": 3}, "merge_mode": "mul"}),
            sequence(),
        ),
        (json!({"layer": "conv1d", "filters": 3, "kernel_size": 2}), sequence()),
        (json!({"layer": "cropping1d", "cropping": [1, 2]}), sequence()),
        (json!({"layer": "dense", "units": 3, "activation": "tanh", "kernel_constraint": norm}), sequence()),
        (json!({"layer": "dropout", "rate": 0.5}), sequence()),
        (json!({"layer": "embedding", "input_dim": 9, "output_dim": 3, "mask_zero": true}), vec![vec![6]]),
        (json!({"layer": "flatten"}), sequence()),
        (json!({"layer": "gaussian_dropout", "rate": 0.1}), sequence()),
        (json!({"layer": "gaussian_noise", "stddev": 0.1}), sequence()),
        (json!({"layer": "global_average_pooling1d"}), sequence()),
        (json!({"layer": "global_max_pooling1d"}), sequence()),
        (json!({"layer": "gru", "units": 3, "dropout": 0.1, "recurrent_dropout": 0.2}), sequence()),
        (json!({"layer": "layer_norm"}), sequence()),
        (
            json!({"layer": "lstm", "units": 3, "return_sequences": true, "checkpoint": "sqrt", "truncated_bptt": 2}),
            sequence(),
        ),
        (json!({"layer": "masking", "mask_value": 0.0}), sequence()),
        (json!({"layer": "max_pooling1d", "pool_size": 2}), sequence()),
        (json!({"layer": "permute", "dims": [2, 1]}), sequence()),
        (json!({"layer": "repeat_vector", "n": 3}), vec![vec![4]]),
        (json!({"layer": "reshape", "target_shape": [8, -1]}), sequence()),
        (json!({"layer": "rnn", "cell": cell, "regularizers": {"cells.0.inner.kernel": "l2"}}), sequence()),
        (json!({"layer": "simple_rnn", "units": 3, "go_backwards": true}), sequence()),
        (json!({"layer": "spatial_dropout1d", "rate": 0.1}), sequence()),
        (json!({"layer": "time_distributed", "inner": {"layer": "dense", "units": 2}}), sequence()),
        (
            json!({"layer": "torch_gru", "hidden_size": 3, "num_layers": 2, "dropout": 0.1, "batch_first": true}),
            sequence(),
        ),
        (
            json!({"layer": "torch_lstm", "hidden_size": 3, "proj_size": 2, "bidirectional": true, "batch_first": true}),
            sequence(),
        ),
        (json!({"layer": "torch_rnn", "hidden_size": 3, "nonlinearity": "relu", "batch_first": true}), sequence()),
        (json!({"layer": "up_sampling1d", "size": 2}), sequence()),
        (json!({"layer": "zero_padding1d", "padding": [1, 0]}), sequence()),
        (json!({"layer": "concatenate", "axis": -1}), two()),
        (json!({"layer": "dot", "axes": 2}), two()),
        (json!({"layer": "subtract"}), two()),
    ];
    for kind in ["add", "average", "maximum", "minimum", "multiply"] {
        all.push((json!({"layer": kind}), vec![vec![6, 4]; 3]));
    }
    for (kind, axes) in [("lstm", 1), ("lstm", 2), ("lstm", 3), ("gru", 1), ("gru", 2), ("gru", 3)] {
        let layer = json!({"layer": format!("conv_{kind}{axes}d"), "filters": 2, "kernel_size": 2});
        all.push((layer, vec![[vec![4], vec![3; axes], vec![2]].concat()]));
    }
    all
}

/// The kinds of layers there are, as the error of one that does not exist names them.
fn kinds() -> BTreeSet<String> {
    let error = serde_json::from_value::<LayerConfig>(json!({"layer": "nothing"})).unwrap_err().to_string();
    let (_, list) = error.split_once("expected one of ").unwrap();
    list.split('`').skip(1).step_by(2).map(str::to_string).filter(|kind| kind != "layer_normalization").collect()
}

#[test]
fn a_model_with_every_layer_comes_back_bit_for_bit() {
    let mut graph = Functional::new();
    let (mut inputs, mut named) = (Vec::new(), BTreeSet::new());
    for (json, shapes) in layers() {
        let kind = json["layer"].as_str().unwrap().to_string();
        let config: LayerConfig =
            serde_json::from_value(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
        let nodes: Vec<_> = shapes
            .iter()
            .enumerate()
            .map(|(k, shape)| {
                let lead = if kind == "embedding" { 9.0 } else { 0.0 };
                let full: Vec<usize> = [2].iter().chain(shape).copied().collect();
                let mut rng = Rng::new(inputs.len() as u64);
                inputs.push(match lead {
                    0.0 => Tensor::normal(&full[..], 0.0, 1.0, &mut rng),
                    most => Tensor::uniform(&full[..], 0.0, most, &mut rng).map(f32::floor),
                });
                let axes = tapeloop_layers::InputShape(shape.iter().map(|&n| Some(n)).collect());
                graph.input(format!("{kind}_{k}"), axes)
            })
            .collect();
        let node = graph.named(format!("the_{kind}")).add(config, &nodes[..]);
        graph.output(format!("{kind}_output"), node);
        named.insert(kind);
    }
    assert_eq!(named, kinds(), "a layer is missing here");

    let model = graph.build::<f32>(1).unwrap();
    // Weights as bytes, by their names.
    let saved: BTreeMap<String, (Vec<usize>, Vec<u8>)> = model
        .params()
        .into_iter()
        .map(|(name, param)| {
            let bytes = param.value().to_vec().iter().flat_map(|x| x.to_le_bytes()).collect();
            (name, (param.value().shape().dims().to_vec(), bytes))
        })
        .collect();
    let json = serde_json::to_string_pretty(model.config()).unwrap();

    let again: Functional = serde_json::from_str(&json).unwrap();
    assert_eq!(again, graph);
    let mut again = again.build::<f32>(2).unwrap();
    let mut loaded = 0;
    again.visit_mut(&mut Path::default(), &mut |path, param: &mut Param<f32>| {
        let (shape, bytes) = &saved[path.as_str()];
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        param.set(Tensor::from_vec(&shape[..], values));
        loaded += 1;
    });
    assert_eq!(loaded, saved.len());
    let inputs: Vec<&Tensor<f32>> = inputs.iter().collect();
    let (a, b) = (model.predict(&inputs).unwrap(), again.predict(&inputs).unwrap());
    for kind in &named {
        let name = format!("{kind}_output");
        let bits = |x: &Tensor<f32>| x.to_vec().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&a[name.as_str()]), bits(&b[name.as_str()]), "{kind}");
        assert!(a[name.as_str()].all_finite(), "{kind}");
    }
}
