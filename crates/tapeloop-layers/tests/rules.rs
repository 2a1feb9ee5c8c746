//! Regularizers and constraints: derivatives, laws, and what layers and models make of them.

use serde_json::json;
use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck};
use tapeloop_autograd::losses::{Reduction, mse};
use tapeloop_autograd::{Module, Param, Rng, Tape, Tensor, Var};
use tapeloop_layers::{
    Bidirectional, Constraint, Dense, Embedding, Gru, Initializer, Layer, LayerConfig, LayerNorm, Lstm, Masked,
    Masking, Pass, Regularizer, Rules, Sequential, SimpleRnn, Vectors,
};

const REGULARIZERS: [Regularizer; 5] = [
    Regularizer::L1 { l1: 0.5 },
    Regularizer::L2 { l2: 0.25 },
    Regularizer::L1L2 { l1: 0.125, l2: 2.0 },
    Regularizer::Orthogonal { factor: 0.5, mode: Vectors::Rows },
    Regularizer::Orthogonal { factor: 3.0, mode: Vectors::Columns },
];

fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

fn penalty_of(regularizer: Regularizer, w: &Tensor<f64>) -> f64 {
    regularizer.penalty(Tape::inference().constant(w.clone())).item()
}

fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * b.abs().max(1.0)
}

#[test]
fn penalties_have_derivatives_of_both_orders() {
    for (seed, regularizer) in REGULARIZERS.into_iter().enumerate() {
        let w = normal(&[3, 4], seed as u64);
        gradcheck(|w| regularizer.penalty(w[0]), std::slice::from_ref(&w), 1, Tolerance::default()).unwrap();
        gradgradcheck(|w| regularizer.penalty(w[0]), &[w], 2, Tolerance::default()).unwrap();
    }
}

/// The formulas, written as loops.
#[test]
fn penalties_are_their_formulas() {
    let w = normal(&[4, 3], 7);
    let all = w.to_vec();
    let (absolute, squares) = (all.iter().map(|x| x.abs()).sum::<f64>(), all.iter().map(|x| x * x).sum::<f64>());
    let cosines = |vectors: Vec<Vec<f64>>| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (place, a) in vectors.iter().enumerate() {
            for b in &vectors[..place] {
                sum += dot(a, b).abs() / (dot(a, a) * dot(b, b)).sqrt();
                pairs += 1.0;
            }
        }
        sum / pairs
    };
    let rows = cosines(all.chunks(3).map(<[f64]>::to_vec).collect());
    let columns = cosines((0..3).map(|k| all.iter().skip(k).step_by(3).copied().collect()).collect());
    let expected = [0.5 * absolute, 0.25 * squares, 0.125 * absolute + 2.0 * squares, 0.5 * rows, 3.0 * columns];
    for (regularizer, expected) in REGULARIZERS.into_iter().zip(expected) {
        assert!(near(penalty_of(regularizer, &w), expected, 1e-13), "{regularizer}");
    }
    assert_eq!(penalty_of(Regularizer::l1_l2(0.0, 0.0), &w), 0.0);
}

#[test]
fn orthogonal_has_numbers_where_there_is_no_direction() {
    for (w, expected) in [
        (Tensor::from([[3.0f64, 4.0]]), 0.0),
        (Tensor::zeros([2, 2]), 0.0),
        (Tensor::from([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]), 1.0 / 3.0),
        (Tensor::from([[1.0, 0.0], [0.0, 5.0]]), 0.0),
    ] {
        let tape = Tape::new();
        let leaf = tape.leaf(w);
        let penalty = Regularizer::orthogonal(1.0, Vectors::Rows).penalty(leaf);
        assert!(near(penalty.item(), expected, 1e-15));
        assert!(penalty.backward().wrt(leaf).unwrap().all_finite());
    }
}

fn norms(w: &Tensor<f64>, axes: &[isize]) -> Vec<f64> {
    Tape::inference().constant(w.clone()).norm(2.0, axes, false).value().to_vec()
}

