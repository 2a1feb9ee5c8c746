//! Loops against the same steps on the tape, one after the other: values, gradients, gradients of gradients.

use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::kernels::dispatch::{Isa, isa};
use tapeloop_autograd::{
    Backward, Checkpoint, Conv, Element, Loop, Op, Param, Returned, Rng, Run, Shape, ShapeResult, Stream, Tape, Tensor,
    Threads, Var,
};

type Step<T> = for<'t> fn(&[Param<T>], Var<'t, T>, &[Var<'t, T>]) -> Returned<'t, T>;

/// A recurrent network to test with: its parameters, and its step.
struct Network<T: Element> {
    name: &'static str,
    params: Vec<Param<T>>,
    /// Without the batch.
    input: Vec<usize>,
    states: Vec<Vec<usize>>,
    step: Step<T>,
}

const INPUT: usize = 3;
const UNITS: usize = 5;

fn lstm<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]) + s[0].matmul(&p[1]) + &p[2];
    let [i, f, g, o] = z.gates();
    let c = f.sigmoid() * s[1] + i.sigmoid() * g.tanh();
    let h = o.sigmoid() * c.tanh();
    (smallvec![h, c], h)
}

fn gru<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let b = x.tape().param(&p[2]);
    let a = x.matmul(&p[0]) + b.select(0, 0);
    let u = s[0].matmul(&p[1]) + b.select(0, 1);
    let ([az, ar, ah], [uz, ur, uh]) = (a.gates(), u.gates());
    let z = (az + uz).sigmoid();
    let n = (ah + (ar + ur).sigmoid() * uh).tanh();
    let h = z * s[0] + (1.0 - z) * n;
    (smallvec![h], h)
}

/// The reset gate before the product, and an output that is a projection.
fn projected<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let r = (x.matmul(&p[0]) + s[0].matmul(&p[1])).sigmoid();
    let h = (x.matmul(&p[2]) + (r * s[0]).matmul(&p[3]) + &p[4]).tanh();
    (smallvec![h], h.matmul(&p[5]).softmax(-1) + x)
}

/// Layer normalisation within the step, and a peephole.
fn normalized<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]) + s[0].matmul(&p[1]);
    let [i, g] = z.gates();
    let gamma = Some(x.tape().param(&p[2]));
    let beta = Some(x.tape().param(&p[3]));
    let i = (i + s[1] * &p[3]).layer_norm(&[-1], gamma, beta, 1e-3).sigmoid();
    let c = (1.0 - i) * s[1] + i * g.layer_norm(&[-1], gamma, None, 1e-3).tanh();
    let h = c.layer_norm(&[-1], None, beta, 1e-3).tanh() * i;
    (smallvec![h, c], h)
}

/// States that change places, one that is the input, a step that reads what it had, and a concatenated product.
fn odd<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let both = Var::concat([s[0], s[1]], 1);
    let a = both.matmul(&p[0]).tanh();
    let mean = (s[0] * s[1]).mean(&[-1], true);
    (smallvec![s[1] * mean + a, s[0], x, s[3] * 0.5 + s[2].sum(&[-1], true)], s[0] * s[3])
}

/// Nothing but elementwise operations: no product in the loop.
fn linear<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]).sigmoid();
    let h = (1.0 - z) * s[0] + z * x.matmul(&p[1]);
    (smallvec![h], h)
}

