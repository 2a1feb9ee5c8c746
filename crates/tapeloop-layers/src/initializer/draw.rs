//! The first values, once it is known that there are some.

use tapeloop_autograd::{Element, Rng, Shape, Tape, Tensor};

use super::{Distribution, Fan, Initializer, Nonlinearity};

/// The standard deviation of a normal distribution cut at two of its own.
const CUT_AT_TWO: f64 = 0.879_625_661_034_239_8;

/// A variance to reach, and by what.
#[derive(Clone, Copy)]
pub(super) struct Scaling {
    pub(super) scale: f64,
    pub(super) mode: Fan,
    pub(super) distribution: Distribution,
}

impl Scaling {
    /// The variance of a weight of this shape.
    pub(super) fn variance(self, shape: &Shape) -> f64 {
        let (fan_in, fan_out) = fans(shape);
        let fan = match self.mode {
            Fan::FanIn => fan_in,
            Fan::FanOut => fan_out,
            Fan::FanAvg => (fan_in + fan_out) / 2.0,
        };
        self.scale / fan.max(1.0)
    }

    fn draw<T: Element>(self, shape: Shape, rng: &mut Rng) -> Tensor<T> {
        let variance = self.variance(&shape);
        match self.distribution {
            Distribution::TruncatedNormal => {
                let std = variance.sqrt() / CUT_AT_TWO;
                Tensor::from_fn(shape, |_| T::from_f64(std * normal_between(-2.0, 2.0, rng)))
            }
            Distribution::UntruncatedNormal => Tensor::normal(shape, 0.0, variance.sqrt(), rng),
            Distribution::Uniform => {
                let limit = (3.0 * variance).sqrt();
                Tensor::uniform(shape, -limit, limit, rng)
            }
        }
    }
}

impl Initializer {
    /// Of those that scale a variance, how.
    pub(super) fn scaling(&self) -> Option<Scaling> {
        use Distribution::{TruncatedNormal, Uniform, UntruncatedNormal};
        let of = |scale, mode, distribution| Some(Scaling { scale, mode, distribution });
        match *self {
            Self::VarianceScaling { scale, mode, distribution } => of(scale, mode, distribution),
            Self::GlorotUniform => of(1.0, Fan::FanAvg, Uniform),
            Self::GlorotNormal => of(1.0, Fan::FanAvg, TruncatedNormal),
            Self::HeUniform => of(2.0, Fan::FanIn, Uniform),
            Self::HeNormal => of(2.0, Fan::FanIn, TruncatedNormal),
            Self::LecunUniform => of(1.0, Fan::FanIn, Uniform),
            Self::LecunNormal => of(1.0, Fan::FanIn, TruncatedNormal),
            Self::XavierUniform { gain } => of(gain * gain, Fan::FanAvg, Uniform),
            Self::XavierNormal { gain } => of(gain * gain, Fan::FanAvg, UntruncatedNormal),
            Self::KaimingUniform { a, mode, nonlinearity } => of(nonlinearity.gain(a).powi(2), mode, Uniform),
            Self::KaimingNormal { a, mode, nonlinearity } => of(nonlinearity.gain(a).powi(2), mode, UntruncatedNormal),
            _ => None,
        }
    }

