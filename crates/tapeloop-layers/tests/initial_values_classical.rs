//! What the weights of classical cells start from, as their papers have it, and what they refuse.

use tapeloop_autograd::{Module, Param, Path, Rng, Shape, Tape, Tensor, Var};
use tapeloop_layers::{
    AntisymmetricRnn, BuildCell, CayleyRnn, Cell, CellConfig, ClockworkRnn, CoRnn, Eunn, ExpRnn, FastGrnn, FastRnn,
    Goru, IndRnn, Initializer, IntersectionRnn, Irnn, JordanRnn, Lem, LipschitzRnn, MiRu, NpRnn, Rhn, Scrn,
    SkewInitializer, Star, Ugrnn, Unicornn, Urnn,
};

/// The mean of what has this mean and deviation is within 5 deviations of its own.
#[track_caller]
fn mean(values: &[f64], mean: f64, deviation: f64) {
    let n = values.len() as f64;
    let found = values.iter().sum::<f64>() / n;
    assert!((found - mean).abs() < 5.0 * deviation / n.sqrt(), "the mean is {found}, not {mean}");
}

/// Mean 0 and this deviation, of a normal distribution: the mean square has the deviation √2 std² / √n.
#[track_caller]
fn normal(values: &[f64], std: f64) {
    mean(values, 0.0, std);
    let squares: Vec<f64> = values.iter().map(|x| x * x).collect();
    mean(&squares, std * std, 2f64.sqrt() * std * std);
}

/// Uniform in low..high: all within it, and the mean in its middle.
#[track_caller]
fn uniform(values: &[f64], low: f64, high: f64) {
    assert!(values.iter().all(|x| (low..=high).contains(x)), "not all are within {low}..={high}");
    mean(values, (low + high) / 2.0, (high - low) / 12f64.sqrt());
    // Of a narrower distribution the mean square would be smaller.
    let middle = (low + high) / 2.0;
    let (half, squares) = ((high - low) / 2.0, values.iter().map(|x| (x - middle).powi(2)).collect::<Vec<_>>());
    // E x⁴ − (E x²)² = (1/5 − 1/9) half⁴
    mean(&squares, half * half / 3.0, half * half * (4f64 / 45.0).sqrt());
}

fn values(param: &Param<f64>) -> Vec<f64> {
    param.value().to_vec()
}

fn rng() -> Rng {
    Rng::new(7)
}

#[test]
fn rectified_networks() {
    let cell = Irnn::new(40).scale(0.5).cell::<f64>(30, &mut rng());
    assert_eq!(*cell.recurrent_kernel.value(), Tensor::from_fn([40, 40], |i| if i[0] == i[1] { 0.5 } else { 0.0 }));
    assert_eq!(values(cell.bias.as_ref().unwrap()), [0.0; 40]);
    normal(&values(&cell.kernel), 0.001);

    let n = 60;
    let cell = NpRnn::new(n).cell::<f64>(30, &mut rng());
    let u = cell.recurrent_kernel.value();
    assert_eq!(u.contiguous(), u.t().contiguous());
    // A symmetric matrix has a Cholesky factor where all its eigenvalues are above 0.
    let tape = Tape::<f64>::inference();
    let positive = |m: Tensor<f64>| tape.constant(m).cholesky().value().all_finite();
    let shifted = |a: f64, b: f64| Tensor::from_fn([n, n], |i| a * f64::from(i[0] == i[1]) + b * u.at(i));
    assert!(positive(u.contiguous()));
    assert!(positive(shifted(1.0 + 1e-9, -1.0)), "an eigenvalue is above 1");
    assert!(!positive(shifted(1.0 - 1e-6, -1.0)), "no eigenvalue is 1");
    normal(&values(&cell.kernel), 2f64.sqrt() * (1.2f64 / 57.6).exp() / (n as f64).sqrt());
}

