//! Discrete Fourier transforms of any length, in double precision: Cooley and Tukey's halving for powers of two,
//! Bluestein's convolution for the rest.

use std::f64::consts::PI;

/// A complex number.
type Complex = [f64; 2];

fn mul(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

/// e^(iφ)
fn turn(angle: f64) -> Complex {
    [angle.cos(), angle.sin()]
}

/// What a transform of one length needs to know, computed once for all rows.
pub(crate) struct Plan {
    n: usize,
    /// e^(∓2πi k/m), m the power of two that is transformed.
    turns: Vec<Complex>,
    /// For other lengths: e^(∓πi k²/n), and the transform of its conjugate.
    chirp: Option<(Vec<Complex>, Vec<Complex>)>,
}

impl Plan {
    /// yₖ = Σ xⱼ e^(−2πi jk/n), or with e^(+…) if `inverse`: not divided by n.
    pub(crate) fn new(n: usize, inverse: bool) -> Self {
        let sign = if inverse { 1.0 } else { -1.0 };
        let turns = |m: usize, sign: f64| (0..m / 2).map(|k| turn(sign * 2.0 * PI * k as f64 / m as f64)).collect();
        if n.is_power_of_two() {
            return Self { n, turns: turns(n, sign), chirp: None };
        }
        let m = (2 * n).next_power_of_two();
        // k² modulo 2n is exact, k² as a float is not.
        let chirp: Vec<Complex> =
            (0..n).map(|k| turn(sign * PI * ((k as u128 * k as u128) % (2 * n) as u128) as f64 / n as f64)).collect();
        let mut plan = Self { n, turns: turns(m, -1.0), chirp: None };
        let mut kernel = vec![[0.0; 2]; m];
        for (k, &[re, im]) in chirp.iter().enumerate() {
            kernel[k] = [re, -im];
            kernel[(m - k) % m] = [re, -im];
        }
        halving(&mut kernel, &plan.turns);
        plan.chirp = Some((chirp, kernel));
        plan
    }

    /// The transform, in place.
    pub(crate) fn run(&self, x: &mut [Complex]) {
        let Some((chirp, kernel)) = &self.chirp else {
            return halving(x, &self.turns);
        };
        // jk = ½ (j² + k² − (k − j)²): a convolution with the chirp.
        let m = kernel.len();
        let mut work = vec![[0.0; 2]; m];
        for (work, (&x, &chirp)) in work.iter_mut().zip(x.iter().zip(chirp)) {
            *work = mul(x, chirp);
        }
        halving(&mut work, &self.turns);
        for (work, &kernel) in work.iter_mut().zip(kernel) {
            let [re, im] = mul(*work, kernel);
            // Conjugated: the second transform is then an inverse one.
            *work = [re, -im];
        }
        halving(&mut work, &self.turns);
        for (k, x) in x.iter_mut().enumerate().take(self.n) {
            let [re, im] = work[k];
            *x = mul([re / m as f64, -im / m as f64], chirp[k]);
        }
    }
}

/// In place for a power of two, `turns` being e^(∓2πi k/n) for k < n/2.
fn halving(x: &mut [Complex], turns: &[Complex]) {
    let n = x.len();
    if n < 2 {
        return;
    }
    let shift = usize::BITS - n.ilog2();
    for i in 0..n {
        let j = i.reverse_bits() >> shift;
        if i < j {
            x.swap(i, j);
        }
    }
    let mut half = 1;
    while half < n {
        let stride = n / (2 * half);
        for block in x.chunks_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let [re, im] = mul(*b, turns[k * stride]);
                *b = [a[0] - re, a[1] - im];
                *a = [a[0] + re, a[1] + im];
            }
        }
        half *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_its_definition() {
        for n in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 30, 31, 64, 100] {
            let x: Vec<Complex> = (0..n).map(|k| [(1.3 * k as f64).sin(), (0.7 * k as f64).cos() - 0.2]).collect();
            for inverse in [false, true] {
                let sign = if inverse { 1.0 } else { -1.0 };
                let mut y = x.clone();
                Plan::new(n, inverse).run(&mut y);
                for (k, y) in y.iter().enumerate() {
                    let mut sum = [0.0; 2];
                    for (j, &x) in x.iter().enumerate() {
                        let [re, im] = mul(x, turn(sign * 2.0 * PI * ((j * k) % n) as f64 / n as f64));
                        sum = [sum[0] + re, sum[1] + im];
                    }
                    assert!((y[0] - sum[0]).abs() + (y[1] - sum[1]).abs() < 1e-12 * n as f64, "{n}: {y:?} {sum:?}");
                }
            }
        }
    }
}
