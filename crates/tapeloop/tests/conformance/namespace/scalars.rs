//! Python's own numbers and sequences, and constants.

use tapeloop::{Element, Tape};

use super::Found;
use crate::arguments::Arguments;
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    if a.module == "math" {
        return math(name, a).map(Some);
    }
    let value = match name {
        "len" => Value::Integer(match a.get(0, "") {
            Value::List(items) => items.len() as i64,
            tensor => shape(&tensor)?.first().copied().ok_or("a scalar has no length")? as i64,
        }),
        "size" | "shape" => {
            let tensor = a.get(0, "input self");
            if !tensor.is_tensor() {
                return Ok(None);
            }
            let shape: Vec<Value<'t, T>> = shape(&tensor)?.into_iter().map(|n| Value::Integer(n as i64)).collect();
            match a.get(1, "dim") {
                Value::None => Value::List(shape),
                axis => shape[axis.integer()?.rem_euclid(shape.len() as i64) as usize].clone(),
            }
        }
        "dim" | "ndim" | "ndimension" => Value::Integer(shape(&a.get(0, "input"))?.len() as i64),
        "numel" | "nelement" => match a.get(0, "input") {
            Value::List(_) => Value::Integer(a.get(0, "").integers()?.iter().product()),
            tensor => Value::Integer(shape(&tensor)?.into_iter().product::<usize>() as i64),
        },
        "dtype" => Value::Name(
            match a.get(0, "input") {
                Value::Ints(_) => "long",
                Value::Bools(_) => "bool",
                Value::Single(_) => "float32",
                _ => "dtype",
            }
            .into(),
        ),
        "device" => Value::None,
        "requires_grad" => Value::Truth(matches!(a.get(0, ""), Value::Var(x) if x.needs_grad())),
        "item" | "tolist" => match a.get(0, "input") {
            Value::Var(x) if x.size() == 1 => Value::Number(x.item().to_f64()),
            Value::Ints(x) if name == "tolist" && x.rank() == 1 => {
                Value::List(x.to_vec().into_iter().map(Value::Integer).collect())
            }
            Value::Ints(x) if x.size() == 1 => Value::Integer(x.to_vec()[0]),
            Value::Bools(x) if x.size() == 1 => Value::Truth(x.to_vec()[0]),
            other => return Err(format!("{name} of {} is not supported", other.describe())),
        },
        "slice" => {
            let end = |value: Value<'t, T>| if value.is_none() { Ok(None) } else { value.integer().map(Some) };
            let ends = [0, 1, 2].map(|place| end(a.get(place, "")));
            let [first, second, third] = ends;
            match a.positional.len() {
                1 => Value::Slice(None, first?, 1),
                _ => Value::Slice(first?, second?, third?.unwrap_or(1)),
            }
        }
        "range" => {
            let ends = a.list(0, "")?;
            let (start, end, step) = match ends[..] {
                [end] => (0, end, 1),
                [start, end] => (start, end, 1),
                [start, end, step] if step > 0 => (start, end, step),
                _ => return Err("range is not supported here".into()),
            };
            Value::List((start..end).step_by(step as usize).map(Value::Integer).collect())
        }
        "list" | "tuple" if matches!(a.get(0, ""), Value::List(_)) => a.get(0, ""),
        "float" | "int" | "bool" if a.module == "builtins" => match (name, a.get(0, "")) {
            ("float", Value::Text(text)) => Value::Number(text.parse().map_err(|_| format!("`{text}` is no number"))?),
            ("float", value) => Value::Number(value.number()?),
            ("int", value) => Value::Integer(value.number()?.trunc() as i64),
            (_, value) => Value::Truth(value.number()? != 0.0),
        },
        "sum" if a.module == "builtins" && matches!(a.get(0, ""), Value::List(_)) => {
            let Value::List(items) = a.get(0, "") else { return Ok(None) };
            let mut total = if a.positional.len() > 1 { a.get(1, "start") } else { Value::Integer(0) };
            for item in items {
                total = super::call(tape, "add", Arguments::new("torch", vec![total, item]))?;
            }
            total
        }
        "max" | "min" if a.module == "builtins" => {
            let numbers: Vec<Value<'t, T>> = a.tensors(0, "")?;
            let floats = numbers.iter().map(Value::number).collect::<Result<Vec<_>>>()?;
            let best = if name == "max" { f64::max } else { f64::min };
            let best = floats.iter().copied().reduce(best).ok_or("an empty list")?;
            let place = floats.iter().position(|&x| x == best).ok_or("not a number")?;
            numbers[place].clone()
        }
        "add" | "sub" | "mul" | "div" | "floor_divide" | "remainder" | "pow" | "neg" | "positive" | "abs" | "round"
        | "eq" | "ne" | "lt" | "le" | "gt" | "ge" => return operator(name, a),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// The axes' lengths of a tensor of any type.
fn shape<T: Element>(value: &Value<'_, T>) -> Result<Vec<usize>> {
    match value {
        Value::Var(x) => Ok(x.shape().to_vec()),
        Value::Single(x) => Ok(x.shape().to_vec()),
        Value::Ints(x) => Ok(x.shape().to_vec()),
        Value::Bools(x) => Ok(x.shape().to_vec()),
        other => Err(format!("{} has no shape", other.describe())),
    }
}

/// Python's operators on numbers, lists and tuples.
fn operator<'t, T: Element>(name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let plain = |value: &Value<'t, T>| matches!(value, Value::Integer(_) | Value::Number(_) | Value::Truth(_));
    let whole = |value: &Value<'t, T>| matches!(value, Value::Integer(_) | Value::Truth(_));
    let (left, right) = (a.get(0, ""), a.positional.get(1).cloned().unwrap_or(Value::None));
    match (name, &left, &right) {
        ("add", Value::List(x), Value::List(y)) => {
            a.get(1, "");
            return Ok(Some(Value::List(x.iter().chain(y).cloned().collect())));
        }
        ("mul", Value::List(x), Value::Integer(n)) | ("mul", Value::Integer(n), Value::List(x)) => {
            a.get(1, "");
            let n = usize::try_from(*n).unwrap_or(0);
            return Ok(Some(Value::List(std::iter::repeat_n(x, n).flatten().cloned().collect())));
        }
        ("eq" | "ne", Value::List(_), Value::List(_)) => {
            a.get(1, "");
            return Ok(Some(Value::Truth((left.integers()? == right.integers()?) == (name == "eq"))));
        }
        ("eq" | "ne", Value::Name(x), Value::Name(y)) => {
            a.get(1, "");
            return Ok(Some(Value::Truth((x == y) == (name == "eq"))));
        }
        _ => {}
    }
    if !plain(&left) || !(plain(&right) || right.is_none()) {
        return Ok(None);
    }
    a.get(1, "");
    if right.is_none() {
        let x = left.number()?;
        let y = match name {
            "neg" => -x,
            "positive" => x,
            "abs" => x.abs(),
            // Python rounds halves to even, and to an integer.
            "round" => return Ok(Some(Value::Integer(x.round_ties_even() as i64))),
            _ => return Ok(None),
        };
        return Ok(Some(if whole(&left) { Value::Integer(y as i64) } else { Value::Number(y) }));
    }
    let (x, y) = (left.number()?, right.number()?);
    let truth = match name {
        "eq" => x == y,
        "ne" => x != y,
        "lt" => x < y,
        "le" => x <= y,
        "gt" => x > y,
        "ge" => x >= y,
        _ => {
            if y == 0.0 && ["div", "floor_divide", "remainder"].contains(&name) {
                return Err("a division by zero".into());
            }
            let value = match name {
                "add" => x + y,
                "sub" => x - y,
                "mul" => x * y,
                "div" => return Ok(Some(Value::Number(x / y))),
                "floor_divide" => (x / y).floor(),
                "remainder" => x - y * (x / y).floor(),
                "pow" if y < 0.0 => return Ok(Some(Value::Number(x.powf(y)))),
                "pow" => x.powf(y),
                _ => return Ok(None),
            };
            let whole = whole(&left) && whole(&right);
            return Ok(Some(if whole { Value::Integer(value as i64) } else { Value::Number(value) }));
        }
    };
    Ok(Some(Value::Truth(truth)))
}

fn math<'t, T: Element>(name: &str, a: &Arguments<'t, T>) -> Result<Value<'t, T>> {
    let x = a.get(0, "").number()?;
    Ok(match name {
        "sqrt" => Value::Number(x.sqrt()),
        "exp" => Value::Number(x.exp()),
        "log" if a.positional.len() == 1 => Value::Number(x.ln()),
        "sin" => Value::Number(x.sin()),
        "cos" => Value::Number(x.cos()),
        "tanh" => Value::Number(x.tanh()),
        "floor" => Value::Integer(x.floor() as i64),
        "ceil" => Value::Integer(x.ceil() as i64),
        _ => return Err(format!("there is no function math.{name}")),
    })
}