#[test]
fn diagonal_networks() {
    let cell = IndRnn::new(500).cell::<f64>(3, &mut rng());
    assert_eq!(cell.recurrent_kernel.value().shape(), [1, 500]);
    uniform(&values(&cell.recurrent_kernel), 0.0, 1.0);

    let cell = Unicornn::new(500).cell::<f64>(3, &mut rng());
    uniform(&values(&cell.recurrent_kernel), 0.0, 1.0);
    uniform(&values(&cell.pace), -0.1, 0.1);
    let limit = (6.0f64 / (65.0 * 3.0)).sqrt();
    uniform(&values(&cell.kernel), -limit, limit);
    assert_eq!(values(&cell.bias), [0.0; 500]);
}

#[test]
fn scalars_and_biases() {
    let cell = FastRnn::new(50).cell::<f64>(20, &mut rng());
    assert_eq!((values(&cell.alpha), values(&cell.beta), values(&cell.bias)), (vec![-3.0], vec![3.0], vec![1.0; 50]));
    normal(&values(&cell.kernel), 0.1);
    normal(&values(&cell.recurrent_kernel), 0.1);
    let cell = FastGrnn::new(50).cell::<f64>(20, &mut rng());
    assert_eq!((values(&cell.zeta), values(&cell.nu), values(&cell.bias)), (vec![1.0], vec![-4.0], vec![1.0; 100]));
    assert_eq!(values(&Ugrnn::new(2).cell::<f64>(3, &mut rng()).bias), [0.0, 0.0, 1.0, 1.0]);
    assert_eq!(values(&IntersectionRnn::new(1).cell::<f64>(3, &mut rng()).bias), [0.0, 0.0, 1.0, 1.0]);
    let cell = Scrn::new(4).learned(true).cell::<f64>(3, &mut rng());
    assert!(values(cell.beta.as_ref().unwrap()).iter().all(|beta| (1.0 / (1.0 + (-beta).exp()) - 0.95).abs() < 1e-15));

    let cell = Rhn::new(4).depth(2).coupled(false).transform_bias(-3.0).cell::<f64>(3, &mut rng());
    let layer = [[0.0; 4], [-3.0; 4], [3.0; 4]].concat();
    assert_eq!(values(&cell.bias), [&layer[..], &layer].concat());
    for part in 0..6 {
        let u = cell.recurrent_kernel.value().slice(-1, 4 * part..4 * part + 4);
        assert!(orthogonal(&u), "part {part}");
    }

    let longest = 100.0;
    let cell = Star::new(500).longest(Some(longest)).cell::<f64>(3, &mut rng());
    let (z, k) = (values(&cell.bias)[..500].to_vec(), values(&cell.bias)[500..].to_vec());
    assert_eq!(z, [0.0; 500]);
    uniform(&k.iter().map(|b| (-b).exp()).collect::<Vec<_>>(), 1.0 - 1e-12, longest - 1.0 + 1e-12);
}

#[test]
fn differential_equations() {
    normal(&values(&AntisymmetricRnn::new(60).cell::<f64>(3, &mut rng()).recurrent_kernel), 1.0 / 60f64.sqrt());
    let cell = LipschitzRnn::new(60).gated(true).cell::<f64>(40, &mut rng());
    normal(&values(&cell.recurrent_kernel), 1.0 / 60.0);
    normal(&values(&cell.linear_kernel), 1.0 / 60.0);
    normal(&values(&cell.kernel), (2.0f64 / 100.0).sqrt());
    let cell = CoRnn::new(30).cell::<f64>(20, &mut rng());
    let limit = 1.0 / 80f64.sqrt();
    for (_, param) in cell.params() {
        uniform(&values(param), -limit, limit);
    }
    let cell = Lem::new(30).cell::<f64>(20, &mut rng());
    let limit = 1.0 / 30f64.sqrt();
    for (_, param) in cell.params() {
        uniform(&values(param), -limit, limit);
    }
}

