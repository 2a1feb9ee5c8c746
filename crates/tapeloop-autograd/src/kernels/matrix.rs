//! Factorisations of small dense matrices, row-major, in `f64` whatever the element type: their cost is not
//! what a recurrent network waits for, their accuracy is what its initial weights and checks stand on.

/// A square matrix in double precision.
pub(crate) type Matrix = Vec<f64>;

/// L with L Lᵀ = A, of the lower triangle of A. Where A is not positive definite, NaN.
pub(crate) fn cholesky(a: &mut [f64], n: usize) {
    for j in 0..n {
        let mut d = a[j * n + j];
        for k in 0..j {
            d -= a[j * n + k] * a[j * n + k];
        }
        let d = if d > 0.0 { d.sqrt() } else { f64::NAN };
        a[j * n + j] = d;
        for i in j + 1..n {
            let mut x = a[i * n + j];
            for k in 0..j {
                x -= a[i * n + k] * a[j * n + k];
            }
            a[i * n + j] = x / d;
            a[j * n + i] = 0.0;
        }
    }
}

/// Which triangle of a matrix counts, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Triangle {
    pub(crate) upper: bool,
    /// The system is that of the transpose.
    pub(crate) transposed: bool,
    /// The diagonal is taken to be 1.
    pub(crate) unit: bool,
}

/// Solves A X = B in place of B (n × m), where A is triangular.
pub(crate) fn solve_triangular(a: &[f64], n: usize, b: &mut [f64], m: usize, triangle: Triangle) {
    let at = |i: usize, j: usize| if triangle.transposed { a[j * n + i] } else { a[i * n + j] };
    let backwards = triangle.upper != triangle.transposed;
    for step in 0..n {
        let i = if backwards { n - 1 - step } else { step };
        let known = if backwards { i + 1..n } else { 0..i };
        for k in known {
            let factor = at(i, k);
            for c in 0..m {
                b[i * m + c] -= factor * b[k * m + c];
            }
        }
        if !triangle.unit {
            let d = at(i, i);
            b[i * m..(i + 1) * m].iter_mut().for_each(|x| *x /= d);
        }
    }
}

/// P A = L U in place, with partial pivoting. Returns the rows' order and the permutation's sign.
pub(crate) fn lu(a: &mut [f64], n: usize) -> (Vec<usize>, f64) {
    let (mut order, mut sign) = ((0..n).collect::<Vec<_>>(), 1.0);
    for j in 0..n {
        let pivot = (j..n).max_by(|&p, &q| a[p * n + j].abs().total_cmp(&a[q * n + j].abs())).unwrap_or(j);
        if pivot != j {
            for c in 0..n {
                a.swap(j * n + c, pivot * n + c);
            }
            order.swap(j, pivot);
            sign = -sign;
        }
        let d = a[j * n + j];
        if d == 0.0 {
            continue;
        }
        for i in j + 1..n {
            let factor = a[i * n + j] / d;
            a[i * n + j] = factor;
            for c in j + 1..n {
                a[i * n + c] -= factor * a[j * n + c];
            }
        }
    }
    (order, sign)
}

/// Solves A X = B for X (n × m). Where A is singular, the result has infinities or NaN.
pub(crate) fn solve(mut a: Matrix, n: usize, b: &[f64], m: usize) -> Matrix {
    let (order, _) = lu(&mut a, n);
    let mut x: Matrix = order.iter().flat_map(|&row| b[row * m..(row + 1) * m].iter().copied()).collect();
    solve_triangular(&a, n, &mut x, m, Triangle { upper: false, transposed: false, unit: true });
    solve_triangular(&a, n, &mut x, m, Triangle { upper: true, transposed: false, unit: false });
    x
}

/// The determinant: its sign and the logarithm of its absolute value.
pub(crate) fn log_det(mut a: Matrix, n: usize) -> (f64, f64) {
    let (_, mut sign) = lu(&mut a, n);
    let mut log = 0.0;
    for i in 0..n {
        let d = a[i * n + i];
        sign *= if d == 0.0 { 0.0 } else { d.signum() };
        log += d.abs().ln();
    }
    (sign, log)
}

/// The determinant.
pub(crate) fn det(mut a: Matrix, n: usize) -> f64 {
    let (_, sign) = lu(&mut a, n);
    (0..n).fold(sign, |det, i| det * a[i * n + i])
}

