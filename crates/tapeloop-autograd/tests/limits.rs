//! Values and derivatives at the ends of domains: infinities, zeros, ties. What is expected is what PyTorch 2 gives,
//! unless a comment says otherwise.

use tapeloop_autograd::losses::{Ctc, Reduction, bce, ctc, huber, l1, mse, weighted};
use tapeloop_autograd::{AttentionMask, Tape, Tensor, Var};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Equal to a few last places, NaN where NaN is expected.
#[track_caller]
fn close(what: &str, own: &[f64], expected: &[f64]) {
    let near = |(a, b): (&f64, &f64)| (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= 1e-14 * b.abs();
    let same = own.len() == expected.len() && own.iter().zip(expected).all(near);
    assert!(same, "{what}: {own:?} instead of {expected:?}");
}

/// `f` of `x` has this value, and its sum this gradient.
#[track_caller]
fn check(what: &str, f: impl for<'t> Fn(Var<'t, f64>) -> Var<'t, f64>, x: &[f64], value: &[f64], gradient: &[f64]) {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::from(x.to_vec()));
    let y = f(x);
    close(what, &y.value().to_vec(), value);
    close(what, &y.sum_all().backward().wrt(x).unwrap().to_vec(), gradient);
}

#[test]
fn activations_at_infinity_and_at_their_kinks() {
    let x = [-INF, INF, -3.0, 3.0, -4.0, 4.0];
    check("hard_silu", |x| x.hard_silu(), &x, &[0.0, INF, 0.0, 3.0, 0.0, 4.0], &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
    check("hard_sigmoid", |x| x.hard_sigmoid(), &x, &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0], &[0.0; 6]);
    check("hard_silu", |x| x.hard_silu(), &[1.0], &[2.0 / 3.0], &[5.0 / 6.0]);
    check("relu", |x| x.relu(), &[-INF, INF, 0.0], &[0.0, INF, 0.0], &[0.0, 1.0, 0.0]);
    check("hard_shrink", |x| x.hard_shrink(0.5), &[0.5, -0.5, NAN, INF], &[0.0, 0.0, NAN, INF], &[0.0, 0.0, 1.0, 1.0]);
    check("soft_shrink", |x| x.soft_shrink(0.5), &[0.5, -0.5, INF], &[0.0, 0.0, INF], &[0.0, 0.0, 1.0]);
    check("threshold", |x| x.threshold(0.5, 3.0), &[0.5, NAN, INF], &[3.0, NAN, INF], &[0.0, 1.0, 1.0]);
    check(
        "celu",
        |x| x.celu(0.7),
        &[-1.0, -10.0, 0.3, -INF, 0.0],
        &[-0.532_244_274_490_757, -0.699_999_562_587_534_4, 0.3, -0.7, 0.0],
        // e^(x/α), of which PyTorch gives 9 digits.
        &[(-1.0f64 / 0.7).exp(), (-10.0f64 / 0.7).exp(), 1.0, 0.0, 1.0],
    );
    // In single precision too a positive number stays itself.
    let tape = Tape::<f32>::new();
    let x = tape.leaf(Tensor::from([0.3f32, 1e-30, 3e38]));
    assert_eq!(x.celu(0.7).value().to_vec(), [0.3, 1e-30, 3e38]);
}

#[test]
fn angles_at_the_origin() {
    let tape = Tape::new();
    let (a, b) = (tape.leaf(Tensor::from([0.0f64, 0.0, 0.0])), tape.leaf(Tensor::from([0.0f64, 1.0, -1.0])));
    let y = a.atan2(b);
    let gradients = y.sum_all().backward();
    close("atan2", &y.value().to_vec(), &[0.0, 0.0, std::f64::consts::PI]);
    close("atan2 by a", &gradients.wrt(a).unwrap().to_vec(), &[0.0, 1.0, -1.0]);
    close("atan2 by b", &gradients.wrt(b).unwrap().to_vec(), &[0.0, 0.0, 0.0]);
}