    /// The first value of a shape that is checked.
    pub(super) fn draw<T: Element>(&self, shape: Shape, rng: &mut Rng) -> Tensor<T> {
        match self {
            Self::Zeros => Tensor::zeros(shape),
            Self::Ones => Tensor::ones(shape),
            Self::Constant { value } => Tensor::full(shape, T::from_f64(*value)),
            Self::Identity { gain } => Tensor::from_fn(shape, |i| T::from_f64(if i[0] == i[1] { *gain } else { 0.0 })),
            Self::Dirac { groups } => dirac(shape, *groups),
            Self::Uniform { low, high } => Tensor::uniform(shape, *low, *high, rng),
            Self::Normal { mean, std } => Tensor::normal(shape, *mean, *std, rng),
            Self::TruncatedNormal { mean, std, cut } => {
                Tensor::from_fn(shape, |_| T::from_f64(mean + std * normal_between(-cut, *cut, rng)))
            }
            Self::TruncNormal { mean, std, a, b } if *std > 0.0 => {
                let (low, high) = ((a - mean) / std, (b - mean) / std);
                let mut draw = || mean + std * normal_between(low, high, rng);
                // Rounding may leave the interval.
                Tensor::from_fn(shape, |_| T::from_f64(draw().clamp(*a, *b)))
            }
            Self::TruncNormal { mean, a, b, .. } => Tensor::full(shape, T::from_f64(mean.clamp(*a, *b))),
            Self::Orthogonal { gain } => orthogonal(shape, *gain, rng),
            Self::Sparse { sparsity, std } => sparse(shape, *sparsity, *std, rng),
            Self::PerGate { gates, initializer } => per_gate(shape, *gates, initializer, rng),
            Self::VarianceScaling { .. }
            | Self::GlorotUniform
            | Self::GlorotNormal
            | Self::HeUniform
            | Self::HeNormal
            | Self::LecunUniform
            | Self::LecunNormal
            | Self::XavierUniform { .. }
            | Self::XavierNormal { .. }
            | Self::KaimingUniform { .. }
            | Self::KaimingNormal { .. } => self.scaling().expect("it scales a variance").draw(shape, rng),
        }
    }
}

impl Nonlinearity {
    fn gain(self, a: f64) -> f64 {
        match self {
            Self::Linear | Self::Sigmoid => 1.0,
            Self::Tanh => 5.0 / 3.0,
            Self::Relu => 2f64.sqrt(),
            Self::LeakyRelu => (2.0 / (1.0 + a * a)).sqrt(),
            Self::Selu => 0.75,
        }
    }
}

/// Fan in and fan out of (window…, in, out).
fn fans(shape: &Shape) -> (f64, f64) {
    match shape.dims() {
        [] => (1.0, 1.0),
        [n] => (*n as f64, *n as f64),
        [window @ .., fan_in, fan_out] => {
            let field = window.iter().product::<usize>() as f64;
            (field * *fan_in as f64, field * *fan_out as f64)
        }
    }
}

/// Standard normal, given that it lies in low..=high, by rejection from what is near to it there (Robert 1995): however
/// far out or narrow the interval is, the next draw is soon accepted.
fn normal_between(low: f64, high: f64, rng: &mut Rng) -> f64 {
    // Beyond this the distribution is narrower than the precision of its place.
    const FAR: f64 = 1e8;
    if high < 0.0 {
        return -normal_between(-high, -low, rng);
    }
    if low > FAR {
        return low;
    }
    if low > 0.0 {
        let root = (low * low + 4.0).sqrt();
        let rate = (low + root) / 2.0;
        if high - low > ((low * low - low * root) / 4.0 + 0.5).exp() / rate {
            // An exponential tail that begins at `low`.
            loop {
                let z = low - (1.0 - rng.uniform()).ln() / rate;
                if z <= high && rng.uniform() <= (-(z - rate).powi(2) / 2.0).exp() {
                    return z;
                }
            }
        }
    } else if high - low > std::f64::consts::TAU.sqrt() {
        loop {
            let z = rng.normal();
            if (low..=high).contains(&z) {
                return z;
            }
        }
    }
    // A narrow interval: uniform, accepted by the density relative to its highest there.
    let top = low.max(0.0);
    loop {
        let z = low + (high - low) * rng.uniform();
        if rng.uniform() <= ((top * top - z * z) / 2.0).exp() {
            return z;
        }
    }
}

fn dirac<T: Element>(shape: Shape, groups: usize) -> Tensor<T> {
    let window = shape.rank() - 2;
    let middle: Vec<usize> = shape[..window].iter().map(|n| n / 2).collect();
    let outputs = (shape[window + 1] / groups).max(1);
    Tensor::from_fn(shape, |i| T::from_f64(f64::from(i[..window] == middle && i[window] == i[window + 1] % outputs)))
}

