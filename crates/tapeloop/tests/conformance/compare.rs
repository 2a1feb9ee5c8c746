//! The distance of our numbers from the reference's.

use tapeloop::Element;

use crate::case::{Any, File, Numbers};

/// The largest error of outputs and of gradients.
#[derive(Clone, Copy)]
pub struct Tolerance {
    out: f64,
    grad: f64,
}

impl Tolerance {
    pub fn double(f32_error_grad: f64) -> Self {
        let grad = if f32_error_grad > 1e-5 { (1e-6 * f32_error_grad).max(1e-11) } else { 1e-11 };
        Self { out: 1e-12, grad }
    }

    pub fn single(f32_error_out: f64, f32_error_grad: f64) -> Self {
        Self { out: (4.0 * f32_error_out).max(1e-6), grad: (4.0 * f32_error_grad).max(4e-6) }
    }
}

/// Every reference number that ours miss: outputs, penalties and gradients that are there or should be.
pub fn against<T: Element>(file: &File<T>, ours: &Numbers<T>, tolerance: Tolerance) -> Vec<String> {
    let mut failures = Vec::new();
    let groups = [("out/", tolerance.out), ("out_losses/", tolerance.out), ("grad/", tolerance.grad)];
    // Where outputs make the loss, it is a sum in which they cancel: only a penalty by itself is compared.
    let alone = ours.contains_key("loss").then_some(("loss", tolerance.out));
    for (group, tolerance) in groups.into_iter().chain(alone) {
        let expected = file.tensors.iter().filter(|(name, _)| name.starts_with(group));
        let finite = |x: &f64| x.is_finite().then_some(x.abs());
        let largest = expected
            .clone()
            .filter_map(|(name, _)| file.exact.get(name))
            .flat_map(|tensor| tensor.to_vec())
            .filter_map(|x| finite(&x))
            .fold(0.0, f64::max);
        for (name, reference) in expected {
            let failure = match (reference, ours.get(name)) {
                (_, None) => Some("we have no such result".to_string()),
                (Any::Float(_), Some(Any::Float(own))) => {
                    let exact = &file.exact[name];
                    if exact.shape() != own.shape() {
                        Some(format!("shape {} instead of {}", own.shape(), exact.shape()))
                    } else {
                        let own: Vec<f64> = own.to_vec().iter().map(|x| x.to_f64()).collect();
                        floats(&exact.to_vec(), &own, largest, tolerance)
                    }
                }
                (Any::Int(a), Some(Any::Int(b))) => (a.shape() != b.shape() || a.to_vec() != b.to_vec())
                    .then(|| format!("{:?} instead of {:?}", b.to_vec(), a.to_vec())),
                (Any::Bool(a), Some(Any::Bool(b))) => (a.shape() != b.shape() || a.to_vec() != b.to_vec())
                    .then(|| format!("{:?} instead of {:?}", b.to_vec(), a.to_vec())),
                _ => Some("another type".to_string()),
            };
            failures.extend(failure.map(|failure| format!("{name}: {failure}")));
        }
    }
    failures
}

/// max |own − reference| / max(max |reference|, 10⁻⁴ · the largest of the group).
fn floats(reference: &[f64], own: &[f64], largest: f64, tolerance: f64) -> Option<String> {
    let scale = reference.iter().filter(|x| x.is_finite()).fold(1e-4 * largest, |max, x| max.max(x.abs()));
    let mut worst = 0.0f64;
    for (k, (&reference, &own)) in reference.iter().zip(own).enumerate() {
        let same = reference == own || (reference.is_nan() && own.is_nan());
        if same {
            continue;
        }
        if !reference.is_finite() || !own.is_finite() {
            return Some(format!("element {k} is {own} instead of {reference}"));
        }
        worst = worst.max((own - reference).abs() / scale);
    }
    // Written so that NaN fails.
    let fits = worst <= tolerance;
    (!fits).then(|| format!("error {worst:.2e}, allowed {tolerance:.2e}"))
}