#[test]
fn norms_of_zeros_and_ties() {
    let x = [0.0, 2.0, -2.0];
    let third = 0.793_700_525_984_099_8;
    let cases = [
        (0.5, 8.0, [0.0, 2.0, -2.0]),
        (1.0, 4.0, [0.0, 1.0, -1.0]),
        (1.5, 3.174_802_103_936_398_7, [0.0, third, -third]),
        (2.0, 8f64.sqrt(), [0.0, 0.5f64.sqrt(), -(0.5f64.sqrt())]),
        (3.0, 2.519_842_099_789_746_4, [0.0, 0.629_960_524_947_436_5, -0.629_960_524_947_436_5]),
        (INF, 2.0, [0.0, 0.5, -0.5]),
        (-INF, 0.0, [0.0; 3]),
        (-1.0, 0.0, [0.0; 3]),
        (-2.0, 0.0, [0.0; 3]),
    ];
    for (p, norm, gradient) in cases {
        check(&format!("norm {p}"), |x| x.norm(p, &[], false), &x, &[norm], &gradient);
        check(&format!("norm {p} of zeros"), |x| x.norm(p, &[], false), &[0.0, 0.0], &[0.0], &[0.0, 0.0]);
    }
    let negative = |p: f64| move |x: Var<'_, f64>| x.norm(p, &[], false).value().item();
    let tape = Tape::new();
    assert_eq!(negative(0.0)(tape.leaf(Tensor::from(x.to_vec()))), 2.0);
    check("norm -2", |x| x.norm(-2.0, &[], false), &[3.0, -4.0], &[2.4], &[0.512, -0.216]);
}

#[test]
fn ties() {
    let (x, third) = ([2.0, 2.0, 1.0, 2.0, 1.0], 1.0 / 3.0);
    let shared = [third, third, 0.0, third, 0.0];
    let first = [1.0, 0.0, 0.0, 0.0, 0.0];
    check("max", |x| x.max(&[], false), &x, &[2.0], &shared);
    check("max_at", |x| x.max_at(0, false).0, &x, &[2.0], &first);
    check("min", |x| x.min(&[], false), &x, &[1.0], &[0.0, 0.0, 0.5, 0.0, 0.5]);
    check("median", |x| x.median(), &x, &[2.0], &shared);
    check("median_at", |x| x.median_at(0, false).0, &x, &[2.0], &first);
    check("median", |x| x.median(), &[1.0, 2.0, 2.0, 3.0], &[2.0], &[0.0, 0.5, 0.5, 0.0]);
    check("median_at", |x| x.median_at(0, false).0, &[1.0, NAN, 2.0], &[NAN], &[0.0, 1.0, 0.0]);
}

#[test]
fn nothing_has_no_largest_but_no_rows_have_none() {
    let tape = Tape::new();
    let (y, at) = tape.leaf(Tensor::<f64>::zeros([0, 3])).max_at(1, false);
    assert!(y.shape() == [0] && at.shape() == [0]);
    assert_eq!(Tensor::<f64>::zeros([0, 3]).argmin(1, true).shape(), [0, 1]);
    let empty = std::panic::catch_unwind(|| Tensor::<f64>::zeros([3, 0]).argmax(1, false));
    assert!(empty.is_err());
}

