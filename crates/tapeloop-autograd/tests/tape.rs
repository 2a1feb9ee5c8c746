//! What a tape promises besides right numbers.

use tapeloop_autograd::ops::catalogue;
use tapeloop_autograd::{Param, Phase, Rng, Tape, Tensor, Threads, Var};

#[test]
fn a_million_operations_run_and_drop() {
    // On a stack too small for any recursion over the graph.
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let run = || {
        let mut tape = Tape::<f32>::new();
        let x = tape.leaf(Tensor::scalar(1.0));
        let mut y = x;
        for _ in 0..1_000_000 {
            y = y + x;
        }
        assert_eq!(y.backward().wrt(x).unwrap().item(), 1_000_001.0);
        tape.reset();
        assert!(tape.is_empty());
    };
    thread.spawn(run).unwrap().join().unwrap();
}

/// Large enough that every kernel splits its work.
fn everything(threads: Threads) -> Vec<Vec<f32>> {
    let tape = Tape::<f32>::with_threads(threads);
    let mut rng = Rng::new(11);
    let mut normal = |shape: &[usize]| tape.leaf(Tensor::normal(shape, 0.0, 1.0, &mut rng));
    let (x, w) = (normal(&[300, 700]), normal(&[700, 500]));
    let y = (x.matmul(w) * 0.05).tanh();
    let row = y.softmax(1).ln().mean(&[0], false);
    let loss = (y.sum(&[1], true) * y).mean_all() + row.square().sum_all() + y.logsumexp(&[0, 1], false);
    let gradients = loss.backward();
    let vectors = [gradients.wrt(x), gradients.wrt(w)].map(|gradient| gradient.unwrap().to_vec());
    [loss.value().to_vec(), y.value().to_vec(), row.value().to_vec()].into_iter().chain(vectors).collect()
}

#[test]
fn the_same_bits_with_any_number_of_threads() {
    let one = everything(Threads::new(1));
    for count in [2, 3] {
        assert!(one == everything(Threads::new(count)), "{count} threads gave other bits");
    }
    for entry in catalogue::<f32>() {
        for example in &entry.examples {
            let run = |threads| {
                let tape = Tape::with_threads(threads);
                let mut rng = Rng::new(5);
                let x: Vec<_> = example.inputs.iter().map(|sample| tape.leaf(sample.draw(&mut rng))).collect();
                let y = (example.call)(&x);
                let bits = |x: &Tensor<f32>| x.to_vec().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                let mut all = vec![bits(&y.value())];
                if y.needs_grad() {
                    let gradients = y.sum_all().backward();
                    all.extend(x.iter().filter_map(|x| gradients.wrt(*x)).map(bits));
                }
                all
            };
            assert_eq!(run(Threads::new(1)), run(Threads::new(2)), "`{}`", example.text);
        }
    }
}

#[test]
fn recording_changes_no_bit() {
    let mut rng = Rng::new(1);
    let x = Tensor::<f32>::normal([7, 9], 0.0, 1.0, &mut rng);
    let f = |x: Var<'_, f32>| (x.tanh() * x.sigmoid()).softmax(1).value().to_vec();
    let (recording, inference) = (Tape::new(), Tape::inference());
    assert_eq!(f(recording.leaf(x.clone())), f(inference.leaf(x)));
}

#[test]
fn several_roots_add_their_gradients() {
    let tape = Tape::<f64>::new();
    let x = tape.leaf(Tensor::from([2.0, 3.0]));
    let (a, b) = (x * x, x * 5.0);
    let (cot_a, cot_b) = (Tensor::from([1.0, 0.5]), Tensor::from([2.0, 1.0]));
    let both = tape.backward(&[(a, &cot_a), (b, &cot_b)]);
    assert_eq!(both.wrt(x).unwrap().to_vec(), [14.0, 8.0]);
}

#[test]
fn gradients_of_parts_accumulate() {
    let (w, unused) = (Param::new(Tensor::from([2.0f64, 3.0])), Param::new(Tensor::scalar(1.0)));
    let mut tape = Tape::new();
    let (_, mut sum) = tape.value_and_grad(|tape| tape.param(&w).square().sum_all());
    let (_, more) = tape.value_and_grad(|tape| (tape.param(&w) * 5.0).sum_all() * &unused);
    sum.accumulate(&more);
    sum.scale(0.5);
    assert_eq!(sum.of(&w).unwrap().to_vec(), [4.5, 5.5]);
    assert_eq!(sum.of(&unused).unwrap().item(), 12.5);
}

#[test]
#[should_panic(expected = "not of the recording")]
fn gradients_refuse_a_later_leaf() {
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf(Tensor::scalar(1.0));
    let gradients = (x * x).backward();
    tape.reset();
    gradients.wrt(tape.leaf(Tensor::scalar(2.0)));
}

#[test]
fn detach_stops_gradients() {
    let tape = Tape::<f64>::new();
    let x = tape.leaf(Tensor::scalar(3.0));
    let y = x * x.detach();
    assert_eq!(y.backward().wrt(x).unwrap().item(), 3.0);
    assert!(!x.detach().needs_grad());
}

