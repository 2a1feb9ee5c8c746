//! Streams against the sequence: the same numbers, a sample at a time.

use smallvec::smallvec;
use tapeloop_autograd::kernels::dispatch::{Isa, isa};
use tapeloop_autograd::{Element, Param, Rng, Shape, Stream, Tape, Tensor, Var, module};
use tapeloop_layers::{
    Activation, ActivationLayer, Cell, Dense, Dropout, Embedding, GaussianNoise, Gru, LayerNorm, Lstm, Rnn, RnnOptions,
    Sequential, SimpleRnn, SpatialDropout1d, State, StateShapes, TimeDistributed,
};

const TIME: usize = 23;

/// Every sample's result is the sequence's: bit for bit where products are chains of fused multiply-adds.
fn assert_streams<T: Element>(case: &str, stream: &mut Stream<T>, x: &Tensor<T>, y: &Tensor<T>) {
    let (x, y) = (x.to_vec(), y.to_vec());
    let (input, output) = (stream.input_width(), stream.output_width());
    assert_eq!((x.len() / input, y.len() / output), (TIME, TIME), "{case}");
    for (t, (x, y)) in x.chunks(input).zip(y.chunks(output)).enumerate() {
        let own = stream.step(x);
        if isa() == Isa::Portable {
            // Sums of fewer than 2¹⁰ products, whose order may differ.
            let bound = T::EPSILON.to_f64() * 1024.0;
            assert!(own.iter().zip(y).all(|(a, b)| (*a - *b).abs().to_f64() <= bound), "{case} at {t}");
        } else {
            assert_eq!(own, y, "{case} at {t}");
        }
    }
}

fn check<T: Element>(case: &str, config: &Sequential, features: usize) {
    let model = config.build::<T>(3).unwrap();
    let x = Tensor::normal([1, TIME, features], 0.0, 1.0, &mut Rng::new(4));
    let y = model.predict(&x).unwrap();
    let mut stream = model.stream().unwrap_or_else(|error| panic!("{case}: {error}"));
    assert_streams(case, &mut stream, &x, &y);
    // From the start again.
    stream.reset();
    assert_streams(&format!("{case}, again"), &mut stream, &x, &y);
}

fn check_both(case: &str, config: &Sequential, features: usize) {
    check::<f32>(case, config, features);
    check::<f64>(case, config, features);
}

#[test]
fn a_stream_is_the_sequence_whatever_the_width() {
    // Below, at, between and above multiples of every vector.
    for units in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 33, 40, 64, 70] {
        for features in [1, 3, 17] {
            let base = || Sequential::new([None, Some(features)]);
            let case = format!("{units} units of {features} features");
            let head = || Dense::new(1);
            check_both(
                &format!("lstm, {case}"),
                &base().add(Lstm::new(units).return_sequences(true)).add(head()),
                features,
            );
            check_both(
                &format!("gru, {case}"),
                &base().add(Gru::new(units).return_sequences(true)).add(head()),
                features,
            );
            let before = Gru::new(units).reset_after(false).return_sequences(true);
            check_both(&format!("gru before, {case}"), &base().add(before), features);
            check_both(&format!("rnn, {case}"), &base().add(SimpleRnn::new(units).return_sequences(true)), features);
        }
    }
}

#[test]
fn stacks_and_heads() {
    let base = || Sequential::new([None, Some(5)]);
    for (case, config) in [
        (
            "two lstms",
            base()
                .add(Lstm::new(12).return_sequences(true))
                .add(Lstm::new(20).return_sequences(true))
                .add(Dense::new(3)),
        ),
        (
            "two grus",
            base().add(Gru::new(12).return_sequences(true)).add(Gru::new(9).return_sequences(true)).add(Dense::new(18)),
        ),
        (
            "dense first, and between",
            base()
                .add(Dense::new(7).activation(Activation::Relu))
                .add(SimpleRnn::new(6).return_sequences(true))
                .add(Dense::new(40).activation(Activation::Tanh))
                .add(Gru::new(10).return_sequences(true).reset_after(false))
                .add(Dense::new(4).activation(Activation::Softmax)),
        ),
        (
            "norms",
            base()
                .add(LayerNorm::new())
                .add(Lstm::new(33).return_sequences(true))
                .add(LayerNorm::new().epsilon(1e-3))
                .add(Dropout::new(0.4))
                .add(ActivationLayer::new(Activation::Gelu))
                .add(Dense::new(6)),
        ),
        (
            "layers at every step, and noise",
            base()
                .add(GaussianNoise::new(0.5))
                .add(TimeDistributed::new(Dense::new(7).activation(Activation::Tanh)))
                .add(Gru::new(6).return_sequences(true))
                .add(SpatialDropout1d::new(0.25))
                .add(TimeDistributed::new(LayerNorm::new())),
        ),
        ("no bias", base().add(Lstm::new(8).use_bias(false).return_sequences(true)).add(Dense::new(2).use_bias(false))),
        (
            "gates of another kind",
            base().add(
                Lstm::new(11)
                    .activation(Activation::Elu)
                    .recurrent_activation(Activation::HardSigmoid)
                    .return_sequences(true),
            ),
        ),
        ("no recurrence", base().add(Dense::new(8).activation(Activation::Relu)).add(Dense::new(3))),
        ("nothing at all", base().add(Dropout::new(0.5))),
        ("glu", base().add(Dense::new(10)).add(ActivationLayer::new(Activation::Glu))),
    ] {
        check_both(case, &config, 5);
    }
}