fn networks<T: Element>() -> Vec<Network<T>> {
    let mut rng = Rng::new(7);
    let mut param = |shape: &[usize]| Param::new(Tensor::<T>::normal(shape, 0.0, 0.4, &mut rng));
    let (n, m) = (INPUT, UNITS);
    let row = |widths: &[usize]| widths.iter().map(|&n| vec![n]).collect::<Vec<_>>();
    vec![
        Network {
            name: "lstm",
            params: vec![param(&[n, 4 * m]), param(&[m, 4 * m]), param(&[4 * m])],
            input: vec![n],
            states: row(&[m, m]),
            step: lstm,
        },
        Network {
            name: "gru",
            params: vec![param(&[n, 3 * m]), param(&[m, 3 * m]), param(&[2, 3 * m])],
            input: vec![n],
            states: row(&[m]),
            step: gru,
        },
        Network {
            name: "projected",
            params: vec![param(&[n, m]), param(&[m, m]), param(&[n, m]), param(&[m, m]), param(&[m]), param(&[m, n])],
            input: vec![n],
            states: row(&[m]),
            step: projected,
        },
        Network {
            name: "normalized",
            params: vec![param(&[n, 2 * m]), param(&[m, 2 * m]), param(&[m]), param(&[m])],
            input: vec![n],
            states: row(&[m, m]),
            step: normalized,
        },
        Network {
            name: "odd",
            params: vec![param(&[2 * m, m])],
            input: vec![n],
            states: row(&[m, m, n, m]),
            step: odd,
        },
        Network {
            name: "linear",
            params: vec![param(&[n, m]), param(&[n, m])],
            input: vec![n],
            states: row(&[m]),
            step: linear,
        },
    ]
}

/// A convolution in the place of each product, (batch, channels, height, width), with a projection behind it.
fn convolution<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let bias = x.tape().param(&p[2]);
    let z =
        x.conv(&p[0], Some(bias), &Conv::new().padding(&[1])) + s[0].conv(&p[1], None, &Conv::new().padding(&[1, 0]));
    let [i, g] = [0, 1].map(|k| z.slice(1, 2 * k..2 * k + 2));
    let h = i.sigmoid() * g.tanh() + (1.0 - i.sigmoid()) * s[0];
    (smallvec![h], h.conv(&p[3], None, &Conv::new()))
}

/// States with three axes, functions of rows along each of them, an operation that sees the whole batch.
fn volume<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let a = (x * 0.3 + s[0]).softmax(1).cumsum(2);
    let h = (a.swap_axes(1, 2).matmul(&p[0]).swap_axes(1, 2) + s[1].mean(&[0], true)).tanh();
    (smallvec![h, s[0].flip(&[2])], h.max(&[2], true) * s[1])
}

/// Rows, but for operations that are no lines of a program; what needs no state among them.
fn chosen<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let late = x.cumsum(-1).matmul(&p[0]);
    let picked = s[0].index_select(1, &Tensor::from([4i64, 0, 0, 2, 1]));
    let rows = x.dim(0);
    let index = Tensor::from_vec([rows, 5], (0..5 * rows as i64).map(|k| (k * 3 + 1) % 5).collect());
    let gathered = (x.matmul(&p[0])).gather(1, &index);
    let h = (picked.matmul(&p[1]) + late - gathered).tanh();
    (smallvec![h], (h * gathered).gather(1, &index).matmul(&p[1]).flip(&[1]))
}

/// A matrix for each row, a system of equations and a factorisation with it.
fn matrices<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let eye = x.tape().constant(Tensor::eye(3)) * 4.0;
    let gram = s[0].matmul(s[0].t()) + eye;
    let next = gram.solve(s[0].matmul(&p[0]) + x.unsqueeze(-1)).tanh();
    (smallvec![next], gram.cholesky().matmul(next) + gram.det().reshape(&[-1, 1, 1]) * 1e-3)
}

/// y = x³, an operation of somebody else's.
#[derive(Debug)]
struct Cube;

impl<T: Element> Op<T> for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].map(|x| x * x * x)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x * x * 3.0);
    }
}

fn custom<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let h = x.tape().custom(Cube, &[(x.matmul(&p[0]) + s[0].matmul(&p[1])).tanh()]);
    (smallvec![h], h)
}