#[test]
fn constrained_weights_keep_to_it() {
    for (seed, shape) in [&[5][..], &[6, 40], &[2, 3, 4], &[3, 1, 2, 5]].into_iter().enumerate() {
        let w = normal(shape, seed as u64);
        let rank = shape.len() as isize;
        let mut choices = vec![vec![], vec![0], vec![-1], (0..rank).collect()];
        choices.extend((rank > 1).then(|| vec![1 - rank, 0]));
        choices.extend((rank > 2).then(|| vec![1]));
        for axes in choices {
            let before = norms(&w, &axes);
            for (constraint, wanted) in [
                (Constraint::max_norm(0.75), (|n| n.min(0.75)) as fn(f64) -> f64),
                (Constraint::unit_norm(), |_| 1.0),
                (Constraint::min_max_norm(0.5, 1.5), |n| n.clamp(0.5, 1.5)),
            ] {
                let constraint = constraint.along(&axes);
                let once = constraint.apply(&w);
                for (norm, before) in norms(&once, &axes).into_iter().zip(&before) {
                    let expected = wanted(*before) * before / (before + 1e-7);
                    assert!(near(norm, expected, 1e-14), "{constraint} of {shape:?}: {norm}, {expected}");
                }
                // Idempotent but for the 10⁻⁷ in the divisors, of which a small norm feels more.
                let least = norms(&once, &axes).into_iter().chain(before.iter().copied()).fold(1.0, f64::min);
                for (once, twice) in once.to_vec().into_iter().zip(constraint.apply(&once).to_vec()) {
                    assert!(near(twice, once, 2e-7 / least), "{constraint} of {shape:?}");
                }
            }
            let half = Constraint::MinMaxNorm { min_value: 0.5, max_value: 1.5, rate: 0.5, axis: axes.clone() };
            for (norm, before) in norms(&half.apply(&w), &axes).into_iter().zip(&before) {
                assert!(near(norm, (before + before.clamp(0.5, 1.5)) / 2.0, 1e-6));
            }
        }
        let positive = Constraint::NonNeg.apply(&w);
        assert_eq!(positive.to_vec(), w.map(|x| x.max(0.0)).to_vec());
        assert_eq!(Constraint::NonNeg.apply(&positive).to_vec(), positive.to_vec());
    }
    let zeros = Tensor::<f64>::zeros([3, 2]);
    let all = [Constraint::max_norm(1.0), Constraint::unit_norm(), Constraint::min_max_norm(0.5, 1.0)];
    assert!(all.iter().all(|constraint| constraint.apply(&zeros).to_vec() == zeros.to_vec()));
    assert_eq!(Constraint::unit_norm().apply(&Tensor::<f64>::zeros([0, 2])).shape(), [0, 2]);
    // A view is projected as what it shows, and what it is a view of is left alone.
    let w = normal(&[4, 3], 1);
    assert_eq!(
        Constraint::unit_norm().apply(&w.t()).to_vec(),
        Constraint::unit_norm().along(&[1]).apply(&w).t().to_vec()
    );
}

#[test]
#[should_panic(expected = "a weight of shape [3] has no axis 1")]
fn an_axis_that_is_not_there_panics() {
    Constraint::unit_norm().along(&[1]).apply(&Tensor::<f64>::ones([3]));
}

