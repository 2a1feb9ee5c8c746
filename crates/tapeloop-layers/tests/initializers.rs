//! Initializers against Keras' tables of statistics and their theory; biases as Keras builds them.

use serde_json::Value as Json;
use tapeloop_autograd::{Rng, Shape, Tensor};
use tapeloop_layers::{Distribution, Fan, Gru, Initializer, Lstm, Nonlinearity, SimpleRnn};

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
    kurtosis: f64,
}

fn moments(x: &[f64]) -> Moments {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let central = |k: i32| x.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n;
    Moments { mean, std: central(2).sqrt(), kurtosis: central(4) / central(2).powi(2) }
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
fn statistics_are_keras() {
    for row in table("initializers.json") {
        let class = row["initializer"].as_str().unwrap();
        let shape: Vec<usize> = row["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let initializer = initializer(class, &row["args"]);
        let x: Tensor<f64> = initializer.tensor(&shape[..], &mut Rng::new(17));
        let values = x.to_vec();
        if let Some(expected) = row["values"].as_array() {
            let expected: Vec<f64> =
                expected.iter().flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect();
            assert_eq!(values, expected, "{class}");
            continue;
        }
        if class == "Orthogonal" {
            let error = gram_error(&x, row["args"]["gain"].as_f64().unwrap_or(1.0));
            assert!(error < 1e-13, "{class} {shape:?}: {error:e}");
            continue;
        }
        let theory = &row["theory"];
        let Moments { mean, std, kurtosis } = moments(&values);
        let n = values.len() as f64;
        let expected = theory["std"].as_f64().unwrap();
        // Five standard errors of each estimate, at a fixed seed.
        let middle = theory["mean"].as_f64().or_else(|| {
            let (low, high) = (theory["low"].as_f64()?, theory["high"].as_f64()?);
            Some((low + high) / 2.0)
        });
        assert!((mean - middle.unwrap_or(0.0)).abs() < 5.0 * expected / n.sqrt(), "{class}: mean {mean}");
        assert!((std / expected - 1.0).abs() < 5.0 / (2.0 * n).sqrt(), "{class}: std {std}, not {expected}");
        if let Some(expected) = theory["kurtosis"].as_f64() {
            assert!((kurtosis - expected).abs() < 5.0 * (24.0 / n).sqrt(), "{class}: kurtosis {kurtosis}");
        }
        if let (Some(low), Some(high)) = (theory["low"].as_f64(), theory["high"].as_f64()) {
            assert!(values.iter().all(|x| (low..=high).contains(x)), "{class} leaves {low}..{high}");
            let reach = (high - low) * 0.01;
            assert!(values.iter().any(|&x| x < low + reach) && values.iter().any(|&x| x > high - reach), "{class}");
        }
    }
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

#[test]
fn configurations_round_trip() {
    let initializer = Initializer::PerGate { gates: 4, initializer: Box::new(Initializer::HeNormal) };
    let json = serde_json::to_string(&initializer).unwrap();
    assert_eq!(serde_json::from_str::<Initializer>(&json).unwrap(), initializer);
}

#[test]
fn biases_are_keras() {
    for row in table("initial_bias.json") {
        let args = &row["args"];
        let units = row["units"].as_u64().unwrap() as usize;
        let initializer = match args["bias_initializer"].as_str() {
            Some(text) => {
                let value = text.trim_start_matches("Constant(").trim_end_matches(')').parse().unwrap();
                Initializer::Constant { value }
            }
            None => Initializer::Zeros,
        };
        let flag = |name: &str, default: bool| args[name].as_bool().unwrap_or(default);
        let rng = &mut Rng::new(0);
        let (shapes, bias): ([Shape; 2], Option<Tensor<f64>>) = match row["layer"].as_str().unwrap() {
            "LSTM" => {
                let config = Lstm::new(units)
                    .bias_initializer(initializer)
                    .unit_forget_bias(flag("unit_forget_bias", true))
                    .use_bias(flag("use_bias", true));
                let cell = config.cell::<f64>(units, rng);
                let shapes = [&cell.kernel, &cell.recurrent_kernel].map(|param| param.value().shape().clone());
                (shapes, cell.bias.map(|bias| bias.value().clone()))
            }
            "GRU" => {
                let config = Gru::new(units).bias_initializer(initializer).reset_after(flag("reset_after", true));
                let cell = config.cell::<f64>(units, rng);
                let shapes = [&cell.kernel, &cell.recurrent_kernel].map(|param| param.value().shape().clone());
                (shapes, cell.bias.map(|bias| bias.value().clone()))
            }
            "SimpleRNN" => {
                let cell = SimpleRnn::new(units).bias_initializer(initializer).cell::<f64>(units, rng);
                let shapes = [&cell.kernel, &cell.recurrent_kernel].map(|param| param.value().shape().clone());
                (shapes, cell.bias.map(|bias| bias.value().clone()))
            }
            // Convolutional cells are not built yet.
            _ => continue,
        };
        fn numbers(json: &Json, out: &mut Vec<f64>) {
            match json {
                Json::Array(items) => items.iter().for_each(|item| numbers(item, out)),
                other => out.extend(other.as_f64()),
            }
        }
        let mut expected = Vec::new();
        numbers(&row["bias"], &mut expected);
        assert_eq!(bias.map(|bias| bias.to_vec()).unwrap_or_default(), expected, "{row}");
        for (name, shape) in ["kernel", "recurrent_kernel"].iter().zip(shapes) {
            let (_, expected) = row["weights"]
                .as_object()
                .unwrap()
                .iter()
                .find(|(path, _)| path.ends_with(&format!("/{name}")))
                .unwrap();
            let expected: Vec<usize> = serde_json::from_value(expected.clone()).unwrap();
            assert_eq!(shape, expected[..]);
        }
    }
}
