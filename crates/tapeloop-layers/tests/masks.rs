//! What holds of masks, for every cell in the list and for one whose output is no state, without reference values.

use smallvec::smallvec;
use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck};
use tapeloop_autograd::{Element, Module, Param, Rng, Shape, Tape, Tensor, Threads, Var, module};
use tapeloop_layers::cells::{Row, ZOO};
use tapeloop_layers::{Cell, Masked, Rnn, RnnOptions, State, StateShapes};

const INPUT: usize = 3;
const UNITS: usize = 4;
const TIME: usize = 6;

type Boxed<T> = Rnn<T, Box<dyn Cell<T>>>;

/// h′ = tanh(x W + h U), and an output that is no state: h′ ∘ s.
struct Scaled<T: Element> {
    kernel: Param<T>,
    recurrent_kernel: Param<T>,
    scale: Param<T>,
}
module!(Scaled<T> { kernel, recurrent_kernel, scale });

impl<T: Element> Scaled<T> {
    fn boxed(rng: &mut Rng) -> Box<dyn Cell<T>> {
        let mut param = |shape: &[usize]| Param::new(Tensor::normal(shape, 0.0, 0.3, rng));
        Box::new(Self {
            kernel: param(&[INPUT, UNITS]),
            recurrent_kernel: param(&[UNITS, UNITS]),
            scale: param(&[UNITS]),
        })
    }
}

impl<T: Element> Cell<T> for Scaled<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([INPUT])
    }
    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([UNITS])]
    }
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        smallvec![(x.matmul(&self.kernel) + state[0].matmul(&self.recurrent_kernel)).tanh()]
    }
    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        state[0] * &self.scale
    }
}

type Build<'a, T> = &'a dyn Fn(RnnOptions) -> Boxed<T>;

fn for_every_cell(check: impl Fn(&str, Build<'_, f64>)) {
    for row in ZOO {
        check(row.name, &|options| Rnn::new(row.build::<f64>(INPUT, UNITS, &mut Rng::new(1)), options));
    }
    check("scaled", &|options| Rnn::new(Scaled::boxed(&mut Rng::new(1)), options));
}

/// The shape of a sequence with these axes in front of a step's own.
fn sequence<T: Element>(rnn: &Boxed<T>, lead: [usize; 2]) -> Vec<usize> {
    [&lead[..], rnn.cell().input_shape().dims()].concat()
}

fn lstm() -> &'static Row {
    ZOO.iter().find(|row| row.name == "lstm").unwrap()
}

/// Every combination of the options that masks have to do with.
fn options() -> impl Iterator<Item = RnnOptions> {
    (0..8).map(|k| RnnOptions {
        return_sequences: k & 1 > 0,
        go_backwards: k & 2 > 0,
        zero_output_for_mask: k & 4 > 0,
        ..RnnOptions::default()
    })
}

/// Five rows: padding on the right, on the left, in the middle, everywhere, nowhere.
fn pattern() -> Tensor<bool> {
    let rows = ["111100", "001111", "110011", "000000", "111111"];
    Tensor::from_fn([5, TIME], |i| rows[i[0]].as_bytes()[i[1]] == b'1')
}

fn normal<T: Element>(shape: &[usize], seed: u64) -> Tensor<T> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

fn states<T: Element>(rnn: &Boxed<T>, batch: usize) -> Vec<Tensor<T>> {
    let shape = |state: &Shape| [batch].iter().chain(state.iter()).copied().collect::<Vec<_>>();
    rnn.cell().state_shapes().iter().zip(3..).map(|(state, seed)| normal(&shape(state), seed)).collect()
}

/// What a run is asked for.
#[derive(Clone, Copy)]
enum Depth {
    /// Output and last states.
    Values,
    /// Gradients of input, given states and parameters, too.
    First,
    /// And those of the gradients' norm.
    Second,
}

