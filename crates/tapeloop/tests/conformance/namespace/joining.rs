//! Several tensors as one, one as several, and grids.

use tapeloop::{Element, Tape, Var};

use super::{Found, float, list};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let floats =
        |values: Vec<Value<'t, T>>| values.iter().map(|value| float(tape, value)).collect::<Result<Vec<Var<'t, T>>>>();
    let value = match name {
        "cat" | "concat" | "concatenate" | "stack" | "hstack" | "vstack" | "row_stack" | "column_stack" | "dstack" => {
            let parts = match a.get(0, "tensors") {
                Value::List(items) => floats(items)?,
                other => return Err(format!("{} is no list of tensors", other.describe())),
            };
            let axis = match name {
                "cat" | "concat" | "concatenate" | "stack" => a.axis(1, "dim axis", 0)?,
                _ => 0,
            };
            let rank = parts.first().ok_or("an empty list of tensors")?.rank();
            // NumPy's stacks add the axes that are missing.
            let at_least = |rank: usize| parts.iter().map(|x| raised(*x, rank)).collect::<Vec<_>>();
            Value::Var(match name {
                "stack" => Var::stack(parts, axis),
                "hstack" => Var::concat(at_least(1), isize::from(rank > 1)),
                "column_stack" => {
                    Var::concat(parts.into_iter().map(|x| if x.rank() < 2 { x.reshape(&[-1, 1]) } else { x }), 1)
                }
                "dstack" => Var::concat(at_least(3), 2),
                "vstack" | "row_stack" => Var::concat(at_least(2), 0),
                // An empty vector joins with everything.
                _ => Var::concat(parts.into_iter().filter(|x| rank == 1 || x.shape()[..] != [0]), axis),
            })
        }
        "block_diag" => {
            let parts = floats(a.tensors(0, "")?)?.into_iter().map(|x| raised(x, 2)).collect::<Vec<_>>();
            let width: usize = parts.iter().map(|x| x.dim(1)).sum();
            let mut before = 0;
            let mut rows = Vec::new();
            for x in parts {
                let after = width - before - x.dim(1);
                rows.push(x.pad(1, before, after, tapeloop::Pad::Constant(0.0)));
                before += x.dim(1);
            }
            Value::Var(Var::concat(rows, 0))
        }
        "meshgrid" => {
            let axes = floats(a.tensors(0, "tensors")?)?;
            let swapped = match a.text(KEYWORD, "indexing", "ij")?.as_str() {
                "ij" => false,
                "xy" => axes.len() > 1,
                other => return Err(format!("unknown indexing {other}")),
            };
            let shape: Vec<usize> = axes.iter().map(|x| x.size()).collect();
            let mut grids = Vec::new();
            for (k, x) in axes.iter().enumerate() {
                let dims: Vec<isize> = (0..shape.len()).map(|axis| if axis == k { -1 } else { 1 }).collect();
                let grid = x.reshape(&dims).broadcast_to(&shape[..]);
                grids.push(Value::Var(if swapped { grid.swap_axes(0, 1) } else { grid }));
            }
            list(grids)
        }
        "cartesian_prod" => {
            let axes = floats(a.tensors(0, "tensors")?)?;
            let shape: Vec<usize> = axes.iter().map(|x| x.size()).collect();
            let mut columns = Vec::new();
            for (k, x) in axes.iter().enumerate() {
                let dims: Vec<isize> = (0..shape.len()).map(|axis| if axis == k { -1 } else { 1 }).collect();
                columns.push(x.reshape(&dims).broadcast_to(&shape[..]).reshape(&[-1]));
            }
            Value::Var(if columns.len() == 1 { columns[0] } else { Var::stack(columns, 1) })
        }
        "broadcast_tensors" => {
            let parts = floats(a.tensors(0, "tensors")?)?;
            let sum = parts.iter().copied().reduce(|x, y| x + y).ok_or("no tensors")?;
            list(parts.into_iter().map(|x| Value::Var(x.broadcast_to(sum.shape()))))
        }
        "split" | "chunk" | "unbind" | "tensor_split" | "hsplit" | "vsplit" | "dsplit" => {
            let Ok(x) = a.var(0, "input tensor") else { return Ok(None) };
            let axis = match name {
                "unbind" => a.axis(1, "dim axis", 0)?,
                "hsplit" => isize::from(x.rank() > 1),
                "vsplit" => 0,
                "dsplit" => 2,
                _ => a.axis(2, "dim axis", 0)?,
            };
            let n = x.dim(axis);
            if name == "unbind" {
                return Ok(Some(list((0..n).map(|k| Value::Var(x.select(axis, k))))));
            }
            let names = "split_size_or_sections split_size chunks indices_or_sections indices sections";
            let lengths: Vec<usize> = match (name, a.get(1, names)) {
                ("chunk", count) => chunks(n, n.div_ceil(count.integer()? as usize)),
                ("split", Value::Integer(size)) => chunks(n, size as usize),
                ("split", lengths) => lengths.integers()?.iter().map(|&n| n as usize).collect(),
                (_, Value::Integer(count)) => {
                    let count = count as usize;
                    (0..count).map(|k| n / count + usize::from(k < n % count)).collect()
                }
                (_, places) => {
                    // Slices between places, which may lie outside and out of order.
                    let place = |k: i64| if k < 0 { (k + n as i64).max(0) } else { k.min(n as i64) } as usize;
                    let places: Vec<usize> = places.integers()?.into_iter().map(place).collect();
                    let starts = [0].into_iter().chain(places.iter().copied());
                    let ends = places.iter().copied().chain([n]);
                    let parts = starts
                        .zip(ends)
                        .map(|(start, end)| Value::Var(x.slice(axis, start as isize..end.max(start) as isize)));
                    return Ok(Some(list(parts)));
                }
            };
            list(x.split(&lengths, axis).into_iter().map(Value::Var))
        }
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Lengths of parts of one size, the last with the rest.
fn chunks(n: usize, size: usize) -> Vec<usize> {
    if n == 0 {
        return vec![0];
    }
    (0..n.div_ceil(size)).map(|k| size.min(n - k * size)).collect()
}

/// With axes of length one in front, and as NumPy's `atleast_3d` behind a matrix.
pub fn raised<'t, T: Element>(x: Var<'t, T>, rank: usize) -> Var<'t, T> {
    match (x.rank(), rank) {
        (0, _) => x.reshape(&vec![1; rank]),
        (1, 2) => x.unsqueeze(0),
        (1, 3) => x.unsqueeze(0).unsqueeze(-1),
        (2, 3) => x.unsqueeze(-1),
        _ => x,
    }
}
