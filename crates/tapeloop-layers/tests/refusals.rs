//! What a configuration or an input may be, it may be wrong: then there is an error that says where and why, never a
//! panic, an endless loop or a failed allocation.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapeloop_autograd::{Element, Rng, Tensor};
use tapeloop_layers::{
    Activation, ActivationLayer, Dense, Dropout, Embedding, Error, Gru, Initializer, InputShape, LayerConfig,
    LayerNorm, Lstm, Sequential, SimpleRnn, torch,
};

/// The model of a JSON text for inputs of (5, 4), or why there is none.
fn build(layer: &str) -> Result<(), String> {
    let json = format!(r#"{{"input_shape": [5, 4], "layers": [{layer}]}}"#);
    let config: Sequential = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    config.build::<f32>(1).map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn an_error_names_the_layer_the_setting_and_the_reason() {
    let huge = 1u64 << 62;
    for (layer, parts) in [
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": "dirac""#,
            ["dense: kernel_initializer: dirac needs a convolution's kernel", "[4, 3]"],
        ),
        (
            r#""layer": "dense", "units": 3, "bias_initializer": "orthogonal""#,
            ["dense: bias_initializer: orthogonal needs a matrix", "[3]"],
        ),
        (
            r#""layer": "lstm", "units": 3, "bias_initializer": "orthogonal""#,
            ["lstm: bias_initializer: orthogonal", "[12]"],
        ),
        (
            r#""layer": "gru", "units": 3, "recurrent_initializer": "dirac_""#,
            ["gru: recurrent_initializer: dirac", "[3, 9]"],
        ),
        (
            r#""layer": "gru", "units": 3, "reset_after": false, "bias_initializer": "identity""#,
            ["gru: bias_initializer: identity needs a matrix", "[9]"],
        ),
        (
            r#""layer": "simple_rnn", "units": 3, "bias_initializer": "sparse(sparsity=0.5)""#,
            ["simple_rnn: bias_initializer: sparse", "[3]"],
        ),
        (
            r#""layer": "lstm", "units": 3, "kernel_initializer": {"per_gate": {"gates": 5}}"#,
            ["lstm: kernel_initializer: per_gate needs a last axis that divides into 5 parts", "[4, 12]"],
        ),
        (
            r#""layer": "gru", "units": 3, "kernel_initializer": {"per_gate": {"gates": 0}}"#,
            ["per_gate needs `gates`", "at least 1"],
        ),
        (
            r#""layer": "gru", "units": 3, "bias_initializer": {"per_gate": {"gates": 3, "initializer": "dirac"}}"#,
            ["per_gate: dirac needs", "[2, 3]"],
        ),
        (r#""layer": "repeat_vector", "n": 2"#, ["repeat_vector: needs (features) behind the batch", "got 2 axes"]),
        (r#""layer": "repeat_vector""#, ["missing field", "`n`"]),
        (
            &format!(r#""layer": "flatten"}}, {{"layer": "repeat_vector", "n": {huge}"#),
            ["repeat_vector: there is no memory for an output of shape", "4611686018427387904"],
        ),
        (
            r#""layer": "up_sampling1d", "size": 1099511627776"#,
            ["up_sampling1d: there is no memory for an output of shape", "5497558138880"],
        ),
        (
            &format!(r#""layer": "zero_padding1d", "padding": [0, {huge}]"#),
            ["zero_padding1d: there is no memory for an output", ""],
        ),
        (
            r#""layer": "zero_padding1d", "padding": [18446744073709551615, 1]"#,
            ["zero_padding1d: padding", "too many steps"],
        ),
        (r#""layer": "add""#, ["add: merges several inputs, which only a graph has", ""]),
        (r#""layer": "add", "axis": 1"#, ["unknown field `axis`", ""]),
        (r#""layer": "dot", "axes": 1, "normalise": true"#, ["unknown field `normalise`", ""]),
        (
            r#""layer": "time_distributed", "inner": {"layer": "lstm", "units": 3}"#,
            ["time_distributed: lstm: needs (time, features) behind the batch, got 1 axes", ""],
        ),
        (
            r#""layer": "flatten"}, {"layer": "time_distributed", "inner": {"layer": "dense", "units": 3}"#,
            ["time_distributed: needs time and at least one more axis", ""],
        ),
        (r#""layer": "reshape", "target_shape": [3, 7]"#, ["reshape: (None, 5, 4) has other elements than [3, 7]", ""]),
        (r#""layer": "reshape", "target_shape": [-1, 3]"#, ["reshape: (None, 5, 4)", "[-1, 3]"]),
        (r#""layer": "reshape", "target_shape": [-1, -1]"#, ["reshape: target_shape: -1", "one may be -1"]),
        (r#""layer": "reshape", "target_shape": [-2]"#, ["reshape: target_shape: -2", ""]),
        (r#""layer": "permute", "dims": [0, 1]"#, ["permute: dims: [0, 1] are not the axes 1 to 2", ""]),
        (r#""layer": "permute", "dims": [1]"#, ["permute: dims: [1]", ""]),
        (
            r#""layer": "cropping1d", "cropping": [2, 3]"#,
            ["cropping1d: cropping: 2 and 3 leave nothing of 5 steps", ""],
        ),
        (r#""layer": "up_sampling1d", "size": 0"#, ["up_sampling1d: size must be at least 1", ""]),
        (r#""layer": "max_pooling1d", "pool_size": 6"#, ["max_pooling1d: pool_size: a window of 6", "5 steps"]),
        (r#""layer": "average_pooling1d", "strides": 0"#, ["average_pooling1d: strides must be at least 1", ""]),
        (
            r#""layer": "flatten"}, {"layer": "global_max_pooling1d""#,
            ["global_max_pooling1d: needs (time, features)", ""],
        ),
        (r#""layer": "conv1d", "filters": 2"#, ["conv1d: kernel_size must be at least 1", ""]),
        (r#""layer": "conv1d", "filters": 2, "kernel_size": 6"#, ["conv1d: a window that reaches over 6 steps", "5"]),
        (
            r#""layer": "conv1d", "filters": 3, "kernel_size": 1, "groups": 2"#,
            ["conv1d: 4 features and 3 filters do not divide into 2 groups", ""],
        ),
        (
            r#""layer": "conv1d", "filters": 2, "kernel_size": 2, "strides": 2, "dilation_rate": 2"#,
            ["conv1d: strides and dilation_rate", "both"],
        ),
        (r#""layer": "gaussian_noise", "stddev": -1"#, ["gaussian_noise: a stddev of -1", ""]),
        (r#""layer": "gaussian_dropout", "rate": 1"#, ["gaussian_dropout: a rate of 1 is not in 0..1", ""]),
        (r#""layer": "alpha_dropout", "rate": 1.5"#, ["alpha_dropout: a rate of 1.5", ""]),
        (r#""layer": "spatial_dropout1d", "rate": 2"#, ["spatial_dropout1d: a rate of 2", ""]),
        (
            r#""layer": "embedding", "input_dim": 3, "output_dim": 2, "embeddings_initializer": "dirac""#,
            ["embedding: embeddings_initializer: dirac", "[3, 2]"],
        ),
        (
            r#""layer": "layer_norm", "gamma_initializer": "orthogonal""#,
            ["layer_norm: gamma_initializer: orthogonal", "[4]"],
        ),
        (r#""layer": "layer_norm", "beta_initializer": "eye_""#, ["layer_norm: beta_initializer: identity", "[4]"]),
        (r#""layer": "layer_norm", "epsilon": -0.5"#, ["layer_norm", "-0.5"]),
        (
            &format!(r#""layer": "dense", "units": {huge}"#),
            ["dense: kernel_initializer: there is no memory", "4611686018427387904"],
        ),
        (&format!(r#""layer": "lstm", "units": {huge}"#), ["lstm: kernel_initializer: there is no memory", ""]),
        (&format!(r#""layer": "gru", "units": {huge}"#), ["gru: kernel_initializer: there is no memory", ""]),
        (
            &format!(r#""layer": "simple_rnn", "units": {huge}"#),
            ["simple_rnn: kernel_initializer: there is no memory", ""],
        ),
        (
            r#""layer": "simple_rnn", "units": 1048576"#,
            ["simple_rnn: recurrent_initializer: there is no memory", "[1048576, 1048576]"],
        ),
        (
            r#""layer": "embedding", "input_dim": 1099511627776, "output_dim": 3"#,
            ["embedding: embeddings_initializer: there is no memory", ""],
        ),
        (r#""layer": "dense""#, ["dense", "units must be at least 1"]),
        (r#""layer": "lstm", "units": 0"#, ["lstm", "units must be at least 1"]),
        (r#""layer": "dense", "units": 3, "activation": "glu""#, ["dense: activation: glu halves", ""]),
        (r#""layer": "simple_rnn", "units": 3, "activation": "glu""#, ["simple_rnn: activation: glu halves", ""]),
        (r#""layer": "lstm", "units": 4, "activation": "glu""#, ["lstm: activation: glu halves", ""]),
        (
            r#""layer": "lstm", "units": 4, "recurrent_activation": "glu""#,
            ["lstm: recurrent_activation: glu halves", ""],
        ),
        (r#""layer": "gru", "units": 4, "activation": "glu""#, ["gru: activation: glu halves", ""]),
        (r#""layer": "gru", "units": 4, "recurrent_activation": "glu""#, ["gru: recurrent_activation: glu halves", ""]),
        (r#""layer": "dropout", "rate": -0.1"#, ["dropout", "-0.1"]),
        (r#""layer": "dense", "units": 3, "activation": "sigmoide""#, ["sigmoide", "hard_sigmoid"]),
        (r#""layer": "desne", "units": 3"#, ["desne", "`dense`"]),
        (r#""layer": "dense", "unit": 3"#, ["unit", "`units`"]),
        (r#""layer": "dense", "units": -3"#, ["-3", ""]),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": "glorot""#,
            ["initializer: `glorot` is not known", "glorot_uniform"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"orthogonal": {"gian": 2}}"#,
            ["no parameter `gian`", "it has gain"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"orthogonal": {"gain": "two"}}"#,
            ["orthogonal, `gain`", "finite number"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"zeros": {"gain": 1}}"#,
            ["zeros has no parameter `gain`", "none"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"zeros": null, "ones": null}"#,
            ["`zeros` or `ones`", "not both"],
        ),
        (r#""layer": "dense", "units": 3, "kernel_initializer": {}"#, ["without a name", ""]),
        (r#""layer": "dense", "units": 3, "kernel_initializer": 5"#, ["5", "an initializer"]),
        (r#""layer": "dense", "units": 3, "kernel_initializer": "sparse""#, ["sparse needs `sparsity`", ""]),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"sparse": {"sparsity": 1.5}}"#,
            ["dense: kernel_initializer", "1.5 is not in 0..=1"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"truncated_normal": {"cut": 0}}"#,
            ["dense: kernel_initializer: truncated_normal", "must be above 0"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"trunc_normal_": {"a": 2, "b": 1}}"#,
            ["trunc_normal", "from 2 to 1 is no range"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"normal": {"std": -1}}"#,
            ["normal", "-1 is less than 0"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"uniform": {"low": 1, "high": 0}}"#,
            ["uniform", "from 1 to 0 is no range"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"uniform": {"low": 0, "high": 1e300}}"#,
            ["`high`", "1e300, which is no finite float32"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"uniform": {"low": -3e38, "high": 3e38}}"#,
            ["uniform", "no range of float32"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"variance_scaling": {"scale": 0}}"#,
            ["variance_scaling", "a scale of 0"],
        ),
        (
            r#""layer": "dense", "units": 3, "kernel_initializer": {"variance_scaling": {"mode": "fan_sum"}}"#,
            ["`mode`", "fan_avg"],
        ),
    ] {
        let error = build(&format!("{{{layer}}}")).expect_err(layer);
        assert!(parts.iter().all(|part| error.contains(part)), "{layer}\n{error}");
    }
}

#[test]
fn the_second_of_a_kind_is_named() {
    let config =
        Sequential::new([4]).add(Dense::new(3)).add(Dense::new(2).bias_initializer(Initializer::Dirac { groups: 1 }));
    let error = config.build::<f32>(0).map(|_| ()).unwrap_err();
    assert!(error.is_config() && error.to_string().starts_with("dense_1: bias_initializer: dirac"), "{error}");
    let config = Sequential::new([3]).add(Dense::new(2)).add(Embedding::new(5, 2));
    let error = config.build::<f32>(0).unwrap().predict(&Tensor::ones([1, 3])).unwrap_err();
    assert!(error.is_input() && error.to_string().starts_with("embedding expects ids"), "{error}");
}

/// Every name of an initializer alone, and each with parameters at their ends.
fn initializers() -> Vec<Initializer> {
    let mut all: Vec<Initializer> = [
        "zeros",
        "ones",
        "constant",
        "identity",
        "dirac",
        "uniform",
        "normal",
        "truncated_normal",
        "trunc_normal",
        "variance_scaling",
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "xavier_uniform",
        "xavier_normal",
        "kaiming_uniform",
        "kaiming_normal",
        "orthogonal",
    ]
    .iter()
    .map(|name| name.parse().unwrap())
    .collect();
    let numbers = [0.0, -1.0, 1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for x in numbers {
        all.extend([
            Initializer::Constant { value: x },
            Initializer::Identity { gain: x },
            Initializer::XavierUniform { gain: x },
            Initializer::XavierNormal { gain: x },
            Initializer::Orthogonal { gain: x },
        ]);
        for y in numbers {
            all.extend([
                Initializer::Uniform { low: x, high: y },
                Initializer::Normal { mean: x, std: y },
                Initializer::Sparse { sparsity: x, std: y },
                Initializer::TruncatedNormal { mean: 0.0, std: x, cut: y },
                Initializer::TruncNormal { mean: 0.0, std: 1.0, a: x, b: y },
                Initializer::TruncNormal { mean: x, std: y, a: -1.0, b: 1.0 },
                Initializer::TruncNormal { mean: x, std: y, a: 1e300, b: 1e300 },
            ]);
        }
    }
    all.extend([0, 1, 2, 5, usize::MAX].map(|groups| Initializer::Dirac { groups }));
    let inner: Vec<Initializer> = all.iter().take(21).cloned().collect();
    for gates in [0, 1, 2, 4, 5, usize::MAX] {
        all.extend(inner.iter().map(|own| Initializer::PerGate { gates, initializer: Box::new(own.clone()) }));
    }
    all
}

#[test]
fn no_initializer_panics_on_any_shape() {
    fn check<T: Element>(initializer: &Initializer, shape: &[usize]) {
        let result = catch_unwind(|| initializer.try_tensor::<T>(shape, &mut Rng::new(1)));
        let result: Result<Tensor<T>, Error> = result.unwrap_or_else(|_| panic!("{initializer} on {shape:?} panics"));
        if let Ok(tensor) = result {
            assert_eq!(tensor.shape(), shape, "{initializer}");
            // What is far beyond a double in single precision is refused; a product of a large deviation may overflow.
            let wild = matches!(initializer, Initializer::Normal { std, .. } if *std > 1e30);
            assert!(wild || tensor.all_finite(), "{initializer} on {shape:?}");
        }
    }
    let shapes: [&[usize]; 16] = [
        &[],
        &[0],
        &[1],
        &[12],
        &[0, 0],
        &[0, 8],
        &[8, 0],
        &[1, 1],
        &[3, 8],
        &[8, 3],
        &[2, 3, 4],
        &[3, 0, 4],
        &[1, 2, 3, 4],
        &[1 << 62],
        &[1 << 40, 1 << 40],
        &[usize::MAX, 0],
    ];
    for initializer in initializers() {
        for shape in shapes {
            check::<f32>(&initializer, shape);
            check::<f64>(&initializer, shape);
        }
    }
}

/// Builds for many shapes of inputs, and predicts from what fits: an error or numbers.
fn try_out(name: &str, layer: impl Into<LayerConfig>) {
    try_out_where(name, layer, false);
}

/// The same of a layer that takes `not_any` length where a length is not known beforehand, as a window does.
fn try_out_where(name: &str, layer: impl Into<LayerConfig>, not_any: bool) {
    let layer = layer.into();
    let shapes: [&[Option<usize>]; 9] = [
        &[],
        &[Some(0)],
        &[Some(4)],
        &[None],
        &[Some(5), Some(0)],
        &[Some(5), Some(3)],
        &[None, Some(3)],
        &[Some(0), Some(3)],
        &[Some(2), Some(3), Some(4)],
    ];
    for shape in shapes {
        let config = Sequential::new(InputShape(shape.to_vec())).add(layer.clone());
        let run = || {
            let Ok(model) = config.build::<f64>(3) else { return };
            for batch in [2, 1, 0] {
                model.reset_state();
                let dims: Vec<usize> = [batch].into_iter().chain(shape.iter().map(|n| n.unwrap_or(6))).collect();
                let y = match model.predict(&Tensor::ones(&dims[..])) {
                    Err(error) if not_any && shape.contains(&None) => {
                        assert!(error.is_config(), "{error}");
                        continue;
                    }
                    y => y.expect("an input of the model's shape"),
                };
                let wanted = model.output_shape();
                let fits =
                    wanted.iter().zip(&y.shape()[1..]).all(|(wanted, &n)| wanted.is_none_or(|wanted| wanted == n));
                assert!(
                    fits && y.rank() == wanted.len() + 1 && y.shape()[0] == batch,
                    "{} is not {wanted:?}",
                    y.shape()
                );
                for wrong in [&[][..], &[3], &[2, 7], &[2, 5, 9], &[2, 5, 3, 1, 1]] {
                    // Some suit, as 7 ids for any number of ids.
                    drop(model.predict(&Tensor::ones(wrong)));
                }
            }
            let _ = model.summary().to_string();
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_ok(), "{name} on {shape:?} panics");
    }
}

#[test]
fn no_activation_panics_in_any_layer() {
    for &f in Activation::ALL {
        let name = |layer: &str| format!("{layer}, {f}");
        try_out(&name("activation"), ActivationLayer::new(f));
        try_out(&name("dense"), Dense::new(4).activation(f));
        try_out(&name("simple_rnn"), SimpleRnn::new(4).activation(f));
        for sequences in [false, true] {
            try_out(&name("lstm"), Lstm::new(4).activation(f).return_sequences(sequences));
            try_out(&name("gru"), Gru::new(4).activation(f).return_sequences(sequences));
        }
        try_out(&name("lstm"), Lstm::new(3).recurrent_activation(f));
        try_out(&name("gru"), Gru::new(3).recurrent_activation(f));
        try_out(&name("gru"), Gru::new(3).recurrent_activation(f).reset_after(false));
    }
}

#[test]
fn no_shape_panics_in_any_layer() {
    for n in [0, 1, 2, 7] {
        for layer in [
            format!(r#"{{"layer": "repeat_vector", "n": {n}}}"#),
            format!(r#"{{"layer": "reshape", "target_shape": [{n}, -1]}}"#),
            format!(r#"{{"layer": "reshape", "target_shape": [{n}, 3]}}"#),
            r#"{"layer": "reshape", "target_shape": []}"#.to_string(),
            format!(r#"{{"layer": "permute", "dims": [2, {n}]}}"#),
            format!(r#"{{"layer": "zero_padding1d", "padding": [{n}, 1]}}"#),
            format!(r#"{{"layer": "cropping1d", "cropping": {n}}}"#),
            format!(r#"{{"layer": "up_sampling1d", "size": {n}}}"#),
            format!(r#"{{"layer": "conv1d", "filters": 4, "kernel_size": {n}}}"#),
            format!(r#"{{"layer": "conv1d", "filters": 4, "kernel_size": 2, "groups": {n}, "padding": "causal"}}"#),
            format!(r#"{{"layer": "conv1d", "filters": 4, "kernel_size": 3, "strides": {n}, "padding": "same"}}"#),
            format!(r#"{{"layer": "conv1d", "filters": 4, "kernel_size": {n}, "data_format": "channels_first"}}"#),
            format!(r#"{{"layer": "max_pooling1d", "pool_size": {n}}}"#),
            format!(
                r#"{{"layer": "max_pooling1d", "pool_size": {n}, "padding": "same", "data_format": "channels_first"}}"#
            ),
            format!(r#"{{"layer": "average_pooling1d", "pool_size": 2, "strides": {n}, "padding": "same"}}"#),
            format!(r#"{{"layer": "time_distributed", "inner": {{"layer": "dense", "units": {n}}}}}"#),
            r#"{"layer": "time_distributed", "inner": {"layer": "gru", "units": 2, "stateful": true}}"#.to_string(),
            format!(r#"{{"layer": "time_distributed", "inner": {{"layer": "repeat_vector", "n": {n}}}}}"#),
            r#"{"layer": "flatten"}"#.to_string(),
            r#"{"layer": "flatten", "data_format": "channels_first"}"#.to_string(),
            r#"{"layer": "global_average_pooling1d", "keepdims": true}"#.to_string(),
            r#"{"layer": "global_max_pooling1d", "data_format": "channels_first"}"#.to_string(),
            r#"{"layer": "spatial_dropout1d", "rate": 0.5}"#.to_string(),
            r#"{"layer": "add"}"#.to_string(),
        ] {
            try_out_where(&layer, serde_json::from_str::<LayerConfig>(&layer).unwrap(), true);
        }
    }
}

#[test]
fn no_initializer_panics_in_any_layer() {
    let all = initializers();
    // Alone, and each of the parts.
    for initializer in all.iter().take(21).chain(&all[all.len() - 21 * 6..]) {
        let fresh = || initializer.clone();
        let name = |layer: &str| format!("{layer}, {initializer}");
        try_out(&name("dense"), Dense::new(4).kernel_initializer(fresh()));
        try_out(&name("dense"), Dense::new(4).bias_initializer(fresh()));
        try_out(&name("embedding"), Embedding::new(4, 3).embeddings_initializer(fresh()));
        try_out(&name("layer_norm"), LayerNorm::new().beta_initializer(fresh()).gamma_initializer(fresh()));
        try_out(&name("lstm"), Lstm::new(2).kernel_initializer(fresh()));
        try_out(&name("lstm"), Lstm::new(2).bias_initializer(fresh()).recurrent_initializer(fresh()));
        for reset_after in [false, true] {
            try_out(&name("gru"), Gru::new(2).reset_after(reset_after).recurrent_initializer(fresh()));
            try_out(&name("gru"), Gru::new(2).reset_after(reset_after).bias_initializer(fresh()));
        }
        try_out(&name("simple_rnn"), SimpleRnn::new(2).recurrent_initializer(fresh()).bias_initializer(fresh()));
    }
    for rate in [0.0, 1.0, -0.0, 2.0, f64::NAN, f64::INFINITY] {
        try_out("dropout", Dropout::new(rate));
    }
}

#[test]
fn no_setting_of_a_module_of_pytorch_panics() {
    for layers in [0, 1, 2, usize::MAX] {
        for rate in [0.0, 0.5, 1.0, -0.0, f64::NAN] {
            for way in 0..8 {
                let (both, sequences, batch_first) = (way & 1 > 0, way & 2 > 0, way & 4 > 0);
                macro_rules! with {
                    ($config:expr) => {{
                        let config = $config.num_layers(layers).dropout(rate).bidirectional(both);
                        let config = config.return_sequences(sequences).batch_first(batch_first);
                        try_out(&format!("{config:?}"), config);
                    }};
                }
                with!(torch::Gru::new(2));
                with!(torch::Lstm::new(3).proj_size(2).bias(false));
                with!(torch::Rnn::new(1).nonlinearity(Activation::Relu).input_size(3));
            }
        }
    }
    for proj_size in [0, 3, 4, usize::MAX] {
        try_out("torch_lstm", torch::Lstm::new(3).proj_size(proj_size).batch_first(true));
    }
    for &nonlinearity in Activation::ALL {
        try_out("torch_rnn", torch::Rnn::new(4).nonlinearity(nonlinearity).batch_first(true));
    }
    for hidden_size in [0, 1 << 20, 1 << 62, usize::MAX] {
        try_out("torch_gru", torch::Gru::new(hidden_size).bidirectional(true).batch_first(true));
        try_out("torch_lstm", torch::Lstm::new(hidden_size).bidirectional(true).batch_first(true));
    }
}

/// Every text one byte away from a configuration.
#[test]
fn no_slip_of_the_pen_panics() {
    let json = r#"{"input_shape":[4],"layers":[{"layer":"embedding","input_dim":3,"output_dim":2},
{"layer":"lstm","units":3,"return_sequences":true,"kernel_initializer":{"per_gate":{"gates":4,"initializer":"he_normal"}}},
{"layer":"torch_gru","hidden_size":3,"num_layers":2,"batch_first":true,"dropout":0.5},
{"layer":"gru","units":2,"reset_after":false,"bias_initializer":"constant(value=2)"},
{"layer":"dense","units":4},{"layer":"activation","activation":"glu"},{"layer":"dropout","rate":0.5},
{"layer":"layer_norm","beta_initializer":{"trunc_normal_":{"a":-1,"b":1e0}}}]}"#;
    let outcome = |text: &str| {
        let run = || match serde_json::from_str::<Sequential>(text) {
            Ok(config) => config.build::<f32>(1).map(|model| model.predict(&Tensor::ones([2, 4])).is_ok()).is_ok(),
            Err(_) => false,
        };
        catch_unwind(run).unwrap_or_else(|_| panic!("{text} panics"))
    };
    assert!(outcome(json));
    let (mut built, mut refused) = (0, 0);
    for place in 0..json.len() {
        let (before, after) = (&json[..place], &json[place + 1..]);
        for slip in ["", "0", "9", "-", ".", "e", "_", ",", "\"", "(", "[", "}", "é", "\0"] {
            for text in [format!("{before}{slip}{after}"), format!("{before}{slip}{}", &json[place..])] {
                *(if outcome(&text) { &mut built } else { &mut refused }) += 1;
            }
        }
    }
    assert!(built > 100 && refused > 1000, "{built} built, {refused} refused");
}
