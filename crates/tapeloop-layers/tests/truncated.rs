//! Truncated backpropagation through time: against blocks that are run by hand.

use tapeloop_autograd::{Module, Rng, Tape, Tensor, Var};
use tapeloop_layers::{Cell, LayerConfig, Lstm, Masked, Recurrent, Rnn, RnnOptions, Zoneout};

type AnyRnn = Rnn<f64, Box<dyn Cell<f64>>>;

const TIME: usize = 7;
const BLOCK: usize = 3;

fn layer(options: RnnOptions) -> AnyRnn {
    use tapeloop_layers::layers::Config;
    let config = LayerConfig::from(Recurrent::new(Zoneout::new(Lstm::new(4), 0.1)));
    let built: AnyRnn = config.recurrent(&[None, Some(3)], &mut Rng::new(0)).unwrap();
    built.with_options(options)
}

fn truncated(options: RnnOptions) -> AnyRnn {
    layer(RnnOptions { truncated_bptt: BLOCK.try_into().ok(), ..options })
}

fn bits(x: &Tensor<f64>) -> Vec<u64> {
    x.to_vec().iter().map(|x| x.to_bits()).collect()
}

/// Outputs of all steps, and the gradients of everything.
fn all(rnn: &AnyRnn, output: Var<'_, f64>, x: Var<'_, f64>) -> Vec<Tensor<f64>> {
    let gradients = output.square().sum_all().backward();
    let params = rnn.params();
    let of_params = params.iter().map(|(_, param)| gradients.of(param).unwrap().clone());
    [output.value(), gradients.wrt(x).unwrap().clone()].into_iter().chain(of_params).collect()
}

#[test]
fn gradients_are_those_of_blocks_run_by_hand() {
    let x = Tensor::normal([2, TIME, 3], 0.0, 1.0, &mut Rng::new(1));
    for unroll in [false, true] {
        for lengths in [None, Some([7, 4])] {
            let options =
                RnnOptions { return_sequences: true, zero_output_for_mask: true, unroll, ..RnnOptions::default() };
            let rnn = truncated(options);
            let tape = Tape::new();
            let leaf = tape.leaf(x.clone());
            let masked = lengths.map_or(leaf.into(), |lengths| Masked::with_lengths(leaf, &lengths));
            let ours = all(&rnn, rnn.run(masked, None).output, leaf);

            let plain = layer(options);
            let tape = Tape::new();
            let leaf = tape.leaf(x.clone());
            let (mut state, mut outputs) = (plain.zero_state(&tape, 2), Vec::new());
            for start in (0..TIME).step_by(BLOCK) {
                let end = (start + BLOCK).min(TIME);
                let part = leaf.slice(1, start as isize..end as isize);
                let own = |length: usize| length.saturating_sub(start).min(end - start);
                let part = lengths.map_or(part.into(), |lengths| Masked::with_lengths(part, &lengths.map(own)));
                let run = plain.run(part, Some(&state));
                state = run.state.iter().map(|state| state.detach()).collect();
                outputs.push(run.output);
            }
            let by_hand = all(&plain, Var::concat(outputs, 1), leaf);
            for (ours, by_hand) in ours.iter().zip(&by_hand) {
                assert_eq!(bits(ours), bits(by_hand), "unroll {unroll}, {lengths:?}");
            }
        }
    }
}

#[test]
fn values_are_those_without_and_gradients_end() {
    let x = Tensor::normal([2, TIME, 3], 0.0, 1.0, &mut Rng::new(1));
    for (return_sequences, go_backwards) in [(true, false), (false, false), (true, true), (false, true)] {
        let options =
            RnnOptions { return_sequences, go_backwards, return_state_sequences: true, ..RnnOptions::default() };
        let values = |rnn: &AnyRnn| {
            let tape = Tape::inference();
            let run = rnn.run(tape.constant(x.clone()), None);
            let all: Vec<_> = [run.output].into_iter().chain(run.state).chain(run.states).collect();
            all.into_iter().map(|x| bits(&x.value())).collect::<Vec<_>>()
        };
        let rnn = truncated(options);
        assert_eq!(values(&rnn), values(&layer(options)), "{options:?}");
        assert!(!rnn.explain().contains("unrolled"));
        if !return_sequences {
            // The last output sees its own block: 7 steps are blocks of 3, 3 and 1.
            let tape = Tape::new();
            let leaf = tape.leaf(x.clone());
            let gradients = rnn.run(leaf, None).output.sum_all().backward();
            let gradient = gradients.wrt(leaf).unwrap();
            for t in 0..TIME {
                let seen = if go_backwards { t == 0 } else { t == TIME - 1 };
                let moved = (0..2).any(|row| (0..3).any(|k| gradient.at(&[row, t, k]) != 0.0));
                assert_eq!(moved, seen, "{options:?}, step {t}");
            }
        }
    }
}

#[test]
fn no_steps_are_an_error() {
    let json = r#"{"layer": "lstm", "units": 2, "truncated_bptt": 0}"#;
    let error = serde_json::from_str::<LayerConfig>(json).unwrap_err().to_string();
    assert!(error.contains("nonzero") || error.contains("zero"), "{error}");
}

#[test]
#[should_panic = "gradients cannot end at every 0 steps"]
fn no_steps_are_a_mistake() {
    let _ = Lstm::new(2).truncated_bptt(0);
}
