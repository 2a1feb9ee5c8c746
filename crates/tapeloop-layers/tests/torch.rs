//! PyTorch's modules beyond the reference cases: dropout between layers, lengths, state dicts, configurations, models.

use tapeloop_autograd::{Checkpoint, Element, Module, Rng, Tape, Tensor, Var};
use tapeloop_layers::torch::{self, Stack};
use tapeloop_layers::{Activation, Dense, Gru, Layer, LayerConfig, Lstm, Masked, Masking, Pass, Sequential, SimpleRnn};

fn normal<T: Element>(shape: &[usize], seed: u64) -> Tensor<T> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

type Weights<T> = Vec<(String, Tensor<T>)>;

/// relu layers that put out their input as it is: of what is 1, the dropout alone is seen.
fn transparent(num_layers: usize, dropout: f64, batch_first: bool) -> Stack<f64> {
    let config = torch::Rnn::new(50).num_layers(num_layers).nonlinearity(Activation::Relu).bias(false);
    let mut stack = config.dropout(dropout).batch_first(batch_first).layer::<f64>(50, &mut Rng::new(0));
    let weights: Weights<f64> = stack
        .state_dict()
        .into_iter()
        .map(|(name, value)| {
            let one = name.starts_with("weight_ih");
            (name, if one { Tensor::eye(50) } else { value.zeros_like() })
        })
        .collect();
    stack.load_state_dict(weights).unwrap();
    stack
}

#[test]
fn dropout_is_drawn_for_each_element_and_step_between_layers_only() {
    for batch_first in [false, true] {
        let tape = Tape::new();
        let x = tape.constant(Tensor::ones([8, 8, 50]));
        for (layers, rate) in [(2usize, 0.25f64), (3, 0.5), (5, 0.2)] {
            let stack = transparent(layers, rate, batch_first);
            let mut pass = Pass::training(3);
            let [one, other] = [0, 1].map(|_| stack.run_in(x, None, &mut pass).output.value());
            // One place fewer than there are layers.
            let places = layers as i32 - 1;
            let (kept, whole) = ((1.0 - rate).powi(places), (1.0 - rate).powi(-places));
            assert!(one.to_vec().iter().all(|&y| y == 0.0 || (y - whole).abs() < 1e-12));
            let count = one.to_vec().iter().filter(|&&y| y != 0.0).count() as f64;
            // 3200 draws: 6 standard deviations.
            assert!((count - 3200.0 * kept).abs() < 6.0 * (3200.0 * kept * (1.0 - kept)).sqrt(), "{layers}: {count}");
            // No two rows, steps, or calls have the same.
            for axis in [0, 1] {
                for k in 1..8 {
                    assert_ne!(one.select(axis, 0), one.select(axis, k));
                }
            }
            assert_ne!(one, other);
            // The same pass draws the same; without training, nothing is dropped.
            assert_eq!(stack.run_in(x, None, &mut Pass::training(3)).output.value(), one);
            assert_ne!(stack.run_in(x, None, &mut Pass::training(4)).output.value(), one);
            for y in [stack.run_in(x, None, &mut Pass::inference()), stack.run(x, None)] {
                assert_eq!(y.output.value(), Tensor::ones([8, 8, 50]));
            }
        }
        assert_eq!(
            transparent(3, 1.0, batch_first).run_in(x, None, &mut Pass::training(0)).output.sum_all().item(),
            0.0
        );
        // The states of a layer are those before what follows drops them.
        let h_n = transparent(2, 0.5, batch_first).run_in(x, None, &mut Pass::training(0)).h_n;
        assert_eq!(h_n.select(0, 0).value(), Tensor::ones([8, 50]));
        assert_ne!(h_n.select(0, 1).value(), Tensor::ones([8, 50]));
    }
}

