//! Dropout of a recurrent layer's input and state.

use tapeloop_autograd::{Element, Module, Param, Path, Rng, Tape, Tensor};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    Activation, Cell, Dense, Dropout, Gru, Initializer, LayerConfig, Lstm, Masked, Pass, Rnn, Sequential, SimpleRnn,
};

fn layers(dropout: f64, recurrent: f64, unroll: bool, go_backwards: bool) -> Vec<LayerConfig> {
    macro_rules! with {
        ($config:expr) => {
            $config
                .dropout(dropout)
                .recurrent_dropout(recurrent)
                .return_sequences(true)
                .unroll(unroll)
                .go_backwards(go_backwards)
                .into()
        };
    }
    vec![
        with!(SimpleRnn::new(5)),
        with!(Lstm::new(5)),
        with!(Lstm::new(5).implementation(1)),
        with!(Gru::new(5)),
        with!(Gru::new(5).reset_after(false)),
    ]
}

type AnyRnn<T> = Rnn<T, Box<dyn Cell<T>>>;

fn built<T: Element>(config: &LayerConfig) -> AnyRnn<T> {
    config.recurrent(&[None, Some(3)], &mut Rng::new(1)).unwrap()
}

/// Outputs of a training pass, and the gradients of its input and parameters.
fn trained(rnn: &AnyRnn<f64>, x: &Tensor<f64>, lengths: Option<&[usize]>, seed: u64) -> Vec<Tensor<f64>> {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let input = lengths.map_or(x.into(), |lengths| Masked::with_lengths(x, lengths));
    let output = rnn.run_in(input, None, &mut Pass::training(seed)).output;
    let gradients = (output * output).sum_all().backward();
    let mut all = vec![output.value(), gradients.wrt(x).unwrap().clone()];
    rnn.visit(&mut Path::default(), &mut |_, param: &Param<f64>| all.push(gradients.of(param).unwrap().clone()));
    all
}

#[test]
fn the_loop_equals_the_tape() {
    let x = Tensor::normal([4, 6, 3], 0.0, 1.0, &mut Rng::new(2));
    for (dropout, recurrent) in [(0.4, 0.0), (0.0, 0.3), (0.25, 0.5)] {
        for back in [false, true] {
            for lengths in [None, Some(&[6, 3, 0, 1][..])] {
                let [once, again] = [false, true].map(|unroll| layers(dropout, recurrent, unroll, back));
                for (looped, unrolled) in once.iter().zip(&again) {
                    let (looped, unrolled) = (built::<f64>(looped), built::<f64>(unrolled));
                    let pairs = trained(&looped, &x, lengths, 7).into_iter().zip(trained(&unrolled, &x, lengths, 7));
                    for (ours, theirs) in pairs {
                        let scale = theirs.to_vec().iter().fold(0.0f64, |max, x| max.max(x.abs()));
                        for (a, b) in ours.to_vec().iter().zip(theirs.to_vec()) {
                            assert!((a - b).abs() <= 1e-12 * scale, "{a} and {b}, {}", looped.explain());
                        }
                    }
                    assert!(!looped.explain().contains("unrolled"), "{}", looped.explain());
                    assert!(unrolled.explain().contains("unrolled"));
                }
            }
        }
    }
}

#[test]
fn a_pass_is_its_seed_and_inference_drops_nothing() {
    let x = Tensor::normal([4, 6, 3], 0.0, 1.0, &mut Rng::new(2));
    for (with, without) in layers(0.5, 0.5, false, false).iter().zip(&layers(0.0, 0.0, false, false)) {
        let (with, without) = (built::<f64>(with), built::<f64>(without));
        assert_eq!(trained(&with, &x, None, 1), trained(&with, &x, None, 1));
        assert_ne!(trained(&with, &x, None, 1), trained(&with, &x, None, 2));
        let tape = Tape::inference();
        let x = tape.constant(x.clone());
        let plain = without.run(x, None).output.value();
        assert_eq!(with.run(x, None).output.value(), plain);
        assert_eq!(with.run_in(x, None, &mut Pass::inference()).output.value(), plain);
    }
}

