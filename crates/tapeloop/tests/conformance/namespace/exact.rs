//! Integers, truth values and PyTorch's single precision: tensors that have no gradient.
//!
//! Integers go through doubles, which hold every one that occurs, and come back as what they were.

use tapeloop::{Element, Tape, Tensor};

use super::{Found, Kind, float};
use crate::arguments::Arguments;
use crate::value::{Result, Value};

/// Functions that move or choose entries: every tensor is data.
const MOVING: [&str; 77] = [
    "reshape",
    "view",
    "flatten",
    "unflatten",
    "permute",
    "transpose",
    "swapaxes",
    "swapdims",
    "movedim",
    "moveaxis",
    "squeeze",
    "unsqueeze",
    "expand",
    "broadcast_to",
    "expand_as",
    "view_as",
    "reshape_as",
    "repeat",
    "tile",
    "split",
    "chunk",
    "unbind",
    "hsplit",
    "vsplit",
    "dsplit",
    "flip",
    "fliplr",
    "flipud",
    "roll",
    "narrow",
    "select",
    "unfold",
    "tril",
    "triu",
    "diag",
    "diag_embed",
    "diagonal",
    "diagflat",
    "rot90",
    "ravel",
    "T",
    "t",
    "mT",
    "mH",
    "H",
    "adjoint",
    "contiguous",
    "clone",
    "detach",
    "sort",
    "msort",
    "max",
    "min",
    "amax",
    "amin",
    "aminmax",
    "cummax",
    "cummin",
    "topk",
    "kthvalue",
    "median",
    "cat",
    "concat",
    "concatenate",
    "stack",
    "hstack",
    "vstack",
    "row_stack",
    "column_stack",
    "dstack",
    "block_diag",
    "meshgrid",
    "broadcast_tensors",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "positive",
];

/// Functions that do so by an index or a mask: only the first argument is data.
const INDEXING: [&str; 8] = [
    "gather",
    "index_select",
    "take",
    "take_along_dim",
    "masked_select",
    "repeat_interleave",
    "tensor_split",
    "masked_fill",
];

/// Functions whose result is an integer.
const COUNTING: [&str; 6] = ["sum", "prod", "cumsum", "cumprod", "nansum", "trace"];

/// Arithmetic that stays among integers; of truth values, add is "or" and mul is "and".
const ARITHMETIC: [&str; 31] = [
    "add",
    "sub",
    "subtract",
    "rsub",
    "mul",
    "multiply",
    "floor_divide",
    "remainder",
    "fmod",
    "maximum",
    "minimum",
    "pow",
    "neg",
    "negative",
    "abs",
    "absolute",
    "sign",
    "sgn",
    "square",
    "clamp",
    "clip",
    "clamp_min",
    "clamp_max",
    "where",
    "matmul",
    "mm",
    "mv",
    "bmm",
    "dot",
    "outer",
    "diff",
];

/// Functions whose result has a type of its own.
const ASKING: [&str; 25] = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "less",
    "greater",
    "not_equal",
    "less_equal",
    "greater_equal",
    "any",
    "all",
    "argmax",
    "argmin",
    "argsort",
    "nonzero",
    "argwhere",
    "searchsorted",
    "bucketize",
    "count_nonzero",
    "isnan",
    "isinf",
    "isfinite",
    "isclose",
];