/// Modules with every option, and with all of them; `unroll` besides.
fn modules(unroll: bool) -> Vec<(String, Stack<f64>)> {
    let mut all = Vec::new();
    macro_rules! with {
        ($config:expr) => {{
            let base = $config.unroll(unroll);
            let checkpoint = Checkpoint::every(2);
            for config in [
                base.clone(),
                base.clone().bias(false),
                base.clone().batch_first(true),
                base.clone().num_layers(3),
                base.clone().num_layers(2).dropout(0.4),
                base.clone().bidirectional(true),
                base.clone().return_sequences(false),
                base.clone().checkpoint(checkpoint),
                base.clone()
                    .num_layers(2)
                    .dropout(0.4)
                    .bidirectional(true)
                    .return_sequences(false)
                    .checkpoint(checkpoint),
                base.clone().num_layers(3).dropout(0.4).bidirectional(true).batch_first(true).bias(false),
            ] {
                all.push((format!("{config:?}"), config.layer(3, &mut Rng::new(1))));
            }
        }};
    }
    with!(torch::Lstm::new(4));
    with!(torch::Lstm::new(4).proj_size(2));
    with!(torch::Gru::new(4));
    with!(torch::Rnn::new(4));
    with!(torch::Rnn::new(4).nonlinearity(Activation::Relu));
    all
}

/// Everything a training pass returns, and every gradient.
fn trained(stack: &Stack<f64>, x: &Tensor<f64>, lengths: Option<&[usize]>) -> Vec<Tensor<f64>> {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let input = lengths.map_or_else(|| Masked::from(x), |lengths| stack.padded(x, lengths));
    let run = stack.run_in(input, None, &mut Pass::training(7));
    let outputs: Vec<Var<'_, f64>> = [run.output, run.h_n].into_iter().chain(run.c_n).collect();
    let loss = outputs.iter().map(|y| y.square().sum_all()).reduce(|a, b| a + b).unwrap();
    let gradients = loss.backward();
    let mut all: Vec<Tensor<f64>> = outputs.into_iter().map(Var::value).collect();
    all.push(gradients.wrt(x).unwrap().clone());
    all.extend(stack.named_gradients(&gradients).into_iter().map(|(_, gradient)| gradient));
    all
}

#[test]
fn every_option_runs_as_loops() {
    for ((name, looped), (_, unrolled)) in modules(false).iter().zip(&modules(true)) {
        let x = normal(&[4, 4, 3], 2);
        for lengths in [None, Some(&[4, 2, 0, 1][..])] {
            let pairs = trained(looped, &x, lengths).into_iter().zip(trained(unrolled, &x, lengths));
            for (k, (ours, theirs)) in pairs.enumerate() {
                let scale = theirs.to_vec().iter().fold(1.0f64, |max, x| max.max(x.abs()));
                let near = ours.to_vec().iter().zip(theirs.to_vec()).all(|(a, b)| (a - b).abs() <= 1e-12 * scale);
                assert!(near && ours.shape() == theirs.shape(), "{name}: value {k}");
            }
        }
        let (how, ways) = (looped.explain(), looped.layers().iter().map(Vec::len).sum::<usize>());
        assert!(how.matches("loop:").count() >= ways && how.matches("derivative:").count() >= ways, "{name}: {how}");
        assert!(!how.contains("unrolled") && !how.contains("no loop"), "{name}: {how}");
        assert!(unrolled.explain().contains("unrolled"));
    }
}

