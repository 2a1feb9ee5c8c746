//! What holds for every cell in the list, without reference values.

use std::collections::BTreeSet;

use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck};
use tapeloop_autograd::{Element, Module, Param, Path, Rng, Tape, Tensor, Threads, Var};
use tapeloop_layers::cells::ZOO;
use tapeloop_layers::{Cell, Rnn, RnnOptions, State};

const INPUT: usize = 3;
const UNITS: usize = 4;

type Boxed<T> = Rnn<T, Box<dyn Cell<T>>>;

fn sequences() -> RnnOptions {
    RnnOptions { return_sequences: true, ..RnnOptions::default() }
}

/// With inputs that have these axes in front of a step's own, from this seed.
type Input<'a> = &'a dyn Fn(&[usize], u64) -> Tensor<f64>;

fn for_every_cell(check: impl Fn(&str, &dyn Fn(RnnOptions, u64) -> Boxed<f64>, Input<'_>)) {
    for row in ZOO {
        let build = |options, seed| Rnn::new(row.build::<f64>(INPUT, UNITS, &mut Rng::new(seed)), options);
        check(row.name, &build, &|lead, seed| input(&build(sequences(), 0), lead, seed));
    }
}

fn input<T: Element>(rnn: &Boxed<T>, lead: &[usize], seed: u64) -> Tensor<T> {
    normal(&[lead, rnn.cell().input_shape().dims()].concat(), seed)
}

fn normal<T: Element>(shape: &[usize], seed: u64) -> Tensor<T> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

/// Outputs and last states as values.
fn values<T: Element, C: Cell<T>>(rnn: &Rnn<T, C>, x: &Tensor<T>, state: Option<&[Tensor<T>]>) -> Vec<Tensor<T>> {
    let tape = Tape::inference();
    let state: Option<State<'_, T>> = state.map(|state| state.iter().map(|s| tape.constant(s.clone())).collect());
    let run = rnn.run(tape.constant(x.clone()), state.as_deref());
    [run.output].into_iter().chain(run.state).map(Var::value).collect()
}

fn states(rnn: &Boxed<f64>, batch: usize, seed: u64) -> Vec<Tensor<f64>> {
    let shapes = rnn.cell().state_shapes();
    let shape = |k: usize| [batch].iter().chain(shapes[k].iter()).copied().collect::<Vec<_>>();
    (0..shapes.len()).map(|k| Tensor::normal(&shape(k)[..], 0.0, 0.5, &mut Rng::new(seed + k as u64))).collect()
}

fn near(a: &Tensor<f64>, b: &Tensor<f64>, tolerance: f64) -> bool {
    a.shape() == b.shape() && a.to_vec().iter().zip(b.to_vec()).all(|(a, b)| (a - b).abs() <= tolerance)
}

#[test]
fn the_list_names_every_file() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cells");
    let names = |folder: &std::path::Path| -> Vec<String> {
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        files.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let mut files = BTreeSet::new();
    for family in names(&folder).into_iter().filter(|name| folder.join(name).is_dir()) {
        files.extend(names(&folder.join(&family)).into_iter().map(|name| format!("{family}/{name}")));
    }
    assert_eq!(files, ZOO.iter().map(|row| format!("{}/{}", row.family, row.name)).collect());
    assert!(ZOO.iter().all(|row| !row.source.is_empty()));
}

#[test]
fn gradients_of_inputs_and_states() {
    for_every_cell(|name, build, input| {
        for batch in [1, 3] {
            let rnn = build(sequences(), 1);
            let mut inputs = vec![input(&[batch, 4], 2)];
            inputs.extend(states(&rnn, batch, 3));
            // Output and last states together, so that a state that only later steps see is checked too.
            fn f<'t>(rnn: &Boxed<f64>, x: &[Var<'t, f64>]) -> Var<'t, f64> {
                let run = rnn.run(x[0], Some(&x[1..]));
                let flat = [run.output].into_iter().chain(run.state).map(|v| v.reshape(&[-1]));
                Var::concat(flat, 0)
            }
            let result = gradcheck(|x| f(&rnn, x), &inputs, 4, Tolerance::default());
            result.unwrap_or_else(|error| panic!("{name}: {error}"));
            let tolerance = Tolerance { absolute: 1e-7, relative: 1e-7, ..Tolerance::default() };
            let result = gradgradcheck(|x| f(&rnn, x), &inputs, 4, tolerance);
            result.unwrap_or_else(|error| panic!("{name}, second order: {error}"));
        }
    });
}