/// Every setting of every layer with weights, and what its penalty and its weights then are.
#[test]
fn every_layer_has_the_penalties_and_constraints_of_its_weights() {
    let (l1, l2) = (Regularizer::l1(0.5), Regularizer::l2(0.25));
    let recurrent = |layer: &str| {
        json!({"layer": layer, "units": 3, "kernel_regularizer": "l2(l2=0.25)", "recurrent_regularizer": "l1(l1=0.5)",
            "bias_regularizer": "l2(l2=0.25)", "activity_regularizer": "l1", "kernel_constraint": "unit_norm",
            "recurrent_constraint": {"max_norm": {"max_value": 0.5, "axis": [0, 1]}}, "bias_constraint": "non_neg",
            "kernel_initializer": "normal_", "bias_initializer": "normal_"})
    };
    let matrix = [("kernel", l2), ("recurrent_kernel", l1), ("bias", l2)];
    for (config, expected) in [
        (recurrent("lstm"), &matrix[..]),
        (recurrent("gru"), &matrix),
        (recurrent("simple_rnn"), &matrix),
        (json!({"layer": "bidirectional", "forward_layer": recurrent("gru")}), &matrix),
        (
            json!({"layer": "dense", "units": 3, "kernel_regularizer": "l2(l2=0.25)", "activity_regularizer": "l1",
                "bias_regularizer": "l1(l1=0.5)", "kernel_constraint": "unit_norm", "bias_constraint": "non_neg",
                "kernel_initializer": "normal_", "bias_initializer": "normal_"}),
            &[("kernel", l2), ("bias", l1)],
        ),
        (
            json!({"layer": "embedding", "input_dim": 9, "output_dim": 3, "embeddings_regularizer": "l1(l1=0.5)",
                "embeddings_constraint": "non_neg", "activity_regularizer": "l2"}),
            &[("embeddings", l1)],
        ),
        (
            json!({"layer": "layer_norm", "gamma_regularizer": "l1(l1=0.5)", "beta_regularizer": "l2(l2=0.25)",
                "gamma_constraint": "unit_norm", "beta_constraint": "non_neg", "beta_initializer": "normal_",
                "activity_regularizer": "l2"}),
            &[("gamma", l1), ("beta", l2)],
        ),
    ] {
        let config: LayerConfig = serde_json::from_value(config).unwrap();
        let again: LayerConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config, "JSON keeps every rule");
        let input = if config.name() == "embedding" { vec![None] } else { vec![None, Some(4)] };
        let chain = Sequential::new(tapeloop_layers::InputShape(input)).add(config.clone());
        let mut model = chain.build::<f64>(1).unwrap();
        let tape = Tape::new();
        let last = |name: &str| name.rsplit('.').next().unwrap().to_string();
        let mut sum = 0.0;
        for (name, param) in model.params() {
            let (_, regularizer) = expected.iter().find(|(weight, _)| *weight == last(&name)).unwrap();
            sum += penalty_of(*regularizer, param.value());
        }
        assert!(near(model.penalty(&tape).unwrap().item(), sum, 1e-13), "{}", config.name());
        let before: Vec<_> = model.params().into_iter().map(|(name, param)| (name, param.value().clone())).collect();
        model.constrain();
        for ((name, param), (_, before)) in model.params().into_iter().zip(before) {
            let constraint = match last(&name).as_str() {
                "kernel" | "gamma" => Constraint::unit_norm(),
                "recurrent_kernel" => Constraint::max_norm(0.5).along(&[0, 1]),
                _ => Constraint::NonNeg,
            };
            assert_eq!(param.value().to_vec(), constraint.apply(&before).to_vec(), "{} {name}", config.name());
            assert_ne!(param.value().to_vec(), before.to_vec(), "{} {name}", config.name());
        }
        // What is frozen has no penalty and stays.
        model.set_trainable(false);
        model.visit_mut(&mut tapeloop_autograd::Path::default(), &mut |_, param: &mut Param<f64>| {
            param.value_mut().fill(-1.0);
        });
        model.constrain();
        assert!(model.penalty(&tape).is_none());
        assert!(model.params().iter().all(|(_, param)| param.value().to_vec().iter().all(|&x| x == -1.0)));
    }
}