#[test]
fn a_row_of_a_length_is_that_row_alone() {
    let lengths = [5, 2, 0, 3];
    for (name, stack) in modules(false) {
        let batch_first = name.contains("batch_first: true");
        let sequences = name.contains("return_sequences: true");
        let (row_axis, time_axis) = if batch_first { (0, 1) } else { (1, 0) };
        let shape: &[usize] = if batch_first { &[4, 5, 3] } else { &[5, 4, 3] };
        // Padding may be anything.
        let x = normal::<f64>(shape, 2);
        let x = Tensor::from_fn(shape, |i| if i[time_axis] < lengths[i[row_axis]] { x.at(i) } else { f64::NAN });
        let tape = Tape::inference();
        let x = tape.constant(x);
        let all = stack.run(stack.padded(x, &lengths), None);
        for (row, &length) in lengths.iter().enumerate() {
            let mine = |y: Var<'_, f64>| y.select(1, row).value();
            if length == 0 {
                assert_eq!(mine(all.h_n).map(f64::abs).to_vec().iter().sum::<f64>(), 0.0, "{name}");
                continue;
            }
            let alone = stack.run(x.select(row_axis as isize, row).slice(0, 0..length as isize), None);
            let near = |a: Tensor<f64>, b: Tensor<f64>| {
                assert_eq!(a.shape(), b.shape(), "{name}");
                assert!(a.to_vec().iter().zip(b.to_vec()).all(|(a, b)| (a - b).abs() <= 1e-14), "{name}: row {row}");
            };
            near(mine(all.h_n), alone.h_n.value());
            if let (Some(all), Some(alone)) = (all.c_n, alone.c_n) {
                near(mine(all), alone.value());
            }
            if sequences {
                let own = all.output.select(row_axis as isize, row);
                near(own.slice(0, 0..length as isize).value(), alone.output.value());
                assert!(own.slice(0, length as isize..).value().to_vec().iter().all(|&y| y == 0.0), "{name}");
            } else {
                near(all.output.select(0, row).value(), alone.output.value());
            }
        }
        if !sequences {
            // The last layer's states, direction by direction.
            let ways = stack.layers()[0].len();
            let places = stack.layers().len() * ways;
            let last = Var::concat((places - ways..places).map(|place| all.h_n.select(0, place)), -1);
            assert_eq!(last.value(), all.output.value(), "{name}");
        }
    }
}

#[test]
fn states_go_on_where_they_ended() {
    for (name, stack) in modules(false) {
        if name.contains("bidirectional: true")
            || name.contains("batch_first: true")
            || name.contains("sequences: false")
        {
            continue;
        }
        let tape = Tape::inference();
        let x = tape.constant(normal(&[6, 2, 3], 3));
        let whole = stack.run(x, None);
        let first = stack.run(x.slice(0, 0..4), None);
        let states: Vec<_> = [first.h_n].into_iter().chain(first.c_n).collect();
        let second = stack.run(x.slice(0, 4..), Some(&states));
        assert_eq!(whole.output.slice(0, 4..).value(), second.output.value(), "{name}");
        assert_eq!(whole.h_n.value(), second.h_n.value(), "{name}");
    }
}

#[test]
fn fresh_weights_are_uniform() {
    let stack = torch::Lstm::new(64).proj_size(16).num_layers(2).layer::<f32>(32, &mut Rng::new(3));
    let weights = stack.state_dict();
    let names: Vec<&str> = weights.iter().map(|(name, _)| name.as_str()).collect();
    let layer =
        |k: usize| ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"].map(|name| format!("{name}_l{k}"));
    assert_eq!(names, [layer(0), layer(1)].concat());
    for (name, value) in &weights {
        let (values, limit) = (value.to_vec(), 1.0 / 8.0);
        assert!(values.iter().all(|x| x.abs() <= limit), "{name}");
        let (low, high) = values.iter().fold((0.0f32, 0.0f32), |(a, b), &x| (a.min(x), b.max(x)));
        assert!(low < -0.9 * limit && high > 0.9 * limit, "{name}: {low}..{high}");
        let variance = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64;
        // (2 limit)² / 12; its deviation is 0.06 of it for the shortest.
        assert!((variance * 192.0 - 1.0).abs() < 0.36, "{name}: {variance}");
    }
    assert_ne!(weights[2].1, weights[3].1);
    let of = |seed| torch::Gru::new(3).layer::<f32>(2, &mut Rng::new(seed)).state_dict();
    assert!(of(1) == of(1) && of(1) != of(2));
}

#[test]
fn a_state_dict_comes_back_bit_for_bit() {
    for (name, mut stack) in modules(false) {
        let drawn: Weights<f64> =
            stack.state_dict().into_iter().zip(0..).map(|((name, x), k)| (name, normal(x.shape(), k))).collect();
        // In any order.
        stack.load_state_dict(drawn.iter().rev().cloned()).unwrap();
        assert_eq!(stack.state_dict(), drawn, "{name}");
        // A model of the same shape does the same with it.
        let copies = modules(false);
        let (_, mut copy) = copies.into_iter().find(|(other, _)| *other == name).unwrap();
        copy.load_state_dict(drawn).unwrap();
        let tape = Tape::inference();
        let x = tape.constant(normal(&[2, 2, 3], 5));
        assert_eq!(copy.run(x, None).output.value(), stack.run(x, None).output.value(), "{name}");
    }
}