#[test]
fn sums_of_exponentials() {
    let tape = Tape::new();
    let a = tape.leaf(Tensor::from([-INF, INF, -INF, INF, 1.0]));
    let b = tape.leaf(Tensor::from([-INF, INF, INF, 1.0, -INF]));
    let y = a.logaddexp(b);
    let gradients = y.sum_all().backward();
    close("logaddexp", &y.value().to_vec(), &[-INF, INF, INF, INF, 1.0]);
    // Of two −∞ PyTorch's gradient is NaN.
    close("logaddexp by a", &gradients.wrt(a).unwrap().to_vec(), &[0.0, NAN, 0.0, 1.0, 1.0]);
    close("logaddexp by b", &gradients.wrt(b).unwrap().to_vec(), &[0.0, NAN, 1.0, 0.0, 0.0]);
    let (p, q) = (1.313_261_687_518_222_8, 2.407_605_964_444_38);
    check(
        "logcumsumexp",
        |x| x.logcumsumexp(0),
        &[-INF, -INF, 0.0, 1.0, -INF, 2.0],
        &[-INF, -INF, 0.0, p, p, q],
        // PyTorch has NaN for the first two. The first is a result by itself.
        &[1.0, 0.0, 1.627_913_415_910_370_5, 1.706_845_628_314_807_5, 0.0, 0.665_240_955_774_822],
    );
    check("logsumexp", |x| x.logsumexp(&[0], false), &[INF, 0.0], &[INF], &[NAN, 0.0]);
    check("logsumexp", |x| x.logsumexp(&[0], false), &[-INF, -INF], &[-INF], &[NAN, NAN]);
    check("logsumexp", |x| x.logsumexp(&[0], false), &[INF, -INF], &[INF], &[NAN, 0.0]);
    for x in [[INF, 0.0], [-INF, -INF]] {
        check("softmax", |x| x.softmax(0), &x, &[NAN, NAN], &[NAN, NAN]);
        check("log_softmax", |x| x.log_softmax(0), &x, &[NAN, NAN], &[NAN, NAN]);
    }
    check("softmax", |x| x.softmax(0), &[-INF, 0.0], &[0.0, 1.0], &[0.0, 0.0]);
    check("log_softmax", |x| x.log_softmax(0), &[-INF, 0.0], &[-INF, 0.0], &[1.0, -1.0]);
}

#[test]
fn a_query_that_sees_nothing() {
    let seen = Tensor::from([[true, false], [false, false]]);
    let bias = seen.map(|seen| if seen { 0.0 } else { -INF });
    for boolean in [true, false] {
        let tape = Tape::new();
        let q = tape.leaf(Tensor::<f64>::ones([1, 2, 3]));
        let mask = if boolean { AttentionMask::Where(&seen) } else { AttentionMask::Add(tape.constant(bias.clone())) };
        let y = q.attention(q, q, mask, None);
        let expected = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        close("attention", &y.value().to_vec(), &expected);
        close("attention", &y.sum_all().backward().wrt(q).unwrap().to_vec(), &expected);
    }
}

#[test]
fn certain_probabilities() {
    let (p, t) = ([0.0, 1.0, 0.0, 1.0, 1e-30, 0.5], Tensor::from([0.0f64, 1.0, 1.0, 0.0, 1.0, 0.25]));
    check(
        "bce",
        |p| bce(p, &t, Reduction::None),
        &p,
        &[0.0, 0.0, 100.0, 100.0, 69.077_552_789_821_37, std::f64::consts::LN_2],
        &[0.0, 0.0, -1e12, 1e12, -1e12, 1.0],
    );
    let tape = Tape::<f32>::new();
    let x = tape.leaf(Tensor::from([0.0f32, 1.0]));
    let y = bce(x, &Tensor::from([1.0f32, 0.0]), Reduction::None);
    assert_eq!(y.value().to_vec(), [100.0, 100.0]);
    assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [-1e12, 1e12]);
}

#[test]
fn a_target_that_cannot_be_reached() {
    // Two equal labels need three steps.
    for (zero_infinity, first) in [(false, INF), (true, 0.0)] {
        let tape = Tape::new();
        let x = tape.leaf(Tensor::from_fn([2, 2, 3], |i| ((6 * i[0] + 3 * i[1] + i[2]) as f64).sin()));
        let options = Ctc { zero_infinity, reduction: Reduction::None, ..Ctc::default() };
        let y = ctc(x.log_softmax(-1), &Tensor::from([[1i64, 1], [2, 1]]), &[2, 2], &[2, 1], options);
        close("ctc", &y.value().to_vec(), &[first, 1.460_585_846_459_340_4]);
        // PyTorch's are NaN for the first target if it costs ∞; the gradient of logits is the same for the second.
        let gradient = y.sum_all().backward().wrt(x).unwrap().to_vec();
        let second = [0.204_128_972_125_711_57, 0.234_110_124_869_681_75, -0.438_239_096_995_393_3];
        assert_eq!(gradient[..3], [0.0; 3]);
        assert!(gradient[3..6].iter().zip(second).all(|(a, b)| (a - b).abs() < 1e-14), "{gradient:?}");
    }
}

