//! A model at its door: what is wrong is an error that says so, and changes nothing.

use tapeloop_autograd::losses::{Reduction, mse};
use tapeloop_autograd::{Loop, Module, Path, Rng, Tape, Tensor, Threads};
use tapeloop_layers::{
    Activation, ActivationLayer, Dense, Dropout, Embedding, Gru, Initializer, LayerNorm, Lstm, Pass, Sequential,
    SimpleRnn,
};

fn error(config: Sequential) -> String {
    match config.build::<f32>(0) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{config:?} was built"),
    }
}

#[test]
fn a_wrong_configuration_names_the_layer_and_the_problem() {
    for (config, parts) in [
        (Sequential::new([10, 1]), ["at least one layer", ""]),
        (Sequential::new([10, 1]).add(Lstm::new(0)), ["lstm", "units must be at least 1"]),
        (Sequential::new([10, 1]).add(Dense::new(3)).add(Dense::new(0)), ["dense_1", "units"]),
        (Sequential::new([10]).add(Gru::new(3)), ["gru", "(time, features)"]),
        (Sequential::new([10, 1]).add(Lstm::new(2)).add(SimpleRnn::new(2)), ["simple_rnn", "(time, features)"]),
        (Sequential::new([Some(10), None]).add(Lstm::new(2)), ["lstm", "must be known"]),
        (Sequential::new([4]).add(Dropout::new(1.5)), ["dropout", "1.5"]),
        (Sequential::new([4]).add(Dropout::new(f64::NAN)), ["dropout", "NaN"]),
        (Sequential::new([4]).add(LayerNorm::new().epsilon(-1.0)), ["layer_norm", "-1"]),
        (Sequential::new([4]).add(Embedding::new(0, 3)), ["embedding", "input_dim"]),
        (Sequential::new([3]).add(ActivationLayer::new(Activation::Glu)), ["activation", "even"]),
    ] {
        let error = error(config);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[test]
fn a_wrong_input_is_an_error() {
    let model = Sequential::new([10, 1]).add(Lstm::new(4)).add(Dense::new(1)).build::<f32>(0).unwrap();
    for shape in [&[2, 10][..], &[2, 9, 1], &[2, 10, 2], &[10, 1], &[]] {
        let error = model.predict(&Tensor::zeros(shape)).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("(None, 10, 1)"), "{error}");
    }
    assert_eq!(model.predict(&Tensor::zeros([0, 10, 1])).unwrap().shape(), [0, 1]);
    let any_length = Sequential::new([None, Some(1)]).add(Gru::new(4)).build::<f32>(0).unwrap();
    for time in [1, 7] {
        assert_eq!(any_length.predict(&Tensor::zeros([2, time, 1])).unwrap().shape(), [2, 4]);
    }
}

/// A training loop's mistake is a panic at the loop's own line.
#[test]
fn a_wrong_input_of_a_pass_panics_where_it_is_made() {
    let config = Sequential::new([None]).add(Embedding::new(5, 3)).add(Lstm::new(2).stateful(true));
    let model = config.build::<f32>(0).unwrap();
    model.predict(&Tensor::zeros([2, 3])).unwrap();
    let places = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&places);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        seen.lock().unwrap().push((info.location().unwrap().file().to_string(), info.to_string()));
    }));
    for x in [Tensor::zeros([2, 3, 1]), Tensor::full([2, 3], 5.0), Tensor::zeros([1, 3])] {
        let tape = Tape::new();
        let run = || model.forward(tape.constant(x), &mut Pass::inference()).value();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }
    std::panic::set_hook(before);
    // Tests beside this one may have panicked, too, while the hook was set.
    let places = places.lock().unwrap();
    for part in ["an input of shape (None, None)", "embedding expects ids", "lstm expects batches of 2"] {
        assert!(places.iter().any(|(file, text)| file == file!() && text.contains(part)), "{part}: {places:?}");
    }
}

