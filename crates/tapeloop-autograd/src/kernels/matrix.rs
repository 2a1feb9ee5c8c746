//! Factorisations of small dense matrices, row-major, in `f64` whatever the element type: their cost is not
//! what a recurrent network waits for, their accuracy is what its initial weights and checks stand on.

use std::ops::Range;

use super::gemm::{Mat, gemm};
use super::threads::Threads;

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

/// Columns that are reflected together.
const PANEL: usize = 32;

/// Q in A = Q R, A m × n with m ≥ n, by Householder reflections with LAPACK's signs.
///
/// Reflections of a panel of columns are joined to I − V T Vᵀ (Schreiber and Van Loan 1989), so that nearly all work
/// is in matrix products. What is left of the matrix is kept dense, and loses a panel's rows and columns each round.
pub(crate) fn orthonormal(a: Matrix, m: usize, n: usize, threads: &Threads) -> Matrix {
    let mut rest = a;
    let mut panels = Vec::with_capacity(n.div_ceil(PANEL));
    for first in (0..n).step_by(PANEL) {
        let (rows, cols, width) = (m - first, n - first, PANEL.min(n - first));
        let panel = Reflections::of(&rest, rows, cols, width);
        if width < cols {
            panel.apply(&mut rest, cols, true, threads);
            rest = part(&rest, cols, width..rows, width..cols);
        }
        panels.push(panel);
    }
    // The last panel's part of Q first: in front of it there is still the identity.
    let (mut q, mut side) = (Matrix::new(), 0);
    for panel in panels.iter().rev() {
        let (inner, wide) = (side, side + panel.width);
        let mut wider = vec![0.0; panel.rows * wide];
        (0..panel.width).for_each(|i| wider[i * wide + i] = 1.0);
        for (row, q) in wider.chunks_mut(wide).skip(panel.width).zip(q.chunks(inner.max(1))) {
            row[panel.width..].copy_from_slice(q);
        }
        panel.apply(&mut wider, wide, false, threads);
        (q, side) = (wider, wide);
    }
    q
}

/// A block of a matrix with `n` columns, dense.
fn part(a: &[f64], n: usize, rows: Range<usize>, cols: Range<usize>) -> Matrix {
    let mut block = Vec::with_capacity(rows.len() * cols.len());
    rows.for_each(|i| block.extend_from_slice(&a[i * n..][cols.clone()]));
    block
}

/// The product I − V T Vᵀ of the reflections I − τ v vᵀ of a panel.
struct Reflections {
    rows: usize,
    width: usize,
    /// Vᵀ: a reflection's vector after the other.
    v: Matrix,
    /// Upper triangular.
    t: Matrix,
}

impl Reflections {
    /// Those that make the first `width` columns of a matrix (rows × cols) upper triangular.
    fn of(a: &[f64], rows: usize, cols: usize, width: usize) -> Self {
        let mut v = vec![0.0; width * rows];
        for (i, row) in a.chunks(cols).enumerate() {
            (0..width).for_each(|j| v[j * rows + i] = row[j]);
        }
        let mut t = vec![0.0; width * width];
        for j in 0..width {
            let (done, later) = v.split_at_mut((j + 1) * rows);
            let (before, own) = done.split_at_mut(j * rows);
            own[..j].fill(0.0);
            let below = dot(&own[j + 1..], &own[j + 1..]).sqrt();
            let tau = if below == 0.0 {
                0.0
            } else {
                let beta = -own[j].hypot(below).copysign(own[j]);
                let scale = 1.0 / (own[j] - beta);
                let tau = (beta - own[j]) / beta;
                own[j + 1..].iter_mut().for_each(|x| *x *= scale);
                tau
            };
            own[j] = 1.0;
            for column in later.chunks_mut(rows) {
                let factor = tau * dot(own, column);
                column.iter_mut().zip(&*own).for_each(|(x, v)| *x -= factor * v);
            }
            // T gets the column −τ T Vᵀ v, with τ on the diagonal.
            let products: Vec<f64> = before.chunks(rows).map(|v| dot(v, own)).collect();
            for i in 0..j {
                t[i * width + j] = -tau * (i..j).map(|k| t[i * width + k] * products[k]).sum::<f64>();
            }
            t[j * width + j] = tau;
        }
        Self { rows, width, v, t }
    }