/// What no program holds.
fn interpreted<T: Element>() -> Vec<Network<T>> {
    let mut rng = Rng::new(8);
    let mut param = |shape: &[usize]| Param::new(Tensor::<T>::normal(shape, 0.0, 0.4, &mut rng));
    vec![
        Network {
            name: "convolution",
            params: vec![param(&[4, 3, 3, 3]), param(&[4, 2, 3, 1]), param(&[4]), param(&[1, 2, 2, 2])],
            input: vec![3, 4, 3],
            states: vec![vec![2, 4, 3]],
            step: convolution,
        },
        Network {
            name: "volume",
            params: vec![param(&[2, 2])],
            input: vec![2, 3],
            states: vec![vec![2, 3]; 2],
            step: volume,
        },
        Network {
            name: "chosen",
            params: vec![param(&[INPUT, UNITS]), param(&[UNITS, UNITS])],
            input: vec![INPUT],
            states: vec![vec![UNITS]],
            step: chosen,
        },
        Network {
            name: "matrices",
            params: vec![param(&[2, 2])],
            input: vec![INPUT],
            states: vec![vec![3, 2]],
            step: matrices,
        },
        Network {
            name: "custom",
            params: vec![param(&[INPUT, UNITS]), param(&[UNITS, UNITS])],
            input: vec![INPUT],
            states: vec![vec![UNITS]],
            step: custom,
        },
    ]
}

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

/// From states of its own, every output and the last states.
fn streams_equal_loops<T: Element>() {
    for network in networks::<T>() {
        let mut rng = Rng::new(3);
        let time = 9;
        let x = Tensor::normal([time, 1, INPUT], 0.0, 1.0, &mut rng);
        let states: Vec<Tensor<T>> =
            network.states.iter().map(|state| Tensor::normal([1, state[0]], 0.0, 1.0, &mut rng)).collect();
        let tape = Tape::inference();
        let start: Vec<Var<'_, T>> = states.iter().map(|state| tape.constant(state.clone())).collect();
        let (output, last) = forward(&network, Some(&Loop::new()), tape.constant(x.clone()), &start, false);

        let mut builder = Stream::builder(INPUT);
        let shapes: Vec<Shape> = network.states.iter().map(|state| [state[0]].into()).collect();
        builder.step(&shapes, |x, state| (network.step)(&network.params, x, state)).unwrap();
        let mut stream = builder.build().unwrap();
        stream.set_state(&states.iter().map(Tensor::to_vec).collect::<Vec<_>>()).unwrap();
        let (x, output) = (x.to_vec(), output.value().to_vec());
        let rows = x.chunks(INPUT).zip(output.chunks(stream.output_width()));
        let equal = |a: &[T], b: &[T]| match isa() {
            // Sums of few products, whose order may differ.
            Isa::Portable => a.iter().zip(b).all(|(a, b)| (*a - *b).abs().to_f64() < T::EPSILON.to_f64() * 256.0),
            _ => a == b,
        };
        for (t, (x, y)) in rows.enumerate() {
            let own = stream.step(x);
            assert!(equal(own, y), "{} at {t}: {own:?} and {y:?}", network.name);
        }
        for (own, last) in stream.state().zip(&last) {
            assert!(equal(own, &last.value().to_vec()), "{}", network.name);
        }
    }
}

#[test]
fn streams_equal_loops_bit_for_bit() {
    streams_equal_loops::<f32>();
    streams_equal_loops::<f64>();
}

/// Steps and functions one after the other; a refused one leaves the stream as it was.
#[test]
fn a_stream_of_several_steps() {
    let kernel = Param::new(Tensor::from([[1.0f64, -2.0]]));
    let mut builder = Stream::builder(1);
    assert_eq!(builder.width(), 1);
    builder.map(|x| x.matmul(&kernel)).unwrap();
    assert_eq!(builder.width(), 2);
    let error = builder.map(|x| x.sum_all()).unwrap_err().to_string();
    assert!(error.contains("a row of features"), "{error}");
    let error = builder.map(|x| if x.value().to_vec()[0] > 0.0 { x } else { -x }).unwrap_err().to_string();
    assert!(error.contains("looping.rs"), "{error}");
    builder
        .step(&[[2].into()], |x, state| {
            let sum = x + state[0];
            (smallvec![sum], sum.relu())
        })
        .unwrap();
    // A constant goes through as well.
    builder.step(&[], |x, _| (smallvec![], x.tape().constant(Tensor::from([[0.5f64, 0.25]])) + x)).unwrap();
    let mut stream = builder.build().unwrap();
    assert_eq!((stream.input_width(), stream.output_width(), stream.threads()), (1, 2, 1));
    assert_eq!(stream.step(&[1.0]), [1.5, 0.25]);
    assert_eq!(stream.step(&[-2.0]), [0.5, 2.25]);
    assert_eq!(stream.state().collect::<Vec<_>>(), [[-1.0, 2.0]]);
    assert_eq!(format!("{stream:?}"), "Stream(1 -> 2, 1 states)");
}

