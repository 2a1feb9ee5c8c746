//! Sums, extremes, statistics, and what accumulates along an axis.

use tapeloop::{Element, Tape};

use super::{Found, list, truth_tensor, with_index};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let keep = |place| a.truth(place, "keepdim keepdims", false);
    let axis = |default: isize| a.axis(1, "dim axis", default);
    let whole = || a.get(1, "dim axis").is_none();
    // `var(a, False)`: what stands there is no axis.
    let spread = || -> Result<(Vec<isize>, f64, bool)> {
        let first = a.get(1, "dim axis");
        let axes = if matches!(first, Value::Truth(_)) { Vec::new() } else { a.axes(1)? };
        let correction = match (&first, a.get(KEYWORD, "correction")) {
            (Value::Truth(unbiased), _) => f64::from(*unbiased),
            (_, Value::None) => f64::from(a.truth(2, "unbiased", true)?),
            (_, correction) => correction.number()?,
        };
        Ok((axes, correction, keep(3)?))
    };
    let y = match name {
        "sum" => x.sum(&a.axes(1)?, keep(2)?),
        "nansum" => x.nansum(&a.axes(1)?, keep(2)?),
        "mean" => x.mean(&a.axes(1)?, keep(2)?),
        "var" | "std" | "var_mean" | "std_mean" => {
            let (axes, correction, keep) = spread()?;
            let y =
                if name.starts_with("var") { x.var(&axes, correction, keep) } else { x.std(&axes, correction, keep) };
            if name.ends_with("mean") {
                return Ok(Some(list([Value::Var(y), Value::Var(x.mean(&axes, keep))])));
            }
            y
        }
        "nanmean" => x.nanmean(&a.axes(1)?, keep(2)?),
        "prod" => x.prod(&a.axes(1)?, keep(2)?),
        "amax" => x.max(&a.axes(1)?, keep(2)?),
        "amin" => x.min(&a.axes(1)?, keep(2)?),
        "aminmax" => {
            let axes = match a.get(KEYWORD, "dim") {
                Value::None => Vec::new(),
                axis => vec![axis.integer()? as isize],
            };
            let keep = a.truth(KEYWORD, "keepdim", false)?;
            return Ok(Some(list([Value::Var(x.min(&axes, keep)), Value::Var(x.max(&axes, keep))])));
        }
        "max" | "min" if whole() && !a.has("other") => {
            if name == "max" {
                x.max(&[], false)
            } else {
                x.min(&[], false)
            }
        }
        "max" | "min" => {
            if let Value::Var(other) = a.get(1, "other") {
                return Ok(Some(Value::Var(if name == "max" { x.maximum(other) } else { x.minimum(other) })));
            }
            let (axis, keep) = (axis(0)?, keep(2)?);
            return Ok(Some(with_index(if name == "max" { x.max_at(axis, keep) } else { x.min_at(axis, keep) })));
        }
        "msort" => x.sort(0, false).0,
        "median" if whole() => x.median(),
        "median" => return Ok(Some(with_index(x.median_at(axis(0)?, keep(2)?)))),
        "argmax" | "argmin" => {
            let whole = whole();
            let value = if whole { x.value().reshape(&[-1]) } else { x.value() };
            let axis = if whole { 0 } else { axis(0)? };
            // Without an axis every axis stays with one entry.
            let all = keep(2)? && whole;
            let keep = keep(2)? && !whole;
            let shaped = |index: tapeloop::Tensor<i64>| if all { index.reshape(&vec![1; x.rank()]) } else { index };
            return Ok(Some(Value::Ints(shaped(if name == "argmax" {
                value.argmax(axis, keep)
            } else {
                value.argmin(axis, keep)
            }))));
        }
        "any" => return Ok(Some(Value::Bools(truth_tensor(x.any(&a.axes(1)?, keep(2)?))))),
        "all" => return Ok(Some(Value::Bools(truth_tensor(x.all(&a.axes(1)?, keep(2)?))))),
        "count_nonzero" => {
            return Ok(Some(Value::Ints(x.ne(0.0).sum(&a.axes(1)?, false).value().map(|n| n.to_f64() as i64))));
        }
        "logsumexp" => x.logsumexp(&a.axes(1)?, keep(2)?),
        "vector_norm" | "norm" | "matrix_norm" => return norm(x, name, a),
        "cumsum" => x.cumsum(axis(0)?),
        "cumprod" => x.cumprod(axis(0)?),
        "logcumsumexp" => x.logcumsumexp(axis(0)?),
        "cummax" => return Ok(Some(with_index(x.cummax(axis(0)?)))),
        "cummin" => return Ok(Some(with_index(x.cummin(axis(0)?)))),
        "diff" => {
            let axis = a.axis(2, "dim", -1)?;
            (0..a.integer(1, "n", 1)?).fold(x, |x, _| {
                let n = x.dim(axis) as isize;
                x.slice(axis, 1..) - x.slice(axis, 0..n - 1)
            })
        }
        "trapezoid" | "trapz" | "cumulative_trapezoid" if a.get(1, "x").is_none() => {
            let (axis, dx) = (a.axis(KEYWORD, "dim", -1)?, a.number(KEYWORD, "dx", 1.0)?);
            let n = x.dim(axis) as isize;
            let areas = (x.slice(axis, 1..) + x.slice(axis, 0..n - 1)) * (0.5 * dx);
            if name.starts_with("cum") { areas.cumsum(axis) } else { areas.sum(&[axis], false) }
        }
        "cov" | "corrcoef" => {
            let correction = if name == "cov" { a.number(KEYWORD, "correction", 1.0)? } else { 1.0 };
            let rows = if x.rank() < 2 { x.reshape(&[1, -1]) } else { x };
            let cov = rows.cov(correction);
            let cov = if name == "cov" {
                cov
            } else {
                let deviation = cov.diagonal(0, 0, 1).sqrt();
                cov / deviation.unsqueeze(1) / deviation.unsqueeze(0)
            };
            if x.rank() < 2 { cov.reshape(&[]) } else { cov }
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

/// Norms of vectors, and those of matrices that are sums or extremes of their entries.
fn norm<'t, T: Element>(x: tapeloop::Var<'t, T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let order = a.get(1, "ord p");
    let axes = match (name, a.axes(2)?) {
        ("matrix_norm", axes) if axes.is_empty() => vec![-2, -1],
        (_, axes) => axes,
    };
    let keep = a.truth(3, "keepdim", false)?;
    // `norm` with an order is one of matrices where it gets two axes.
    let matrix = name == "matrix_norm"
        || (a.module == "linalg"
            && name == "norm"
            && !order.is_none()
            && (axes.len() == 2 || (axes.is_empty() && x.rank() == 2)));
    let axes = if matrix && axes.is_empty() { vec![-2, -1] } else { axes };
    let order = match &order {
        Value::Text(text) if text == "fro" => Value::None,
        Value::Text(text) => return Err(format!("the norm {text} is not supported")),
        other => other.clone(),
    };
    if order.is_none() {
        return Ok(Some(Value::Var(x.norm(2.0, &axes, keep))));
    }
    let p = order.number()?;
    if !matrix {
        return Ok(Some(Value::Var(x.norm(p, &axes, keep))));
    }
    let (sums, over) = match p.abs() {
        1.0 => (axes[0], axes[1]),
        f64::INFINITY => (axes[1], axes[0]),
        _ => return Err(format!("the matrix norm {p} is not supported")),
    };
    let sums = x.abs().sum(&[sums], true);
    let y = if p > 0.0 { sums.max(&[over], true) } else { sums.min(&[over], true) };
    Ok(Some(Value::Var(if keep { y } else { y.sum(&axes, false) })))
}