fn orthogonal(u: &Tensor<f64>) -> bool {
    let tape = Tape::<f64>::inference();
    let u = tape.constant(u.clone());
    (u.matmul(u.t()) - &Tensor::eye(u.dim(0))).abs().max(&[], false).item() < 1e-13
}

#[test]
fn skew_symmetric_blocks() {
    use std::f64::consts::PI;
    for (skew, low, high) in [(SkewInitializer::Henaff, -PI, PI), (SkewInitializer::Cayley, -1.0, 0.0)] {
        let cell = ExpRnn::new(301).skew(skew).cell::<f64>(3, &mut rng());
        let s = cell.recurrent_kernel.value();
        let in_block = |i: usize, j: usize| i.is_multiple_of(2) && j == i + 1;
        let all = |i: usize| (0..301).map(move |j| (i, j));
        assert!((0..301).flat_map(all).all(|(i, j)| in_block(i, j) || s.at(&[i, j]) == 0.0));
        let blocks: Vec<f64> = (0..150).map(|block| s.at(&[2 * block, 2 * block + 1])).collect();
        match skew {
            SkewInitializer::Henaff => uniform(&blocks, low, high),
            // s = −tan(t / 2): t is uniform in 0..π/2.
            SkewInitializer::Cayley => {
                assert!(blocks.iter().all(|s| (low..=high).contains(s)));
                uniform(&blocks.iter().map(|s| -2.0 * s.atan()).collect::<Vec<_>>(), 0.0, PI / 2.0);
            }
        }
        uniform(&values(&cell.bias), -0.01, 0.01);
    }
    uniform(&values(&Urnn::new(300).cell::<f64>(3, &mut rng()).phases), -PI, PI);
    uniform(&values(&Urnn::new(300).cell::<f64>(3, &mut rng()).reflections), -1.0, 1.0);
    uniform(&values(&Eunn::new(300).cell::<f64>(3, &mut rng()).angles), -PI, PI);
}

/// Without an input and a bias, a state that only turns keeps its length.
#[test]
fn a_state_that_turns_keeps_its_length() {
    let turning: [CellConfig; 8] = [
        ExpRnn::new(8).bias_initializer(Initializer::Zeros).into(),
        CayleyRnn::new(7).into(),
        CayleyRnn::new(7).negatives(3).skew(SkewInitializer::Henaff).into(),
        Urnn::new(6).into(),
        Urnn::new(5).permutation_seed(3).into(),
        Eunn::new(5).capacity(4).into(),
        Eunn::new(6).capacity(3).into(),
        Eunn::new(8).fft(true).into(),
    ];
    for config in turning {
        let cell = config.boxed::<f64>(&Shape::from([3]), &mut rng()).unwrap();
        let tape = Tape::inference();
        let width = cell.state_shapes()[0][0];
        let mut h = tape.constant(Tensor::normal([2, width], 0.0, 1.0, &mut rng()));
        let length = |h: Var<'_, f64>| h.square().sum(&[-1], false).value().to_vec();
        let before = length(h);
        for _ in 0..20 {
            h = cell.step(tape.constant(Tensor::zeros([2, 3])), &[h])[0];
        }
        let after = length(h);
        assert!(
            before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-12 * a),
            "{}: {before:?} {after:?}",
            config.kind()
        );
    }
}

/// Groups move at multiples of their periods, and only then.
#[test]
fn clocks() {
    let cell = ClockworkRnn::new(6).periods(vec![1, 2, 3]).cell::<f64>(3, &mut rng());
    let tape = Tape::inference();
    let x = tape.constant(Tensor::ones([1, 3]));
    let (mut h, mut t) = (tape.constant(Tensor::zeros([1, 6])), tape.constant(Tensor::zeros([1, 1])));
    for step in 0..14usize {
        let next = cell.step(x, &[h, t]);
        let moved: Vec<bool> = h.value().to_vec().iter().zip(next[0].value().to_vec()).map(|(a, b)| *a != b).collect();
        let due = |period| step.is_multiple_of(period);
        assert_eq!(moved, [due(1), due(1), due(2), due(2), due(3), due(3)], "step {step}");
        (h, t) = (next[0], next[1]);
        assert_eq!(t.item(), ((step + 1) % 6) as f64);
    }
}