#[test]
fn a_wrong_state_dict_is_an_error_that_names_it_and_changes_nothing() {
    let mut stack =
        torch::Lstm::new(4).proj_size(2).num_layers(2).bidirectional(true).layer::<f32>(3, &mut Rng::new(0));
    let good: Weights<f32> = stack.state_dict().into_iter().map(|(name, x)| (name, x.map(|x| x + 1.0))).collect();
    let before = stack.state_dict();
    let mut fails = |change: &dyn Fn(&mut Weights<f32>), parts: &[&str]| {
        let mut weights = good.clone();
        change(&mut weights);
        let error = stack.load_state_dict(weights).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        assert_eq!(stack.state_dict(), before);
    };
    let at = |weights: &Weights<f32>, name: &str| weights.iter().position(|(own, _)| own == name).unwrap();
    fails(&|w| drop(w.remove(at(w, "weight_hr_l1_reverse"))), &["missing: `weight_hr_l1_reverse`"]);
    fails(&|w| w.clear(), &["missing: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`"]);
    fails(&|w| w.push(("weight_ih_l2".into(), Tensor::zeros([16, 4]))), &["unknown: `weight_ih_l2`"]);
    fails(&|w| w.push(w[3].clone()), &["`bias_hh_l0` is there twice"]);
    fails(
        &|w| {
            let (ih, hh) = (at(w, "weight_ih_l1"), at(w, "bias_hh_l1"));
            w[ih].1 = Tensor::zeros([4, 16]);
            w[hh].0 = "lstm.bias_hh_l1".into();
        },
        &[
            "`weight_ih_l1` has the shape [4, 16] and needs [16, 4]",
            "missing: `bias_hh_l1`",
            "unknown: `lstm.bias_hh_l1`",
        ],
    );
    stack.load_state_dict(good.clone()).unwrap();
    assert_eq!(stack.state_dict(), good);
    let mut bare = torch::Gru::new(4).bias(false).layer::<f32>(3, &mut Rng::new(0));
    let other = torch::Gru::new(4).layer::<f32>(3, &mut Rng::new(0)).state_dict();
    assert!(bare.load_state_dict(other).unwrap_err().to_string().contains("unknown: `bias_hh_l0`, `bias_ih_l0`"));
}

/// The same numbers from the module and from a layer in Keras' form that takes its weights.
#[test]
fn layers_of_keras_take_state_dicts_and_give_them() {
    let input = normal::<f64>(&[2, 5, 3], 2);
    macro_rules! check {
        ($module:expr, $layer:expr, $exact:expr) => {{
            let mut module = $module.batch_first(true).layer::<f64>(3, &mut Rng::new(1));
            let mut layer = $layer.return_sequences(true).layer::<f64>(3, &mut Rng::new(2));
            torch::load_state_dict(layer.cell_mut(), "_l0", module.state_dict()).unwrap();
            let tape = Tape::inference();
            let x = tape.constant(input.clone());
            let (ours, theirs) = (layer.run(x, None).output.value(), module.run(x, None).output.value());
            let near = ours.to_vec().iter().zip(theirs.to_vec()).all(|(a, b)| (a - b).abs() < 1e-15);
            assert!(near, "{ours:?}\n{theirs:?}");
            let back = torch::state_dict(layer.cell(), "_l0").unwrap();
            let same = |(a, b): (&(String, Tensor<f64>), &(String, Tensor<f64>))| a == b;
            assert_eq!(back.iter().zip(&module.state_dict()).all(same), $exact);
            // And from the layer to the module, exactly.
            let layer = $layer.return_sequences(true).layer::<f64>(3, &mut Rng::new(3));
            module.load_state_dict(torch::state_dict(layer.cell(), "_l0").unwrap()).unwrap();
            // A tape knows parameters as they were.
            let tape = Tape::inference();
            let x = tape.constant(input.clone());
            assert_eq!(module.run(x, None).output.value(), layer.run(x, None).output.value());
            assert!(torch::state_dict(layer.cell(), "").unwrap().iter().any(|(name, _)| name == "weight_hh"));
        }};
    }
    // Of two biases that are added, one remembers the sum.
    check!(torch::Lstm::new(4), Lstm::new(4), false);
    check!(torch::Rnn::new(4), SimpleRnn::new(4), false);
    check!(torch::Rnn::new(4).nonlinearity(Activation::Relu), SimpleRnn::new(4).activation(Activation::Relu), false);
    check!(torch::Gru::new(4), Gru::new(4), true);
    check!(torch::Lstm::new(4).bias(false), Lstm::new(4).use_bias(false), true);
    check!(torch::Gru::new(4).bias(false), Gru::new(4).use_bias(false), true);

    let rng = &mut Rng::new(0);
    let error = |result: Result<Weights<f32>, tapeloop_layers::Error>| result.unwrap_err().to_string();
    assert!(
        error(torch::state_dict(&Gru::new(2).reset_after(false).cell(1, rng), "_l0")).contains("before the product")
    );
    assert!(error(torch::state_dict(&Lstm::new(2).activation(Activation::Relu).cell(1, rng), "_l0")).contains("relu"));
    let hard = Gru::new(2).recurrent_activation(Activation::HardSigmoid).cell(1, rng);
    assert!(error(torch::state_dict(&hard, "_l0")).contains("hard_sigmoid"));
}