#[test]
fn layers_without_rules_record_nothing_for_them() {
    let mut model = Sequential::new([None, Some(2)]).add(Bidirectional::new(Lstm::new(3))).add(Dense::new(1));
    let json = serde_json::to_string(&model).unwrap();
    assert!(!json.contains("regularizer") && !json.contains("constraint"), "{json}");
    model = serde_json::from_str(&json.replace(r#""units":3"#, r#""units":3,"kernel_regularizer":null"#)).unwrap();
    let model = model.build::<f32>(0).unwrap();
    let tape = Tape::new();
    assert!(model.penalty(&tape).is_none());
    assert!(tape.is_empty());
    let output = model.forward_masked(tape.constant(Tensor::ones([1, 2, 2])).into(), &mut Pass::inference());
    assert!(output.penalty.is_none());
}

/// Each output's penalty by the batch, states among them where they are returned; in a layer that has none in Keras
/// 3.15, too: its `SimpleRNN` takes the setting and drops it.
#[test]
fn activity_is_every_output_by_the_batch() {
    let regularizer = Regularizer::l2(0.5);
    let x = normal(&[3, 5, 2], 1);
    let tape = Tape::new();
    let x = tape.constant(x);
    for (sequences, states) in [(false, false), (true, false), (false, true), (true, true)] {
        let rng = &mut Rng::new(2);
        macro_rules! run {
            ($config:expr) => {
                $config
                    .activity_regularizer(regularizer)
                    .return_sequences(sequences)
                    .return_state(states)
                    .layer::<f64>(2, rng)
                    .run(x, None)
            };
        }
        for run in [run!(SimpleRnn::new(4)), run!(Gru::new(4)), run!(Lstm::new(4))] {
            let counted = [run.output].into_iter().chain(run.state.into_iter().filter(|_| states));
            let expected: f64 = counted.map(|output| penalty_of(regularizer, &output.value()) / 3.0).sum();
            assert!(expected > 0.0 && near(run.penalty.unwrap().item(), expected, 1e-14));
        }
    }
}

#[test]
fn activity_of_both_directions_and_of_what_they_make() {
    let x = normal(&[3, 5, 2], 1);
    let one = Lstm::new(4).return_state(true).activity_regularizer(Regularizer::l1(0.5));
    let both = Bidirectional::new(one).activity_regularizer(Regularizer::l2(0.25));
    let layer = both.try_layer::<f64>(2, &mut Rng::new(1)).unwrap();
    let tape = Tape::new();
    let x = tape.constant(x);
    let run = layer.run(x, None);
    let merged = run.outputs.iter().chain(&run.state).map(|y| penalty_of(Regularizer::l2(0.25), &y.value()) / 3.0);
    let halves = [layer.forward_layer().run(x, None), layer.backward_layer().run(x, None)];
    let expected: f64 = merged.chain(halves.map(|half| half.penalty.unwrap().item())).sum();
    assert!(near(run.penalty.unwrap().item(), expected, 1e-14));
    // As a layer of a model it adds to what came before it.
    let before = Masked { penalty: Some(tape.scalar(2.0)), ..x.into() };
    let after = layer.forward_masked(before, &mut Pass::inference());
    assert!(near(after.penalty.unwrap().item(), expected + 2.0, 1e-14));
}

/// Through a model the penalties of all layers arrive, past layers that know nothing of them and where masks end; their
/// gradients are those of the differences.
#[test]
fn a_model_adds_them_up_past_masks() {
    let activity = Regularizer::l2(0.5);
    let config = Sequential::new([None, Some(2)])
        .add(Masking::new(0.0))
        .add(Gru::new(3).return_sequences(true).activity_regularizer(activity).kernel_regularizer(Regularizer::l1(0.1)))
        .add(LayerNorm::new().activity_regularizer(activity))
        .add(tapeloop_layers::Dropout::new(0.5))
        .add(Lstm::new(3).activity_regularizer(activity).recurrent_regularizer(Regularizer::l2(0.1)))
        .add(tapeloop_layers::ActivationLayer::new(tapeloop_layers::Activation::Tanh))
        .add(Dense::new(1).activity_regularizer(activity));
    let mut model = config.build::<f64>(3).unwrap();
    let mut x = normal(&[2, 4, 2], 1);
    x.as_mut_slice()[12..].fill(0.0);
    // What the model does, layer by layer.
    let mut sum = 0.0;
    let tape = Tape::new();
    let mut value = Masked::from(tape.constant(x.clone()));
    let mut axes = config.input_shape().0.clone();
    for (place, layer) in config.layers().iter().enumerate() {
        let built = tapeloop_layers::layers::Config::build::<f64>(layer, &axes, &mut Rng::new(3).fork(place as u64));
        let built = built.unwrap();
        axes = built.output_shape(&axes).unwrap();
        value = Masked { penalty: None, ..built.forward_masked(value, &mut Pass::inference()) };
        if ["gru", "layer_norm", "lstm", "dense"].contains(&layer.name()) {
            sum += penalty_of(activity, &value.value.value()) / 2.0;
        }
    }
    fn loss<'t>(model: &tapeloop_layers::Model<f64>, tape: &'t Tape<f64>, x: &Tensor<f64>) -> Var<'t, f64> {
        let output = model.forward_masked(tape.constant(x.clone()).into(), &mut Pass::inference());
        output.penalty.unwrap() + model.penalty(tape).unwrap()
    }
    let tape = Tape::new();
    let output = model.forward_masked(tape.constant(x.clone()).into(), &mut Pass::inference());
    assert!(near(output.penalty.unwrap().item(), sum, 1e-13));
    assert!(output.mask.is_none());
    let tape = Tape::new();
    let gradients = loss(&model, &tape, &x).backward();
    let gradients: Vec<_> = model.params().iter().map(|(_, param)| gradients.of(param).cloned()).collect();
    drop(tape);
    let h = 1e-6;
    for (place, gradient) in gradients.into_iter().enumerate() {
        let mut moved = |by: f64| {
            let mut count = 0;
            model.visit_mut(&mut tapeloop_autograd::Path::default(), &mut |_, param: &mut Param<f64>| {
                if count == place {
                    param.value_mut()[0] += by;
                }
                count += 1;
            });
            loss(&model, &Tape::inference(), &x).item()
        };
        let (ahead, behind) = (moved(h), moved(-2.0 * h));
        moved(h);
        let gradient = gradient.map_or(0.0, |gradient| gradient.to_vec()[0]);
        // Differences of a loss of about 1 in steps of 10⁻⁶ have some nine digits.
        assert!(near(gradient, (ahead - behind) / (2.0 * h), 1e-8), "{place}");
    }
}