#[test]
fn ids_that_do_not_exist_are_an_error() {
    let model = Sequential::new([None]).add(Embedding::new(5, 3)).add(Lstm::new(2)).build::<f32>(0).unwrap();
    assert_eq!(model.predict(&Tensor::from([[0.0f32, 4.0]])).unwrap().shape(), [1, 2]);
    for id in [5.0f32, -1.0, 1.5, f32::NAN] {
        let error = model.predict(&Tensor::from([[0.0, id]])).unwrap_err();
        assert!(error.is_input() && error.to_string().contains("0..5"), "{error}");
    }
}

#[test]
fn a_stateful_model_refuses_another_batch_until_it_is_reset() {
    let model = Sequential::new([None, Some(1)]).add(Lstm::new(3).stateful(true)).build::<f32>(0).unwrap();
    let x = |batch| Tensor::<f32>::ones([batch, 2, 1]);
    let first = model.predict(&x(2)).unwrap().to_vec();
    let second = model.predict(&x(2)).unwrap().to_vec();
    assert_ne!(first, second, "the state goes on");
    let error = model.predict(&x(3)).unwrap_err();
    assert!(error.to_string().contains("batches of 2"), "{error}");
    model.reset_state();
    assert_eq!(model.predict(&x(2)).unwrap().to_vec(), first);
}

#[test]
fn a_forecast_on_a_kept_tape_is_the_forecast() {
    let model = everything().build::<f32>(2).unwrap();
    let ids = |k: usize| Tensor::from_fn([1 + k, 3 + k], |i| ((3 * i[0] + i[1] + k) % 20) as f32);
    for mut tape in [Tape::new(), Tape::inference(), Tape::inference_with_threads(Threads::new(1))] {
        let recording = tape.is_recording();
        let kept = model.predict_on(&mut tape, &ids(0)).unwrap();
        let expected = kept.to_vec();
        for k in [1, 0, 2] {
            let forecast = model.predict_on(&mut tape, &ids(k)).unwrap();
            assert_eq!(forecast.to_vec(), model.predict(&ids(k)).unwrap().to_vec());
            // An input that does not suit leaves the tape as useful as it was.
            assert!(model.predict_on(&mut tape, &Tensor::full([1, 2], 20.0)).unwrap_err().is_input());
            assert!(model.predict_on(&mut tape, &Tensor::zeros([1, 2, 3])).unwrap_err().is_input());
        }
        assert_eq!(kept.to_vec(), expected, "a forecast that is kept stays");
        assert_eq!(tape.is_recording(), recording);
    }
}

fn everything() -> Sequential {
    Sequential::new([None])
        .add(Embedding::new(20, 6))
        .add(Lstm::new(5).return_sequences(true).recurrent_initializer(Initializer::orthogonal_per_gate(4)))
        .add(LayerNorm::new())
        .add(Gru::new(4).return_sequences(true).reset_after(false).activation(Activation::Softsign))
        .add(Dropout::new(0.25))
        .add(SimpleRnn::new(3).go_backwards(true))
        .add(Dense::new(8).activation(Activation::Gelu))
        .add(ActivationLayer::new(Activation::Softmax))
}

