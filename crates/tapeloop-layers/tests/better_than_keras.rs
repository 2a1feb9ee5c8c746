//! Where Keras 3.15 drops an option, lets the backend decide, or has nothing: what it does, what we do.
//!
//! The engine of every option is in `options.rs`, padding in `masks.rs`.

use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck};
use tapeloop_autograd::{Checkpoint, Module, Rng, Tape, Tensor, Var};
use tapeloop_layers::cells::ZOO;
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    Bidirectional, Cell, CellConfig, Gru, LayerConfig, LayerNormLstm, Lstm, Masked, Merge, Pass, PeepholeLstm,
    ProjectedLstm, Recurrent, Regularizer, Rnn, RnnOptions, Sequential, SimpleRnn, StackedCells, Zoneout,
};

type AnyRnn = Rnn<f64, Box<dyn Cell<f64>>>;

fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

fn bits(x: &Tensor<f64>) -> Vec<u64> {
    x.to_vec().iter().map(|x| x.to_bits()).collect()
}

fn built(config: impl Into<LayerConfig>) -> AnyRnn {
    config.into().recurrent(&[None, Some(3)], &mut Rng::new(1)).unwrap()
}

/// Rows of six, three and no steps of six; a step is missing at the start of the second.
fn mask() -> Tensor<bool> {
    let rows = ["111111", "011100", "000000"];
    Tensor::from_fn([3, 6], |i| rows[i[0]].as_bytes()[i[1]] == b'1')
}

/// Keras' `SimpleRNN` takes an activity regularizer and forgets it: no loss has the term. Ours is the regularizer of the
/// outputs by the batch, and it has a gradient.
#[test]
fn point_1_simple_rnn_has_its_activity_regularizer() {
    let rnn = built(SimpleRnn::new(4).return_sequences(true).activity_regularizer(Regularizer::l2(0.5)));
    let tape = Tape::new();
    let x = tape.leaf(normal(&[3, 6, 3], 2));
    let run = rnn.run(x, None);
    let penalty = run.penalty.expect("a penalty");
    let squares: f64 = run.output.value().to_vec().iter().map(|y| y * y).sum();
    assert!((penalty.item() - 0.5 * squares / 3.0).abs() < 1e-14 * squares);
    assert!(penalty.backward().wrt(x).unwrap().to_vec().iter().any(|&g| g != 0.0));
}

/// Keras' `SimpleRNN.get_config` has no `seed`: a layer that is read back draws something else. Ours is its JSON, and draws
/// the same.
#[test]
fn point_2_simple_rnn_keeps_its_seed() {
    let config = LayerConfig::from(SimpleRnn::new(4).dropout(0.5).seed(7));
    let json = serde_json::to_string(&config).unwrap();
    assert!(json.contains("\"seed\":7"), "{json}");
    let again: LayerConfig = serde_json::from_str(&json).unwrap();
    assert_eq!(again, config);
    let output = |config: &LayerConfig| {
        let tape = Tape::inference();
        let x = tape.constant(normal(&[3, 6, 3], 2));
        built(config.clone()).run_in(x, None, &mut Pass::training(5)).output.value().to_vec()
    };
    assert_eq!(output(&config), output(&again));
    assert_ne!(output(&config), output(&SimpleRnn::new(4).dropout(0.5).seed(8).into()));
}

/// With `unroll` Keras on JAX ignores `zero_output_for_mask`. Ours puts out zeros either way.
#[test]
fn point_3_unrolled_layers_put_out_zeros_too() {
    for unroll in [false, true] {
        let rnn = built(Lstm::new(4).return_sequences(true).zero_output_for_mask(true).unroll(unroll));
        let tape = Tape::new();
        let x = tape.constant(normal(&[3, 6, 3], 2));
        let y = rnn.run(Masked::new(x, &mask()), None).output.value();
        for (b, t) in (0..3).flat_map(|b| (0..6).map(move |t| (b, t))) {
            let zeros = y.select(0, b).select(0, t).to_vec().iter().all(|&y| y == 0.0);
            assert_eq!(zeros, !mask().at(&[b, t]), "row {b}, step {t}, unroll {unroll}");
        }
    }
}