#[test]
fn what_makes_no_sense_is_an_error() {
    fn refused(config: impl Into<CellConfig>, words: &str) {
        let config = config.into();
        let Err(error) = config.boxed::<f32>(&Shape::from([3]), &mut rng()) else { panic!("{config:?} was built") };
        assert!(error.to_string().contains(words), "{error}");
    }
    refused(AntisymmetricRnn::new(4).step_size(0.0), "step_size");
    refused(AntisymmetricRnn::new(4).gamma(f64::NAN), "gamma");
    refused(CayleyRnn::new(4).negatives(5), "negatives");
    refused(ClockworkRnn::new(4).periods(vec![]), "periods");
    refused(ClockworkRnn::new(4).periods(vec![1, 0]), "periods");
    refused(ClockworkRnn::new(4).periods(vec![1, usize::MAX]), "periods");
    refused(ClockworkRnn::new(4).periods(vec![4999, 5003]), "periods");
    refused(CoRnn::new(4).epsilon(f64::INFINITY), "epsilon");
    refused(Eunn::new(1), "at least 2");
    refused(Eunn::new(6).fft(true), "power of 2");
    refused(Eunn::new(6).capacity(7), "capacity");
    refused(Goru::new(6).capacity(0), "capacity");
    refused(FastGrnn::new(4).input_rank(Some(0)), "input_rank");
    refused(FastGrnn::new(4).recurrent_rank(Some(usize::MAX)), "memory");
    refused(FastRnn::new(4).alpha(1e300), "alpha");
    refused(Irnn::new(4).scale(f64::NAN), "scale");
    refused(JordanRnn::new(4).outputs(Some(0)), "outputs");
    refused(JordanRnn::new(usize::MAX), "memory");
    refused(LipschitzRnn::new(4).beta(1.5), "beta");
    refused(MiRu::new(4).update(-0.1), "update");
    refused(MiRu::new(4).reset(Some(1.1)), "reset");
    refused(NpRnn::new(1 << 40), "memory");
    refused(Rhn::new(4).depth(0), "depth");
    refused(Rhn::new(4).depth(usize::MAX), "depth");
    refused(Scrn::new(4).alpha(1.0).learned(true), "alpha");
    refused(Scrn::new(4).context(Some(0)), "context");
    refused(Star::new(4).longest(Some(1.0)), "longest");
    refused(Urnn::new(1 << 40), "memory");
    for config in ["brc", "ind_rnn", "light_ru", "nbrc", "sgrn", "ugrnn", "unicornn"] {
        let config: CellConfig = serde_json::from_str(&format!(r#"{{"cell": "{config}"}}"#)).unwrap();
        refused(config, "units");
    }
    assert!(Star::new(4).cell_for::<f32>(&Shape::from([2, 3]), &mut rng()).is_err());
}

/// A row here, so that a constraint's norm along the first axis is that of one weight.
#[test]
fn clipping_an_independent_network() {
    use tapeloop_layers::{Constraint, Recurrent};
    let config = Recurrent::new(IndRnn::new(3)).constraint("recurrent_kernel", Constraint::max_norm(1.0));
    let mut rnn = config.try_layer::<f64>([2], &mut rng()).unwrap();
    rnn.visit_mut(&mut Path::default(), &mut |path, param: &mut Param<f64>| {
        if path.as_str() == "cell.recurrent_kernel" {
            param.set(Tensor::from([[0.5, -3.0, 1.5]]));
        }
    });
    tapeloop_layers::Layer::constrain(&mut rnn);
    let params = rnn.params();
    let (_, u) = params.iter().find(|(path, _)| path == "cell.recurrent_kernel").unwrap();
    // The norm is divided by 10⁻⁷ more than it is.
    assert!(values(u).iter().zip([0.5, -1.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{u:?}");
}