#[test]
fn a_model_is_its_json() {
    let config = everything();
    let json = serde_json::to_string_pretty(&config).unwrap();
    let again: Sequential = serde_json::from_str(&json).unwrap();
    assert_eq!(again, config);
    let ids = Tensor::from_fn([2, 7], |i| (3 * i[0] + i[1]) as f32);
    let predict = |config: &Sequential| config.build::<f32>(9).unwrap().predict(&ids).unwrap().to_vec();
    assert_eq!(predict(&config), predict(&again));
    // Only what differs from the default has to be written.
    let short = r#"{"input_shape": [10, 1], "layers": [{"layer": "lstm", "units": 8}]}"#;
    let short: Sequential = serde_json::from_str(short).unwrap();
    assert_eq!(short, Sequential::new([10, 1]).add(Lstm::new(8)));
    let keras = r#"{"input_shape": [3], "layers": [{"layer": "layer_normalization", "gamma_initializer": "ones"}]}"#;
    assert_eq!(serde_json::from_str::<Sequential>(keras).unwrap(), Sequential::new([3]).add(LayerNorm::new()));
    for wrong in [
        r#"{"input_shape": [1], "layers": [{"layer": "lsmt", "units": 8}]}"#,
        r#"{"input_shape": [1], "layers": [{"layer": "dense", "unit": 8}]}"#,
        r#"{"input_shape": [1], "layers": [{"layer": "dense", "units": -8}]}"#,
        r#"{"input_shape": [1], "layer": []}"#,
    ] {
        assert!(serde_json::from_str::<Sequential>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn parameters_are_named_after_their_layers() {
    let model = Sequential::new([10, 1])
        .add(Lstm::new(2).return_sequences(true))
        .add(Lstm::new(3))
        .add(Dense::new(1))
        .build::<f32>(0)
        .unwrap();
    let names: Vec<String> = model.params().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "lstm.cell.kernel",
        "lstm.cell.recurrent_kernel",
        "lstm.cell.bias",
        "lstm_1.cell.kernel",
        "lstm_1.cell.recurrent_kernel",
        "lstm_1.cell.bias",
        "dense.kernel",
        "dense.bias",
    ];
    assert_eq!(names, expected);
    assert_eq!(model.param_count(), 4 * 2 * (1 + 2 + 1) + 4 * 3 * (2 + 3 + 1) + 4);
}

#[test]
fn the_summary_counts_what_is_frozen() {
    let mut model = everything().build::<f32>(0).unwrap();
    let all = model.param_count();
    model.visit_mut(&mut Path::default(), &mut |path, param| {
        if path.as_str().starts_with("embedding") {
            param.set_trainable(false);
        }
    });
    let summary = model.summary();
    assert_eq!(summary.param_count(), all);
    let text = summary.to_string();
    for part in ["embedding (Embedding)", "(None, None, 6)", "Non-trainable params: 120 (480.00 B)"] {
        assert!(text.contains(part), "{text}");
    }
    let widths: Vec<usize> = text.lines().take(5).map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
}

#[test]
fn the_summary_says_where_a_mask_arrives() {
    let column = |config: Sequential| -> Vec<String> {
        let text = config.build::<f32>(0).unwrap().summary().to_string();
        let rows = text.lines().filter(|line| line.starts_with('│'));
        rows.map(|line| line.split('│').nth(4).unwrap_or_default().trim().to_string()).collect()
    };
    let config = Sequential::new([None])
        .add(Embedding::new(20, 6).mask_zero(true))
        .add(Lstm::new(5).return_sequences(true))
        .add(LayerNorm::new())
        .add(Gru::new(4))
        .add(Dense::new(1));
    assert_eq!(column(config), ["begins", "goes on", "goes on", "ends", ""]);
    // Without a mask there is no column.
    assert_eq!(column(everything()), [""; 8]);
    assert!(!everything().build::<f32>(0).unwrap().summary().to_string().contains("Mask"));
}

#[test]
fn dropout_follows_the_seed_of_the_pass_alone() {
    let model = Sequential::new([50]).add(Dropout::new(0.5)).build::<f32>(0).unwrap();
    let tape = Tape::new();
    let x = tape.constant(Tensor::ones([2, 50]));
    let run = |pass: &mut Pass| model.forward(x, pass).value().to_vec();
    assert_eq!(run(&mut Pass::training(1)), run(&mut Pass::training(1)));
    assert_ne!(run(&mut Pass::training(1)), run(&mut Pass::training(2)));
    assert_eq!(run(&mut Pass::inference()), [1.0; 100]);
}

#[test]
fn every_activation_has_its_name_and_works() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::<f32>::normal([3, 4], 0.0, 2.0, &mut Rng::new(0)));
    for &activation in Activation::ALL {
        assert_eq!(activation.name().parse::<Activation>().unwrap(), activation);
        assert_eq!(serde_json::to_string(&activation).unwrap(), format!("\"{activation}\""));
        assert!(activation.apply(x).value().all_finite(), "{activation}");
    }
}