/// Calls a function of tensors without a gradient; `None` where one of them is of the case's own precision.
pub fn call<'t, T: Element>(name: &str, a: &mut Arguments<'t, T>, tape: &'t Tape<T>) -> Found<'t, T> {
    let every: Vec<&Value<'t, T>> = a.positional.iter().chain(a.named.values()).flat_map(flat).collect();
    let has = |test: fn(&Value<'t, T>) -> bool| every.iter().any(|value| test(value));
    let single = has(|value| matches!(value, Value::Single(_)));
    let own = has(|value| matches!(value, Value::Var(_)));
    let conversion = super::creation::NAMES.contains(&name)
        || [
            "type_as", "double", "float", "long", "int", "bool", "dtype", "shape", "size", "dim", "ndim", "numel",
            "len",
        ]
        .contains(&name);
    if conversion {
        return Ok(None);
    }
    if single && own {
        // The wider type wins.
        for value in a.positional.iter_mut().chain(a.named.values_mut()) {
            widen(tape, value);
        }
        return Ok(None);
    }
    if single {
        return through::<T, f32>(name, a, true, Kind::Single).map(Some);
    }
    let Some(first) =
        a.positional.iter().flat_map(flat).find(|value| matches!(value, Value::Ints(_) | Value::Bools(_)))
    else {
        return Ok(None);
    };
    if own {
        return Ok(None);
    }
    let number = has(|value| matches!(value, Value::Number(_)));
    let whole = has(|value| matches!(value, Value::Ints(_) | Value::Integer(_)));
    let kept = if matches!(first, Value::Ints(_)) { Kind::Int } else { Kind::Bool };
    let rounded = ["div", "divide"].contains(&name) && !a.named.get("rounding_mode").is_none_or(Value::is_none);
    let divides = ["div", "divide", "true_divide"].contains(&name) && !rounded;
    if divides || (ARITHMETIC.contains(&name) && number) {
        return through::<T, f32>(name, a, true, Kind::Single).map(Some);
    }
    if MOVING.contains(&name) {
        let parts = a.positional.first().map(|value| flat(value)).unwrap_or_default();
        let mixed = parts.iter().any(|part| matches!(part, Value::Ints(_)));
        return through::<T, f64>(name, a, true, if mixed { Kind::Int } else { kept }).map(Some);
    }
    if INDEXING.contains(&name) {
        return through::<T, f64>(name, a, false, kept).map(Some);
    }
    if COUNTING.contains(&name) {
        return through::<T, f64>(name, a, true, Kind::Int).map(Some);
    }
    if ARITHMETIC.contains(&name) || rounded {
        return through::<T, f64>(name, a, true, if whole { Kind::Int } else { kept }).map(Some);
    }
    if ASKING.contains(&name) {
        return through::<T, f64>(name, a, true, Kind::Single).map(Some);
    }
    Ok(None)
}

/// Logic of truth values, and of the bits of integers.
pub fn logic<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let bits = name.strip_prefix("bitwise_");
    let logical = name.strip_prefix("logical_");
    let Some(word) = bits.or(logical) else { return Ok(None) };
    let (first, second) = (a.get(0, "input"), a.get(1, "other"));
    if word == "not" {
        return match (&first, bits) {
            (Value::Truth(b), _) if bits.is_none() => Ok(Some(Value::Truth(!b))),
            (Value::Integer(n), Some(_)) => Ok(Some(Value::Integer(!n))),
            (Value::Ints(x), Some(_)) => Ok(Some(Value::Ints(x.map(|n| !n)))),
            (Value::Bools(x), _) => Ok(Some(Value::Bools(x.map(|b| !b)))),
            (other, None) => Ok(Some(Value::Bools(float(tape, other)?.value().map(|x| x == T::ZERO)))),
            (other, _) => Err(format!("{} has no bits", other.describe())),
        };
    }
    let whole = [&first, &second].iter().any(|value| matches!(value, Value::Ints(_) | Value::Integer(_)));
    let exact = Tape::<f64>::inference();
    let (x, y) =
        (float(&exact, &lower(&exact, &first, true)?)?.value(), float(&exact, &lower(&exact, &second, true)?)?.value());
    let shape = (exact.constant(x.clone()) + exact.constant(y.clone())).shape();
    let (x, y) = (x.broadcast_to(&shape[..]), y.broadcast_to(&shape[..]));
    if bits.is_some() && whole {
        let of = |x: f64, y: f64| match word {
            "and" => x as i64 & y as i64,
            "or" => x as i64 | y as i64,
            _ => x as i64 ^ y as i64,
        };
        return Ok(Some(Value::Ints(Tensor::from_fn(shape, |i| of(x.at(i), y.at(i))))));
    }
    if bits.is_some() && [&first, &second].iter().any(|value| matches!(value, Value::Var(_) | Value::Number(_))) {
        return Err("a float has no bits".into());
    }
    let of = |x: f64, y: f64| match word {
        "and" => x != 0.0 && y != 0.0,
        "or" => x != 0.0 || y != 0.0,
        _ => (x != 0.0) != (y != 0.0),
    };
    Ok(Some(Value::Bools(Tensor::from_fn(shape, |i| of(x.at(i), y.at(i))))))
}

