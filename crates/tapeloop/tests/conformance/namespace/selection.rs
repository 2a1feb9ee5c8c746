//! Choosing and writing entries by index, mask or order.

use tapeloop::{Element, Tape, Tensor, Var, s};

use super::{Found, float, front, list, with_index};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    if name == "where" {
        // With a condition alone: where it holds.
        let places = match a.get(0, "condition") {
            Value::Bools(mask) => mask.nonzero(),
            other => float(tape, &other)?.value().nonzero(),
        };
        return Ok(Some(columns(&places)));
    }
    let Ok(x) = a.var(0, "input self sorted_sequence") else { return Ok(None) };
    let axis = || a.axis(1, "dim axis", 0);
    let y = match name {
        "index_select" => x.index_select(axis()?, &a.ints(2, "index")?),
        "gather" => x.gather(axis()?, &a.ints(2, "index")?),
        "take_along_dim" => {
            let index = a.ints(1, "indices")?;
            match a.get(2, "dim") {
                Value::None => x.reshape(&[-1]).gather(0, &index.reshape(&[-1])),
                axis => {
                    let at = front(axis.integer()? as isize, x.rank());
                    let shape = |own: &[usize], other: &[usize]| -> Vec<usize> {
                        (0..own.len()).map(|k| if k == at { own[k] } else { own[k].max(other[k]) }).collect()
                    };
                    let wide = index.broadcast_to(shape(index.shape(), &x.shape())).contiguous();
                    x.broadcast_to(shape(&x.shape(), index.shape())).gather(at as isize, &wide)
                }
            }
        }
        "take" => x.reshape(&[-1]).index(&[&a.ints(1, "index")?]),
        "scatter_add" => x.scatter_add(axis()?, &a.ints(2, "index")?, a.var(3, "src")?),
        "scatter" => {
            let index = a.ints(2, "index")?;
            let source = float(tape, &a.get(3, "src value"))?;
            let source = if source.rank() == 0 { source.broadcast_to(index.shape()) } else { source };
            match a.text(KEYWORD, "reduce", "")?.as_str() {
                "" => x.scatter(axis()?, &index, source),
                "add" => x.scatter_add(axis()?, &index, source),
                other => return Err(format!("reduce {other} is not supported")),
            }
        }
        "scatter_reduce" => match (a.text(4, "reduce", "")?.as_str(), a.truth(KEYWORD, "include_self", true)?) {
            ("sum", true) => x.scatter_add(axis()?, &a.ints(2, "index")?, a.var(3, "src")?),
            (reduce @ ("mean" | "amax" | "amin"), true) => {
                let (axis, index, mut source) = (axis()?, a.ints(2, "index")?, a.var(3, "src")?);
                // What the index does not reach is not read.
                for (k, &n) in index.shape().iter().enumerate() {
                    source = source.slice(k as isize, 0..n as isize);
                }
                match reduce {
                    "mean" => x.scatter_mean(axis, &index, source),
                    "amax" => x.scatter_max(axis, &index, source),
                    _ => x.scatter_min(axis, &index, source),
                }
            }
            (reduce, own) => return Err(format!("scatter_reduce {reduce} with include_self={own} is not supported")),
        },
        "index_add" => {
            let alpha = a.number(KEYWORD, "alpha", 1.0)?;
            x.index_add(axis()?, &a.ints(2, "index")?, a.var(3, "source tensor")? * alpha)
        }
        "select_scatter" => {
            let (axis, index) = (a.axis(2, "dim", 0)?, a.integer(3, "index", 0)?);
            let n = x.shape()[front(axis, x.rank())] as i64;
            x.select_scatter(axis, index.rem_euclid(n) as usize, a.var(1, "src")?)
        }
        "slice_scatter" => {
            let end = |value: Value<'t, T>| if value.is_none() { Ok(None) } else { value.integer().map(Some) };
            let (start, end) = (end(a.get(3, "start"))?.unwrap_or(0), end(a.get(4, "end"))?.unwrap_or(i64::MAX));
            let part = s(start as isize..end as isize).step(a.integer(5, "step", 1)? as usize);
            x.slice_scatter(a.axis(2, "dim", 0)?, part, a.var(1, "src")?)
        }
        "index_put" => {
            let Value::List(items) = a.get(1, "indices") else { return Err("indices are no list".into()) };
            let numbers = items.iter().map(|item| match item {
                Value::Ints(index) => Some(index),
                _ => None,
            });
            let source = float(tape, &a.get(2, "values"))?;
            match numbers.collect::<Option<Vec<_>>>() {
                Some(indices) => x.index_put(&indices, source, a.truth(3, "accumulate", false)?),
                None => written(x, source, a.truth(3, "accumulate", false)?, |all| super::index(all, &items))?,
            }
        }
        "diagonal_scatter" => {
            let axis = |place, name, default| match a.get(place, name) {
                Value::None => Value::Integer(default),
                value => value,
            };
            let axes = [axis(2, "offset", 0), axis(3, "dim1", 0), axis(4, "dim2", 1)];
            written(x, a.var(1, "src")?, false, |all| {
                super::call(tape, "diagonal", Arguments::new("", [all].into_iter().chain(axes).collect()))
            })?
        }
        "masked_scatter" => x.masked_scatter(&a.bools(1, "mask")?, a.var(2, "source")?),
        "index_copy" => {
            let (axis, index, source) = (axis()?, a.ints(2, "index")?, a.var(3, "source tensor")?);
            let mut dims = vec![1isize; x.rank()];
            let at = axis.rem_euclid(x.rank() as isize) as usize;
            dims[at] = index.size() as isize;
            x.scatter(axis, &index.reshape(&dims).broadcast_to(source.shape()).contiguous(), source)
        }
        "index_fill" => {
            let at = front(axis()?, x.rank());
            let index: Vec<i64> =
                a.ints(2, "index")?.to_vec().into_iter().map(|k| k.rem_euclid(x.shape()[at] as i64)).collect();
            let mask = Tensor::from_fn(x.shape(), |i| index.contains(&(i[at] as i64)));
            x.masked_fill(&mask, float(tape, &a.get(3, "value"))?)
        }
        "masked_select" => {
            let mask = a.bools(1, "mask")?;
            x.masked_select(&mask.broadcast_to(x.shape()).contiguous())
        }
        "sort" | "argsort" => {
            // A stable sort is one of the orders that an unstable one may give.
            let _ = a.truth(KEYWORD, "stable", false)?;
            let sorted = x.sort(a.axis(1, "dim", -1)?, a.truth(2, "descending", false)?);
            return Ok(Some(if name == "sort" { with_index(sorted) } else { Value::Ints(sorted.1) }));
        }
        "topk" => {
            let axis = a.integer(2, "dim", -1)? as isize;
            let _ = a.truth(4, "sorted", true)?;
            return Ok(Some(with_index(x.topk(a.integer(1, "k", 1)? as usize, axis, a.truth(3, "largest", true)?))));
        }
        "kthvalue" => {
            let axis = a.axis(2, "dim", -1)?;
            let (k, keep) = (a.integer(1, "k", 1)? as usize, a.truth(3, "keepdim", false)?);
            let (values, indices) = x.topk(k, axis, false);
            let (value, index) = (values.select(axis, k - 1), Tensor::select(&indices, axis, k - 1).contiguous());
            let mut shape = x.shape().to_vec();
            shape[front(axis, x.rank())] = 1;
            let dims: Vec<isize> = shape.iter().map(|&n| n as isize).collect();
            return Ok(Some(match keep {
                true => with_index((value.reshape(&dims), index.reshape(&dims))),
                false => with_index((value, index)),
            }));
        }
        "quantile" => {
            let (q, axis, keep) = (a.get(1, "q"), a.get(2, "dim"), a.truth(3, "keepdim", false)?);
            let interpolation = a.text(KEYWORD, "interpolation", "linear")?;
            let (y, axis) = if axis.is_none() { (x.reshape(&[-1]), 0) } else { (x, axis.integer()? as isize) };
            let (sorted, _) = y.sort(axis, false);
            let last = (y.dim(axis) - 1) as f64;
            let at = |q: f64| -> Result<Var<'t, T>> {
                let place = q * last;
                let part = |place: f64| sorted.select(axis, place as usize);
                let (low, high) = (part(place.floor()), part(place.ceil()));
                let y = match interpolation.as_str() {
                    "linear" => low + (high - low) * place.fract(),
                    "lower" => low,
                    "higher" => high,
                    "nearest" => part(place.round_ties_even()),
                    "midpoint" if place.fract() == 0.0 => low,
                    "midpoint" => (low + high) * 0.5,
                    other => return Err(format!("interpolation {other} is not supported")),
                };
                let mut shape = x.shape().to_vec();
                if a.get(2, "dim").is_none() {
                    shape.fill(1);
                } else {
                    shape[front(axis, x.rank())] = 1;
                }
                Ok(if keep { y.reshape_to(shape) } else { y })
            };
            match q {
                Value::Var(q) if q.rank() == 1 => {
                    let parts = q.value().to_vec().into_iter().map(|q| at(q.to_f64())).collect::<Result<Vec<_>>>()?;
                    Var::stack(parts, 0)
                }
                q => at(q.number()?)?,
            }
        }
        "searchsorted" | "bucketize" => {
            let (sequence, values) = match name {
                "searchsorted" => (x, float(tape, &a.get(1, "input self"))?),
                _ => (a.var(1, "boundaries")?, x),
            };
            let right = match a.text(KEYWORD, "side", "")?.as_str() {
                "right" => true,
                "left" => false,
                _ => a.truth(KEYWORD, "right", false)?,
            };
            let places = match (sequence.rank(), values.rank()) {
                (1, 1) => sequence.value().searchsorted(&values.value(), right),
                (1, _) => sequence.value().searchsorted(&values.value().reshape(&[-1]), right).reshape(&signed(values)),
                _ => return Err(format!("{name} in a tensor {} is not supported", sequence.shape())),
            };
            return Ok(Some(Value::Ints(places)));
        }
        "nonzero" | "argwhere" => {
            let places = x.value().nonzero();
            if a.truth(KEYWORD, "as_tuple", false)? {
                return Ok(Some(columns(&places)));
            }
            return Ok(Some(Value::Ints(places)));
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn signed<T: Element>(x: Var<'_, T>) -> Vec<isize> {
    x.shape().iter().map(|&n| n as isize).collect()
}

/// The places of entries, one tensor for each axis.
fn columns<'t, T: Element>(places: &Tensor<i64>) -> Value<'t, T> {
    list((0..places.shape()[1]).map(|k| Value::Ints(Tensor::select(places, 1, k).contiguous())))
}

/// `x` with a part of it written over, or added to: `part` of the places in the flat tensor.
fn written<'t, T: Element>(
    x: Var<'t, T>,
    source: Var<'t, T>,
    accumulate: bool,
    part: impl FnOnce(Value<'t, T>) -> Result<Value<'t, T>>,
) -> Result<Var<'t, T>> {
    let all = Tensor::from_vec(x.shape(), (0..x.size() as i64).collect());
    let Value::Ints(part) = part(Value::Ints(all))? else { return Err("a part of integers has other entries".into()) };
    let source = source.broadcast_to(part.shape()).reshape(&[-1]);
    let (flat, at) = (x.reshape(&[-1]), part.reshape(&[-1]).contiguous());
    let y = if accumulate { flat.scatter_add(0, &at, source) } else { flat.scatter(0, &at, source) };
    Ok(y.reshape_to(x.shape()))
}