fn orthogonal<T: Element>(shape: Shape, gain: f64, rng: &mut Rng) -> Tensor<T> {
    let cols = shape[shape.rank() - 1];
    let rows = shape.size().checked_div(cols).unwrap_or(0);
    let (long, short) = (rows.max(cols), rows.min(cols));
    if short == 0 {
        return Tensor::zeros(shape);
    }
    let tape = Tape::<f64>::inference();
    let (q, r) = tape.constant(Tensor::normal([long, short], 0.0, 1.0, rng)).qr();
    let signs = r.diagonal(0, -2, -1).value().map(|x| if x < 0.0 { -1.0 } else { 1.0 });
    let q = q * &signs * gain;
    let q = if rows < cols { q.t() } else { q };
    Tensor::from_vec(shape, q.value().cast::<T>().to_vec())
}

fn sparse<T: Element>(shape: Shape, sparsity: f64, std: f64, rng: &mut Rng) -> Tensor<T> {
    let (rows, cols) = (shape[0], shape[1]);
    let zeros = (sparsity * rows as f64).ceil() as usize;
    let mut data = Tensor::<T>::normal(shape, 0.0, std, rng);
    let elements = data.as_mut_slice();
    for col in 0..cols {
        for &row in rng.permutation(rows).iter().take(zeros) {
            elements[row * cols + col] = T::ZERO;
        }
    }
    data
}

/// The shape of one of `gates` equal parts of the last axis.
pub(super) fn part(shape: &Shape, gates: usize) -> Shape {
    let last = shape.rank() - 1;
    shape[..last].iter().copied().chain([shape[last] / gates]).collect()
}

fn per_gate<T: Element>(shape: Shape, gates: usize, initializer: &Initializer, rng: &mut Rng) -> Tensor<T> {
    let part = part(&shape, gates);
    let (cols, width) = (shape[shape.rank() - 1], part[part.rank() - 1]);
    let mut whole = Tensor::zeros(shape);
    if width == 0 {
        return whole;
    }
    let elements = whole.as_mut_slice();
    for gate in 0..gates {
        let values = initializer.draw::<T>(part.clone(), rng).to_vec();
        for (row, values) in elements.chunks_mut(cols).zip(values.chunks(width)) {
            row[gate * width..][..width].copy_from_slice(values);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of the standard normal distribution on low..high, by Simpson's rule.
    fn mean(low: f64, high: f64) -> f64 {
        const N: i32 = 20_000;
        let (mut mass, mut moment) = (0.0, 0.0);
        for k in 0..=N {
            let weight = if k == 0 || k == N { 1.0 } else { f64::from(2 + 2 * (k % 2)) };
            let z = low + (high - low) * f64::from(k) / f64::from(N);
            let density = weight * ((low * low - z * z) / 2.0).exp();
            mass += density;
            moment += density * z;
        }
        moment / mass
    }

    #[test]
    fn a_cut_normal_has_its_mean_wherever_it_is_cut() {
        let mut rng = Rng::new(1);
        let cuts: [(f64, f64); 9] = [
            (-2.0, 2.0),
            (-0.1, 0.3),
            (-1.0, 30.0),
            (0.5, 0.6),
            (0.5, 9.0),
            (6.0, 7.0),
            (-12.0, -8.0),
            (30.0, 31.0),
            (-0.7, -0.2),
        ];
        for (low, high) in cuts {
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|_| normal_between(low, high, &mut rng)).collect();
            assert!(draws.iter().all(|z| (low..=high).contains(z)), "{low}..{high}");
            let found = draws.iter().sum::<f64>() / f64::from(n);
            let variance = draws.iter().map(|z| (z - found).powi(2)).sum::<f64>() / f64::from(n);
            // The integrand spans what a double holds: beyond 9 there is nothing left of it.
            let expected = if high < 0.0 { -mean(-high, -low) } else { mean(low, high.min(low.max(0.0) + 9.0)) };
            let error = (found - expected).abs() / (variance / f64::from(n)).sqrt();
            assert!(error < 4.5, "{low}..{high}: {found}, not {expected}");
        }
        assert_eq!(normal_between(1e300, f64::INFINITY, &mut rng), 1e300);
        assert_eq!(normal_between(0.25, 0.25, &mut rng), 0.25);
    }
}
