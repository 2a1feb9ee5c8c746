//! `value[items]`, as NumPy reads it.

use tapeloop::{Element, Slice, Tape, Tensor, s};

use super::{Kind, exact};
use crate::value::{Result, Value};

/// `value[items]`, as NumPy reads it.
pub fn index<'t, T: Element>(value: Value<'t, T>, items: &[Value<'t, T>]) -> Result<Value<'t, T>> {
    // a[(0, 1)] is a[0, 1].
    if let [Value::List(inner)] = items
        && value.is_tensor()
        && inner.iter().any(|item| !matches!(item, Value::Integer(_)))
    {
        return index(value, &inner.clone());
    }
    if let Value::List(parts) = &value {
        return match items {
            [Value::Slice(start, end, step)] => {
                let n = parts.len() as i64;
                let place = |k: i64| if k < 0 { (k + n).max(0) } else { k.min(n) };
                if *step == 0 {
                    return Err("a slice with step 0".into());
                }
                let mut chosen = Vec::new();
                if *step > 0 {
                    let (start, end) = (start.map_or(0, place), end.map_or(n, place));
                    chosen.extend((start..end).step_by(*step as usize));
                } else {
                    let (start, end) = (start.map_or(n - 1, |k| place(k).min(n - 1)), end.map_or(-1, place));
                    let mut at = start;
                    while at > end {
                        chosen.push(at);
                        at += step;
                    }
                }
                Ok(Value::List(chosen.into_iter().map(|k| parts[k as usize].clone()).collect()))
            }
            [item] => {
                let (k, n) = (item.integer()?, parts.len() as i64);
                let k = if k < 0 { k + n } else { k };
                usize::try_from(k).ok().and_then(|k| parts.get(k)).cloned().ok_or_else(|| format!("index {k} of {n}"))
            }
            _ => Err("a list has one index".into()),
        };
    }
    // Tensors without a gradient: in doubles, and back.
    if !matches!(value, Value::Var(_)) {
        let kind = match &value {
            Value::Ints(_) => Kind::Int,
            Value::Bools(_) => Kind::Bool,
            Value::Single(_) => Kind::Single,
            other => return Err(format!("{} has no entries", other.describe())),
        };
        let tape = Tape::<f64>::inference();
        let value = exact::lower(&tape, &value, true)?;
        let items = items.iter().map(|item| exact::lower(&tape, item, false)).collect::<Result<Vec<_>>>()?;
        return exact::raise(index(value, &items)?, kind);
    }
    let mut x = value.var()?;
    // A list of integers indexes like a tensor of them.
    let items = &items
        .iter()
        .map(|item| match item {
            Value::List(entries) if entries.iter().all(|entry| matches!(entry, Value::Truth(_))) => {
                let entries = entries.iter().map(Value::truth).collect::<Result<Vec<_>>>()?;
                Ok(Value::Bools(Tensor::from_vec([entries.len()], entries)))
            }
            Value::List(_) => item.integers().map(|entries| Value::Ints(Tensor::from(entries))),
            other => Ok(other.clone()),
        })
        .collect::<Result<Vec<_>>>()?[..];
    let has_tensor = items.iter().any(|item| matches!(item, Value::Ints(_) | Value::Bools(_)));
    let covered: usize = items
        .iter()
        .map(|item| match item {
            Value::None | Value::Ellipsis => 0,
            Value::Bools(mask) => mask.rank(),
            _ => 1,
        })
        .sum();
    let further = x.rank() - covered;
    let mut axis = 0;
    // Where tensors index: axis and entries.
    let mut advanced: Vec<(usize, Tensor<i64>)> = Vec::new();
    for item in items {
        match item {
            Value::Ellipsis => axis += further,
            Value::None => {
                x = x.unsqueeze(axis as isize);
                axis += 1;
            }
            Value::Slice(start, end, step) => {
                let from = start.unwrap_or(0) as isize;
                let range: Slice = match end {
                    Some(end) => s(from..*end as isize),
                    None => s(from..),
                };
                x = x.slice(axis as isize, range.step(*step as usize));
                axis += 1;
            }
            Value::Integer(n) if has_tensor => {
                advanced.push((axis, Tensor::scalar(*n)));
                axis += 1;
            }
            Value::Integer(n) => {
                x = x.select(axis as isize, n.rem_euclid(x.shape()[axis] as i64) as usize);
            }
            Value::Ints(index) => {
                advanced.push((axis, index.clone()));
                axis += 1;
            }
            Value::Bools(mask) => {
                let places = mask.nonzero();
                for k in 0..mask.rank() {
                    advanced.push((axis + k, Tensor::select(&places, 1, k).contiguous()));
                }
                axis += mask.rank();
            }
            other => return Err(format!("{other:?} is no index")),
        }
    }
    if advanced.is_empty() {
        return Ok(Value::Var(x));
    }
    let axes: Vec<usize> = advanced.iter().map(|(axis, _)| *axis).collect();
    let others = (0..x.rank()).filter(|axis| !axes.contains(axis));
    let order: Vec<isize> = axes.iter().copied().chain(others).map(|axis| axis as isize).collect();
    let indices: Vec<&Tensor<i64>> = advanced.iter().map(|(_, index)| index).collect();
    let rank = x.rank() - axes.len();
    let y = x.permute(&order).index(&indices);
    // Neighbouring indices leave their axes in their place, others in front.
    if axes.windows(2).all(|pair| pair[1] == pair[0] + 1) && axes[0] > 0 {
        let new = y.rank() - rank;
        let order: Vec<usize> = (new..new + axes[0]).chain(0..new).chain(new + axes[0]..y.rank()).collect();
        return Ok(Value::Var(y.permute(&order.iter().map(|&axis| axis as isize).collect::<Vec<_>>())));
    }
    Ok(Value::Var(y))
}