/// Before the first step that counts, Keras puts out zeros on TensorFlow, the initial state on JAX. Ours are zeros, whatever
/// the state, the engine and the cell.
#[test]
fn point_4_before_the_first_step_there_are_zeros() {
    for row in ZOO {
        for unroll in [false, true] {
            let options = RnnOptions { return_sequences: true, unroll, ..RnnOptions::default() };
            let rnn: AnyRnn = Rnn::new(row.build::<f64>(3, 4, &mut Rng::new(1)), options);
            let tape = Tape::new();
            let x = tape.constant(normal(&[&[3, 6], rnn.cell().input_shape().dims()].concat(), 2));
            let shapes = rnn.cell().state_shapes();
            let start: Vec<_> =
                shapes.iter().map(|shape| tape.constant(normal(&[&[3], shape.dims()].concat(), 3))).collect();
            let y = rnn.run(Masked::new(x, &mask()), Some(&start)).output.value();
            let zero = |b: usize, t: usize| y.select(0, b).select(0, t).to_vec().iter().all(|&y| y == 0.0);
            assert!(zero(1, 0) && (0..6).all(|t| zero(2, t)), "{}, unroll {unroll}", row.name);
            assert!(!zero(1, 1) && !zero(1, 5), "{}, unroll {unroll}", row.name);
        }
    }
}

/// Of a rate of 1 some of Keras' cells make no dropout, others drop all. Ours drop all: what is dropped is as if it were 0.
#[test]
fn point_5_a_rate_of_one_drops_everything() {
    let configs = |dropout: f64, recurrent: f64, unroll: bool| -> [LayerConfig; 5] {
        [
            SimpleRnn::new(4).dropout(dropout).recurrent_dropout(recurrent).unroll(unroll).into(),
            Gru::new(4).dropout(dropout).recurrent_dropout(recurrent).unroll(unroll).into(),
            Gru::new(4).reset_after(false).dropout(dropout).recurrent_dropout(recurrent).unroll(unroll).into(),
            Lstm::new(4).dropout(dropout).recurrent_dropout(recurrent).unroll(unroll).into(),
            Lstm::new(4).implementation(1).dropout(dropout).recurrent_dropout(recurrent).unroll(unroll).into(),
        ]
    };
    let run = |config: LayerConfig, x: &Tensor<f64>, pass: &mut Pass| {
        let tape = Tape::new();
        built(config).run_in(tape.constant(x.clone()), None, pass).output.value().to_vec()
    };
    let x = normal(&[3, 6, 3], 2);
    for unroll in [false, true] {
        let names = ["simple_rnn", "gru", "gru, reset before", "lstm", "lstm, per gate"];
        for ((name, all), none) in names.iter().zip(configs(1.0, 0.0, unroll)).zip(configs(0.0, 0.0, unroll)) {
            let dropped = run(all, &x, &mut Pass::training(5));
            assert_eq!(dropped, run(none, &x.zeros_like(), &mut Pass::inference()), "{name}, unroll {unroll}");
        }
        // Of the state: as if every step were the first one, for a cell that has it nowhere but in the product.
        let recurrent = run(configs(0.0, 1.0, unroll)[0].clone(), &x, &mut Pass::training(5));
        let last = run(configs(0.0, 0.0, unroll)[0].clone(), &x.slice(1, 5..6).contiguous(), &mut Pass::inference());
        assert_eq!(recurrent, last, "unroll {unroll}");
    }
}

/// Recurrent dropout takes Keras off its fast path. Ours stays a loop with the same multiplications in its products, and
/// as many more elementwise products as there are masks.
#[test]
fn point_6_recurrent_dropout_costs_a_product_for_each_mask() {
    let explained = |config: LayerConfig| {
        let rnn = built(config);
        let tape = Tape::inference();
        rnn.run_in(tape.constant(normal(&[3, 6, 3], 2)), None, &mut Pass::training(5));
        rnn.explain()
    };
    let products = |how: &str| how.matches("mul(").count();
    let multiplications = |how: &str| {
        let (before, _) = how.split_once(" multiplications a row").unwrap_or_else(|| panic!("no loop: {how}"));
        before.rsplit(' ').next().unwrap().parse::<usize>().unwrap()
    };
    for (with, without, masks) in [
        (LayerConfig::from(SimpleRnn::new(4).recurrent_dropout(0.5)), LayerConfig::from(SimpleRnn::new(4)), 1),
        (Lstm::new(4).recurrent_dropout(0.5).into(), Lstm::new(4).into(), 4),
        (Gru::new(4).recurrent_dropout(0.5).into(), Gru::new(4).into(), 3),
    ] {
        let (with, without) = (explained(with), explained(without));
        assert!(!with.contains("unrolled") && !with.contains("interpreted"), "{with}");
        assert_eq!(multiplications(&with), multiplications(&without), "{with}\n{without}");
        assert_eq!(products(&with), products(&without) + masks, "{with}\n{without}");
    }
}

