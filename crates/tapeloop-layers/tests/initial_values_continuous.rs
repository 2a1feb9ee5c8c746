//! First values of cells in continuous time: what their papers fix.

use tapeloop_autograd::{Module, Param, Rng};
use tapeloop_layers::{Cell, Esn, Lmu, Ltc, Wiring};

fn inside(param: &Param<f64>, low: f64, high: f64) -> bool {
    param.value().to_vec().iter().all(|x| (low..=high).contains(x))
}

#[test]
fn the_reservoir_has_its_spectral_radius() {
    let cell = Esn::new(60).connectivity(0.2).spectral_radius(0.8).cell::<f64>(2, &mut Rng::new(1));
    assert!(cell.params().iter().all(|(_, param)| !param.trainable()));
    // A circle of the complex plane times the unit matrix is singular only at eigenvalues: with the radius r all of them are
    // within it, so Uⁿ / sⁿ vanishes for s > r, and grows without bound for s < r.
    let u = cell.recurrent_kernel.value();
    let grown = |s: f64| {
        let mut v: Vec<f64> = (0..60).map(|k| ((k * k + 1) as f64).sin()).collect();
        for _ in 0..4000 {
            v = (0..60).map(|j| (0..60).map(|i| v[i] * u.at(&[i, j])).sum::<f64>() / s).collect();
        }
        v.iter().map(|x| x * x).sum::<f64>().sqrt()
    };
    assert!(grown(0.81) < 1e-10, "{}", grown(0.81));
    assert!(grown(0.79) > 1e10, "{}", grown(0.79));
    // The share of weights: 5 standard deviations of a binomial distribution.
    let share = u.to_vec().iter().filter(|x| **x != 0.0).count() as f64 / 3600.0;
    assert!((share - 0.2).abs() < 5.0 * (0.2f64 * 0.8 / 3600.0).sqrt(), "{share}");
}

#[test]
fn the_legendre_memory_knows_what_was() {
    // A signal that is constant over θ is the first polynomial alone.
    let cell = Lmu::new(1).order(6).theta(20.0).cell::<f64>(1, &mut Rng::new(1));
    assert!(!cell.transition.trainable() && !cell.entry.trainable());
    let (transition, entry) = (cell.transition.value(), cell.entry.value());
    let mut m = [0.0; 6];
    for _ in 0..2000 {
        m = std::array::from_fn(|j| (0..6).map(|i| m[i] * transition.at(&[i, j])).sum::<f64>() + entry.at(&[0, j]));
    }
    assert!((m[0] - 1.0).abs() < 1e-9 && m[1..].iter().all(|x| x.abs() < 1e-9), "{m:?}");
}

#[test]
fn liquid_neurons_start_in_their_ranges() {
    let cell = Ltc::new(20).wiring(Wiring::auto(3)).cell::<f64>(5, &mut Rng::new(1));
    assert!(inside(&cell.leak, 0.001, 1.0) && inside(&cell.leak_potential, -0.2, 0.2));
    assert!(inside(&cell.capacitance, 0.4, 0.6) && inside(&cell.weight, 0.001, 1.0));
    assert!(inside(&cell.slope, 3.0, 8.0) && inside(&cell.threshold, 0.3, 0.8));
    assert_eq!(*cell.output_shape(), [3]);
    // Of 17 others 6 are command neurons, 11 inter; half of each fan.
    let count = |from: std::ops::Range<usize>, to: std::ops::Range<usize>| {
        let one = |i: usize| to.clone().filter(|&j| cell.synapses.value().at(&[i, j]) != 0.0).count();
        from.map(one).collect::<Vec<_>>()
    };
    assert_eq!(count(0..3, 0..20), [0; 3], "motor neurons reach none");
    assert!(count(9..20, 3..9).iter().all(|&n| n >= 3), "inter neurons reach three commands");
    assert_eq!(count(9..20, 0..3), [0; 11]);
    assert!(count(3..9, 9..20).iter().all(|&n| n == 0), "commands reach no inter neurons");
    assert!(count(3..9, 0..3).iter().sum::<usize>() >= 9, "motor neurons see three commands each");
    assert!(count(3..9, 0..3).iter().all(|&n| n > 0), "every command neuron reaches a motor neuron");
    assert!(count(3..9, 3..9).iter().sum::<usize>() <= 6);
    let sensory = cell.sensory_synapses.value();
    for input in 0..5 {
        assert!((0..9).all(|j| sensory.at(&[input, j]) == 0.0), "inputs reach inter neurons alone");
    }
    assert!((9..20).all(|j| (0..5).any(|i| sensory.at(&[i, j]) != 0.0)), "every inter neuron sees an input");
    for (mask, polarity) in [(sensory, cell.sensory_reversal.value()), (cell.synapses.value(), cell.reversal.value())] {
        assert!(mask.to_vec().iter().zip(polarity.to_vec()).all(|(m, p)| *m == p.abs() && (*m == 0.0 || *m == 1.0)));
    }
}