#[test]
fn threads_change_no_bit() {
    fn check<T: Element>() {
        for units in [4, 130, 200] {
            let config = Sequential::new([None, Some(70)])
                .add(Dense::new(300).activation(Activation::Tanh))
                .add(Gru::new(units).return_sequences(true))
                .add(LayerNorm::new())
                .add(Lstm::new(units).return_sequences(true))
                .add(Dense::new(1));
            let model = config.build::<T>(3).unwrap();
            let x = Tensor::normal([1, TIME, 70], 0.0, 1.0, &mut Rng::new(4));
            let y = model.predict(&x).unwrap();
            for threads in [1, 2, 3] {
                let mut stream = model.stream_on(threads).unwrap();
                // Neither small products are shared, nor those without vectors.
                let shared = units == 200 && isa() != Isa::Portable;
                assert_eq!(stream.threads(), if shared { threads } else { 1 });
                assert_streams(&format!("{units} units on {threads} threads"), &mut stream, &x, &y);
                // Long enough for the others to sleep.
                std::thread::sleep(std::time::Duration::from_millis(3));
                stream.reset();
                assert_streams(&format!("{units} units on {threads} threads, again"), &mut stream, &x, &y);
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

/// A narrow stream is not shared; nor is one without any work.
#[test]
fn threads_are_only_taken_where_there_is_work() {
    let model = Sequential::new([None, Some(1)]).add(Lstm::new(8)).build::<f32>(1).unwrap();
    assert_eq!(model.stream_on(4).unwrap().threads(), 1);
    assert_eq!(model.stream_on(0).unwrap().threads(), 1);
}

/// The last output of a sequence so far is what a stream returns at every step.
#[test]
fn without_sequences_the_output_is_the_one_so_far() {
    let model = Sequential::new([None, Some(2)]).add(Lstm::new(5)).add(Dense::new(3)).build::<f32>(1).unwrap();
    let x = Tensor::normal([1, 6, 2], 0.0, 1.0, &mut Rng::new(2));
    let mut stream = model.stream().unwrap();
    for (t, sample) in x.to_vec().chunks(2).enumerate() {
        let so_far = model.predict(&x.slice(1, 0..t as isize + 1)).unwrap();
        let own = stream.step(sample).to_vec();
        assert!(own.iter().zip(so_far.to_vec()).all(|(a, b)| (a - b).abs() < 1e-6), "{own:?} {so_far}");
        if isa() != Isa::Portable {
            assert_eq!(own, so_far.to_vec());
        }
    }
}

/// A cell of a user's own: two states of different widths that change places in part, a projection, a norm, a peephole.
struct Odd<T: Element> {
    kernel: Param<T>,
    recurrent: Param<T>,
    peephole: Param<T>,
    gamma: Param<T>,
    projection: Param<T>,
}
module!(Odd<T> { kernel, recurrent, peephole, gamma, projection });

impl<T: Element> Cell<T> for Odd<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }
    fn state_shapes(&self) -> StateShapes {
        let units = self.recurrent.value().shape()[0];
        smallvec![[units].into(), [2 * units].into(), [1].into(), [units].into()]
    }
    fn step<'t>(&self, x: Var<'t, T>, s: &[Var<'t, T>]) -> State<'t, T> {
        let z = x.matmul(&self.kernel) + s[0].matmul(&self.recurrent) + s[1];
        let [a, b] = z.gates();
        let gamma = Some(x.tape().param(&self.gamma));
        let i = (a + s[3] * &self.peephole).layer_norm(&[-1], gamma, None, 1e-3).sigmoid();
        let h = (1.0 - i) * s[3] + i * b.tanh() * s[2];
        let mean = h.mean(&[-1], true);
        smallvec![s[3], Var::concat([h, s[0]], 1), mean * 0.5 + s[2], h]
    }
    fn output<'t>(&self, x: Var<'t, T>, s: &[Var<'t, T>]) -> Var<'t, T> {
        s[3].matmul(&self.projection) + x.sum(&[-1], true)
    }
    fn output_shape(&self) -> Shape {
        [self.projection.value().shape()[1]].into()
    }
}

fn odd<T: Element>(units: usize) -> Rnn<T, Odd<T>> {
    let mut rng = Rng::new(5);
    let mut param = |shape: &[usize]| Param::new(Tensor::normal(shape, 0.0, 0.4, &mut rng));
    let cell = Odd {
        kernel: param(&[3, 2 * units]),
        recurrent: param(&[units, 2 * units]),
        peephole: param(&[units]),
        gamma: param(&[units]),
        projection: param(&[units, 2]),
    };
    Rnn::new(cell, RnnOptions { return_sequences: true, ..RnnOptions::default() })
}

fn run<T: Element, C: Cell<T>>(rnn: &Rnn<T, C>, x: &Tensor<T>) -> Tensor<T> {
    let tape = Tape::inference();
    let y = rnn.run(tape.constant(x.clone()), None).output.value();
    assert!(!rnn.explain().contains("unrolled"), "{}", rnn.explain());
    y
}

#[test]
fn a_cell_of_ones_own() {
    fn check<T: Element>() {
        for units in [1, 5, 8, 16, 20] {
            let rnn = odd::<T>(units);
            let x = Tensor::normal([1, TIME, 3], 0.0, 1.0, &mut Rng::new(6));
            assert_streams(&format!("odd of {units}"), &mut rnn.stream().unwrap(), &x, &run(&rnn, &x));
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn states_can_be_taken_and_given() {
    let rnn = odd::<f32>(6);
    let x = Tensor::normal([1, TIME, 3], 0.0, 1.0, &mut Rng::new(6)).to_vec();
    let mut stream = rnn.stream().unwrap();
    for half in [TIME / 2, TIME / 2 + 1] {
        stream.reset();
        assert!(stream.state().all(|state| state.iter().all(|&x| x == 0.0)));
        x[..half * 3].chunks(3).for_each(|x| {
            stream.step(x);
        });
        let state: Vec<Vec<f32>> = stream.state().map(<[f32]>::to_vec).collect();
        assert_eq!(state.iter().map(Vec::len).collect::<Vec<_>>(), [6, 12, 1, 6]);
        let rest = |stream: &mut Stream<f32>| -> Vec<Vec<f32>> {
            x[half * 3..].chunks(3).map(|x| stream.step(x).to_vec()).collect()
        };
        let first = rest(&mut stream);
        stream.set_state(&state).unwrap();
        assert_eq!(rest(&mut stream), first);
        // In another stream of the same network, on another thread.
        let mut other = rnn.stream().unwrap();
        let second = std::thread::scope(|scope| {
            scope.spawn(|| other.set_state(&state).map(|()| rest(&mut other))).join().unwrap().unwrap()
        });
        assert_eq!(second, first);
        for wrong in [&state[..3], &[state[0].clone(), state[0].clone(), state[2].clone(), state[3].clone()]] {
            let before: Vec<Vec<f32>> = other.state().map(<[f32]>::to_vec).collect();
            let error = other.set_state(wrong).unwrap_err().to_string();
            assert!(error.contains("[6], [12], [1], [6]"), "{error}");
            assert_eq!(other.state().collect::<Vec<_>>(), before);
        }
    }
}

#[test]
fn a_stream_keeps_the_weights_it_was_made_of() {
    let mut model = Sequential::new([None, Some(1)]).add(Gru::new(4)).build::<f32>(1).unwrap();
    let mut stream = model.stream().unwrap();
    let first = stream.step(&[1.0]).to_vec();
    use tapeloop_autograd::{Module, Path};
    model.visit_mut(&mut Path::default(), &mut |_, param| param.value_mut().fill(0.0));
    stream.reset();
    assert_eq!(stream.step(&[1.0]), first);
    assert_eq!(model.stream().unwrap().step(&[1.0]), [0.0; 4]);
}

#[test]
fn what_cannot_be_streamed_says_why() {
    let base = || Sequential::new([None, Some(2)]);
    for (config, parts) in [
        (base().add(Lstm::new(3).go_backwards(true)), ["lstm", "backwards"]),
        (base().add(Gru::new(3).return_sequences(true)).add(Gru::new(3).go_backwards(true)), ["gru_1", "backwards"]),
        (Sequential::new([None]).add(Embedding::new(5, 3)).add(Lstm::new(2)), ["embedding", "ids"]),
        (Sequential::new([2, 3, 4]).add(Dense::new(2)), ["features", "more axes"]),
        (Sequential::new([None, None]).add(Dropout::new(0.5)), ["number of features", ""]),
    ] {
        let model = config.build::<f32>(0).unwrap();
        let error = model.stream().unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    /// A cell that looks at its numbers.
    struct Looks {
        shift: Param,
    }
    module!(Looks { shift });
    impl Cell<f32> for Looks {
        fn input_shape(&self) -> Shape {
            Shape::from([1])
        }
        fn state_shapes(&self) -> StateShapes {
            smallvec![[1].into()]
        }
        fn step<'t>(&self, x: Var<'t, f32>, state: &[Var<'t, f32>]) -> State<'t, f32> {
            smallvec![if x.value().to_vec()[0] > 0.0 { state[0] + &self.shift } else { state[0] }]
        }
    }
    let error = Rnn::new(Looks { shift: Param::new(Tensor::ones([1])) }, RnnOptions::default())
        .stream()
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot be streamed") && error.contains("streams.rs"), "{error}");
}

#[test]
#[should_panic(expected = "the sample has 2 features; it needs 3")]
fn a_sample_of_another_width_panics() {
    odd::<f32>(2).stream().unwrap().step(&[0.0, 1.0]);
}
