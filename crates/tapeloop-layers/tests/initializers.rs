//! Initializers under the names of Keras and PyTorch. Keras' tables of what they draw are in the conformance test.

use serde_json::Value as Json;
use tapeloop_autograd::{Rng, Tensor};
use tapeloop_layers::{Distribution, Fan, Initializer, Nonlinearity};

fn table(name: &str) -> Vec<Json> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Keras' class and arguments as ours.
fn initializer(class: &str, args: &Json) -> Initializer {
    let number = |name: &str, default: f64| args[name].as_f64().unwrap_or(default);
    match class {
        "Zeros" => Initializer::Zeros,
        "Ones" => Initializer::Ones,
        "Constant" => Initializer::Constant { value: number("value", 0.0) },
        "Identity" => Initializer::Identity { gain: number("gain", 1.0) },
        "RandomUniform" => Initializer::Uniform { low: number("minval", -0.05), high: number("maxval", 0.05) },
        "RandomNormal" => Initializer::Normal { mean: number("mean", 0.0), std: number("stddev", 0.05) },
        "TruncatedNormal" => {
            Initializer::TruncatedNormal { mean: number("mean", 0.0), std: number("stddev", 0.05), cut: 2.0 }
        }
        "GlorotUniform" => Initializer::GlorotUniform,
        "GlorotNormal" => Initializer::GlorotNormal,
        "HeUniform" => Initializer::HeUniform,
        "HeNormal" => Initializer::HeNormal,
        "LecunUniform" => Initializer::LecunUniform,
        "LecunNormal" => Initializer::LecunNormal,
        "Orthogonal" => Initializer::Orthogonal { gain: number("gain", 1.0) },
        "VarianceScaling" => {
            let mode: Fan = serde_json::from_value(args["mode"].clone()).unwrap();
            let distribution: Distribution = serde_json::from_value(args["distribution"].clone()).unwrap();
            Initializer::VarianceScaling { scale: number("scale", 1.0), mode, distribution }
        }
        other => panic!("no initializer {other}"),
    }
}

struct Moments {
    mean: f64,
    std: f64,
}

