//! First values that the papers of the LSTM's family fix.

use tapeloop_autograd::Rng;
use tapeloop_layers::{
    BuildCell, Cfn, CifgLstm, FastWeights, HyperLstm, Initializer, Janet, LayerNormLstm, MassConservingLstm,
    PeepholeLstm, PhasedLstm, UrLstm,
};

const UNITS: usize = 2000;

fn rng() -> Rng {
    Rng::new(7)
}

/// Whether the mean of uniform draws from low..high is within five of its own deviations.
fn is_uniform(values: &[f64], low: f64, high: f64) -> bool {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = (high - low) / (12.0 * values.len() as f64).sqrt();
    values.iter().all(|x| (low..=high).contains(x)) && (mean - (low + high) / 2.0).abs() < 5.0 * deviation
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn forget_gates_start_open() {
    let part = |bias: &[f64], k: usize| bias[k * 4..(k + 1) * 4].to_vec();
    let ones = |bias: &[f64], at: usize, parts: usize| {
        (0..parts).for_each(|k| assert_eq!(part(bias, k), [f64::from(u8::from(k == at)); 4]));
    };
    ones(&PeepholeLstm::new(4).cell::<f64>(3, &mut rng()).bias.value().to_vec(), 1, 4);
    ones(&CifgLstm::new(4).cell::<f64>(3, &mut rng()).bias.value().to_vec(), 0, 3);
    ones(&LayerNormLstm::new(4).cell::<f64>(3, &mut rng()).bias.value().to_vec(), 2, 4);
    ones(&Janet::new(4).cell::<f64>(3, &mut rng()).bias.value().to_vec(), 0, 2);
    // Coupled gates have no forget gate of their own.
    let coupled = PeepholeLstm::new(4).input_forget(true).cell::<f64>(3, &mut rng());
    assert_eq!(coupled.bias.value().to_vec(), [0.0; 12]);
    assert_eq!(coupled.peephole.value().shape(), [8]);
    let closed = PeepholeLstm::new(4).unit_forget_bias(false).cell::<f64>(3, &mut rng());
    assert_eq!(closed.bias.value().to_vec(), [0.0; 16]);
    let cfn = Cfn::new(4).cell::<f64>(3, &mut rng()).bias.value().to_vec();
    assert_eq!((part(&cfn, 0), part(&cfn, 1)), (vec![1.0; 4], vec![-1.0; 4]));
}

#[test]
fn a_janet_for_long_dependencies_remembers_as_long() {
    let cell =
        Janet::new(UNITS).recurrent_initializer(Initializer::Zeros).longest(Some(100.0)).cell::<f64>(1, &mut rng());
    let bias = cell.bias.value().to_vec();
    let lengths: Vec<f64> = bias[..UNITS].iter().map(|b| b.exp()).collect();
    // e^(ln u) is u but for rounding.
    let lengths: Vec<f64> = lengths.into_iter().map(|u| u.clamp(1.0, 99.0)).collect();
    assert!(is_uniform(&lengths, 1.0, 99.0));
    assert!(bias[..UNITS].iter().all(|b| (0.0..=99f64.ln()).contains(b)));
    assert_eq!(bias[UNITS..], [0.0; UNITS]);
}

#[test]
fn refined_gates_start_spread() {
    let cell = UrLstm::new(UNITS).recurrent_initializer(Initializer::Zeros).cell::<f64>(1, &mut rng());
    let bias = cell.bias.value().to_vec();
    let gates: Vec<f64> = bias[..UNITS].iter().map(|&b| sigmoid(b)).collect();
    let low = 1.0 / UNITS as f64;
    assert!(is_uniform(&gates, low - 1e-15, 1.0 - low + 1e-15));
    let opposite: Vec<f64> = bias[..UNITS].iter().map(|b| -b).collect();
    assert_eq!(bias[UNITS..2 * UNITS], opposite);
    assert_eq!(bias[2 * UNITS..], [0.0; 2 * UNITS]);
    // A gate for every one of few units, too.
    assert_eq!(UrLstm::new(1).cell::<f64>(1, &mut rng()).bias.value().to_vec()[..2], [0.0, -0.0]);
}

#[test]
fn clocks_start_at_all_periods() {
    let cell = PhasedLstm::new(UNITS).recurrent_initializer(Initializer::Zeros).cell::<f64>(2, &mut rng());
    let (period, shift) = (cell.period.value().to_vec(), cell.shift.value().to_vec());
    let logarithms: Vec<f64> = period.iter().map(|period| period.ln().clamp(0.0, 1000f64.ln())).collect();
    assert!(is_uniform(&logarithms, 0.0, 1000f64.ln()));
    let shares: Vec<f64> = shift.iter().zip(&period).map(|(shift, period)| shift / period).collect();
    assert!(is_uniform(&shares, 0.0, 1.0));
    assert_eq!(cell.open_ratio.value().to_vec(), [0.05; UNITS]);
}

#[test]
fn what_is_the_same_in_every_new_cell() {
    let fast = FastWeights::new(3).cell::<f64>(2, &mut rng());
    assert_eq!(fast.recurrent_kernel.value().to_vec(), [0.05, 0.0, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.05]);

    let mass = MassConservingLstm::new(2).gated_redistribution(false).cell::<f64>(2, &mut rng());
    assert_eq!(mass.output_bias.value().to_vec(), [-3.0; 2]);
    assert_eq!(mass.redistribution_bias.value().to_vec(), [1.0, 0.0, 0.0, 1.0]);

    // Every product is scaled by 0.1, and nothing is shifted.
    let hyper = HyperLstm::new(3).hyper_units(5).embedding(2).cell::<f64>(2, &mut rng());
    assert!(hyper.scale_kernel.value().to_vec().iter().all(|&z| z == 0.0));
    assert!(hyper.scale_bias.value().to_vec().iter().all(|&z| z == 1.0));
    assert!(hyper.scale.value().to_vec().iter().all(|&d| d == 0.05));
    assert!(hyper.shift.value().to_vec().iter().all(|&d| d == 0.0));
    let norms = hyper.hyper_norms.unwrap();
    assert_eq!(norms.beta.value().to_vec()[5..10], [1.0; 5]);
    assert_eq!(hyper.bias.value().to_vec(), [0.0; 12]);
}

#[test]
fn settings_that_make_no_sense_are_errors() {
    use tapeloop_layers::{CellConfig, MogrifierLstm, OnLstm, RecurrentDropoutGru, RecurrentDropoutLstm};
    let of = |config: CellConfig, input: usize| {
        let error = config.boxed::<f32>(&[input].into(), &mut rng()).map(|_| ()).unwrap_err();
        error.to_string()
    };
    let huge = usize::MAX / 2;
    for (config, input, part) in [
        (PeepholeLstm::new(2).clip(Some(0.0)).into(), 3, "clip: a bound of 0 is not above 0"),
        (PeepholeLstm::new(2).cell_clip(Some(f64::NAN)).into(), 3, "cell_clip: a bound of NaN"),
        (PeepholeLstm::new(huge).into(), 3, "kernel_initializer: there is no memory"),
        (LayerNormLstm::new(2).epsilon(-1.0).into(), 3, "epsilon: -1 is not a number of at least 0"),
        (LayerNormLstm::new(huge).into(), 0, "initializer: there is no memory"),
        (RecurrentDropoutLstm::new(2).rate(1.5).into(), 3, "rate: 1.5 is not in 0..=1"),
        (RecurrentDropoutGru::new(2).rate(f64::NAN).into(), 3, "rate: NaN is not in 0..=1"),
        (Janet::new(2).longest(Some(2.0)).into(), 3, "longest: 2 steps are not more than 2"),
        (Janet::new(2).beta(f64::INFINITY).into(), 3, "beta: inf is no finite number"),
        (MogrifierLstm::new(2).rounds(huge).into(), 3, "is more than 64"),
        (MogrifierLstm::new(2).rank(Some(0)).into(), 3, "rank must be at least 1"),
        (MogrifierLstm::new(2).rank(Some(huge)).into(), 3, "round_initializer: there is no memory"),
        (OnLstm::new(4).chunk(3).into(), 3, "chunk: 4 units do not divide into parts of 3"),
        (OnLstm::new(usize::MAX).chunk(1).into(), 3, "kernel_initializer: there is no memory"),
        (OnLstm::new(4).chunk(0).into(), 3, "chunk: 4 units do not divide into parts of 0"),
        (MassConservingLstm::new(2).masses(4).into(), 3, "masses: 4 of 3 features"),
        (MassConservingLstm::new(2).masses(0).into(), 3, "masses: 0 of 3 features"),
        (MassConservingLstm::new(huge).into(), 3, "there is no memory"),
        (HyperLstm::new(2).embedding(0).into(), 3, "embedding must be at least 1"),
        (HyperLstm::new(2).hyper_units(huge).into(), 3, "there is no memory"),
        (FastWeights::new(2).inner_steps(huge).into(), 3, "is more than 64"),
        (PhasedLstm::new(2).into(), 1, "the input is at least one feature, and the time"),
        (PhasedLstm::new(2).periods([0.0, 1.0]).into(), 3, "periods: from 0 to 1"),
        (PhasedLstm::new(2).open_ratio(1.5).into(), 3, "open_ratio: 1.5"),
    ] {
        let error = of(config, input);
        assert!(error.contains(part), "{error}, not {part}");
    }
    // What is left out of a text has its default.
    let read: CellConfig = serde_json::from_str(r#"{"cell": "peephole_lstm", "units": 2, "clip": 3}"#).unwrap();
    assert_eq!(read, PeepholeLstm::new(2).clip(Some(3.0)).into());
    assert!(read.boxed::<f32>(&[3].into(), &mut rng()).is_ok());
    assert!(PhasedLstm::new(2).cell_for::<f32>(&[2, 3].into(), &mut rng()).is_err());
}