/// Descent on a plane whose minimum is outside: the projected weights end on the ball, where the way out is straight.
#[test]
fn steps_and_projections_end_at_the_nearest_point() {
    let dense = Dense::new(1).use_bias(false).kernel_constraint(Constraint::max_norm(1.0));
    let mut model = Sequential::new([2]).add(dense).build::<f64>(0).unwrap();
    let mut tape = Tape::new();
    for _ in 0..200 {
        let (_, gradients) = tape.value_and_grad(|tape| {
            let w = model.forward(tape.constant(Tensor::eye(2)), &mut Pass::training(0));
            mse(w, &Tensor::from([[3.0], [4.0]]), Reduction::Sum)
        });
        model.visit_mut(&mut tapeloop_autograd::Path::default(), &mut |_, param: &mut Param<f64>| {
            let gradient = gradients.of(param).unwrap().to_vec();
            param.value_mut().iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
        });
        model.constrain();
        let kernel = model.params()[0].1.value().to_vec();
        assert!(kernel[0].hypot(kernel[1]) <= 1.0 + 1e-15);
    }
    let kernel = model.params()[0].1.value().to_vec();
    // 10⁻⁷ in the divisor is what it lacks of the radius.
    assert!(near(kernel[0], 0.6, 1e-6) && near(kernel[1], 0.8, 1e-6), "{kernel:?}");
}

