//! First values of linear recurrences: what their papers fix.

use tapeloop_autograd::{Param, Rng, Tensor};
use tapeloop_layers::{Lru, RgLru, Slstm, Sru};

const UNITS: usize = 4000;

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let all: Vec<f64> = values.into_iter().collect();
    all.iter().sum::<f64>() / all.len() as f64
}

/// Whether the mean of a uniform sample is in the middle: within 5 of its standard deviations.
fn centred(sample: &[f64], low: f64, high: f64) -> bool {
    let deviation = (high - low) / (12.0 * sample.len() as f64).sqrt();
    sample.iter().all(|x| (low..=high).contains(x))
        && (mean(sample.iter().copied()) - 0.5 * (low + high)).abs() < 5.0 * deviation
}

fn values(param: &Param<f64>) -> Vec<f64> {
    param.value().to_vec()
}

#[test]
fn lru_is_uniform_in_a_ring_and_keeps_the_variance() {
    let (low, high, phase) = (0.4, 0.99, 1.5);
    let cell = Lru::new(UNITS).r_min(low).r_max(high).max_phase(phase).cell::<f64>(3, &mut Rng::new(1));
    let lengths: Vec<f64> = values(&cell.nu).iter().map(|nu| (-nu.exp()).exp()).collect();
    // Uniform in a ring: squares of radii are uniform.
    assert!(centred(&lengths.iter().map(|r| r * r).collect::<Vec<_>>(), low * low, high * high));
    assert!(centred(&values(&cell.theta).iter().map(|θ| θ.exp()).collect::<Vec<_>>(), 0.0, phase));
    for (γ, r) in values(&cell.gamma).iter().zip(&lengths) {
        assert!((γ.exp() - (1.0 - r * r).sqrt()).abs() < 1e-12);
    }
    // Relative error of a variance: √(2/n); five of them.
    let spread = |param: &Param<f64>| mean(values(param).iter().map(|x| x * x)) * param.value().shape()[0] as f64;
    let tolerance = |param: &Param<f64>| 5.0 * (2.0 / param.value().size() as f64).sqrt();
    assert!((2.0 * spread(&cell.kernel) - 1.0).abs() < tolerance(&cell.kernel));
    assert!((spread(&cell.projection) - 1.0).abs() < tolerance(&cell.projection));
}

#[test]
fn rg_lru_decays_uniformly_with_an_open_gate() {
    let cell = RgLru::new(UNITS).heads(UNITS).cell::<f64>(UNITS, &mut Rng::new(2));
    let a: Vec<f64> = values(&cell.lambda).iter().map(|λ| (-8.0 * λ.exp().ln_1p()).exp()).collect();
    assert!(centred(&a, 0.9 - 1e-12, 0.999 + 1e-12));
}

#[test]
fn sru_keeps_the_variance() {
    let cell = Sru::new(600).highway_bias(-1.0).cell::<f64>(5, &mut Rng::new(3));
    assert_eq!(cell.alpha, (1.0 + 2.0 * (-1.0f64).exp()).sqrt());
    let part = |k: isize| cell.kernel.value().slice(1, 600 * k..600 * (k + 1)).to_vec();
    let limit = (3.0f64 / 5.0).sqrt();
    for (k, limit) in [limit, limit * 0.5f64.sqrt(), limit * 0.5f64.sqrt(), limit].into_iter().enumerate() {
        assert!(centred(&part(k as isize), -limit - 1e-12, limit + 1e-12), "part {k}");
    }
    let limit = 1.5f64.sqrt() + 1e-12;
    assert!(centred(&values(&cell.peephole), -limit, limit));
    assert_eq!(cell.bias.value().slice(0, ..600).to_vec(), [0.0; 600]);
    assert_eq!(cell.bias.value().slice(0, 600..).to_vec(), [-1.0; 600]);
}

#[test]
fn slstm_forgets_from_slowly_to_fast_in_each_head() {
    let cell = Slstm::new(6).heads(2).forget_power(1.0).cell::<f64>(3, &mut Rng::new(4));
    let zeros = [0.0; 6];
    let bias = [zeros, [5.0, -1.0, -7.0, 5.0, -1.0, -7.0], zeros, zeros].concat();
    assert_eq!(cell.bias.value().to_vec(), bias);
    assert_eq!(*cell.recurrent_kernel.value(), Tensor::zeros([2, 3, 12]));
}