#[test]
fn gradients_of_parameters() {
    for_every_cell(|name, build, input| {
        let x = input(&[2, 5], 7);
        let loss = |rnn: &Boxed<f64>| {
            let mut tape = Tape::new();
            tape.value_and_grad(|tape| rnn.run(tape.constant(x.clone()), None).output.square().sum_all())
        };
        let rnn = build(sequences(), 5);
        // A reservoir trains nothing.
        if !rnn.params().iter().any(|(_, param)| param.trainable()) {
            return;
        }
        let (_, gradients) = loss(&rnn);
        for (path, param) in rnn.params().into_iter().filter(|(_, param)| param.trainable()) {
            let direction = normal::<f64>(param.value().shape(), 11).to_vec();
            let gradient = gradients.of(param).unwrap_or_else(|| panic!("{name}: no gradient of {path}")).to_vec();
            let derivative: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            let along = |t: f64| {
                let mut moved = build(sequences(), 5);
                moved.visit_mut(&mut Path::default(), &mut |at, param: &mut Param<f64>| {
                    if at.as_str() == path {
                        param.value_mut().iter_mut().zip(&direction).for_each(|(w, d)| *w += t * d);
                    }
                });
                loss(&moved).0
            };
            let h = 1e-4;
            let difference = (8.0 * (along(h) - along(-h)) - (along(2.0 * h) - along(-2.0 * h))) / (12.0 * h);
            let scale = derivative.abs().max(difference.abs()).max(1.0);
            assert!((derivative - difference).abs() < 1e-8 * scale, "{name}.{path}: {derivative} {difference}");
        }
    });
}

#[test]
fn a_row_of_a_batch_is_its_own_run() {
    for_every_cell(|name, build, input| {
        let rnn = build(sequences(), 1);
        let x = input(&[3, 5], 2);
        let whole = values(&rnn, &x, None);
        for row in 0..3isize {
            let own = values(&rnn, &x.slice(0, row..row + 1), None);
            for (whole, own) in whole.iter().zip(&own) {
                assert!(near(&whole.slice(0, row..row + 1), own, 1e-14), "{name}: row {row}");
            }
        }
    });
}

#[test]
fn a_sequence_is_its_parts() {
    for_every_cell(|name, build, input| {
        let rnn = build(sequences(), 1);
        let x = input(&[2, 7], 2);
        let whole = values(&rnn, &x, None);
        let first = values(&rnn, &x.slice(1, 0..3), None);
        let second = values(&rnn, &x.slice(1, 3..), Some(&first[1..]));
        assert!(near(&whole[0].slice(1, 0..3), &first[0], 0.0), "{name}");
        assert!(near(&whole[0].slice(1, 3..), &second[0], 0.0), "{name}");
        assert!(whole[1..].iter().zip(&second[1..]).all(|(a, b)| near(a, b, 0.0)), "{name}");
        // A stateful layer does the carrying itself.
        let stateful = build(RnnOptions { stateful: true, ..sequences() }, 1);
        values(&stateful, &x.slice(1, 0..3), None);
        assert!(near(&values(&stateful, &x.slice(1, 3..), None)[0], &second[0], 0.0), "{name}");
        stateful.reset_state();
        assert!(near(&values(&stateful, &x.slice(1, 0..3), None)[0], &first[0], 0.0), "{name}");
    });
}

#[test]
fn backwards_is_forwards_on_the_reversed_sequence() {
    for_every_cell(|name, build, input| {
        let x = input(&[2, 6], 2);
        let reversed = Tensor::from_fn(x.shape(), |i| x.at(&[&[i[0], 5 - i[1]], &i[2..]].concat()));
        let forward = values(&build(sequences(), 1), &reversed, None);
        let backward = values(&build(RnnOptions { go_backwards: true, ..sequences() }, 1), &x, None);
        assert!(forward.iter().zip(&backward).all(|(a, b)| near(a, b, 0.0)), "{name}");
    });
}

#[test]
fn lengths_and_widths_at_their_ends() {
    for_every_cell(|name, build, input| {
        let rnn = build(RnnOptions::default(), 1);
        for (batch, time) in [(1, 1), (3, 1), (1, 5), (2, 0), (0, 4)] {
            let out = values(&rnn, &input(&[batch, time], 2), None);
            assert_eq!(out[0].shape()[0], batch, "{name}");
            assert_eq!(out[0].shape()[1..], *rnn.cell().output_shape(), "{name}");
            let sequence = values(&build(sequences(), 1), &input(&[batch, time], 2), None);
            assert_eq!(sequence[0].shape()[..2], [batch, time], "{name}");
        }
        // Nothing happened: the states are the initial ones.
        let initial = states(&rnn, 2, 3);
        let out = values(&rnn, &input(&[2, 0], 2), Some(&initial));
        assert!(out[1..].iter().zip(&initial).all(|(a, b)| near(a, b, 0.0)), "{name}");
    });
    for row in ZOO {
        let rnn = Rnn::new(row.build::<f64>(1, 1, &mut Rng::new(0)), sequences());
        let out = &values(&rnn, &input(&rnn, &[2, 3], 1), None)[0];
        assert_eq!(out.shape().dims(), [&[2, 3], rnn.cell().output_shape().dims()].concat(), "{}", row.name);
    }
}