/// A layer that puts out its input as it sees it.
fn bare(dropout: f64, seed: Option<u64>) -> SimpleRnn {
    let layer = SimpleRnn::new(50)
        .activation(Activation::Linear)
        .kernel_initializer(Initializer::Identity { gain: 1.0 })
        .recurrent_initializer(Initializer::Zeros)
        .dropout(dropout)
        .return_sequences(true);
    SimpleRnn { seed, ..layer }
}

#[test]
fn what_is_dropped_is_the_same_at_every_step_of_a_call() {
    let rnn = bare(0.25, None).layer::<f64>(50, &mut Rng::new(0));
    let tape = Tape::new();
    let x = tape.constant(Tensor::ones([40, 3, 50]));
    let mut pass = Pass::training(3);
    let [one, other] = [0, 1].map(|_| rnn.run_in(x, None, &mut pass).output.value());
    let mask = one.select(1, 0);
    for t in 1..3 {
        assert_eq!(one.select(1, t), mask);
    }
    assert_ne!(other.select(1, 0), mask);
    assert!(mask.to_vec().iter().all(|&m| m == 0.0 || m == 1.0 / 0.75));
    // 2000 draws: 6 standard deviations.
    let dropped = mask.to_vec().iter().filter(|&&m| m == 0.0).count() as f64;
    assert!((dropped - 500.0).abs() < 6.0 * (2000.0f64 * 0.25 * 0.75).sqrt(), "{dropped}");
}

/// The documentation says the fraction to drop; Keras' backends disagree on 1.
#[test]
fn a_rate_of_one_drops_everything() {
    let rnn = bare(1.0, None).layer::<f64>(50, &mut Rng::new(0));
    let tape = Tape::new();
    let x = tape.leaf(Tensor::ones([2, 3, 50]));
    let output = rnn.run_in(x, None, &mut Pass::training(3)).output;
    assert!(output.value().to_vec().iter().all(|&y| y == 0.0));
    assert!(output.sum_all().backward().wrt(x).unwrap().to_vec().iter().all(|&g| g == 0.0));
}

#[test]
fn a_layer_with_a_seed_draws_for_itself() {
    let drawn = |first: Option<f64>| {
        let mut model = Sequential::new([3, 50]);
        if let Some(rate) = first {
            model = model.add(Dropout::new(rate)).add(Dense { units: 50, ..identity() });
        }
        let model = model.add(bare(0.5, Some(11))).build::<f64>(0).unwrap();
        let tape = Tape::new();
        let mut pass = Pass::training(5);
        let x = tape.constant(Tensor::ones([4, 3, 50]));
        [0, 1].map(|_| model.forward(x, &mut pass).value().map(|y: f64| f64::from(u8::from(y != 0.0))))
    };
    let [one, other] = drawn(None);
    assert_ne!(one, other);
    // What the layer in front draws changes nothing, as long as nothing else is 0.
    assert_eq!(drawn(Some(1e-9)), [one, other]);
}

fn identity() -> Dense {
    Dense::new(50).kernel_initializer(Initializer::Identity { gain: 1.0 })
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    let of = |config: LayerConfig| config.recurrent::<f32>(&[None, Some(3)], &mut Rng::new(0)).map(|_| ()).unwrap_err();
    assert!(of(Lstm::new(2).dropout(1.5).into()).to_string().contains("dropout: a rate of 1.5 is not in 0..=1"));
    assert!(of(Gru::new(2).recurrent_dropout(-0.1).into()).to_string().contains("recurrent_dropout"));
    assert!(of(SimpleRnn::new(2).dropout(f64::NAN).into()).to_string().contains("NaN"));
    assert!(of(Lstm::new(2).implementation(3).into()).to_string().contains("implementation"));
    let config = LayerConfig::from(Gru::new(2).dropout(0.5).recurrent_dropout(0.25).implementation(1).seed(4));
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<LayerConfig>(&json).unwrap(), config);
}