fn everything<T: Element>(
    rnn: &Boxed<T>,
    x: &Tensor<T>,
    mask: Option<&Tensor<bool>>,
    initial: Option<&[Tensor<T>]>,
    depth: Depth,
) -> Vec<Tensor<T>> {
    let tape = Tape::with_threads(Threads::new(1));
    let x = tape.leaf(x.clone());
    let state: Vec<_> = initial.unwrap_or_default().iter().map(|state| tape.leaf(state.clone())).collect();
    let masked = mask.map_or(Masked::from(x), |mask| Masked::new(x, mask));
    let run = rnn.run(masked, initial.map(|_| &state[..]));
    let all: Vec<Var<'_, T>> = [run.output].into_iter().chain(run.state).collect();
    let mut values: Vec<_> = all.iter().map(|x| x.value()).collect();
    let params = rnn.params();
    let trained = params.iter().filter(|(_, param)| param.trainable()).map(|(_, param)| tape.param(param));
    let leaves: Vec<_> = [x].into_iter().chain(state).chain(trained).collect();
    let loss = all.iter().map(|x| (x.square() + 0.3 * *x).sum_all()).reduce(|a, b| a + b).unwrap();
    if !matches!(depth, Depth::Values) {
        let first = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
        values.extend(first.iter().map(|x| x.value()));
        if matches!(depth, Depth::Second) {
            let second = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap().backward();
            // A state that no step reads has no gradient.
            let zeros = |leaf: Var<'_, T>| leaf.value().zeros_like();
            values.extend(leaves.iter().map(|&leaf| second.wrt(leaf).cloned().unwrap_or_else(|| zeros(leaf))));
        }
    }
    values
}

fn bits<T: Element>(tensor: &Tensor<T>) -> Vec<u64> {
    tensor.to_vec().iter().map(|x| x.to_f64().to_bits()).collect()
}

fn close<T: Element>(what: &str, a: &[Tensor<T>], b: &[Tensor<T>], tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.shape(), b.shape(), "{what}: value {k}");
        let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.to_f64().abs()));
        let fits = |(a, b): (&T, &T)| (a.to_f64() - b.to_f64()).abs() <= tolerance * scale;
        assert!(a.to_vec().iter().zip(&b.to_vec()).all(fits), "{what}: value {k}: {a:?} and {b:?}");
    }
}

fn reversed<T: tapeloop_autograd::Item>(x: &Tensor<T>) -> Tensor<T> {
    Tensor::from_fn(x.shape(), |i| {
        let mut i = i.to_vec();
        i[1] = x.shape()[1] - 1 - i[1];
        x.at(&i)
    })
}

#[test]
fn a_loop_with_a_mask_is_its_steps() {
    for_every_cell(|name, build| {
        for options in options() {
            for given in [false, true] {
                let (looped, steps) = (build(options), build(RnnOptions { unroll: true, ..options }));
                let x = normal(&sequence(&looped, [5, TIME]), 2);
                let initial = given.then(|| states(&looped, 5));
                let run = |rnn| everything(rnn, &x, Some(&pattern()), initial.as_deref(), Depth::Second);
                close(&format!("{name}, {options:?}"), &run(&looped), &run(&steps), 1e-12);
                // It was a loop indeed, and so were its derivatives.
                let how = looped.explain();
                assert!(how.contains("derivative:") && how.contains("if_else"), "{name}: {how}");
                assert!(!how.contains("unrolled") && !how.contains("no loop"), "{name}: {how}");
            }
        }
    });
}

#[test]
fn single_precision_is_a_loop_too() {
    for row in ZOO {
        for options in options() {
            let rnn = Rnn::new(row.build::<f32>(INPUT, UNITS, &mut Rng::new(1)), options);
            let values =
                everything(&rnn, &normal(&sequence(&rnn, [5, TIME]), 2), Some(&pattern()), None, Depth::Second);
            assert!(values.iter().all(Tensor::all_finite), "{}", row.name);
            let how = rnn.explain();
            assert!(!how.contains("unrolled") && !how.contains("no loop"), "{}: {how}", row.name);
        }
    }
}

/// Values to the bit. A gradient's sums may be in another order, as terms of 0 are among them.
#[test]
fn a_mask_that_is_true_everywhere_changes_no_bit() {
    for_every_cell(|name, build| {
        for options in options() {
            let x = normal(&sequence(&build(options), [3, TIME]), 2);
            let all = Tensor::full([3, TIME], true);
            let what = format!("{name}, {options:?}");
            let run = |mask, depth| everything(&build(options), &x, mask, None, depth);
            let (with, without) = (run(Some(&all), Depth::Values), run(None, Depth::Values));
            for (k, (a, b)) in with.iter().zip(&without).enumerate() {
                assert_eq!(bits(a), bits(b), "{what}: value {k}");
            }
            close(&what, &run(Some(&all), Depth::Second), &run(None, Depth::Second), 1e-13);
        }
    });
}