/// Outputs, last states, and every gradient, first and second, of a sequence from given states.
fn everything(rnn: &Boxed<f64>, x: &Tensor<f64>) -> Vec<Tensor<f64>> {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let state: State<'_, f64> = states(rnn, x.dim(0), 3).into_iter().map(|state| tape.leaf(state)).collect();
    let run = rnn.run(x, Some(&state));
    let all: Vec<Var<'_, f64>> = [run.output].into_iter().chain(run.state).collect();
    let loss = all.iter().map(|x| x.square().sum_all()).reduce(|a, b| a + b).unwrap();
    let params = rnn.params();
    let trained = params.iter().filter(|(_, param)| param.trainable()).map(|(_, param)| tape.param(param));
    let leaves: Vec<_> = [x].into_iter().chain(state).chain(trained).collect();
    let first = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
    let norm = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
    let second = norm.backward();
    // A state that nothing reads has none.
    let zeros = |leaf: Var<'_, f64>| Tensor::zeros(leaf.shape());
    let second = leaves.iter().map(|&leaf| second.wrt(leaf).cloned().unwrap_or_else(|| zeros(leaf)));
    all.into_iter().chain(first).map(Var::value).chain(second).collect()
}

#[test]
fn the_loop_is_the_steps() {
    for_every_cell(|name, build, input| {
        for (return_sequences, go_backwards) in [(true, false), (false, false), (true, true), (false, true)] {
            let options = RnnOptions { return_sequences, go_backwards, ..RnnOptions::default() };
            for (batch, time) in [(1, 1), (3, 5)] {
                let x = input(&[batch, time], 2);
                let looped = build(options, 1);
                let (a, b) =
                    (everything(&looped, &x), everything(&build(RnnOptions { unroll: true, ..options }, 1), &x));
                for (k, (a, b)) in a.iter().zip(&b).enumerate() {
                    let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.abs()));
                    assert!(near(a, b, 1e-12 * scale), "{name}: value {k}");
                }
                // It was a loop indeed, and so were its derivatives.
                let how = looped.explain();
                assert!(how.contains("loop:") && how.contains("derivative:"), "{name}: {how}");
                assert!(!how.contains("unrolled") && !how.contains("no loop"), "{name}: {how}");
            }
        }
    });
}

#[test]
fn recording_and_threads_change_no_bit() {
    for row in ZOO {
        let rnn = Rnn::new(row.build::<f32>(8, 40, &mut Rng::new(1)), sequences());
        let x = input(&rnn, &[64, 9], 2);
        let run = |tape: Tape<f32>| {
            let x = tape.leaf(x.clone());
            let output = rnn.run(x, None).output;
            let mut bits: Vec<Vec<f32>> = vec![output.value().to_vec()];
            if output.needs_grad() {
                let gradients = output.square().sum_all().backward();
                let params = rnn.params().into_iter().filter(|(_, param)| param.trainable());
                bits.extend(params.map(|(_, param)| gradients.of(param).unwrap().to_vec()));
                bits.push(gradients.wrt(x).unwrap().to_vec());
            }
            bits
        };
        let one = run(Tape::with_threads(Threads::new(1)));
        assert!(one == run(Tape::with_threads(Threads::new(2))), "{}: threads", row.name);
        assert!(one[0] == run(Tape::inference())[0], "{}: recording", row.name);
    }
}

#[test]
fn single_precision_is_near_double() {
    for row in ZOO {
        let double = Rnn::new(row.build::<f64>(INPUT, UNITS, &mut Rng::new(1)), sequences());
        let mut single = Rnn::new(row.build::<f32>(INPUT, UNITS, &mut Rng::new(1)), sequences());
        let mut weights = double.params().into_iter().map(|(_, param)| param.value().cast::<f32>());
        single.visit_mut(&mut Path::default(), &mut |_, param| param.set(weights.next().unwrap()));
        let x = input(&single, &[3, 6], 2);
        let (a, b) = (values(&single, &x, None), values(&double, &x.cast(), None));
        assert!(a.iter().zip(&b).all(|(a, b)| near(&a.cast(), b, 1e-5)), "{}", row.name);
    }
}

#[test]
fn the_same_seed_builds_the_same_cell() {
    for_every_cell(|name, build, _| {
        let weights =
            |seed| build(sequences(), seed).params().iter().map(|(_, p)| p.value().to_vec()).collect::<Vec<_>>();
        assert_eq!(weights(3), weights(3), "{name}");
        assert_ne!(weights(3), weights(4), "{name}");
    });
}
