//! Streams against loops, bit for bit.

use smallvec::smallvec;
use tapeloop_autograd::kernels::dispatch::{Isa, isa};
use tapeloop_autograd::{Element, Loop, Param, Rng, Shape, Stream, Tape, Tensor, Var};

use crate::forward;
use crate::networks::{INPUT, networks};

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
    assert!(error.contains("streams.rs"), "{error}");
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