/// Output, last states, states of every step.
fn all_of<'t>(rnn: &AnyRnn, x: Masked<'t, f64>, start: Option<&[Var<'t, f64>]>) -> Vec<Var<'t, f64>> {
    let run = rnn.run(x, start);
    [run.output].into_iter().chain(run.state).chain(run.states).collect()
}

fn every_step() -> impl Iterator<Item = RnnOptions> {
    (0..16).map(|k| RnnOptions {
        return_sequences: k & 1 > 0,
        go_backwards: k & 2 > 0,
        zero_output_for_mask: k & 4 > 0,
        checkpoint: (k & 8 > 0).then(|| Checkpoint::every(2)),
        return_state_sequences: true,
        ..RnnOptions::default()
    })
}

fn cells() -> Vec<(&'static str, Box<dyn Cell<f64>>)> {
    let mut all: Vec<(&str, Box<dyn Cell<f64>>)> =
        ZOO.iter().map(|row| (row.name, row.build::<f64>(3, 4, &mut Rng::new(1)))).collect();
    let rng = &mut Rng::new(2);
    let stack: Vec<Box<dyn Cell<f64>>> = vec![Box::new(Lstm::new(4).cell(3, rng)), Box::new(Gru::new(2).cell(4, rng))];
    all.push(("stacked", Box::new(StackedCells::new(stack))));
    all
}

/// Keras returns the last states only. Ours returns those of every step, from the same loop: they are what shorter calls
/// end with, a step that does not count repeats them, and the other results have the same bits.
#[test]
fn point_7_states_of_every_step() {
    for masked in [false, true] {
        for (k, options) in every_step().enumerate() {
            for (name, cell) in cells() {
                let what = format!("{name}, {k}, masked {masked}");
                let rnn = Rnn::new(cell, options);
                let x = normal(&[&[3, 6], rnn.cell().input_shape().dims()].concat(), 2);
                let start: Vec<_> = rnn
                    .cell()
                    .state_shapes()
                    .iter()
                    .zip(3..)
                    .map(|(s, k)| normal(&[&[3], s.dims()].concat(), k))
                    .collect();
                let run = |rnn: &AnyRnn, x: Tensor<f64>, mask: Tensor<bool>| {
                    let tape = Tape::new();
                    let start: Vec<_> = start.iter().map(|state| tape.leaf(state.clone())).collect();
                    let x = tape.leaf(x);
                    let x = if masked { Masked::new(x, &mask) } else { x.into() };
                    let run = rnn.run(x, Some(&start));
                    let values = |vars: &[Var<'_, f64>]| vars.iter().map(|x| x.value()).collect::<Vec<_>>();
                    (run.output.value(), values(&run.state), values(&run.states))
                };
                let (output, last, states) = run(&rnn, x.clone(), mask());
                let how = rnn.explain();
                assert!(how.contains("loop: ") && !how.contains("unrolled"), "{what}: {how}");
                assert_eq!(states.len(), last.len(), "{what}");
                let plain = rnn.with_options(RnnOptions { return_state_sequences: false, ..options });
                let (same, ends, none) = run(&plain, x.clone(), mask());
                assert!(bits(&output) == bits(&same) && none.is_empty(), "{what}");
                for turn in 0..6 {
                    // Places are in the order of processing.
                    let part = if options.go_backwards { 5 - turn..6 } else { 0..turn + 1 };
                    let part = part.start as isize..part.end as isize;
                    let mask = Tensor::from_fn([3, turn + 1], |i| mask().at(&[i[0], i[1] + part.start as usize]));
                    let (_, ends, _) = run(&plain, x.slice(1, part).contiguous(), mask);
                    for (states, end) in states.iter().zip(&ends) {
                        assert_eq!(bits(&states.select(1, turn)), bits(end), "{what}: after {turn}");
                    }
                }
                for (a, b) in last.iter().zip(&ends) {
                    assert_eq!(bits(a), bits(b), "{what}");
                }
            }
        }
    }
}

/// Their gradients of both orders: by differences, and against the unrolled tape.
#[test]
fn point_7_states_of_every_step_have_derivatives() {
    fn flat<'t>(rnn: &AnyRnn, x: &[Var<'t, f64>], masked: bool) -> Var<'t, f64> {
        let m = if masked { Masked::new(x[0], &mask()) } else { x[0].into() };
        Var::concat(all_of(rnn, m, Some(&x[1..])).into_iter().map(|v| v.reshape(&[-1])), 0)
    }
    for masked in [false, true] {
        for options in every_step().step_by(3) {
            for (name, cell) in cells() {
                let rnn = Rnn::new(cell, options);
                let shapes = rnn.cell().state_shapes();
                let x = normal(&[&[3, 6], rnn.cell().input_shape().dims()].concat(), 2);
                let mut inputs = vec![x];
                inputs.extend(shapes.iter().zip(3..).map(|(s, k)| normal(&[&[3], s.dims()].concat(), k)));
                // Against differences those that Keras has, too; all equal the tape, whose derivatives `laws.rs` checks away
                // from their kinks.
                if ["simple_rnn", "lstm", "gru", "conv_lstm", "stacked"].contains(&name) {
                    let result = gradcheck(|x| flat(&rnn, x, masked), &inputs, 4, Tolerance::default());
                    result.unwrap_or_else(|error| panic!("{name}: {error}"));
                    let tolerance = Tolerance { absolute: 1e-7, relative: 1e-7, ..Tolerance::default() };
                    let result = gradgradcheck(|x| flat(&rnn, x, masked), &inputs, 4, tolerance);
                    result.unwrap_or_else(|error| panic!("{name}, second order: {error}"));
                }
                // And against the tape, weights included.
                let everything = |rnn: &AnyRnn| {
                    let tape = Tape::new();
                    let x: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
                    let y = flat(rnn, &x, masked);
                    let leaves: Vec<_> =
                        x.iter().copied().chain(rnn.params().iter().map(|(_, p)| tape.param(p))).collect();
                    let loss = (y * &normal(&y.shape(), 9)).sum_all();
                    let first = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
                    let second = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap().backward();
                    let mut all: Vec<_> = [y].into_iter().chain(first).map(Var::value).collect();
                    // A state that no step reads has none, nor has a weight that is frozen.
                    let zeros = |x: Var<'_, f64>| Tensor::zeros(x.shape());
                    all.extend(leaves.iter().map(|&x| second.wrt(x).cloned().unwrap_or_else(|| zeros(x))));
                    all
                };
                let looped = everything(&rnn);
                let steps = everything(&rnn.with_options(RnnOptions { unroll: true, ..options }));
                for (a, b) in looped.iter().zip(&steps) {
                    let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.abs()));
                    let near = a.to_vec().iter().zip(b.to_vec()).all(|(a, b)| (a - b).abs() <= 1e-12 * scale);
                    assert!(a.shape() == b.shape() && near, "{name}, {options:?}");
                }
            }
        }
    }
}