#[test]
fn keras_forms_and_ours_are_read() {
    let regularizer = |json| serde_json::from_value::<Regularizer>(json).map_err(|error| error.to_string());
    for (json, expected) in [
        (json!("l1"), Regularizer::l1(0.01)),
        (json!("L2"), Regularizer::l2(0.01)),
        (json!("l1_l2"), Regularizer::l1_l2(0.0, 0.0)),
        (json!("l1l2"), Regularizer::l1_l2(0.0, 0.0)),
        (json!("L1L2"), Regularizer::l1_l2(0.0, 0.0)),
        (json!("orthogonal_regularizer"), Regularizer::orthogonal(0.01, Vectors::Rows)),
        (json!("orthogonal(mode=columns, factor=2)"), Regularizer::orthogonal(2.0, Vectors::Columns)),
        (
            json!({"module": "keras.regularizers", "class_name": "OrthogonalRegularizer",
                "config": {"factor": 0.5, "mode": "columns"}, "registered_name": null}),
            Regularizer::orthogonal(0.5, Vectors::Columns),
        ),
        (json!({"l1_l2": {"l2": 0.5}}), Regularizer::l1_l2(0.0, 0.5)),
        (json!({"class_name": "L1", "config": null}), Regularizer::l1(0.01)),
    ] {
        assert_eq!(regularizer(json.clone()), Ok(expected), "{json}");
    }
    for regularizer in REGULARIZERS {
        let json = serde_json::to_string(&regularizer).unwrap();
        assert_eq!(serde_json::from_str::<Regularizer>(&json).unwrap(), regularizer, "{json}");
        assert_eq!(regularizer.to_string().parse(), Ok(regularizer), "{regularizer}");
    }
    let constraint = |json| serde_json::from_value::<Constraint>(json).unwrap();
    for (json, expected) in [
        (json!("MaxNorm"), Constraint::max_norm(2.0)),
        (json!("non_neg"), Constraint::NonNeg),
        (json!("min_max_norm"), Constraint::min_max_norm(0.0, 1.0)),
        (json!({"unit_norm": {"axis": null}}), Constraint::unit_norm().along(&[])),
        (json!("unit_norm(axis=[0, -2])"), Constraint::unit_norm().along(&[0, -2])),
        (json!("unit_norm(axis=none)"), Constraint::unit_norm().along(&[])),
        (
            json!({"class_name": "MinMaxNorm", "config": {"min_value": 0.5, "max_value": 2, "rate": 0.25, "axis": -1}}),
            Constraint::MinMaxNorm { min_value: 0.5, max_value: 2.0, rate: 0.25, axis: vec![-1] },
        ),
    ] {
        assert_eq!(constraint(json), expected);
        let json = serde_json::to_value(&expected).unwrap();
        assert_eq!(constraint(json), expected);
        assert_eq!(expected.to_string().parse(), Ok(expected.clone()), "{expected}");
    }
}

/// What `keras.saving.serialize_keras_object` writes of initializers.
#[test]
fn initializers_are_read_as_keras_saves_them() {
    let saved = |class: &str, config: serde_json::Value| {
        serde_json::from_value::<Initializer>(json!({"module": "keras.initializers", "class_name": class,
            "config": config, "registered_name": null}))
        .map_err(|error| error.to_string())
    };
    assert_eq!(saved("GlorotUniform", json!({"seed": null})), Ok(Initializer::GlorotUniform));
    assert_eq!(saved("Zeros", json!({})), Ok(Initializer::Zeros));
    let normal = saved("RandomNormal", json!({"mean": 0.5, "stddev": 0.25, "seed": null}));
    assert_eq!(normal, Ok(Initializer::Normal { mean: 0.5, std: 0.25 }));
    let orthogonal = saved("Orthogonal", json!({"gain": 2.0, "seed": null}));
    assert_eq!(orthogonal, Ok(Initializer::Orthogonal { gain: 2.0 }));
    // A seed of its own it cannot have.
    let error = saved("GlorotUniform", json!({"seed": 3})).unwrap_err();
    assert!(error.contains("GlorotUniform has no parameter `seed`"), "{error}");
}

