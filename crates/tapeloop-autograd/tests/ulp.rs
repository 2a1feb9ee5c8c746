//! The `f32` functions against the true values, correctly rounded by way of `f64`.

use tapeloop_autograd::kernels::math;

/// The distance of `y` from `exact` in units of the last place of `exact`, as an `f32`.
fn ulps(y: f32, exact: f64) -> f64 {
    let nearest = exact as f32;
    if nearest.is_nan() || nearest.is_infinite() || y.is_nan() || y.is_infinite() {
        let same = (y.is_nan() && nearest.is_nan()) || y == nearest;
        // Near the largest number, infinity is one step away.
        let one_off = y.is_infinite() && nearest == f32::MAX || nearest.is_infinite() && y == f32::MAX;
        return if same {
            0.0
        } else if one_off {
            1.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = (nearest.abs().max(f32::MIN_POSITIVE).to_bits() >> 23) as i32 - 127;
    (f64::from(y) - exact).abs() / 2f64.powi(exponent - 23)
}

/// Every 2¹¹-th bit pattern of either sign, the neighbourhood of every power of two, and what is special.
fn inputs() -> impl Iterator<Item = f32> {
    let dense = (0..1u32 << 21).map(|i| f32::from_bits((i << 11) | (i.wrapping_mul(2_654_435_761) & 0x7ff)));
    let powers = (0u32..256).flat_map(|e| (-40i32..40).map(move |d| (e << 23).wrapping_add_signed(d)));
    let powers = powers.flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)]);
    // Where results overflow, become subnormal, vanish, or stop changing.
    let edges = [88.722_84f32, -87.336_54, -103.972_08, -103.278_93, 9.010_913, 17.328_68, 16.635_532, -1.0, 1.0, 0.0];
    let edges = edges
        .into_iter()
        .flat_map(|x| (-2000i32..2000).map(move |d| f32::from_bits(x.to_bits().wrapping_add_signed(d))));
    let dense_small = (-400_000..400_000).map(|i| i as f32 * 2.5e-4);
    let special = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
    dense.chain(powers).chain(edges).chain(dense_small).chain(special).chain([1e-45, -1e-45])
}

fn check(name: &str, bound: f64, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) {
    let (mut worst, mut at) = (0.0, 0.0);
    for x in inputs() {
        let error = ulps(f(x), exact(f64::from(x)));
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    println!("{name}: at most {worst:.3} ULP, at {at:e}");
    assert!(worst <= bound, "{name}({at:e}) = {:e} is {worst} ULP from {:e}", f(at), exact(f64::from(at)));
}

fn logistic(x: f64) -> f64 {
    let e = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

#[test]
fn within_four_units_in_the_last_place() {
    check("exp", 4.0, math::exp, libm::exp);
    check("expm1", 4.0, math::expm1, libm::expm1);
    check("ln", 4.0, math::ln, libm::log);
    check("ln_1p", 4.0, math::ln_1p, libm::log1p);
    check("tanh", 4.0, math::tanh, libm::tanh);
    check("sigmoid", 4.0, math::sigmoid, logistic);
}

#[test]
fn limits() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    type Limits<'a> = (&'a str, fn(f32) -> f32, &'a [(f32, f32)]);
    let cases: [Limits<'_>; 6] = [
        (
            "exp",
            math::exp,
            &[(0.0, 1.0), (-0.0, 1.0), (inf, inf), (-inf, 0.0), (1e-45, 1.0), (-1e-45, 1.0), (nan, nan)],
        ),
        ("expm1", math::expm1, &[(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -1.0), (1e-45, 1e-45), (nan, nan)]),
        ("ln", math::ln, &[(0.0, -inf), (-0.0, -inf), (inf, inf), (-inf, nan), (-1.0, nan), (1.0, 0.0), (nan, nan)]),
        (
            "ln_1p",
            math::ln_1p,
            &[(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-1.0, -inf), (-2.0, nan), (-1e-45, -1e-45), (nan, nan)],
        ),
        (
            "tanh",
            math::tanh,
            &[(0.0, 0.0), (-0.0, -0.0), (inf, 1.0), (-inf, -1.0), (1e-45, 1e-45), (-1e-45, -1e-45), (nan, nan)],
        ),
        ("sigmoid", math::sigmoid, &[(0.0, 0.5), (-0.0, 0.5), (inf, 1.0), (-inf, 0.0), (1e-45, 0.5), (nan, nan)]),
    ];
    for (name, f, values) in cases {
        for &(x, expected) in values {
            let y = f(x);
            // Bits, so that the sign of zero counts.
            assert!(y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan()), "{name}({x:e}) = {y:e}");
        }
    }
}

#[test]
fn the_operations_on_vectors_are_these_functions() {
    use tapeloop_autograd::{Tape, Tensor, Var};
    // Every 4099th float there is, NaN and infinities among them: an odd number of elements, so that tails are seen too.
    let x: Vec<f32> = (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect();
    type Function = (&'static str, fn(f32) -> f32, for<'t> fn(Var<'t>) -> Var<'t>);
    let functions: [Function; 6] = [
        ("exp", math::exp, |x| x.exp()),
        ("expm1", math::expm1, |x| x.exp_m1()),
        ("ln", math::ln, |x| x.ln()),
        ("ln_1p", math::ln_1p, |x| x.ln_1p()),
        ("tanh", math::tanh, |x| x.tanh()),
        ("sigmoid", math::sigmoid, |x| x.sigmoid()),
    ];
    let tape = Tape::inference();
    for (name, scalar, op) in functions {
        let y = op(tape.constant(Tensor::from(x.clone()))).value().to_vec();
        for (&x, y) in x.iter().zip(y) {
            let expected = scalar(x);
            let same = y.to_bits() == expected.to_bits() || (y.is_nan() && expected.is_nan());
            assert!(same, "{name}({x:e}) is {y:e} in a vector, {expected:e} alone");
        }
    }
}
