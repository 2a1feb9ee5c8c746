//! Transcendental functions of `f32`, free of branches: one source serves scalars and, inlined into a loop,
//! vectors of any width.
//!
//! Each is within 4 units in the last place of the true value over all of its range, subnormal results
//! included, and has the limits' values at ±0, ±∞ and NaN. Only `mul_add`, arithmetic and selections are
//! used, so every machine computes the same bits. The polynomials are minimax fits (Remez) to the functions
//! named beside them.

/// 1.5 · 2²³: adding it rounds to an integer, which then lies in the low bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first short enough that its product with any exponent is exact.
const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];

/// x = n ln 2 + r with |r| ≤ ½ ln 2: r and n, n also as an integer.
#[inline(always)]
fn reduce(x: f32) -> (f32, f32, i32) {
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    (r, n, (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32))
}

/// 2ⁿ for normal results.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// Below `low`, `low`; above `high`, `high`; NaN stays.
#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// eˣ
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Beyond these the result is 0 or infinite.
    let (r, _, n) = reduce(clamp(x, -104.0, 89.0));
    // (eʳ − 1 − r) / r²
    let q = 1.395_038_7e-3f32.mul_add(r, 8.368_851e-3);
    let q = q.mul_add(r, 4.166_621e-2);
    let q = q.mul_add(r, 1.666_652e-1);
    let q = q.mul_add(r, 0.5);
    let e = (r * r).mul_add(q, r) + 1.0;
    // In two factors, each normal: only the last product rounds, also where the result is subnormal.
    let half = n >> 1;
    e * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// eˣ − 1
#[inline(always)]
pub fn expm1(x: f32) -> f32 {
    // Below −17.4 the result is −1.
    let (r, _, n) = reduce(clamp(x, -17.5, 89.0));
    // (eʳ − 1 − r) / r²
    let q = 1.991_393_7e-4f32.mul_add(r, 1.394_067_4e-3);
    let q = q.mul_add(r, 8.333_273e-3);
    let q = q.mul_add(r, 4.166_636e-2);
    let q = q.mul_add(r, 1.666_666_7e-1);
    let q = q.mul_add(r, 0.5);
    let e = (r * r).mul_add(q, r);
    // 2ⁿ e + (2ⁿ − 1), by half of 2ⁿ, which is finite also where 2ⁿ is not.
    let half = power_of_two(n.wrapping_sub(1));
    let y = 2.0 * half.mul_add(e, half - 0.5);
    // The result is x itself, its sign on 0 included.
    if x.abs() < 2.98e-8 { x } else { y }
}

/// s, s² (…) and f²/2 of ln(1 + f) = f − f²/2 + s (f²/2 + R), s = f / (2 + f); returns the last bracket's
/// product and f²/2.
#[inline(always)]
fn ln_1p_core(f: f32) -> (f32, f32) {
    let s = f / (2.0 + f);
    let z = s * s;
    // (ln((1 + s)/(1 − s)) − 2 s) / s³
    let p = 2.356_595_4e-1f32.mul_add(z, 2.853_844_8e-1);
    let p = p.mul_add(z, 4.000_031e-1);
    let p = p.mul_add(z, 6.666_667e-1);
    let half_square = 0.5 * f * f;
    (s * p.mul_add(z, half_square), half_square)
}

/// m in √½..√2 and the exponent k of x = m 2ᵏ, for normal positive x.
#[inline(always)]
fn split(x: f32) -> (f32, i32) {
    let bits = x.to_bits().wrapping_add(0x3f80_0000 - 0x3f35_04f3);
    let k = (bits >> 23) as i32 - 127;
    (f32::from_bits((bits & 0x007f_ffff) + 0x3f35_04f3), k)
}

/// Natural logarithm.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    // Subnormals are scaled into the normal range.
    let small = x < f32::MIN_POSITIVE;
    let (m, k) = split(if small { x * 33_554_432.0 } else { x });
    let k = (if small { k - 25 } else { k }) as f32;
    let f = m - 1.0;
    let (tail, half_square) = ln_1p_core(f);
    let y = k.mul_add(LN_2[0], f - (half_square - k.mul_add(LN_2[1], tail)));
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 { f32::NAN } else { y }
}

/// ln(1 + x)
#[inline(always)]
pub fn ln_1p(x: f32) -> f32 {
    let u = 1.0 + x;
    let (m, k) = split(u);
    // What rounding 1 + x lost, as a part of u.
    let lost = if k > 1 { 1.0 - (u - x) } else { x - (u - 1.0) } / u;
    let (f, lost) = if k == 0 { (x, 0.0) } else { (m - 1.0, lost) };
    let k = k as f32;
    let (tail, half_square) = ln_1p_core(f);
    let y = k.mul_add(LN_2[0], f - (half_square - (tail + k.mul_add(LN_2[1], lost))));
    // The result is x itself, its sign on 0 included.
    let y = if x.abs() < 2.98e-8 { x } else { y };
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x < -1.0 { f32::NAN } else { y }
}

/// Hyperbolic tangent: (e²ˣ − 1) / (e²ˣ + 1) of |x|, with the sign of x.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // From 9.02 on the result is 1.
    let e = expm1(2.0 * clamp(x.abs(), 0.0, 10.0));
    (e / (e + 2.0)).copysign(x)
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    // The exponential of a negative number: small results keep all their digits.
    let e = exp(-x.abs());
    (if x >= 0.0 { 1.0 } else { e }) / (1.0 + e)
}
