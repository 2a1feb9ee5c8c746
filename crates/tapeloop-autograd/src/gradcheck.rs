//! Checks a derivative against differences of the function itself, in `f64`.

use std::fmt;

use crate::shape::Shape;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::tensor::random::Rng;

/// How far a derivative and a difference may be apart: |a − b| ≤ `absolute` + `relative` · max(|a|, |b|).
///
/// Differences are taken at four points, h and 2h to both sides, so their own error is of order h⁴.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// The absolute part.
    pub absolute: f64,
    /// The relative part.
    pub relative: f64,
    /// The distance h between points.
    pub step: f64,
}

impl Default for Tolerance {
    /// 10⁻⁸ absolute and relative, h = 10⁻³.
    fn default() -> Self {
        Self { absolute: 1e-8, relative: 1e-8, step: 1e-3 }
    }
}

/// A derivative that its function does not have.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// What was compared.
    pub what: String,
    /// The derivative as the tape gave it.
    pub derivative: f64,
    /// The difference quotient.
    pub difference: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, derivative, difference } = self;
        write!(f, "{what}: the derivative is {derivative:e}, the difference {difference:e}")
    }
}

impl std::error::Error for Mismatch {}

/// Checks the gradient of `f` at `inputs` along one random direction, for a random cotangent: two numbers,
/// whatever the sizes. Returns the error |derivative − difference|.
///
/// ```
/// use tapeloop_autograd::gradcheck::{Tolerance, gradcheck};
/// use tapeloop_autograd::{Rng, Tensor};
/// let x = Tensor::normal([2, 3], 0.0, 1.0, &mut Rng::new(1));
/// gradcheck(|x| x[0].tanh() * x[0], &[x], 7, Tolerance::default()).unwrap();
/// ```
///
/// # Errors
/// With both numbers, if they are too far apart.
pub fn gradcheck(
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
    inputs: &[Tensor<f64>],
    seed: u64,
    tolerance: Tolerance,
) -> Result<f64, Mismatch> {
    let mut rng = Rng::new(seed);
    let cotangent = Tensor::normal(shape_of(&f, inputs), 0.0, 1.0, &mut rng);
    let directions: Vec<_> = inputs.iter().map(|x| Tensor::normal(x.shape(), 0.0, 1.0, &mut rng)).collect();
    let derivative = {
        let tape = Tape::new();
        let x: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
        let y = f(&x);
        if y.needs_grad() {
            let gradients = y.backward_with(&cotangent);
            x.iter().zip(&directions).map(|(&x, v)| gradients.wrt(x).map_or(0.0, |g| dot(g, v))).sum()
        } else {
            0.0
        }
    };
    let along = |t: f64| {
        let tape = Tape::inference();
        let moved = inputs.iter().zip(&directions);
        let x: Vec<_> = moved.map(|(x, v)| tape.leaf(combine(x, t, v))).collect();
        dot(&f(&x).value(), &cotangent)
    };
    compare("along a random direction", derivative, difference(along, tolerance.step), tolerance)
}

/// Checks the second derivatives of `f`: the gradient check of its gradient, as a function of the inputs and
/// of the cotangent.
///
/// ```
/// use tapeloop_autograd::gradcheck::{Tolerance, gradgradcheck};
/// use tapeloop_autograd::{Rng, Tensor};
/// let x = Tensor::normal([2, 3], 0.0, 1.0, &mut Rng::new(1));
/// gradgradcheck(|x| x[0].sigmoid(), &[x], 7, Tolerance::default()).unwrap();
/// ```
///
/// # Errors
/// With both numbers, if they are too far apart.
pub fn gradgradcheck(
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
    inputs: &[Tensor<f64>],
    seed: u64,
    tolerance: Tolerance,
) -> Result<f64, Mismatch> {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let mut all = inputs.to_vec();
    all.push(Tensor::normal(shape_of(&f, inputs), 0.0, 1.0, &mut rng));
    let weights: Vec<_> = inputs.iter().map(|x| Tensor::normal(x.shape(), 0.0, 1.0, &mut rng)).collect();
    // ⟨∇f, w⟩ is a scalar that depends on everything the gradient depends on.
    gradcheck(|all| first_order(&f, all, &weights), &all, seed, tolerance)
}

