//! Dropout that loses no memory: of what is about to enter it.

use tapeloop_autograd::{Module, Param, Path, Rng, Tape, Tensor};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    Cell, CellConfig, LayerConfig, Masked, Pass, Recurrent, RecurrentDropoutGru, RecurrentDropoutLstm, Rnn,
};

type AnyRnn = Rnn<f64, Box<dyn Cell<f64>>>;

fn cells(rate: f64, per_step: bool) -> [CellConfig; 2] {
    [
        RecurrentDropoutLstm::new(5).rate(rate).per_step(per_step).into(),
        RecurrentDropoutGru::new(5).rate(rate).per_step(per_step).into(),
    ]
}

fn built(cell: &CellConfig, unroll: bool, back: bool) -> AnyRnn {
    let layer = Recurrent::new(cell.clone()).return_sequences(true).unroll(unroll).go_backwards(back);
    LayerConfig::from(layer).recurrent(&[None, Some(3)], &mut Rng::new(1)).unwrap()
}

/// Outputs of a training pass, and the gradients of its input and parameters.
fn trained(rnn: &AnyRnn, x: &Tensor<f64>, lengths: Option<&[usize]>, seed: u64) -> Vec<Tensor<f64>> {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let input = lengths.map_or(x.into(), |lengths| Masked::with_lengths(x, lengths));
    let output = rnn.run_in(input, None, &mut Pass::training(seed)).output;
    let gradients = (output * output).sum_all().backward();
    let mut all = vec![output.value(), gradients.wrt(x).unwrap().clone()];
    rnn.visit(&mut Path::default(), &mut |_, param: &Param<f64>| all.push(gradients.of(param).unwrap().clone()));
    all
}

fn input() -> Tensor<f64> {
    Tensor::normal([4, 6, 3], 0.0, 1.0, &mut Rng::new(2))
}

#[test]
fn the_loop_equals_the_tape() {
    for per_step in [false, true] {
        for back in [false, true] {
            for lengths in [None, Some(&[6, 3, 0, 1][..])] {
                for cell in &cells(0.4, per_step) {
                    let [looped, unrolled] = [false, true].map(|unroll| built(cell, unroll, back));
                    let pairs = trained(&looped, &input(), lengths, 7).into_iter().zip(trained(
                        &unrolled,
                        &input(),
                        lengths,
                        7,
                    ));
                    for (ours, theirs) in pairs {
                        let scale = theirs.to_vec().iter().fold(0.0f64, |max, x| max.max(x.abs()));
                        for (a, b) in ours.to_vec().iter().zip(theirs.to_vec()) {
                            assert!((a - b).abs() <= 1e-12 * scale, "{a} and {b}, {}", looped.explain());
                        }
                    }
                    let how = looped.explain();
                    assert!(how.contains("loop:") && !how.contains("unrolled"), "{how}");
                    assert!(unrolled.explain().contains("unrolled"));
                }
            }
        }
    }
}

#[test]
fn a_pass_is_its_seed_and_inference_drops_nothing() {
    for per_step in [false, true] {
        for (with, without) in cells(0.5, per_step).iter().zip(&cells(0.0, per_step)) {
            let (with, without) = (built(with, false, false), built(without, false, false));
            assert_eq!(trained(&with, &input(), None, 1), trained(&with, &input(), None, 1));
            assert_ne!(trained(&with, &input(), None, 1), trained(&with, &input(), None, 2));
            let tape = Tape::inference();
            let x = tape.constant(input());
            assert_eq!(with.run(x, None).output.value(), without.run(x, None).output.value());
            assert_eq!(
                with.run_in(x, None, &mut Pass::inference()).output.value(),
                without.run(x, None).output.value()
            );
        }
    }
}

/// What is drawn: once for a sequence or for every step, 0 or the inverse of what stays.
#[test]
fn the_noise_is_what_it_says() {
    let tape = Tape::<f64>::inference();
    for (per_step, shapes) in [(false, [vec![vec![50, 5]], vec![]]), (true, [vec![], vec![vec![50, 8, 5]]])] {
        for cell in &cells(0.25, per_step) {
            let cell = cell.boxed::<f64>(&[3].into(), &mut Rng::new(0)).unwrap();
            let noise = cell.draw(&tape, 50, 8, &mut Rng::new(3));
            let dims = |list: &[Tensor<f64>]| list.iter().map(|x| x.shape().to_vec()).collect::<Vec<_>>();
            assert_eq!([dims(&noise.held), dims(&noise.each)], shapes);
            assert_eq!(cell.noises(), [shapes[0].len(), shapes[1].len()]);
            let values: Vec<f64> = noise.held.iter().chain(&noise.each).flat_map(|x| x.to_vec()).collect();
            assert!(values.iter().all(|&m| m == 0.0 || m == 1.0 / 0.75));
            let (n, dropped) = (values.len() as f64, values.iter().filter(|&&m| m == 0.0).count() as f64);
            // Six standard deviations.
            assert!((dropped - 0.25 * n).abs() < 6.0 * (n * 0.25 * 0.75).sqrt(), "{dropped} of {n}");
        }
    }
}

/// No memory is lost: with everything dropped c is what the forget gate leaves of it, h what the update gate leaves.
#[test]
fn with_everything_dropped_the_memory_only_fades() {
    for per_step in [false, true] {
        for cell in &cells(1.0, per_step) {
            let rnn = built(cell, false, false);
            let memory = rnn.cell().state_shapes().len() - 1;
            let tape = Tape::new();
            let x = tape.constant(input());
            let given = tape.leaf(Tensor::ones([4, 5]));
            let state = vec![given; memory + 1];
            let last = rnn.run_in(x, Some(&state), &mut Pass::training(3)).state[memory];
            assert!(last.value().to_vec().iter().all(|&c| 0.0 < c && c < 1.0));
            // From nothing it stays nothing.
            let last = rnn.run_in(x, None, &mut Pass::training(3)).state[memory];
            assert!(last.value().to_vec().iter().all(|&c| c == 0.0));
        }
    }
}
