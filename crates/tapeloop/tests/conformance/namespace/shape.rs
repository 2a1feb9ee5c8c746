//! Views, padding, and other changes of shape.

use tapeloop::{Element, Pad, Tape, Tensor, Var};

use super::joining::raised;
use super::{Found, front, signed};
use crate::arguments::Arguments;
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let axis = |place, default: isize| a.axis(place, "dim axis dimension", default);
    let y = match name {
        "reshape" | "view" => x.reshape(&signed(&a.list(1, "shape size")?)),
        "permute" => x.permute(&signed(&a.list(1, "dims dim")?)),
        "transpose" | "swapaxes" | "swapdims" => {
            x.swap_axes(a.integer(1, "dim0 axis0", 0)? as isize, a.integer(2, "dim1 axis1", 1)? as isize)
        }
        "movedim" | "moveaxis" => {
            let place = |value: Value<'t, T>| -> Result<Vec<usize>> {
                Ok(value.integers()?.into_iter().map(|axis| front(axis as isize, x.rank())).collect())
            };
            let (from, to) = (place(a.get(1, "source"))?, place(a.get(2, "destination"))?);
            let mut others = (0..x.rank()).filter(|axis| !from.contains(axis));
            let mut order = Vec::new();
            for k in 0..x.rank() {
                let axis = match to.iter().position(|&axis| axis == k) {
                    Some(k) => from[k],
                    None => others.next().ok_or("movedim: axes that do not fit")?,
                };
                order.push(axis as isize);
            }
            x.permute(&order)
        }
        "T" | "H" => x.permute(&(0..x.rank() as isize).rev().collect::<Vec<_>>()),
        "t" if x.rank() < 2 => x,
        "t" | "mT" | "mH" | "adjoint" => x.t(),
        "ravel" => x.reshape(&[-1]),
        "atleast_1d" => raised(x, 1),
        "atleast_2d" => raised(x, 2),
        "atleast_3d" => raised(x, 3),
        "squeeze" => {
            let axes = a.axes(1)?;
            let rank = x.rank() as isize;
            let chosen = |axis: isize| axes.is_empty() || axes.iter().any(|&a| a.rem_euclid(rank) == axis);
            let mut y = x;
            for axis in (0..rank).rev().filter(|&axis| chosen(axis) && x.shape()[axis as usize] == 1) {
                y = y.squeeze(axis);
            }
            y
        }
        "unsqueeze" => x.unsqueeze(axis(1, 0)?),
        "flatten" => x.flatten(a.integer(1, "start_dim", 0)? as isize, a.integer(2, "end_dim", -1)? as isize),
        "unflatten" => {
            let axis = axis(1, 0)?.rem_euclid(x.rank() as isize) as usize;
            let mut dims: Vec<isize> = x.shape().iter().map(|&n| n as isize).collect();
            dims.splice(axis..=axis, a.get(2, "sizes").integers()?.into_iter().map(|n| n as isize));
            x.reshape(&dims)
        }
        "expand" | "broadcast_to" => {
            let wanted = a.list(1, "size shape")?;
            let own = x.shape();
            let lead = wanted.len() - own.rank();
            let dims: Vec<usize> =
                wanted.iter().enumerate().map(|(k, &n)| if n < 0 { own[k - lead] } else { n as usize }).collect();
            x.broadcast_to(&dims[..])
        }
        "expand_as" | "view_as" | "reshape_as" => {
            let shape = a.var(1, "other")?.shape();
            if name == "expand_as" { x.broadcast_to(shape) } else { x.reshape_to(shape) }
        }
        "repeat" => x.repeat(&a.sizes(1, "repeats")?),
        "tile" => {
            let mut counts: Vec<usize> = a.sizes(1, "dims")?;
            while counts.len() < x.rank() {
                counts.insert(0, 1);
            }
            x.repeat(&counts)
        }
        "repeat_interleave" => {
            let (x, axis) = match a.get(2, "dim") {
                Value::None => (x.reshape(&[-1]), 0),
                axis => (x, axis.integer()? as isize),
            };
            match a.get(1, "repeats") {
                Value::Ints(counts) if counts.size() > 1 => {
                    let counts = counts.to_vec();
                    let places = (0..counts.len()).flat_map(|k| vec![k as i64; counts[k] as usize]);
                    x.index_select(axis, &Tensor::from(places.collect::<Vec<_>>()))
                }
                count => x.repeat_interleave(count.integer()? as usize, axis),
            }
        }
        "flip" => x.flip(&signed(&a.list(1, "dims")?)),
        "fliplr" => x.flip(&[1]),
        "flipud" => x.flip(&[0]),
        "roll" => {
            let shifts = a.get(1, "shifts").integers()?;
            match a.get(2, "dims") {
                Value::None => x.reshape(&[-1]).roll(shifts[0] as isize, 0).reshape_to(x.shape()),
                axes => {
                    let mut y = x;
                    for (shift, axis) in shifts.iter().zip(axes.integers()?) {
                        y = y.roll(*shift as isize, axis as isize);
                    }
                    y
                }
            }
        }
        "narrow" => {
            let start = a.integer(2, "start", 0)? as isize;
            let (axis, length) = (axis(1, 0)?, a.axis(3, "length", 0)?);
            let start = start.rem_euclid(x.dim(axis).max(1) as isize);
            x.slice(axis, start..start + length)
        }
        "select" => {
            let axis = axis(1, 0)?;
            x.select(axis, a.integer(2, "index", 0)?.rem_euclid(x.dim(axis) as i64) as usize)
        }
        "unfold" if a.module.is_empty() => {
            x.unfold(axis(1, 0)?, a.integer(2, "size", 1)? as usize, a.integer(3, "step", 1)? as usize)
        }
        "tril" => x.tril(a.integer(1, "diagonal", 0)? as isize),
        "triu" => x.triu(a.integer(1, "diagonal", 0)? as isize),
        "diag_embed" => {
            let y = x.diag_embed(a.axis(1, "offset", 0)?);
            let (row, col) = (a.axis(2, "dim1", -2)?, a.axis(3, "dim2", -1)?);
            let (row, col) = (front(row, y.rank()), front(col, y.rank()));
            let mut others = 0..y.rank() - 2;
            let order = (0..y.rank()).map(|axis| {
                if axis == row {
                    y.rank() as isize - 2
                } else if axis == col {
                    y.rank() as isize - 1
                } else {
                    others.next().unwrap_or_default() as isize
                }
            });
            y.permute(&order.collect::<Vec<_>>())
        }
        "diagflat" => x.reshape(&[-1]).diag_embed(a.axis(1, "offset", 0)?),
        "diagonal" => {
            let (row, col) = if a.module == "linalg" { (-2, -1) } else { (0, 1) };
            x.diagonal(a.axis(1, "offset", 0)?, a.axis(2, "dim1", row)?, a.axis(3, "dim2", col)?)
        }
        "diag" => {
            let offset = a.axis(1, "diagonal", 0)?;
            if x.rank() == 1 { x.diag_embed(offset) } else { x.diagonal(offset, 0, 1) }
        }
        "constant_pad_nd" => pad(x, &a.get(1, "pad").integers()?, Pad::Constant(a.number(2, "value", 0.0)?)),
        "pad" => {
            let pads = a.get(1, "pad").integers()?;
            let mode = match a.text(2, "mode", "constant")?.as_str() {
                "constant" => Pad::Constant(a.number(3, "value", 0.0)?),
                "reflect" => Pad::Reflect,
                "replicate" => Pad::Replicate,
                "circular" => Pad::Circular,
                other => return Err(format!("unknown mode {other}")),
            };
            pad(x, &pads, mode)
        }
        "rot90" => {
            let k = a.integer(1, "k", 1)?.rem_euclid(4);
            let axes = if a.get(2, "dims").is_none() { vec![0, 1] } else { signed(&a.get(2, "dims").integers()?) };
            (0..k).fold(x, |y, _| y.swap_axes(axes[0], axes[1]).flip(&[axes[0]]))
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

/// PyTorch pads from the last axis on: (before, after) pairs, negative ones crop.
fn pad<'t, T: Element>(x: Var<'t, T>, pads: &[i64], mode: Pad) -> Var<'t, T> {
    let mut y = x;
    for (k, pair) in pads.chunks(2).enumerate() {
        let axis = -1 - k as isize;
        y = y.pad(axis, pair[0].max(0) as usize, pair[1].max(0) as usize, mode);
        if pair[0] < 0 {
            y = y.slice(axis, -(pair[0] as isize)..);
        }
        if pair[1] < 0 {
            y = y.slice(axis, 0..pair[1] as isize);
        }
    }
    y
}
