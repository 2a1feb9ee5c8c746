//! Loops against the same steps on the tape, one after the other: values, gradients, gradients of gradients.

mod networks;
mod refusals;
mod states;
mod streams;

use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{Checkpoint, Element, Loop, Param, Returned, Rng, Shape, Tape, Tensor, Threads, Var};

use networks::{INPUT, Network, UNITS, interpreted, networks};

/// Outputs along time and last states, by the loop or step by step.
fn forward<'t, T: Element>(
    network: &Network<T>,
    looped: Option<&Loop<T>>,
    x: Var<'t, T>,
    state: &[Var<'t, T>],
    last: bool,
) -> (Var<'t, T>, SmallVec<[Var<'t, T>; 4]>) {
    if let Some(looped) = looped {
        let ran = match last {
            true => looped.last(x, state, |x, s| (network.step)(&network.params, x, s)),
            false => looped.run(x, state, |x, s| (network.step)(&network.params, x, s)),
        };
        let ran = ran.unwrap_or_else(|error| panic!("{}: {error}", network.name));
        return (ran.output, ran.state);
    }
    let mut state: SmallVec<[Var<'t, T>; 4]> = state.iter().copied().collect();
    let mut outputs = Vec::new();
    for t in 0..x.dim(0) {
        let (next, output) = (network.step)(&network.params, x.select(0, t), &state);
        state = next;
        outputs.push(output);
    }
    let output = if last { outputs[outputs.len() - 1] } else { Var::stack(outputs, 0) };
    (output, state)
}

/// Everything a loop can be asked for: outputs, states, first gradients, and gradients of a gradient's norm.
fn everything<T: Element>(
    network: &Network<T>,
    looped: Option<&Loop<T>>,
    time: usize,
    batch: usize,
    last: bool,
    threads: &Threads,
) -> Vec<Tensor<T>> {
    let mut rng = Rng::new(3);
    let tape = Tape::with_threads(threads.clone());
    let shape = |lead: &[usize], rest: &[usize]| lead.iter().chain(rest).copied().collect::<Shape>();
    let x = tape.leaf(Tensor::normal(shape(&[time, batch], &network.input), 0.0, 1.0, &mut rng));
    let states = network.states.iter();
    let state: Vec<_> =
        states.map(|state| tape.leaf(Tensor::normal(shape(&[batch], state), 0.0, 1.0, &mut rng))).collect();
    let (output, states) = forward(network, looped, x, &state, last);
    let mut loss = (output * &Tensor::normal(output.shape(), 0.0, 1.0, &mut rng)).sum_all();
    for state in &states {
        loss = loss + (*state * &Tensor::normal(state.shape(), 0.0, 1.0, &mut rng)).sum_all();
    }
    let mut all = vec![output.value()];
    all.extend(states.iter().map(|state| state.value()));
    let leaves: Vec<Var<'_, T>> =
        std::iter::once(x).chain(state.iter().copied()).chain(network.params.iter().map(|p| tape.param(p))).collect();
    let first = loss.backward();
    all.extend(leaves.iter().map(|&leaf| first.wrt(leaf).cloned().unwrap_or_else(|| Tensor::zeros(leaf.shape()))));
    let recorded = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
    let norm = recorded.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).expect("leaves");
    let second = norm.backward();
    all.extend(leaves.iter().map(|&leaf| second.wrt(leaf).cloned().unwrap_or_else(|| Tensor::zeros(leaf.shape()))));
    all
}

fn close<T: Element>(what: &str, a: &[Tensor<T>], b: &[Tensor<T>], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (k, (a, b)) in a.iter().zip(b).enumerate() {
        assert_eq!(a.shape(), b.shape(), "{what}: value {k}");
        let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.to_f64().abs()));
        for (x, y) in a.to_vec().iter().zip(b.to_vec()) {
            let error = (x.to_f64() - y.to_f64()).abs() / scale;
            assert!(error <= tolerance, "{what}: value {k}: {x} and {y}");
        }
    }
}

fn loop_equals_steps<T: Element>(networks: Vec<Network<T>>, interpreted: bool, tolerance: f64) {
    for network in networks {
        let looped = Loop::new();
        for (time, batch) in [(1, 1), (1, 3), (5, 1), (5, 3), (4, 9)] {
            for last in [false, true] {
                let threads = Threads::new(1);
                let a = everything(&network, Some(&looped), time, batch, last, &threads);
                let b = everything(&network, None, time, batch, last, &threads);
                close(&format!("{} {time}x{batch} {last}", network.name), &a, &b, tolerance);
            }
        }
        // Derivatives, second ones too, are loops as well.
        let how = looped.explain();
        assert!(how.contains("\n  derivative:") && !how.contains("unrolled"), "{}: {how}", network.name);
        assert!(how.contains("interpreted") == interpreted, "{}: {how}", network.name);
    }
}