fn moments(x: &[f64]) -> Moments {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    Moments { mean, std: (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt() }
}

fn gram_error(x: &Tensor<f64>, gain: f64) -> f64 {
    let cols = x.shape()[x.rank() - 1];
    let rows = x.size() / cols;
    let data = x.to_vec();
    let (n, m) = (rows.min(cols), rows.max(cols));
    let at = |i: usize, k: usize| if rows <= cols { data[i * cols + k] } else { data[k * cols + i] };
    let mut worst = 0.0f64;
    for i in 0..n {
        for j in 0..n {
            let dot: f64 = (0..m).map(|k| at(i, k) * at(j, k)).sum::<f64>() / (gain * gain);
            worst = worst.max((dot - f64::from(i == j)).abs());
        }
    }
    worst
}

#[test]
fn torch_names_have_torch_variances() {
    let variance = |initializer: Initializer, shape: [usize; 2]| {
        moments(&initializer.tensor::<f64>(shape, &mut Rng::new(3)).to_vec()).std.powi(2)
    };
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.06, "{found}, not {expected}");
    let (mode, relu) = (Fan::FanIn, Nonlinearity::Relu);
    near(variance(Initializer::XavierUniform { gain: 2.0 }, [120, 80]), 4.0 * 2.0 / 200.0);
    near(variance(Initializer::XavierNormal { gain: 1.0 }, [120, 80]), 2.0 / 200.0);
    near(variance(Initializer::KaimingUniform { a: 0.0, mode, nonlinearity: relu }, [100, 90]), 2.0 / 100.0);
    let leaky = Initializer::KaimingNormal { a: 5f64.sqrt(), mode: Fan::FanOut, nonlinearity: Nonlinearity::LeakyRelu };
    near(variance(leaky, [100, 90]), 2.0 / 6.0 / 90.0);
    let sparse = Initializer::Sparse { sparsity: 0.25, std: 1.0 }.tensor::<f64>([40, 30], &mut Rng::new(1));
    for col in 0..30 {
        assert_eq!((0..40).filter(|&row| sparse.at(&[row, col]) == 0.0).count(), 10);
    }
    let dirac = Initializer::Dirac { groups: 1 }.tensor::<f64>([3, 2, 2], &mut Rng::new(1));
    assert_eq!(dirac.to_vec(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn orthogonal_per_gate() {
    let whole: Tensor<f64> = Initializer::Orthogonal { gain: 1.0 }.tensor([8, 24], &mut Rng::new(2));
    let gates: Tensor<f64> = Initializer::orthogonal_per_gate(3).tensor([8, 24], &mut Rng::new(2));
    for gate in 0..3 {
        let part = |x: &Tensor<f64>| x.slice(1, 8 * gate..8 * (gate + 1)).contiguous();
        assert!(gram_error(&part(&gates), 1.0) < 1e-13);
        assert!(gram_error(&part(&whole), 1.0) > 0.1, "together orthonormal, one by one not");
    }
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let draw = |seed| Initializer::GlorotNormal.tensor::<f32>([30, 20], &mut Rng::new(seed)).to_vec();
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

/// The names that Keras 3.15 and PyTorch 2.15 know, and the defaults of their arguments.
#[test]
fn names_stand_for_what_they_stand_for_elsewhere() {
    for row in table("initializer_names.json") {
        let name = row["name"].as_str().unwrap();
        let args: Vec<(&str, &Json)> = row["args"].as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v)).collect();
        if let Some(class) = row["initializer"].as_str() {
            assert_eq!(name.parse::<Initializer>().unwrap(), initializer(class, &row["args"]), "{name}");
        }
        if name == "sparse_" {
            assert!(name.parse::<Initializer>().unwrap_err().to_string().contains("needs `sparsity`"));
            continue;
        }
        let alone: Initializer = serde_json::from_value(name.into()).unwrap();
        assert_eq!(name.parse::<Initializer>().unwrap(), alone);
        // Each argument by the name it has there, with its default.
        let given: serde_json::Map<String, Json> = args
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|&(key, value)| (key.into(), value.clone()))
            .collect();
        let object: Initializer = serde_json::from_value(serde_json::json!({ name: given })).unwrap();
        assert_eq!(object, alone, "{name}");
        // And another value, which must arrive.
        for (key, value) in args {
            if value.is_string() {
                continue;
            }
            let other: Initializer = serde_json::from_value(serde_json::json!({ name: { key: 7 } })).unwrap();
            assert_ne!(other, alone, "{name}, {key}");
            assert_eq!(format!("{name}({key}=7)").parse::<Initializer>().unwrap(), other);
        }
    }
}

fn every_kind() -> Vec<Initializer> {
    let (mode, distribution) = (Fan::FanOut, Distribution::Uniform);
    vec![
        Initializer::Zeros,
        Initializer::Ones,
        Initializer::Constant { value: -0.25 },
        Initializer::Identity { gain: 0.5 },
        Initializer::Dirac { groups: 2 },
        Initializer::Uniform { low: -1e-20, high: 2.5 },
        Initializer::Normal { mean: 1.0, std: 3.0 },
        Initializer::TruncatedNormal { mean: 0.1, std: 0.2, cut: 3.0 },
        Initializer::TruncNormal { mean: 0.1, std: 0.2, a: -0.3, b: 0.4 },
        Initializer::VarianceScaling { scale: 3.0, mode, distribution },
        Initializer::GlorotUniform,
        Initializer::GlorotNormal,
        Initializer::HeUniform,
        Initializer::HeNormal,
        Initializer::LecunUniform,
        Initializer::LecunNormal,
        Initializer::XavierUniform { gain: 1.5 },
        Initializer::XavierNormal { gain: 1.5 },
        Initializer::KaimingUniform { a: 0.1, mode, nonlinearity: Nonlinearity::Selu },
        Initializer::KaimingNormal { a: 0.1, mode, nonlinearity: Nonlinearity::Relu },
        Initializer::Orthogonal { gain: 2.0 },
        Initializer::Sparse { sparsity: 0.5, std: 0.1 },
        Initializer::orthogonal_per_gate(4),
        Initializer::PerGate { gates: 3, initializer: Box::new(Initializer::Sparse { sparsity: 0.1, std: 0.2 }) },
        Initializer::PerGate { gates: 2, initializer: Box::new(Initializer::orthogonal_per_gate(2)) },
    ]
}

#[test]
fn configurations_and_text_round_trip() {
    for initializer in every_kind() {
        let json = serde_json::to_string(&initializer).unwrap();
        assert_eq!(serde_json::from_str::<Initializer>(&json).unwrap(), initializer, "{json}");
        let text = initializer.to_string();
        assert_eq!(text.parse::<Initializer>().unwrap(), initializer, "{text}");
        // The name alone, where it has defaults for everything.
        if let Ok(alone) = initializer.name().parse::<Initializer>() {
            assert_eq!(serde_json::to_string(&alone).unwrap(), format!("\"{}\"", initializer.name()));
            assert_eq!(alone.to_string(), initializer.name());
        }
    }
    let per_gate = Initializer::orthogonal_per_gate(4);
    assert_eq!(per_gate.to_string(), "per_gate(gates=4, initializer=orthogonal)");
    let json = serde_json::to_string(&per_gate).unwrap();
    assert_eq!(json, r#"{"per_gate":{"gates":4,"initializer":"orthogonal"}}"#);
    assert_eq!(" he_normal( ) ".parse::<Initializer>().unwrap(), Initializer::HeNormal);
}

/// As they were written before a name alone was enough.
#[test]
fn old_configurations_are_valid() {
    for (json, expected) in [
        (r#""zeros""#, Initializer::Zeros),
        (r#"{"zeros": null}"#, Initializer::Zeros),
        (r#""dirac""#, Initializer::Dirac { groups: 1 }),
        (r#"{"constant": {"value": 0.5}}"#, Initializer::Constant { value: 0.5 }),
        (r#"{"uniform": {"low": -1.0, "high": 1.0}}"#, Initializer::Uniform { low: -1.0, high: 1.0 }),
        (
            r#"{"truncated_normal": {"mean": 0.0, "std": 1.0, "cut": 3.0}}"#,
            Initializer::TruncatedNormal { mean: 0.0, std: 1.0, cut: 3.0 },
        ),
        (
            r#"{"kaiming_normal": {"a": 0.0, "mode": "fan_out", "nonlinearity": "relu"}}"#,
            Initializer::KaimingNormal { a: 0.0, mode: Fan::FanOut, nonlinearity: Nonlinearity::Relu },
        ),
        (
            r#"{"per_gate": {"gates": 4, "initializer": {"orthogonal": {"gain": 1.0}}}}"#,
            Initializer::orthogonal_per_gate(4),
        ),
    ] {
        assert_eq!(serde_json::from_str::<Initializer>(json).unwrap(), expected, "{json}");
    }
}

#[test]
fn text_that_is_no_initializer_is_an_error() {
    let nested = "per_gate(gates=1, initializer=".repeat(100_000);
    for (text, part) in [
        ("", "is not known"),
        ("orthogonal(", "closing parenthesis"),
        ("orthogonal(gain)", "parameter=value"),
        ("orthogonal(gain=)", "finite number"),
        ("orthogonal(gain=nan)", "finite number"),
        ("orthogonal(gain=2,)", "parameter=value"),
        ("dirac(groups=1.5)", "whole number"),
        ("dirac(groups=-1)", "whole number"),
        ("per_gate(gates=2, initializer=3)", "must be an initializer"),
        ("variance_scaling(mode=3)", "must be a name"),
        ("stft", "is not known"),
        (&format!("{nested}{}", ")".repeat(100_000)), "too many parentheses"),
        (&nested, "closing parenthesis"),
    ] {
        let error = text.parse::<Initializer>().unwrap_err().to_string();
        assert!(error.contains(part), "{}: {error}", &text[..text.len().min(40)]);
    }
    let json = format!("{}\"zeros\"{}", r#"{"per_gate": {"gates": 1, "initializer": "#.repeat(5000), "}}".repeat(5000));
    assert!(serde_json::from_str::<Initializer>(&json).is_err());
}

/// Places of the ones as `torch.nn.init.dirac_` puts them, its kernels (out, in, window…) turned to ours.
#[test]
fn dirac_is_pytorchs() {
    for row in table("dirac.json") {
        let shape: Vec<usize> = serde_json::from_value(row["shape"].clone()).unwrap();
        let groups = row["groups"].as_u64().unwrap() as usize;
        let values = Initializer::Dirac { groups }.tensor::<f32>(&shape[..], &mut Rng::new(0)).to_vec();
        let ones: Vec<usize> = (0..values.len()).filter(|&place| values[place] == 1.0).collect();
        assert_eq!(serde_json::json!(ones), row["ones"], "{row}");
        assert_eq!(values.iter().filter(|&&x| x != 0.0).count(), ones.len());
    }
}

/// Mean and deviation of two million draws of `torch.nn.init.trunc_normal_`.
#[test]
fn trunc_normal_is_pytorchs() {
    for ([mean, std, a, b], [torch_mean, torch_std]) in [
        ([0.0, 1.0, -2.0, 2.0], [4.433986598759169e-5, 0.879373511526272]),
        ([0.5, 0.2, 0.0, 1.0], [0.5000642370844307, 0.19092773829256157]),
        ([3.0, 1.0, -2.0, 2.0], [1.474848015757498, 0.4467481528297618]),
        ([0.0, 0.02, -2.0, 2.0], [9.937058294464477e-6, 0.02000025748832399]),
        ([-1.0, 2.0, 1.0, 4.0], [1.9444785272154324, 0.726642446979184]),
    ] {
        let initializer = Initializer::TruncNormal { mean, std, a, b };
        let values = initializer.tensor::<f64>([400, 500], &mut Rng::new(5)).to_vec();
        assert!(values.iter().all(|x| (a..=b).contains(x)));
        let found = moments(&values);
        // Five standard errors of the difference of both samples.
        let errors = 5.0 * (1.0 / 2e5 + 1.0 / 2e6f64).sqrt();
        assert!((found.mean - torch_mean).abs() < errors * torch_std, "{initializer}: mean {}", found.mean);
        assert!((found.std / torch_std - 1.0).abs() < errors, "{initializer}: std {}", found.std);
    }
    // Without width, and far from the mean.
    let at = |std, mean| Initializer::TruncNormal { mean, std, a: 1.0, b: 2.0 }.tensor::<f32>([3], &mut Rng::new(0));
    assert_eq!(at(0.0, 5.0).to_vec(), [2.0; 3]);
    assert_eq!(at(1e-30, -5.0).to_vec(), [1.0; 3]);
}

#[test]
fn eye_need_not_be_square() {
    let eye = "eye_".parse::<Initializer>().unwrap().tensor::<f32>([2, 3], &mut Rng::new(0));
    assert_eq!(eye.to_vec(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}