/// The first min(m, n) columns of Q in A = Q R, A m × n, by Householder reflections with LAPACK's signs.
pub(crate) fn orthonormal(a: &[f64], m: usize, n: usize) -> Matrix {
    let k = m.min(n);
    let mut a = a.to_vec();
    let mut reflections: Vec<(Vec<f64>, f64)> = Vec::with_capacity(k);
    for j in 0..k {
        let alpha = a[j * n + j];
        let below = (j + 1..m).map(|i| a[i * n + j].powi(2)).sum::<f64>().sqrt();
        let mut v: Vec<f64> = (j..m).map(|i| a[i * n + j]).collect();
        let tau = if below == 0.0 {
            0.0
        } else {
            let beta = -alpha.hypot(below).copysign(alpha);
            v.iter_mut().skip(1).for_each(|x| *x /= alpha - beta);
            (beta - alpha) / beta
        };
        v[0] = 1.0;
        reflect(&mut a, n, j, &v, tau);
        reflections.push((v, tau));
    }
    let mut q = vec![0.0; m * k];
    (0..k).for_each(|i| q[i * k + i] = 1.0);
    for (j, (v, tau)) in reflections.iter().enumerate().rev() {
        reflect(&mut q, k, j, v, *tau);
    }
    q
}

/// A ← (I − τ v vᵀ) A, on the rows from `first` on of a matrix with `n` columns.
fn reflect(a: &mut [f64], n: usize, first: usize, v: &[f64], tau: f64) {
    for c in 0..n {
        let dot: f64 = v.iter().enumerate().map(|(i, v)| v * a[(first + i) * n + c]).sum();
        for (i, v) in v.iter().enumerate() {
            a[(first + i) * n + c] -= tau * dot * v;
        }
    }
}

fn multiply(a: &[f64], b: &[f64], n: usize) -> Matrix {
    let mut c = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            let x = a[i * n + k];
            for j in 0..n {
                c[i * n + j] += x * b[k * n + j];
            }
        }
    }
    c
}

/// eᴬ by scaling and squaring with the [13/13] Padé approximant (Higham 2005).
pub(crate) fn exp(a: &[f64], n: usize) -> Matrix {
    const B: [f64; 14] = [
        64_764_752_532_480_000.0,
        32_382_376_266_240_000.0,
        7_771_770_303_897_600.0,
        1_187_353_796_428_800.0,
        129_060_195_264_000.0,
        10_559_470_521_600.0,
        670_442_572_800.0,
        33_522_128_640.0,
        1_323_241_920.0,
        40_840_800.0,
        960_960.0,
        16_380.0,
        182.0,
        1.0,
    ];
    let norm = (0..n).map(|j| (0..n).map(|i| a[i * n + j].abs()).sum::<f64>()).fold(0.0, f64::max);
    if !norm.is_finite() {
        return vec![f64::NAN; n * n];
    }
    // θ₁₃ of the paper: below it the approximant is exact to the last place.
    let squarings = (norm / 5.371_920_351_148_152).log2().ceil().max(0.0) as i32;
    let a: Matrix = a.iter().map(|x| x * 0.5f64.powi(squarings)).collect();
    let a2 = multiply(&a, &a, n);
    let a4 = multiply(&a2, &a2, n);
    let a6 = multiply(&a4, &a2, n);
    let combine = |c6: f64, c4: f64, c2: f64, c0: f64| -> Matrix {
        let mut out: Matrix = (0..n * n).map(|i| c6 * a6[i] + c4 * a4[i] + c2 * a2[i]).collect();
        (0..n).for_each(|i| out[i * n + i] += c0);
        out
    };
    let plus = |mut a: Matrix, b: Matrix| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let odd = plus(multiply(&a6, &combine(B[13], B[11], B[9], 0.0), n), combine(B[7], B[5], B[3], B[1]));
    let u = multiply(&a, &odd, n);
    let v = plus(multiply(&a6, &combine(B[12], B[10], B[8], 0.0), n), combine(B[6], B[4], B[2], B[0]));
    let numerator = plus(u.clone(), v.clone());
    let denominator = plus(u.iter().map(|x| -x).collect(), v);
    let mut result = solve(denominator, n, &numerator, n);
    for _ in 0..squarings {
        result = multiply(&result, &result, n);
    }
    result
}