#[test]
fn a_model_holds_modules() {
    let json = r#"{"input_shape": [null, 3], "layers": [
        {"layer": "masking", "mask_value": 0.0},
        {"layer": "torch_lstm", "hidden_size": 4, "proj_size": 2, "num_layers": 2, "dropout": 0.5, "bidirectional": true,
         "batch_first": true},
        {"layer": "torch_gru", "input_size": 4, "hidden_size": 5, "batch_first": true},
        {"layer": "torch_rnn", "hidden_size": 6, "nonlinearity": "relu", "bias": false, "batch_first": true,
         "return_sequences": false},
        {"layer": "dense", "units": 1}]}"#;
    let config: Sequential = serde_json::from_str(json).unwrap();
    let again: Sequential = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(again, config);
    assert_eq!(
        config.layers()[1],
        torch::Lstm::new(4).proj_size(2).num_layers(2).dropout(0.5).bidirectional(true).batch_first(true).into()
    );
    let model = config.build::<f64>(1).unwrap();
    assert_eq!(model.output_shape(), [Some(1)]);
    let names: Vec<String> = model.params().into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| name == "torch_lstm.l1_reverse.cell.lstm.recurrent_kernel"), "{names:?}");
    // Padding changes nothing.
    let x = normal::<f64>(&[1, 3, 3], 4);
    let padded = Tensor::from_fn([1, 5, 3], |i| if i[1] < 3 { x.at(i) } else { 0.0 });
    assert_eq!(model.predict(&x).unwrap(), model.predict(&padded).unwrap());
    // Dropout follows from the pass's seed.
    let tape = Tape::new();
    let x = tape.constant(x);
    let of = |seed| model.forward(x, &mut Pass::training(seed)).item();
    assert!(of(1) == of(1) && of(1) != of(2));

    let model = Sequential::new([None, Some(3)])
        .add(torch::Gru::new(5).num_layers(2).dropout(0.5).batch_first(true))
        .add(Dense::new(2))
        .build::<f32>(0)
        .unwrap();
    let x = normal::<f32>(&[1, 9, 3], 6);
    let (mut stream, all) = (model.stream().unwrap(), model.predict(&x).unwrap());
    for t in 0..9 {
        let y = stream.step(&x.select(0, 0).select(0, t).to_vec()).to_vec();
        let near = y.iter().zip(all.select(0, 0).select(0, t).to_vec()).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(near, "{t}");
    }
    let both = Sequential::new([None, Some(3)]).add(torch::Gru::new(5).bidirectional(true).batch_first(true));
    assert!(both.build::<f32>(0).unwrap().stream().map(|_| ()).unwrap_err().to_string().contains("backwards"));
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let refused = |config: LayerConfig, part: &str| {
        let model = Sequential::new([5, 3]).add(config).build::<f32>(0);
        let error = model.map(|_| ()).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(part), "{error}");
    };
    let lstm = || torch::Lstm::new(4).batch_first(true);
    refused(
        torch::Lstm::new(4).into(),
        "torch_lstm: a model's inputs are (batch, time, features): it needs batch_first",
    );
    refused(lstm().dropout(0.5).into(), "dropout: 0.5 acts between layers, and there is one");
    refused(lstm().num_layers(2).dropout(1.5).into(), "a rate of 1.5 is not in 0..=1");
    refused(lstm().num_layers(2).dropout(f64::NAN).into(), "NaN");
    refused(lstm().num_layers(0).into(), "num_layers must be at least 1");
    refused(lstm().num_layers(1 << 60).into(), "no memory");
    refused(lstm().proj_size(4).into(), "proj_size: 4 is not less than hidden_size, 4");
    refused(lstm().input_size(2).into(), "input_size: it is 2, and the input has 3");
    refused(torch::Lstm::default().batch_first(true).into(), "hidden_size must be at least 1");
    refused(torch::Gru::new(1 << 62).batch_first(true).into(), "torch_gru: ");
    let sine = torch::Rnn::new(4).nonlinearity(Activation::Gelu).batch_first(true);
    refused(sine.into(), "torch_rnn: nonlinearity: there are tanh and relu, got gelu");
    let deep = Sequential::new([3]).add(lstm()).build::<f32>(0).map(|_| ()).unwrap_err().to_string();
    assert!(deep.contains("needs (time, features) behind the batch"), "{deep}");
    let unknown = serde_json::from_str::<LayerConfig>(r#"{"layer": "torch_gru", "hidden_size": 2, "proj_size": 1}"#);
    assert!(unknown.unwrap_err().to_string().contains("proj_size"));
    let masked = Sequential::new([5, 3]).add(Masking::new(0.0)).add(lstm()).add(Dense::new(1)).build::<f32>(0);
    assert_eq!(masked.unwrap().output_shape(), [Some(5), Some(1)]);
}