#[test]
fn truncated_backpropagation_keeps_no_past() {
    // h ← tanh(w h), cut after every step: the tape holds one step however long it runs.
    let mut w = Param::new(Tensor::from([0.5f64]));
    let mut tape = Tape::new();
    let mut carried = Tensor::from([1.0]);
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut next = None;
        let (_, gradients) = tape.value_and_grad(|tape| {
            let h = (tape.constant(carried.clone()) * &w).tanh();
            next = Some(h.value());
            h.sum_all()
        });
        // The derivative through one step alone.
        let h = next.unwrap();
        let expected = (1.0 - h.to_vec()[0].powi(2)) * carried.to_vec()[0];
        assert!((gradients.of(&w).unwrap().to_vec()[0] - expected).abs() < 1e-15);
        w.value_mut()[0] += 0.001;
        carried = h;
        held.push(tape.bytes());
    }
    assert_eq!(held[10], held[49], "a truncated step must not grow the tape: {held:?}");
}

#[test]
fn anomalies_name_the_line_that_made_them() {
    let tape = Tape::<f32>::new();
    tape.watch_anomalies(true);
    let x = tape.leaf(Tensor::from([1.0f32, -1.0]));
    let line = line!() + 1;
    let y = x.ln();
    let _ = y * 2.0;
    let anomaly = tape.anomaly().unwrap();
    assert_eq!((anomaly.op, anomaly.phase, anomaly.nans), ("ln", Phase::Forward, 1));
    assert!(anomaly.at.file().ends_with("tape.rs"));
    assert_eq!(anomaly.at.line(), line);
    assert!(anomaly.to_string().contains("tape.rs"), "{anomaly}");
}

#[test]
fn a_wrong_shape_panics_at_the_callers_line() {
    use std::panic;
    use std::sync::{Arc, Mutex};
    let place = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&place);
    let old = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let at = info.location().map(|at| (at.file().to_string(), at.line()));
        *seen.lock().unwrap() = at.map(|at| (at, info.to_string()));
    }));
    let mut line = 0;
    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let tape = Tape::<f32>::new();
        let (a, b) = (tape.leaf(Tensor::zeros([2, 3])), tape.leaf(Tensor::zeros([2, 4])));
        line = line!() + 1;
        let _ = a.matmul(b);
    }));
    panic::set_hook(old);
    assert!(result.is_err());
    let ((file, at), message) = place.lock().unwrap().clone().unwrap();
    assert!(file.ends_with("tape.rs"), "{file}");
    assert_eq!(at, line);
    assert!(message.contains("[2, 3]") && message.contains("[2, 4]"), "{message}");
}

#[test]
fn the_graph_prints_as_text_dot_and_mermaid() {
    let tape = Tape::<f32>::new();
    let x = tape.leaf(Tensor::zeros([2, 3]));
    let _ = x.tanh().sum_all();
    let graph = tape.graph();
    for text in [graph.to_string(), graph.to_dot(), graph.to_mermaid()] {
        assert!(text.contains("tanh") && text.contains("[2, 3]") && text.contains("24"), "{text}");
    }
}

#[test]
fn an_anomaly_inside_a_composed_function_names_the_callers_line() {
    let tape = Tape::new();
    tape.watch_anomalies(true);
    let x = tape.leaf(Tensor::from([[0.0f64, f64::MAX], [1.0, f64::MAX]]));
    let line = line!() + 1;
    x.cumprod(0);
    let anomaly = tape.anomaly().unwrap();
    assert_eq!((anomaly.at.file(), anomaly.at.line(), anomaly.phase), (file!(), line, Phase::Forward));

    let tape = Tape::new();
    tape.watch_anomalies(true);
    let x = tape.leaf(Tensor::from([[0.0f64, 1.0], [0.0, 2.0]]));
    let line = line!() + 1;
    let y = x.sqrt().softmax(0);
    y.sum_all().backward();
    let anomaly = tape.anomaly().unwrap();
    assert_eq!((anomaly.op, anomaly.at.line(), anomaly.phase), ("sqrt", line, Phase::Backward));
}

#[test]
fn any_number_of_parts_is_joined() {
    for count in 1..300 {
        let tape = Tape::new();
        let parts: Vec<_> = (0..count).map(|k| tape.leaf(Tensor::from([f64::from(k)]))).collect();
        let weights = Tensor::arange(1.0, f64::from(count) + 1.0, 1.0);
        for joined in [Var::concat(parts.iter().copied(), 0), Var::stack(parts.iter().copied(), 1).reshape(&[-1])] {
            assert_eq!(joined.value(), Tensor::arange(0.0, f64::from(count), 1.0));
            let gradients = (joined * &weights).sum_all().backward();
            for (k, &part) in parts.iter().enumerate() {
                assert_eq!(gradients.wrt(part).unwrap().item(), k as f64 + 1.0, "part {k} of {count}");
            }
        }
    }
}