/// One value after the other, and a tree that needs many at once.
#[test]
fn a_stream_of_many_operations() {
    fn chain<'t>(x: Var<'t, f32>) -> Var<'t, f32> {
        (0..150).fold(x, |y, k| (y * 1.25 + x).sin() - 0.001 * f64::from(k))
    }
    fn tree<'t>(x: Var<'t, f32>, depth: usize) -> Var<'t, f32> {
        match depth {
            0 => x,
            _ => tree((x + depth as f64).tanh(), depth - 1) * tree((x - 0.5).sigmoid(), depth - 1),
        }
    }
    for width in [1, 5, 40] {
        let mut builder = Stream::builder(width);
        builder.map(|x| chain(x) + tree(x, 6)).unwrap();
        let mut stream = builder.build().unwrap();
        let x = Tensor::normal([3, width], 0.0, 1.0, &mut Rng::new(1));
        let tape = Tape::inference();
        let x_on_tape = tape.constant(x.clone());
        let y = (chain(x_on_tape) + tree(x_on_tape, 6)).value().to_vec();
        for (x, y) in x.to_vec().chunks(width).zip(y.chunks(width)) {
            assert_eq!(stream.step(x), y);
        }
    }
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

#[test]
fn a_step_that_reads_values_says_so() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 1]));
    let start = tape.constant(Tensor::zeros([1, 1]));
    let ran = Loop::new().run(x, &[start], |x, s| {
        let h = if s[0].item() > 1.0 { x } else { x + s[0] };
        (smallvec![h], h)
    });
    let reason = ran.unwrap_err().to_string();
    assert!(reason.contains("reads a value") && reason.contains("looping.rs"), "{reason}");
}

/// y = x², whose derivative looks at x.
#[derive(Debug)]
struct Peeking;

impl Op<f64> for Peeking {
    fn name(&self) -> &'static str {
        "peeking"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<f64>], _: &mut Run<'_, f64>) -> Tensor<f64> {
        inputs[0].map(|x| x * x)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, f64>) {
        let x = back.input(0).value();
        back.give(0, |g| g * &x * 2.0);
    }
}

/// Where nothing is recorded, nobody asks for the derivative.
#[test]
fn a_derivative_that_reads_values_says_so() {
    let looped = Loop::new();
    let run = |tape: &Tape<f64>| {
        let x = tape.leaf(Tensor::ones([3, 1, 1]));
        let start = tape.constant(Tensor::zeros([1, 1]));
        let ran = looped.run(x, &[start], |x, s| {
            let h = x.tape().custom(Peeking, &[x + s[0]]);
            (smallvec![h], h)
        });
        ran.map(|ran| ran.output.value().to_vec())
    };
    assert_eq!(run(&Tape::inference()).unwrap(), [1.0, 4.0, 25.0]);
    let reason = run(&Tape::new()).unwrap_err().to_string();
    assert!(reason.contains("a derivative that reads a value") && reason.contains("looping.rs"), "{reason}");
    let how = looped.explain();
    assert!(
        how.contains("unrolled, since the step has a derivative") && how.contains("since the step has peeking"),
        "{how}"
    );
}

#[test]
fn a_step_that_turns_recording_off_says_so() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 1]));
    let start = tape.constant(Tensor::zeros([1, 1]));
    let ran = Loop::new().run(x, &[start], |x, s| {
        let h = x.tape().no_grad(|| x + s[0]) * 2.0;
        (smallvec![h], h)
    });
    let reason = ran.unwrap_err().to_string();
    assert!(reason.contains("turns recording off") && reason.contains("looping.rs"), "{reason}");
}

#[test]
fn a_mistake_in_a_step_is_reported_as_everywhere() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 2]));
    let start = tape.constant(Tensor::zeros([1, 3]));
    let run = || Loop::new().run(x, &[start], |x, s| (smallvec![x + s[0]], x)).map(|ran| ran.output.value());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().starts_with("add: cannot combine shapes [1, 2] and [1, 3]"));
}
