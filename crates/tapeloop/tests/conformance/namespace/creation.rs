//! Tensors from nothing, and their types.

use tapeloop::{Element, Tape, Tensor};

use super::{Found, Kind, convert, float, kind};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

/// The functions here that read `dtype` themselves.
pub const NAMES: &[&str] = &[
    "zeros",
    "ones",
    "full",
    "empty",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "new_zeros",
    "new_ones",
    "new_full",
    "new_tensor",
    "arange",
    "linspace",
    "eye",
    "tensor",
    "to",
    "type",
    "tril_indices",
    "triu_indices",
    "as_tensor",
    "scalar_tensor",
];

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    // `new_full`, `full_like`: in the type of a tensor that there is, if no other is named.
    let like = |tensor: &Value<'t, T>| -> Result<Kind> {
        Ok(match (kind(&a.get(KEYWORD, "dtype"))?, tensor) {
            (Some(kind), _) => kind,
            (None, Value::Ints(_)) => Kind::Int,
            (None, Value::Bools(_)) => Kind::Bool,
            (None, Value::Single(_)) => Kind::Single,
            (None, _) => Kind::Float,
        })
    };
    let named = |default: Kind| -> Result<Kind> { Ok(kind(&a.get(KEYWORD, "dtype"))?.unwrap_or(default)) };
    let number_kind = |value: &Value<'t, T>| match value {
        Value::Integer(_) => Kind::Int,
        Value::Truth(_) => Kind::Bool,
        _ => Kind::Single,
    };
    let value = match name {
        "zeros" | "ones" => filled(tape, a.sizes(0, "size")?, f64::from(name == "ones"), named(Kind::Single)?),
        "full" => {
            let value = a.get(1, "fill_value");
            let kind = named(number_kind(&value))?;
            filled(tape, a.lengths(0, "size", &[])?, value.number()?, kind)
        }
        "zeros_like" | "ones_like" | "full_like" | "new_zeros" | "new_ones" | "new_full" => {
            let tensor = a.get(0, "input");
            let kind = like(&tensor)?;
            let shape = match name {
                "new_full" => a.lengths(1, "size", &[])?,
                _ if name.starts_with("new") => a.sizes(1, "size")?,
                _ => float(tape, &tensor)?.shape().to_vec(),
            };
            let number = match name {
                "full_like" => a.get(1, "fill_value").number()?,
                "new_full" => a.get(2, "fill_value").number()?,
                _ => f64::from(name.contains("ones")),
            };
            filled(tape, shape, number, kind)
        }
        "eye" => {
            let rows = a.integer(0, "n", 0)? as usize;
            let cols = a.integer(1, "m", rows as i64)? as usize;
            let numbers = (0..rows * cols).map(|k| f64::from(u8::from(k / cols == k % cols))).collect();
            of(tape, vec![rows, cols], numbers, named(Kind::Single)?)
        }
        "arange" => {
            let (first, second) = (a.get(0, "start end"), a.get(1, "end"));
            let (start, end) = if second.is_none() { (Value::Integer(0), first) } else { (first, second) };
            let step = match a.get(2, "step") {
                Value::None => Value::Integer(1),
                step => step,
            };
            let whole = [&start, &end, &step].iter().all(|value| matches!(value, Value::Integer(_)));
            let (start, end, step) = (start.number()?, end.number()?, step.number()?);
            let count = ((end - start) / step).ceil().max(0.0) as usize;
            let numbers = (0..count).map(|k| start + k as f64 * step).collect();
            of(tape, vec![count], numbers, named(if whole { Kind::Int } else { Kind::Single })?)
        }
        "linspace" => {
            let (start, end) = (a.number(0, "start", 0.0)?, a.number(1, "end", 0.0)?);
            let count = a.integer(2, "steps", 100)? as usize;
            let step = if count > 1 { (end - start) / (count - 1) as f64 } else { 0.0 };
            // From both ends to the middle, as PyTorch does.
            let numbers = (0..count)
                .map(|k| if k < count / 2 { start + step * k as f64 } else { end - step * (count - 1 - k) as f64 });
            let numbers = if count == 1 { vec![start] } else { numbers.collect() };
            of(tape, vec![count], numbers, named(Kind::Single)?)
        }
        "scalar_tensor" => of(tape, vec![], vec![a.number(0, "s", 0.0)?], named(Kind::Single)?),
        "tril_indices" | "triu_indices" => {
            let (rows, cols) = (a.integer(0, "row", 0)?, a.integer(1, "col", 0)?);
            let offset = a.integer(2, "offset", 0)?;
            let places = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
            let chosen = places.filter(|(i, j)| if name == "tril_indices" { j - i <= offset } else { j - i >= offset });
            let (i, j): (Vec<i64>, Vec<i64>) = chosen.unzip();
            Ok(Value::Ints(Tensor::from_vec([2, i.len()], i.into_iter().chain(j).collect())))
        }
        "tensor" | "as_tensor" | "new_tensor" => {
            let data = a.get(usize::from(name == "new_tensor"), "data");
            if data.is_tensor() {
                return convert(tape, &data, named(like(&data)?)?).map(Some);
            }
            let (mut shape, mut numbers, mut found) = (Vec::new(), Vec::new(), Kind::Bool);
            nested(&data, 0, &mut shape, &mut numbers, &mut found)?;
            if numbers.is_empty() {
                found = Kind::Single;
            }
            let kind = if name == "new_tensor" { like(&a.get(0, "input"))? } else { named(found)? };
            of(tape, shape, numbers, kind)
        }
        "to" | "type" | "type_as" => {
            let tensor = a.get(0, "input");
            let target = a.get(1, "dtype other");
            let target = if target.is_tensor() { like(&target)? } else { kind(&target)?.ok_or("no type is given")? };
            return convert(tape, &tensor, target).map(Some);
        }
        "double" | "float" | "long" | "int" | "bool" if a.module != "builtins" => {
            let Some(target) = kind::<T>(&Value::Name(name.into()))? else { return Ok(None) };
            return convert(tape, &a.get(0, "input"), target).map(Some);
        }
        _ => return Ok(None),
    };
    value.map(Some)
}