/// So many rows that a loop takes a few steps at a time.
#[test]
fn equals_steps_in_chunks() {
    let (one, two) = (Threads::new(1), Threads::new(2));
    for network in networks::<f64>() {
        let run = |threads: &Threads, last: bool| everything(&network, Some(&Loop::new()), 5, 6000, last, threads);
        for last in [false, true] {
            let (a, b) = (run(&one, last), everything(&network, None, 5, 6000, last, &one));
            close(&format!("{} {last}", network.name), &a, &b, 1e-12);
            let same = a.iter().zip(run(&two, last)).all(|(a, b)| a.to_vec() == b.to_vec());
            assert!(same, "{}: threads change bits", network.name);
        }
    }
}

#[test]
fn equals_steps_in_double_precision() {
    loop_equals_steps::<f64>(networks(), false, 1e-12);
}

#[test]
fn equals_steps_in_single_precision() {
    loop_equals_steps::<f32>(networks(), false, 1e-5);
}

#[test]
fn interpreted_bodies_equal_steps() {
    loop_equals_steps::<f64>(interpreted(), true, 1e-12);
    loop_equals_steps::<f32>(interpreted(), true, 2e-5);
}

#[test]
fn interpreted_bodies_have_the_same_bits_on_threads() {
    for network in interpreted::<f32>() {
        let run = |threads: usize| everything(&network, Some(&Loop::new()), 3, 300, false, &Threads::new(threads));
        let same = run(1).iter().zip(run(2)).all(|(a, b)| a.to_vec() == b.to_vec());
        assert!(same, "{}: threads change bits", network.name);
    }
}

/// With checkpoints: results of the same bits, gradients within rounding, second ones too.
#[test]
fn checkpoints_change_nothing_but_memory() {
    for network in networks::<f64>().into_iter().chain(interpreted()) {
        for (time, batch) in [(1, 2), (2, 1), (7, 3), (9, 2)] {
            for last in [false, true] {
                let threads = Threads::new(1);
                let all = everything(&network, Some(&Loop::new()), time, batch, last, &threads);
                let policies = [1, 2, 3, 8, 100].map(Checkpoint::every).into_iter().chain([Checkpoint::sqrt()]);
                for checkpoint in policies {
                    let what = format!("{} {time}x{batch} {last} {checkpoint:?}", network.name);
                    let some = Loop::new().checkpoint(checkpoint);
                    let some = everything(&network, Some(&some), time, batch, last, &threads);
                    let results = 1 + network.states.len();
                    let bits = |values: &[Tensor<f64>]| -> Vec<Vec<u64>> {
                        let bits = |x: &Tensor<f64>| x.to_vec().iter().map(|x| x.to_bits()).collect();
                        values[..results].iter().map(bits).collect()
                    };
                    assert!(bits(&all) == bits(&some), "{what}");
                    close(&what, &some, &all, 1e-12);
                }
            }
        }
    }
}

/// Training over 10,000 steps in the memory of a few hundred.
#[test]
fn checkpoints_bound_memory() {
    let bytes = |looped: Loop<f32>| {
        let network = &networks::<f32>()[0];
        let tape = Tape::with_threads(Threads::new(1));
        let x = tape.constant(Tensor::full([10_000, 1, INPUT], 0.1));
        let zero = [UNITS; 2].map(|width| tape.full([1, width], 0.0));
        let ran = looped.last(x, &zero, |x, s| (network.step)(&network.params, x, s)).unwrap();
        let gradients = ran.output.square().sum_all().backward();
        assert!(gradients.of(&network.params[1]).is_some());
        tape.bytes()
    };
    let (all, some) = (bytes(Loop::new()), bytes(Loop::new().checkpoint(Checkpoint::sqrt())));
    assert!(some * 10 < all, "{some} of {all} bytes");
}