#[test]
fn what_a_call_cannot_mean_panics_at_its_line_with_the_shapes() {
    let places = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&places);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        seen.lock().unwrap().push((info.location().unwrap().file().to_string(), info.to_string()));
    }));
    let says = |call: &dyn Fn(&Stack<f32>, &Tape<f32>), parts: &[&str]| {
        let stack = torch::Lstm::new(4).num_layers(2).layer::<f32>(3, &mut Rng::new(0));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call(&stack, &Tape::new()))).unwrap_err();
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        let places = places.lock().unwrap();
        assert!(places.iter().any(|(file, own)| file == file!() && own.contains(&text)), "{text}: {places:?}");
    };
    says(
        &|stack, tape| {
            stack.run(tape.full([5, 2, 4], 0.0), None);
        },
        &["[5, 2, 4]", "(time, batch, features)", "3 features"],
    );
    says(
        &|stack, tape| {
            let h = tape.full([2, 2, 4], 0.0);
            stack.run(tape.full([5, 2, 3], 0.0), Some(&[h]));
        },
        &["starts from 2 states and 1 were given"],
    );
    says(
        &|stack, tape| {
            let h = tape.full([2, 5, 4], 0.0);
            stack.run(tape.full([5, 2, 3], 0.0), Some(&[h, h]));
        },
        &["initial h", "[2, 5, 4]", "[2, 2, 4]"],
    );
    says(
        &|stack, tape| {
            stack.run_with(tape.full([5, 2, 3], 0.0), None, &[]);
        },
        &["0 dropout masks were given", "1 places"],
    );
    says(
        &|stack, tape| {
            stack.padded(tape.full([5, 2, 3], 0.0), &[5, 6]);
        },
        &["[2, 5, 3]", "lengths [5, 6]"],
    );
    says(
        &|stack, tape| {
            stack.padded(tape.full([5, 3], 0.0), &[5]);
        },
        &["[5, 3]"],
    );
    std::panic::set_hook(before);
    let stack = torch::Gru::new(4).layer::<f32>(3, &mut Rng::new(0));
    assert!(stack.output_shape(&[Some(5), Some(4)]).unwrap_err().to_string().contains("needs 3 features"));
}