/// Rows of the lengths 6, 3, 1 and 0, padded in front and behind with what is no number, against the rows alone.
#[test]
fn padding_changes_no_bit_and_gets_no_gradient() {
    for_every_cell(|name, build| {
        for options in options() {
            for (lead, length) in [(0, 6), (0, 3), (3, 3), (2, 1), (1, 3), (4, 0)] {
                let what = format!("{name}, {options:?}, {length} steps behind {lead}");
                let rnn = build(options);
                let own = normal::<f64>(&sequence(&rnn, [2, length]), 2);
                let junk = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
                let inside = |t: usize| (lead..lead + length).contains(&t);
                let padded = Tensor::from_fn(sequence(&rnn, [2, TIME]), |i| match inside(i[1]) {
                    true => own.at(&[&[i[0], i[1] - lead], &i[2..]].concat()),
                    false => junk[i.iter().sum::<usize>() % 4],
                });
                let mask = Tensor::from_fn([2, TIME], |i| inside(i[1]));
                let initial = states(&rnn, 2);
                let long = everything(&rnn, &padded, Some(&mask), Some(&initial), Depth::First);
                let short = everything(&rnn, &own, None, Some(&initial), Depth::First);
                let count = initial.len();
                // Last states, to the bit.
                for k in 1..=count {
                    assert_eq!(bits(&long[k]), bits(&short[k]), "{what}: state {k}");
                }
                // The gradient of the input: nothing at padding.
                let gradient = &long[1 + count];
                for t in (0..TIME).filter(|&t| !inside(t)) {
                    assert!(gradient.select(1, t).to_vec().iter().all(|&g| g.to_bits() == 0), "{what}");
                }
                assert!(long.iter().all(Tensor::all_finite), "{what}");
                if !options.return_sequences {
                    continue;
                }
                // Outputs lie in the order of processing.
                let place = |t: usize| if options.go_backwards { TIME - 1 - t } else { t };
                let of = |t: usize| if options.go_backwards { length - 1 - t } else { t };
                for t in 0..length {
                    let (a, b) = (place(t + lead), of(t));
                    assert_eq!(bits(&long[0].select(1, a)), bits(&short[0].select(1, b)), "{what}: output {t}");
                }
                let mut held = Tensor::zeros(long[0].select(1, 0).shape());
                for p in 0..TIME {
                    let output = long[0].select(1, p);
                    if inside(place(p)) && !options.zero_output_for_mask {
                        held = output.clone();
                    }
                    if !inside(place(p)) {
                        assert_eq!(bits(&output), bits(&held), "{what}: padding at {p}");
                    }
                }
            }
        }
    });
}

/// The gradients of everything are those of the rows alone, where padding puts out zeros.
#[test]
fn gradients_are_those_of_the_rows_alone() {
    for_every_cell(|name, build| {
        let options = RnnOptions { return_sequences: true, zero_output_for_mask: true, ..RnnOptions::default() };
        let rnn = build(options);
        let own = normal::<f64>(&sequence(&rnn, [2, 4]), 2);
        let padded = Tensor::from_fn(sequence(&rnn, [2, TIME]), |i| if i[1] < 4 { own.at(i) } else { f64::NAN });
        let mask = Tensor::from_fn([2, TIME], |i| i[1] < 4);
        let initial = states(&rnn, 2);
        let mut long = everything(&rnn, &padded, Some(&mask), Some(&initial), Depth::Second);
        let short = everything(&rnn, &own, None, Some(&initial), Depth::Second);
        long.iter_mut().filter(|x| x.rank() >= 3 && x.shape()[1] == TIME).for_each(|x| *x = x.slice(1, 0..4));
        close(name, &long, &short, 1e-12);
    });
}

#[test]
fn backwards_is_forwards_on_the_reversed_sequence_and_mask() {
    for_every_cell(|name, build| {
        for options in options().filter(|options| !options.go_backwards) {
            let x = normal::<f64>(&sequence(&build(options), [5, TIME]), 2);
            let mask = pattern();
            let forward = everything(&build(options), &reversed(&x), Some(&reversed(&mask)), None, Depth::Values);
            let backward = RnnOptions { go_backwards: true, ..options };
            let backward = everything(&build(backward), &x, Some(&mask), None, Depth::Values);
            for (a, b) in forward.iter().zip(&backward) {
                assert_eq!(bits(a), bits(b), "{name}");
            }
        }
    });
}