/// A step of three sequences, one of them a single column: where that is 0, the state stays what it was.
fn held<'t, T: Element>(p: &[Param<T>], x: &[Var<'t, T>], s: &[Var<'t, T>]) -> Returned<'t, T> {
    let [i, g] = (x[0].matmul(&p[0]) + s[0].matmul(&p[1]) + x[2]).gates();
    let h = x[1].if_else(i.sigmoid() * g.tanh(), s[0]);
    (smallvec![h], x[1].if_else(h * g, 0.0) + x[1])
}

fn several_sequences<T: Element>(tolerance: f64) {
    let mut rng = Rng::new(7);
    let params =
        [[INPUT, 2 * UNITS], [UNITS, 2 * UNITS]].map(|shape| Param::new(Tensor::normal(shape, 0.0, 0.4, &mut rng)));
    let looped = Loop::new();
    let run = |looped: Option<&Loop<T>>, (time, batch): (usize, usize), last: bool, backwards: bool| {
        let mut rng = Rng::new(3);
        let tape = Tape::new();
        let mut leaf = |shape: &[usize]| tape.leaf(Tensor::normal(shape, 0.0, 1.0, &mut rng));
        // The column is a leaf, too: a condition has a gradient of 0, and here it is added as well.
        let x = [leaf(&[time, batch, INPUT]), leaf(&[time, batch, 1]), leaf(&[time, batch, 2 * UNITS])];
        let start = leaf(&[batch, UNITS]);
        let column = x[1] * x[1].gt(-0.2);
        let sequences = [x[0], column, x[2]];
        let (output, state) = match looped {
            Some(looped) => {
                let over = looped.over(&sequences);
                let over = if backwards { over.backwards() } else { over };
                let over = if last { over.last() } else { over };
                let ran = over.run(&[start], |x, s| held(&params, x, s)).unwrap();
                (ran.output, ran.state[0])
            }
            None => {
                let (mut state, mut outputs) = (start, Vec::new());
                for turn in 0..time {
                    let t = if backwards { time - 1 - turn } else { turn };
                    let (next, output) = held(&params, &sequences.map(|x| x.select(0, t)), &[state]);
                    state = next[0];
                    outputs.push(output);
                }
                let end = outputs[time - 1];
                if backwards {
                    outputs.reverse();
                }
                (if last { end } else { Var::stack(outputs, 0) }, state)
            }
        };
        let loss = (output.square() + 0.3 * output).sum_all() + (state.square() + state).sum_all();
        let leaves: Vec<_> = x.into_iter().chain([start]).chain(params.iter().map(|p| tape.param(p))).collect();
        let first = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
        let second = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).expect("leaves").backward();
        let second = leaves.iter().map(|&leaf| second.wrt(leaf).unwrap().clone());
        [output, state].into_iter().chain(first).map(Var::value).chain(second).collect::<Vec<_>>()
    };
    for size in [(1, 1), (5, 1), (4, 9)] {
        for (last, backwards) in [(false, false), (true, false), (false, true), (true, true)] {
            let what = format!("{size:?} {last} {backwards}");
            close(&what, &run(Some(&looped), size, last, backwards), &run(None, size, last, backwards), tolerance);
        }
    }
    let how = looped.explain();
    assert!(how.contains("\n  derivative:") && !how.contains("unrolled"), "{how}");
}

#[test]
fn several_sequences_go_together() {
    several_sequences::<f64>(1e-12);
    several_sequences::<f32>(1e-5);
}

#[test]
fn sequences_of_different_lengths_are_a_mistake() {
    let tape = Tape::<f64>::new();
    let [x, y] = [3, 2].map(|time| tape.constant(Tensor::ones([time, 1, 2])));
    let start = tape.constant(Tensor::zeros([1, 2]));
    let run = || Loop::new().over(&[x, y]).run(&[start], |x, s| (smallvec![s[0]], x[0])).map(|ran| ran.output.value());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("[3, 1, 2] and [2, 1, 2]"));
}

#[test]
fn threads_change_no_bit() {
    let mut rng = Rng::new(1);
    let params = [[6, 160], [40, 160]].map(|shape| Param::new(Tensor::<f32>::normal(shape, 0.0, 0.3, &mut rng)));
    let (x, zero) = (Tensor::normal([12, 37, 6], 0.0, 1.0, &mut rng), Tensor::zeros([37, 40]));
    let run = |threads: usize| {
        let (looped, tape) = (Loop::new(), Tape::with_threads(Threads::new(threads)));
        let x = tape.leaf(x.clone());
        let start = [tape.constant(zero.clone()), tape.constant(zero.clone())];
        let ran = looped.run(x, &start, |x, s| {
            let [i, f, g, o] = (x.matmul(&params[0]) + s[0].matmul(&params[1])).gates();
            let c = f.sigmoid() * s[1] + i.sigmoid() * g.tanh();
            let h = o.sigmoid() * c.tanh();
            (smallvec![h, c], h)
        });
        let output = ran.unwrap().output;
        let gradients = output.square().sum_all().backward();
        let of = |p: &Param<f32>| gradients.of(p).unwrap().to_vec();
        [output.value().to_vec(), gradients.wrt(x).unwrap().to_vec(), of(&params[0]), of(&params[1])]
    };
    let one = run(1);
    assert!(one == run(2) && one == run(3));
}