#[test]
fn what_makes_no_sense_is_an_error_that_says_so() {
    for (layer, parts) in [
        (
            json!({"layer": "lstm", "units": 3, "kernel_regularizer": {"l2": {"l2": -1}}}),
            ["lstm: kernel_regularizer: l2: `l2` is -1", "at least 0"],
        ),
        (
            json!({"layer": "lstm", "units": 3, "bias_regularizer": "orthogonal"}),
            ["lstm: bias_regularizer: orthogonal needs a matrix", "[12]"],
        ),
        (
            json!({"layer": "gru", "units": 3, "return_sequences": true, "activity_regularizer": "orthogonal"}),
            ["gru: activity_regularizer: orthogonal needs a matrix", "3 axes"],
        ),
        (
            json!({"layer": "dense", "units": 3, "activity_regularizer": "orthogonal"}),
            ["dense: activity_regularizer", "3 axes"],
        ),
        (
            json!({"layer": "simple_rnn", "units": 3, "recurrent_constraint": {"max_norm": {"max_value": -1}}}),
            ["simple_rnn: recurrent_constraint: max_norm: `max_value` is -1", ""],
        ),
        (
            json!({"layer": "gru", "units": 3, "kernel_constraint": {"min_max_norm": {"min_value": 2}}}),
            ["gru: kernel_constraint: min_max_norm", "from 2 to 1 is no range"],
        ),
        (
            json!({"layer": "gru", "units": 3, "kernel_constraint": {"min_max_norm": {"rate": 1.5}}}),
            ["gru: kernel_constraint", "1.5 is not in 0..=1"],
        ),
        (
            json!({"layer": "dense", "units": 3, "bias_constraint": {"unit_norm": {"axis": 1}}}),
            ["dense: bias_constraint: unit_norm", "[3] has no axis 1"],
        ),
        (
            json!({"layer": "dense", "units": 3, "kernel_constraint": {"unit_norm": {"axis": [1, -1]}}}),
            ["dense: kernel_constraint: unit_norm", "named twice"],
        ),
        (
            json!({"layer": "dense", "units": 3, "kernel_constraint": {"unit_norm": {"axis": []}}}),
            ["unit_norm, `axis`", "nothing, which is all axes"],
        ),
        (
            json!({"layer": "layer_norm", "gamma_constraint": {"max_norm": {"axis": -2}}}),
            ["layer_norm: gamma_constraint", "no axis -2"],
        ),
        (
            json!({"layer": "dense", "units": 3, "kernel_regularizer": "l3"}),
            ["regularizer: `l3` is not known", "l1_l2"],
        ),
        (
            json!({"layer": "dense", "units": 3, "kernel_constraint": {"non_neg": {"axis": 0}}}),
            ["constraint: non_neg has no parameter `axis`", "none"],
        ),
        (
            json!({"layer": "dense", "units": 3, "kernel_regularizer": {"orthogonal": {"mode": "diagonals"}}}),
            ["orthogonal, `mode`", "diagonals"],
        ),
        (json!({"layer": "dense", "units": 3, "kernel_regularizer": 0.01}), ["0.01", "a regularizer"]),
        (
            json!({"layer": "dense", "units": 3, "kernel_regularizer": {"class_name": "L2", "settings": {}}}),
            ["`settings` beside a class_name", ""],
        ),
        (
            json!({"layer": "bidirectional", "forward_layer": {"layer": "gru", "units": 2, "kernel_regularizer":
                {"l1": {"l1": -0.5}}}}),
            ["bidirectional: gru: kernel_regularizer", "-0.5"],
        ),
        (json!({"layer": "lstm", "units": 3, "kernel_regulariser": "l2"}), ["kernel_regulariser", ""]),
    ] {
        let model = json!({"input_shape": [5, 4], "layers": [layer]});
        let built = serde_json::from_value::<Sequential>(model).map_err(|error| error.to_string());
        let error = built.and_then(|config| config.build::<f32>(0).map_err(|error| error.to_string())).err().unwrap();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    let embedding = Embedding::new(5, 2).embeddings_regularizer(Regularizer::l1(f64::NAN));
    let error = embedding.try_layer::<f32>(&mut Rng::new(0)).unwrap_err().to_string();
    assert!(error.contains("embeddings_regularizer: l1: `l1` is NaN"), "{error}");
    let lstm = Lstm::new(2).layer::<f32>(3, &mut Rng::new(0));
    let error = lstm.with_rules(Rules::new().constraint("kernal", Constraint::NonNeg)).err().unwrap().to_string();
    assert!(error.contains("no weight `kernal`; there are kernel, recurrent_kernel, bias"), "{error}");
}