/// Both ways: each direction's states, those of the way back with their steps. From JSON, too, and at the end of `call`.
#[test]
fn point_7_states_of_every_step_both_ways() {
    for sequences in [false, true] {
        for turned in [false, true] {
            let config = Lstm::new(4).return_sequences(sequences).return_state_sequences(true).go_backwards(turned);
            let json = serde_json::to_string(&LayerConfig::from(Bidirectional::new(config))).unwrap();
            let LayerConfig::Bidirectional(config) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
            let both = config.merge_mode(Merge::Sum).try_layer::<f64>(3, &mut Rng::new(1)).unwrap();
            let tape = Tape::new();
            let x = Masked::new(tape.leaf(normal(&[3, 6, 3], 2)), &mask());
            let run = both.run(x, None);
            // The first layer goes its way, and so it puts out; the other one's are laid beside.
            let there = both.forward_layer().run(x, None);
            let back = both.backward_layer().run(x, None);
            assert_eq!(run.states.len(), 4);
            for (k, states) in there.states.iter().chain(&back.states).enumerate() {
                let states = if k < 2 { *states } else { states.flip(&[1]) };
                assert_eq!(bits(&run.states[k].value()), bits(&states.value()), "{k}, turned {turned}");
            }
            let call = both.call(x, None);
            assert_eq!(call.len(), 1 + 4);
            assert_eq!(bits(&call[1].value()), bits(&run.states[0].value()));
        }
    }
    let there = built(Lstm::new(4).return_state_sequences(true));
    let back = built(Lstm::new(4).go_backwards(true));
    let error = tapeloop_layers::BidirectionalLayer::new(there, back, None).map(drop).unwrap_err();
    assert!(error.to_string().contains("return_state_sequences"), "{error}");
}

