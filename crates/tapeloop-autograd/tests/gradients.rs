//! Every operation in the list: its derivative, and the derivative of its derivative, against differences.

use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck, jacobian_check};
use tapeloop_autograd::ops::{Example, catalogue};
use tapeloop_autograd::{Backward, Op, Rng, Run, Shape, ShapeResult, Tensor};

fn check_all(order: &str, check: impl Fn(&Example<f64>, u64) -> Result<f64, String>) {
    let (mut failures, mut checked) = (Vec::new(), 0);
    for entry in catalogue::<f64>().iter().filter(|entry| entry.differentiable) {
        assert!(!entry.examples.is_empty(), "{} has no example", entry.file);
        for example in &entry.examples {
            for seed in 0..3 {
                checked += 1;
                if let Err(error) = check(example, seed) {
                    failures.push(format!("{}: `{}`: {error}", entry.file, example.text));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{order}: {} of {checked} checks failed:\n{}", failures.len(), failures.join("\n"));
}

fn inputs(example: &Example<f64>, seed: u64) -> Vec<Tensor<f64>> {
    let mut rng = Rng::new(seed);
    example.inputs.iter().map(|sample| sample.draw(&mut rng)).collect()
}

#[test]
fn first_order() {
    check_all("first order", |example, seed| {
        gradcheck(example.call, &inputs(example, seed), seed, Tolerance::default()).map_err(|e| e.to_string())
    });
}

#[test]
fn second_order() {
    check_all("second order", |example, seed| {
        let tolerance = Tolerance { absolute: 1e-7, relative: 1e-7, ..Tolerance::default() };
        gradgradcheck(example.call, &inputs(example, seed), seed, tolerance).map_err(|e| e.to_string())
    });
}

#[test]
fn full_jacobians() {
    check_all("Jacobian", |example, seed| {
        jacobian_check(example.call, &inputs(example, seed), Tolerance::default()).map_err(|e| e.to_string())
    });
}

/// y = x², with a first derivative that is wrong by `factor`, and a second that is missing if `constant`.
#[derive(Debug)]
struct Square {
    factor: f64,
    constant: bool,
}

impl Op<f64> for Square {
    fn name(&self) -> &'static str {
        "square"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<f64>], _: &mut Run<'_, f64>) -> Tensor<f64> {
        inputs[0].map(|x| x * x)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, f64>) {
        let x = if self.constant { back.input(0).detach() } else { back.input(0) };
        back.give(0, |g| g * x * (2.0 * self.factor));
    }
}

#[test]
fn a_planted_error_is_caught() {
    let x = [Tensor::normal([3], 0.0, 1.0, &mut Rng::new(5))];
    let tolerance = Tolerance::default();
    for seed in 0..5 {
        let right = || Square { factor: 1.0, constant: false };
        gradcheck(|x| x[0].tape().custom(right(), x), &x, seed, tolerance).unwrap();
        gradgradcheck(|x| x[0].tape().custom(right(), x), &x, seed, tolerance).unwrap();

        let wrong = || Square { factor: 1.0 + 1e-5, constant: false };
        let error = gradcheck(|x| x[0].tape().custom(wrong(), x), &x, seed, tolerance).unwrap_err();
        assert!(error.to_string().contains("the difference"), "{error}");
        jacobian_check(|x| x[0].tape().custom(wrong(), x), &x, tolerance).unwrap_err();

        let constant = || Square { factor: 1.0, constant: true };
        gradcheck(|x| x[0].tape().custom(constant(), x), &x, seed, tolerance).unwrap();
        gradgradcheck(|x| x[0].tape().custom(constant(), x), &x, seed, tolerance).unwrap_err();
    }
}