/// Values of Keras 3.15 on TensorFlow, under every name it knows, without its `sparsemax`, whose rows do not sum to 1.
#[test]
fn activations_are_keras() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/activations.json");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let numbers = |row: &serde_json::Value| serde_json::from_value::<Vec<f64>>(row["y"].clone()).unwrap();
    let tape = Tape::<f64>::inference();
    let x = tape.constant(Tensor::from_vec([6, 6], numbers(&rows[0])));
    for row in &rows[1..] {
        let name = row["name"].as_str().unwrap();
        let activation: Activation = name.parse().unwrap();
        assert_eq!(serde_json::from_value::<Activation>(name.into()).unwrap(), activation);
        let (found, expected) = (activation.apply(x).value().to_vec(), numbers(row));
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            // They are in double precision, but TensorFlow's slopes, as 0.2, and its √½ in `gelu` are singles.
            let tolerance = 2.0 * f64::from(f32::EPSILON) * (1.0 + expected.abs());
            assert!((found - expected).abs() <= tolerance, "{name}: {found}, not {expected}");
        }
    }
    // The threshold is half of 3 + 2.5 − 1: the third is below it.
    let x = tape.constant(Tensor::from([[3.0, 2.5, 2.0]]));
    assert_eq!(Activation::Sparsemax.apply(x).value().to_vec(), [0.75, 0.25, 0.0]);
}

#[test]
fn the_same_seed_trains_to_the_same_bits() {
    let train = |seed: u64| {
        let config = Sequential::new([6, 2]).add(Gru::new(5)).add(Dropout::new(0.2)).add(Dense::new(1));
        let mut model = config.build::<f32>(seed).unwrap();
        let mut rng = Rng::new(seed);
        let (x, y) = (Tensor::normal([8, 6, 2], 0.0, 1.0, &mut rng), Tensor::normal([8, 1], 0.0, 1.0, &mut rng));
        let mut tape = Tape::new();
        let mut losses = Vec::new();
        for step in 0..30 {
            let (loss, gradients) = tape.value_and_grad(|tape| {
                let y_hat = model.forward(tape.constant(x.clone()), &mut Pass::training(step));
                mse(y_hat, &y, Reduction::Mean)
            });
            losses.push(loss);
            model.visit_mut(&mut Path::default(), &mut |_, param| {
                let gradient = gradients.of(param).unwrap().to_vec();
                param.value_mut().iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
            });
        }
        losses
    };
    let losses = train(4);
    assert!(losses[29] < 0.7 * losses[0], "{losses:?}");
    assert_eq!(losses, train(4));
}

#[test]
fn a_model_within_a_step_is_traced() {
    let model = Sequential::new([3]).add(Dense::new(4)).add(Dense::new(3)).build::<f64>(0).unwrap();
    let tape = Tape::new();
    let x = tape.leaf(Tensor::normal([5, 2, 3], 0.0, 1.0, &mut Rng::new(1)));
    let start = tape.constant(Tensor::zeros([2, 3]));
    let step = |h: tapeloop_autograd::Var<'_, f64>| model.forward(h, &mut Pass::inference()).value();
    let ran = Loop::new().run(x, &[start], |x, state| {
        let h = model.forward(x + state[0], &mut Pass::inference());
        (smallvec::smallvec![h], h)
    });
    let output = ran.expect("nothing that a loop does not know").output.value();
    let mut h = start;
    for t in 0..5 {
        h = tape.constant(step(x.select(0, t) + h));
        let error = (output.select(0, t).to_vec().iter().zip(h.value().to_vec()))
            .fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        assert!(error < 1e-14, "step {t}: {error:e}");
    }
}