#[test]
fn gradients_of_inputs_and_states() {
    for_every_cell(|name, build| {
        for options in options() {
            let rnn = build(options);
            let inputs: Vec<_> = [normal(&sequence(&rnn, [5, TIME]), 2)].into_iter().chain(states(&rnn, 5)).collect();
            fn f<'t>(rnn: &Boxed<f64>, x: &[Var<'t, f64>]) -> Var<'t, f64> {
                let run = rnn.run(Masked::new(x[0], &pattern()), Some(&x[1..]));
                Var::concat([run.output].into_iter().chain(run.state).map(|v| v.reshape(&[-1])), 0)
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
fn recording_and_threads_change_no_bit() {
    let mask = Tensor::from_fn([64, 9], |i| (i[0] * 7 + i[1] * 5) % 11 > 3);
    for row in ZOO {
        for options in options() {
            let rnn = Rnn::new(row.build::<f32>(8, 40, &mut Rng::new(1)), options);
            let run = |tape: Tape<f32>| {
                let x = tape.leaf(normal(&sequence(&rnn, [64, 9]), 2));
                let output = rnn.run(Masked::new(x, &mask), None).output;
                let mut all = vec![bits(&output.value())];
                if output.needs_grad() {
                    let gradients = output.square().sum_all().backward();
                    let params = rnn.params().into_iter().filter(|(_, param)| param.trainable());
                    all.extend(params.map(|(_, param)| bits(gradients.of(param).unwrap())));
                    all.push(bits(gradients.wrt(x).unwrap()));
                }
                all
            };
            let one = run(Tape::with_threads(Threads::new(1)));
            assert!(one == run(Tape::with_threads(Threads::new(2))), "{}: threads", row.name);
            assert!(one[0] == run(Tape::inference())[0], "{}: recording", row.name);
        }
    }
}

/// A stateful layer carries what the last step that counted has left.
#[test]
fn states_are_carried_over_padding() {
    for_every_cell(|name, build| {
        let rnn = build(RnnOptions::default());
        let x = normal::<f64>(&sequence(&rnn, [2, TIME]), 2);
        let whole = everything(&rnn, &x, None, None, Depth::Values);
        let stateful = build(RnnOptions { stateful: true, ..RnnOptions::default() });
        for (start, end) in [(0, 2), (2, 3), (3, TIME)] {
            let mask = Tensor::from_fn([2, TIME], |i| (start..end).contains(&i[1]));
            let part = everything(&stateful, &x, Some(&mask), None, Depth::Values);
            if end == TIME {
                assert_eq!(bits(&part[0]), bits(&whole[0]), "{name}");
            }
        }
        // A call of nothing but padding puts out zeros, as no step of it has put out anything.
        let nothing = everything(&stateful, &x, Some(&Tensor::full([2, TIME], false)), None, Depth::Values);
        assert!(nothing[0].to_vec().iter().all(|&x| x == 0.0), "{name}");
        assert_eq!(bits(&nothing[1]), bits(&whole[1]), "{name}");
    });
}

#[test]
fn lengths_are_a_mask() {
    let rnn = Rnn::new(lstm().build::<f64>(INPUT, UNITS, &mut Rng::new(1)), RnnOptions::default());
    let tape = Tape::new();
    let x = tape.leaf(normal(&[3, TIME, INPUT], 2));
    let mask = Tensor::from_fn([3, TIME], |i| i[1] < [2, 6, 0][i[0]]);
    // A mask that was computed from what has gradients gets none.
    let computed = tape.mask(&mask) * (x.select(2, 0) * 0.0 + 1.0);
    let run = |x| rnn.run(x, None).output;
    let outputs = [run(Masked::with_lengths(x, &[2, 6, 0])), run(Masked::new(x, &mask)), run(Masked::new(x, computed))];
    for output in outputs {
        assert_eq!(bits(&output.value()), bits(&outputs[0].value()));
        let gradient = output.sum_all().backward().wrt(x).unwrap().clone();
        assert_eq!(gradient.select(0, 2).to_vec(), [0.0; TIME * INPUT]);
    }
    assert!(!rnn.explain().contains("unrolled"), "{}", rnn.explain());
}

#[test]
fn a_mask_of_another_shape_panics() {
    let rnn = Rnn::new(lstm().build::<f64>(INPUT, UNITS, &mut Rng::new(1)), RnnOptions::default());
    let tape = Tape::new();
    let x = tape.leaf(normal(&[3, TIME, INPUT], 2));
    let text = |run: &dyn Fn()| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    assert!(text(&|| _ = Masked::new(x, &Tensor::full([3, 5], true))).contains("[3, 5]"));
    assert!(text(&|| _ = Masked::with_lengths(x, &[1, 2, 7])).contains("[1, 2, 7]"));
    let wrong = Masked { mask: Some(tape.constant(Tensor::ones([TIME, 3]))), ..x.into() };
    assert!(text(&|| _ = rnn.run(wrong, None)).contains("(batch 3, time 6)"));
}