#[test]
fn what_is_not_a_number_is_left_out() {
    check("nansum", |x| x.nansum(&[], false), &[1.0, NAN, 5.0], &[6.0], &[1.0, 0.0, 1.0]);
    check("nanmean", |x| x.nanmean(&[], false), &[1.0, NAN, 5.0], &[3.0], &[0.5, 0.0, 0.5]);
}

#[test]
fn the_normal_distribution_in_its_tails() {
    // Computed with 60 digits.
    let x = [-40.0, -5.0, -1.5, -0.5, 0.0, 0.5, 5.0, 8.0];
    let value = [
        -804.608_442_013_753_9,
        -15.064_998_393_988_727,
        -2.705_944_400_823_889_8,
        -1.175_911_761_593_618_5,
        -std::f64::consts::LN_2,
        -0.368_946_415_288_656_35,
        -2.866_516_129_637_636e-7,
        -6.220_960_574_271_786e-16,
    ];
    let slope = [
        40.024_968_847_207_26,
        5.186_503_967_125_842,
        1.938_677_166_622_543,
        1.141_077_770_368_064_6,
        0.797_884_560_802_865_4,
        0.509_160_433_837_033_5,
        1.486_719_940_904_905_6e-6,
        5.052_271_083_536_895e-15,
    ];
    check("log_ndtr", |x| x.log_ndtr(), &x, &value, &slope);
    check("log_ndtr", |x| x.log_ndtr(), &[-1e3], &[-500_007.826_694_812_2], &[1_000.000_999_998]);
    let (tail, density) = (2.866_515_718_791_945e-7, 1.486_719_514_734_297_7e-6);
    check(
        "ndtr",
        |x| x.ndtr(),
        &[-INF, -5.0, 0.0, INF],
        &[0.0, tail, 0.5, 1.0],
        &[0.0, density, 0.398_942_280_401_432_7, 0.0],
    );
    let (half, ln_2) = (0.346_573_590_279_972_64, std::f64::consts::LN_2);
    // PyTorch's derivative at 0 is ∞.
    check("entr", |x| x.entr(), &[0.0, 0.5, 1.0], &[0.0, half, 0.0], &[0.0, ln_2 - 1.0, -1.0]);
    let y = Tensor::from([-1.0f64, -2.0, 2.0, -1.0, f64::INFINITY, 0.5]);
    let values = [0.0, 0.0, 0.0, -INF, 0.0, 0.810_930_216_216_328_8];
    let slopes = [0.0, 0.0, 1.098_612_288_668_109_6, -INF, 0.0, 0.405_465_108_108_164_4];
    check("xlog1py", |x| x.xlog1py(&y), &[0.0, 0.0, 0.0, 1.0, 0.0, 2.0], &values, &slopes);
}

#[test]
fn weights_of_terms() {
    let tape = Tape::new();
    let y = tape.leaf(Tensor::from([1.0f64, 2.0, 5.0]));
    let (t, w) = (Tensor::from([0.0f64, 4.0, 4.5]), Tensor::from([3.0f64, 1.0, 0.5]));
    let none = Reduction::None;
    for (terms, mean, sum) in [
        (mse(y, &t, none), 1.583_333_333_333_333_3, 7.125),
        (l1(y, &t, none), 1.166_666_666_666_666_7, 5.25),
        // PyTorch divides this one by the number of terms.
        (huber(y, &t, 1.0, none), 3.0625 / 4.5, 3.0625),
    ] {
        let weighted = |reduction| weighted(terms, &w, reduction).value().to_vec();
        close("weighted mean", &weighted(Reduction::Mean), &[mean]);
        close("weighted sum", &weighted(Reduction::Sum), &[sum]);
    }
}