/// A value's parts, or itself.
fn flat<'a, 't, T: Element>(value: &'a Value<'t, T>) -> Vec<&'a Value<'t, T>> {
    match value {
        Value::List(items) => items.iter().flat_map(|item| flat(item)).collect(),
        other => vec![other],
    }
}

fn widen<'t, T: Element>(tape: &'t Tape<T>, value: &mut Value<'t, T>) {
    match value {
        Value::Single(tensor) => *value = Value::Var(tape.constant(tensor.cast())),
        Value::List(items) => items.iter_mut().for_each(|item| widen(tape, item)),
        _ => {}
    }
}

/// Calls a function in the precision `U`: the first argument, or all of them, as its floats.
fn through<'t, T: Element, U: Element>(
    name: &str,
    a: &Arguments<'t, T>,
    all: bool,
    kind: Kind,
) -> Result<Value<'t, T>> {
    let tape = Tape::<U>::inference();
    let mut positional = Vec::new();
    for (k, value) in a.positional.iter().enumerate() {
        positional.push(lower(&tape, value, all || k == 0)?);
    }
    let mut arguments = Arguments::new(&a.module, positional);
    for (name, value) in &a.named {
        arguments.named.insert(name.clone(), lower(&tape, value, all)?);
    }
    raise(super::call(&tape, name, arguments)?, kind)
}

/// A value on another tape; integers and truth values as floats where they are `data`.
pub fn lower<'u, T: Element, U: Element>(tape: &'u Tape<U>, value: &Value<'_, T>, data: bool) -> Result<Value<'u, U>> {
    Ok(match value {
        Value::Ints(tensor) if data => {
            if tensor.to_vec().iter().any(|n| n.unsigned_abs() > 1 << 53) {
                return Err("integers beyond 2^53 are not supported".into());
            }
            Value::Var(tape.constant(tensor.map(|n| U::from_f64(n as f64))))
        }
        Value::Bools(mask) if data => Value::Var(tape.mask(mask)),
        Value::Single(tensor) => Value::Var(tape.constant(tensor.cast())),
        Value::Var(x) => Value::Var(tape.constant(x.value().cast())),
        Value::Ints(tensor) => Value::Ints(tensor.clone()),
        Value::Bools(tensor) => Value::Bools(tensor.clone()),
        Value::Number(x) => Value::Number(*x),
        Value::Integer(n) => Value::Integer(*n),
        Value::Truth(b) => Value::Truth(*b),
        Value::Text(text) => Value::Text(text.clone()),
        Value::List(items) => {
            Value::List(items.iter().map(|item| lower(tape, item, data)).collect::<Result<Vec<_>>>()?)
        }
        Value::Slice(start, end, step) => Value::Slice(*start, *end, *step),
        Value::Ellipsis => Value::Ellipsis,
        Value::None => Value::None,
        Value::Name(name) => Value::Name(name.clone()),
        Value::Partial(..) => return Err("a module is no argument".into()),
    })
}

/// Back from another tape, floats as what they are there.
pub fn raise<'t, T: Element, U: Element>(value: Value<'_, U>, kind: Kind) -> Result<Value<'t, T>> {
    Ok(match value {
        Value::Var(x) => {
            let x = x.value();
            match kind {
                Kind::Int => Value::Ints(x.map(|x| x.to_f64() as i64)),
                Kind::Bool => Value::Bools(x.map(|x| x != U::ZERO)),
                _ => Value::Single(x.cast()),
            }
        }
        Value::Single(x) => Value::Single(x),
        Value::Ints(x) => Value::Ints(x),
        Value::Bools(x) => Value::Bools(x),
        Value::Number(x) => Value::Number(x),
        Value::Integer(n) => Value::Integer(n),
        Value::Truth(b) => Value::Truth(b),
        Value::List(items) => Value::List(items.into_iter().map(|item| raise(item, kind)).collect::<Result<Vec<_>>>()?),
        other => return Err(format!("{} is no result", other.describe())),
    })
}