    /// A ← (I − V T Vᵀ) A, or its transpose times A, for a matrix with `cols` columns.
    fn apply(&self, a: &mut [f64], cols: usize, transposed: bool, threads: &Threads) {
        let (rows, width) = (self.rows, self.width);
        let mut products = vec![0.0; width * cols];
        gemm(width, rows, cols, dense(&self.v, rows), dense(a, cols), false, &mut products, threads);
        let t = if transposed { flipped(&self.t, width) } else { dense(&self.t, width) };
        let mut change = vec![0.0; width * cols];
        gemm(width, width, cols, t, dense(&products, cols), false, &mut change, threads);
        change.iter_mut().for_each(|x| *x = -*x);
        gemm(rows, width, cols, flipped(&self.v, rows), dense(&change, cols), true, a, threads);
    }
}

/// A dense matrix with `cols` columns.
fn dense(data: &[f64], cols: usize) -> Mat<'_, f64> {
    Mat { data, row_stride: cols, col_stride: 1 }
}

/// The transpose of a dense matrix with `cols` columns.
fn flipped(data: &[f64], cols: usize) -> Mat<'_, f64> {
    Mat { data, row_stride: 1, col_stride: cols }
}

/// Σ aᵢ bᵢ in four sums, one for each place modulo 4.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (a, b) in a4.iter().zip(b4) {
        for k in 0..4 {
            sums[k] += a[k] * b[k];
        }
    }
    let tail: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + tail
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Rng, Tensor};

    /// Reflections one by one, as a textbook has them.
    fn one_by_one(a: &[f64], m: usize, n: usize) -> Matrix {
        let mut a = a.to_vec();
        let reflect = |a: &mut [f64], n: usize, first: usize, v: &[f64], tau: f64| {
            for c in 0..n {
                let dot: f64 = v.iter().enumerate().map(|(i, v)| v * a[(first + i) * n + c]).sum();
                v.iter().enumerate().for_each(|(i, v)| a[(first + i) * n + c] -= tau * dot * v);
            }
        };
        let mut reflections = Vec::new();
        for j in 0..n {
            let below = (j + 1..m).map(|i| a[i * n + j].powi(2)).sum::<f64>().sqrt();
            let alpha = a[j * n + j];
            let beta = -alpha.hypot(below).copysign(alpha);
            let mut v: Vec<f64> = (j..m).map(|i| a[i * n + j] / (alpha - beta)).collect();
            v[0] = 1.0;
            let tau = if below == 0.0 { 0.0 } else { (beta - alpha) / beta };
            reflect(&mut a, n, j, &v, tau);
            reflections.push((v, tau));
        }
        let mut q = vec![0.0; m * n];
        (0..n).for_each(|i| q[i * n + i] = 1.0);
        reflections.iter().enumerate().rev().for_each(|(j, (v, tau))| reflect(&mut q, n, j, v, *tau));
        q
    }

    #[test]
    fn panels_of_reflections_are_the_reflections_one_by_one() {
        for (m, n) in [(1, 1), (5, 3), (32, 32), (40, 33), (33, 33), (100, 70), (65, 1)] {
            let a = Tensor::<f64>::normal([m, n], 0.0, 1.0, &mut Rng::new(7)).to_vec();
            let q = orthonormal(a.clone(), m, n, &Threads::alone());
            let error = q.iter().zip(one_by_one(&a, m, n)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-12, "{m} × {n}: {error:e}");
        }
        assert!(orthonormal(Matrix::new(), 3, 0, &Threads::alone()).is_empty());
        // A column of zeros below its diagonal is not reflected.
        assert_eq!(orthonormal(vec![-2.0, 1.0, 0.0, 3.0], 2, 2, &Threads::alone()), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn orthonormal_to_the_last_digits_whatever_the_number_of_threads() {
        let (m, n) = (700, 300);
        let a = Tensor::<f64>::normal([m, n], 0.0, 1.0, &mut Rng::new(3)).to_vec();
        let q = orthonormal(a.clone(), m, n, &Threads::alone());
        assert!(q == orthonormal(a, m, n, &Threads::new(3)));
        for i in 0..n {
            for j in 0..=i {
                let product: f64 = (0..m).map(|k| q[k * n + i] * q[k * n + j]).sum();
                assert!((product - f64::from(i == j)).abs() < 1e-13, "columns {i} and {j}: {product:e}");
            }
        }
    }
}
