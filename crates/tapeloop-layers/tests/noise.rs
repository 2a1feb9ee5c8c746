//! What holds for every cell that draws something in training, without reference values.

use tapeloop_autograd::{Module, Rng, Tape, Tensor, Threads, Var};
use tapeloop_layers::cells::{Row, ZOO};
use tapeloop_layers::{Cell, Masked, Noise, Pass, Rnn, RnnOptions};

type Boxed = Rnn<f64, Box<dyn Cell<f64>>>;

fn noisy(row: &Row, options: RnnOptions) -> Option<Boxed> {
    let rnn = Rnn::new(row.build::<f64>(3, 4, &mut Rng::new(1)), RnnOptions { return_sequences: true, ..options });
    (rnn.cell().noises() != [0, 0]).then_some(rnn)
}

fn input(rnn: &Boxed, batch: usize, time: usize) -> Tensor<f64> {
    let shape: Vec<usize> = [batch, time].iter().chain(rnn.cell().input_shape().iter()).copied().collect();
    Tensor::normal(&shape[..], 0.0, 1.0, &mut Rng::new(2))
}

/// Outputs, last states, and all gradients, first and second, with this noise.
fn everything(
    rnn: &Boxed,
    x: &Tensor<f64>,
    lengths: Option<&[usize]>,
    noise: &Noise<f64>,
    threads: usize,
) -> Vec<Tensor<f64>> {
    let tape = Tape::with_threads(Threads::new(threads));
    let x = tape.leaf(x.clone());
    let masked = match lengths {
        Some(lengths) => Masked::with_lengths(x, lengths),
        None => x.into(),
    };
    let run = rnn.run_with(masked, None, noise);
    let all: Vec<Var<'_, f64>> = [run.output].into_iter().chain(run.state).collect();
    let loss = all.iter().map(|x| x.square().sum_all()).reduce(|a, b| a + b).unwrap();
    let params = rnn.params();
    let leaves: Vec<_> = [x].into_iter().chain(params.iter().map(|(_, p)| tape.param(p))).collect();
    let first = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
    let norm = first.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap();
    let second = norm.backward();
    let second = leaves.iter().map(|&leaf| second.wrt(leaf).unwrap().clone());
    all.into_iter().chain(first).map(Var::value).chain(second).collect()
}

#[test]
fn there_are_cells_that_draw() {
    let names: Vec<_> =
        ZOO.iter().filter(|row| noisy(row, RnnOptions::default()).is_some()).map(|row| row.name).collect();
    assert!(["dropped", "weight_dropped", "zoneout"].iter().all(|name| names.contains(name)), "{names:?}");
}

#[test]
fn a_cell_draws_what_it_says() {
    for row in ZOO {
        let rnn = Rnn::new(row.build::<f64>(3, 4, &mut Rng::new(1)), RnnOptions::default());
        let draw = |seed| rnn.cell().draw(&Tape::inference(), 2, 5, &mut Rng::new(seed));
        let noise = draw(7);
        assert_eq!([noise.held.len(), noise.each.len()], rnn.cell().noises(), "{}", row.name);
        assert!(noise.each.iter().all(|each| each.shape()[..2] == [2, 5]), "{}", row.name);
        let bits = |noise: Noise<f64>| noise.held.iter().chain(&noise.each).map(Tensor::to_vec).collect::<Vec<_>>();
        assert_eq!(bits(noise), bits(draw(7)), "{}", row.name);
        if rnn.cell().noises() != [0, 0] {
            assert_ne!(bits(draw(7)), bits(draw(8)), "{}", row.name);
        }
    }
}

#[test]
fn the_loop_is_the_steps() {
    for row in ZOO {
        for go_backwards in [false, true] {
            let options = RnnOptions { go_backwards, ..RnnOptions::default() };
            let Some(looped) = noisy(row, options) else { continue };
            let steps = noisy(row, RnnOptions { unroll: true, ..options }).unwrap();
            // As many rows as units too: what is held for a weight is no value of a row.
            for (batch, time, lengths) in [(1, 1, None), (4, 5, None), (3, 4, Some(vec![4, 0, 2]))] {
                let x = input(&looped, batch, time);
                let noise = looped.cell().draw(&Tape::inference(), batch, time, &mut Rng::new(3));
                let a = everything(&looped, &x, lengths.as_deref(), &noise, 1);
                let b = everything(&steps, &x, lengths.as_deref(), &noise, 1);
                for (k, (a, b)) in a.iter().zip(&b).enumerate() {
                    let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.abs()));
                    let far =
                        a.to_vec().iter().zip(b.to_vec()).any(|(a, b)| (a - b).abs() > 1e-12 * scale || a.is_nan());
                    assert!(!far, "{}, batch {batch}: value {k}", row.name);
                }
                let two = everything(&looped, &x, lengths.as_deref(), &noise, 2);
                assert!(a.iter().zip(&two).all(|(a, b)| a.to_vec() == b.to_vec()), "{}: threads", row.name);
            }
            let how = looped.explain();
            assert!(how.contains("loop:") && how.contains("derivative:"), "{}: {how}", row.name);
            assert!(!how.contains("unrolled") && !how.contains("no loop"), "{}: {how}", row.name);
        }
    }
}

#[test]
fn without_training_nothing_is_drawn_and_with_it_something_is() {
    for row in ZOO {
        let Some(rnn) = noisy(row, RnnOptions::default()) else { continue };
        let x = input(&rnn, 8, 6);
        let tape = Tape::inference();
        let run = |pass: &mut Pass| rnn.run_in(tape.constant(x.clone()), None, pass).output.value().to_vec();
        let plain = rnn.run(tape.constant(x.clone()), None).output.value().to_vec();
        assert_eq!(run(&mut Pass::inference()), plain, "{}", row.name);
        assert_ne!(run(&mut Pass::training(0)), plain, "{}", row.name);
        assert_eq!(run(&mut Pass::training(0)), run(&mut Pass::training(0)), "{}", row.name);
    }
}

#[test]
fn the_mean_of_what_is_drawn_is_what_inference_takes() {
    // Zoneout's inference is the expectation of one step; the mean over many draws comes near it.
    let row = ZOO.iter().find(|row| row.name == "zoneout").unwrap();
    let rnn = noisy(row, RnnOptions::default()).unwrap();
    let x = input(&rnn, 1, 1);
    let shape: Vec<usize> = [20_000, 1].iter().chain(rnn.cell().input_shape().iter()).copied().collect();
    let many = Tensor::from_fn(&shape[..], |i| x.at(&[0, 0, i[2]]));
    let tape = Tape::inference();
    let start: Vec<_> = (0..2).map(|_| tape.constant(Tensor::full([20_000, 4], 0.7))).collect();
    let drawn = rnn.run_in(tape.constant(many), Some(&start), &mut Pass::training(1));
    let single: Vec<_> = (0..2).map(|_| tape.constant(Tensor::full([1, 4], 0.7))).collect();
    let taken = rnn.run(tape.constant(x), Some(&single));
    for (drawn, taken) in drawn.state.iter().zip(&taken.state) {
        let (mean, expected) = (drawn.mean(&[0], false).value().to_vec(), taken.value().to_vec());
        // A state moves by less than 2, so that the mean's deviation is below 2 √(p (1 − p) / n); five of them.
        let bound = 5.0 * 2.0 * (0.1 * 0.9 / 20_000.0f64).sqrt();
        assert!(mean.iter().zip(&expected).all(|(a, b)| (a - b).abs() < bound), "{mean:?} {expected:?}");
    }
}