fn first_order<'t>(
    f: &impl for<'a> Fn(&[Var<'a, f64>]) -> Var<'a, f64>,
    all: &[Var<'t, f64>],
    weights: &[Tensor<f64>],
) -> Var<'t, f64> {
    let (&cotangent, inputs) = all.split_last().expect("the cotangent is the last input");
    let tape = cotangent.tape();
    // Also where the outer call does not record, the inner derivative must.
    tape.recorded(|| {
        let x: Vec<_> = inputs.iter().map(|x| if x.needs_grad() { *x } else { tape.leaf(x.value()) }).collect();
        let gradients = tape.grad(&[(f(&x), cotangent)], &x);
        gradients.iter().zip(weights).map(|(&g, w)| (g * w).sum_all()).sum()
    })
}

/// Checks every entry of the Jacobian of `f` at `inputs`. Returns the largest error.
///
/// ```
/// use tapeloop_autograd::gradcheck::{Tolerance, jacobian_check};
/// use tapeloop_autograd::{Rng, Tensor};
/// let x = Tensor::normal([4], 0.0, 1.0, &mut Rng::new(1));
/// jacobian_check(|x| x[0].exp(), &[x], Tolerance::default()).unwrap();
/// ```
///
/// # Errors
/// With the first entry that is wrong.
pub fn jacobian_check(
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
    inputs: &[Tensor<f64>],
    tolerance: Tolerance,
) -> Result<f64, Mismatch> {
    let shape = shape_of(&f, inputs);
    let mut worst = 0.0f64;
    for out in 0..shape.size() {
        let unit = Tensor::from_vec(&shape, (0..shape.size()).map(|i| f64::from(i == out)).collect());
        let tape = Tape::new();
        let x: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
        let y = f(&x);
        let gradients = y.needs_grad().then(|| y.backward_with(&unit));
        for (k, input) in inputs.iter().enumerate() {
            let row = gradients.as_ref().and_then(|g| g.wrt(x[k])).map(Tensor::to_vec);
            for i in 0..input.size() {
                let along = |t: f64| {
                    let tape = Tape::inference();
                    let moved = |j: usize, x: &Tensor<f64>| {
                        let mut data = x.to_vec();
                        if j == k {
                            data[i] += t;
                        }
                        tape.leaf(Tensor::from_vec(x.shape(), data))
                    };
                    let x: Vec<_> = inputs.iter().enumerate().map(|(j, x)| moved(j, x)).collect();
                    f(&x).value().to_vec()[out]
                };
                let derivative = row.as_ref().map_or(0.0, |row| row[i]);
                let what = format!("output {out} by element {i} of input {k}");
                worst = worst.max(compare(&what, derivative, difference(along, tolerance.step), tolerance)?);
            }
        }
    }
    Ok(worst)
}

fn shape_of(f: &impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>, inputs: &[Tensor<f64>]) -> Shape {
    let tape = Tape::inference();
    let x: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
    f(&x).shape()
}

/// The derivative of `f` at 0 from four points.
fn difference(f: impl Fn(f64) -> f64, h: f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

fn compare(what: &str, derivative: f64, difference: f64, tolerance: Tolerance) -> Result<f64, Mismatch> {
    let error = (derivative - difference).abs();
    // Written so that NaN fails.
    if error <= tolerance.absolute + tolerance.relative * derivative.abs().max(difference.abs()) {
        Ok(error)
    } else {
        Err(Mismatch { what: what.to_string(), derivative, difference })
    }
}

fn dot(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    a.to_vec().iter().zip(b.to_vec()).map(|(a, b)| a * b).sum()
}

fn combine(x: &Tensor<f64>, t: f64, v: &Tensor<f64>) -> Tensor<f64> {
    let data = x.to_vec().iter().zip(v.to_vec()).map(|(x, v)| x + t * v).collect();
    Tensor::from_vec(x.shape(), data)
}