fn filled<'t, T: Element>(tape: &'t Tape<T>, shape: Vec<usize>, value: f64, kind: Kind) -> Result<Value<'t, T>> {
    let size = shape.iter().product();
    of(tape, shape, vec![value; size], kind)
}

/// A tensor of a type from numbers.
fn of<'t, T: Element>(tape: &'t Tape<T>, shape: Vec<usize>, numbers: Vec<f64>, kind: Kind) -> Result<Value<'t, T>> {
    Ok(match kind {
        Kind::Float => {
            Value::Var(tape.constant(Tensor::from_vec(shape, numbers.into_iter().map(T::from_f64).collect())))
        }
        Kind::Single => Value::Single(Tensor::from_vec(shape, numbers.into_iter().map(|x| x as f32).collect())),
        Kind::Int => Value::Ints(Tensor::from_vec(shape, numbers.into_iter().map(|x| x.trunc() as i64).collect())),
        Kind::Bool => Value::Bools(Tensor::from_vec(shape, numbers.into_iter().map(|x| x != 0.0).collect())),
    })
}

/// Nested lists as a shape and numbers in order.
fn nested<T: Element>(
    value: &Value<'_, T>,
    depth: usize,
    shape: &mut Vec<usize>,
    numbers: &mut Vec<f64>,
    found: &mut Kind,
) -> Result<()> {
    match value {
        Value::List(items) => {
            if shape.len() == depth {
                shape.push(items.len());
            }
            if shape[depth] != items.len() {
                return Err("a ragged list".into());
            }
            items.iter().try_for_each(|item| nested(item, depth + 1, shape, numbers, found))
        }
        Value::Truth(b) => {
            numbers.push(f64::from(*b));
            Ok(())
        }
        other => {
            *found = match (other, *found) {
                (Value::Integer(_), Kind::Bool | Kind::Int) => Kind::Int,
                _ => Kind::Single,
            };
            numbers.push(other.number()?);
            Ok(())
        }
    }
}