#[test]
fn parts_of_equal_length() {
    let tape = Tape::new();
    let sines = |dims: &[usize]| {
        let size: usize = dims.iter().product();
        tape.leaf(Tensor::from_vec(dims, (0..size).map(|i| (i as f64).sin()).collect()))
    };
    let largest = [
        0.909_297_426_825_681_7,
        0.989_358_246_623_381_8,
        0.656_986_598_718_789_1,
        0.990_607_355_694_870_4,
        0.650_287_840_157_116_8,
        0.990_607_355_694_870_4,
    ];
    let y = sines(&[1, 1, 4, 5]).adaptive_max_pool(&[3, 2]).value().to_vec();
    assert!(y.iter().zip(largest).all(|(a, b)| (a - b).abs() < 1e-15), "{y:?}");
    let means = [
        -0.197_311_947_750_273_7,
        0.011_844_468_649_657_889,
        0.199_432_325_003_733_12,
        0.149_772_599_462_186_46,
        -0.095_438_337_564_861_6,
        -0.166_857_813_334_263_2,
    ];
    let y = sines(&[1, 1, 3, 2, 5]).adaptive_avg_pool(&[2, 1, 3]).value().to_vec();
    assert!(y.iter().zip(means).all(|(a, b)| (a - b).abs() < 1e-15), "{y:?}");
}

#[test]
fn factors_of_wide_matrices() {
    let tape = Tape::new();
    let a = tape.leaf(Tensor::from_fn([2, 4], |i| ((4 * i[0] + i[1]) as f64).sin()));
    let (q, r) = a.qr();
    let expected = [
        -0.756_802_495_307_928_2,
        -0.958_924_274_663_138_1,
        -0.279_415_498_198_925_86,
        0.656_986_598_718_789,
        0.0,
        0.841_470_984_807_896_2,
        0.909_297_426_825_681_5,
        0.141_120_008_059_867_46,
    ];
    let near = |own: &[f64], expected: &[f64]| own.iter().zip(expected).all(|(a, b)| (a - b).abs() < 2e-15);
    assert!(near(&q.value().to_vec(), &[0.0, 1.0, 1.0, 0.0]), "{}", q.value());
    assert!(near(&r.value().to_vec(), &expected), "{}", r.value());
    let weights = |shape: [usize; 2]| Tensor::from_fn(shape, |i| (shape[1] * i[0] + i[1]) as f64);
    let loss = (r * &weights([2, 4])).sum_all() + (q * &weights([2, 2])).sum_all();
    let gradient = loss.backward().wrt(a).unwrap().to_vec();
    let expected = [-2.584_074_505_886_606, 5.0, 6.0, 7.0, 0.0, 1.0, 2.0, 3.0];
    assert!(gradient.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-14), "{gradient:?}");
}

#[test]
fn what_meets_at_one_place_shares() {
    let tape = Tape::new();
    let x = tape.leaf(Tensor::from([1.0f64, 2.0, 3.0, -INF]));
    let y = tape.leaf(Tensor::from([3.0f64, 3.0, 5.0, INF, 0.1]));
    let largest = x.scatter_max(0, &Tensor::from([2i64, 2, 1, 0, 3]), y);
    let gradients = largest.sum_all().backward();
    close("scatter_max", &largest.value().to_vec(), &[INF, 5.0, 3.0, 0.1]);
    let third = 1.0 / 3.0;
    close("scatter_max by x", &gradients.wrt(x).unwrap().to_vec(), &[0.0, 0.0, third, 0.0]);
    close("scatter_max by y", &gradients.wrt(y).unwrap().to_vec(), &[third, third, 1.0, 1.0, 1.0]);
}