/// Keras unrolls all of time or nothing, the first to be fast. Ours needs no unrolling: the loop takes as many steps at a
/// time as suit the caches by itself, and in whichever parts time is taken, by checkpoints or by calls, the results are the
/// same bits. `unroll` is for comparison: its sums may be in another order, and nothing else differs.
#[test]
fn point_8_parts_of_time_change_no_bit() {
    for (name, cell) in cells() {
        let options = RnnOptions { return_sequences: true, stateful: true, ..RnnOptions::default() };
        let rnn = Rnn::new(cell, options);
        let x = normal(&[&[3, 12], rnn.cell().input_shape().dims()].concat(), 2);
        let run = |rnn: &AnyRnn, part: std::ops::Range<isize>| {
            let tape = Tape::new();
            rnn.run(tape.leaf(x.slice(1, part).contiguous()), None).output.value()
        };
        let whole = run(&rnn, 0..12);
        rnn.reset_state();
        for k in [1, 2, 3, 4, 6, 12] {
            let parts = (0..12).step_by(k as usize).map(|t| run(&rnn, t..t + k));
            for (t, part) in parts.enumerate() {
                let t = t as isize * k;
                assert_eq!(bits(&part), bits(&whole.slice(1, t..t + k)), "{name}: {k} steps at {t}");
            }
            rnn.reset_state();
        }
        let mut rnn = rnn;
        for k in 1..13 {
            rnn = rnn.with_options(RnnOptions { checkpoint: Some(Checkpoint::every(k)), ..options });
            assert_eq!(bits(&run(&rnn, 0..12)), bits(&whole), "{name}: segments of {k}");
            assert!(rnn.explain().contains(&format!("checkpoints: every {k} steps")), "{}", rnn.explain());
            rnn.reset_state();
        }
        rnn = rnn.with_options(RnnOptions { unroll: true, ..options });
        let unrolled = run(&rnn, 0..12);
        let near = unrolled.to_vec().iter().zip(whole.to_vec()).all(|(a, b)| (a - b).abs() <= 1e-14 * b.abs().max(1.0));
        assert!(near && rnn.explain().contains("unrolled"), "{name}");
    }
}

/// Keras has no peepholes, projection, layer normalization, zoneout or clipping since TF-Addons ended. Ours are cells as any
/// other: data, and loops in training with masks, dropped units and all.
#[test]
fn point_9_the_options_of_tf_addons_are_cells() {
    let mask = mask();
    let x = normal(&[3, 6, 3], 2);
    let cells: [CellConfig; 6] = [
        PeepholeLstm::new(4).into(),
        PeepholeLstm::new(4).cell_clip(Some(0.05)).into(),
        PeepholeLstm::new(4).clip(Some(0.05)).into(),
        ProjectedLstm::new(4).width(2).into(),
        LayerNormLstm::new(4).into(),
        Zoneout::new(Lstm::new(4), 0.5).into(),
    ];
    let mut outputs = Vec::new();
    for cell in cells {
        let config = LayerConfig::from(Recurrent::new(cell).return_sequences(true));
        let json = serde_json::to_string(&config).unwrap();
        let rnn = built(serde_json::from_str::<LayerConfig>(&json).unwrap());
        let tape = Tape::new();
        let leaf = tape.leaf(x.clone());
        let run = rnn.run_in(Masked::new(leaf, &mask), None, &mut Pass::training(3));
        let gradients = run.output.square().sum_all().backward();
        assert!(gradients.wrt(leaf).unwrap().all_finite(), "{json}");
        assert!(rnn.params().iter().all(|(_, param)| gradients.of(param).is_some()), "{json}");
        let how = rnn.explain();
        assert!(how.contains("derivative:") && !how.contains("unrolled"), "{json}: {how}");
        outputs.push((run.output.value().to_vec(), run.state[1].value().to_vec()));
    }
    let largest = |c: &[f64]| c.iter().fold(0.0f64, |most, c| most.max(c.abs()));
    assert!(largest(&outputs[0].1) > 0.1 && largest(&outputs[1].1) <= 0.05, "what is clipped is within its bound");
    for (k, one) in outputs.iter().enumerate() {
        assert!(outputs[..k].iter().all(|other| other.0 != one.0), "{k}: an option that changes nothing");
    }
}

/// A stateful layer of Keras needs its batch when it is built. Ours takes that of the first call, keeps to it until it is
/// reset, and then takes another; the length of time is free.
#[test]
fn point_10_stateful_with_any_batch() {
    let model = Sequential::new([None, Some(3)]).add(Lstm::new(4).stateful(true)).build::<f64>(0).unwrap();
    for batch in [2, 5, 1] {
        let x = normal(&[batch, 7, 3], 2);
        let parts = [0..3, 3..4, 4..7].map(|part| model.predict(&x.slice(1, part).contiguous()).unwrap());
        let other = model.predict(&normal(&[batch + 1, 7, 3], 2)).unwrap_err().to_string();
        assert!(other.contains(&format!("batches of {batch}")) && other.contains("reset_state"), "{other}");
        model.reset_state();
        // The error has changed nothing, and the parts are the whole.
        assert_eq!(bits(&model.predict(&x).unwrap()), bits(&parts[2]));
        model.reset_state();
    }
}
