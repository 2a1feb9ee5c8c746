//! PyTorch's functions, by name, in our operations.
//!
//! A function is an arm of the `match` in the file of its kind; it reads its arguments with [`Arguments`]' methods. Add
//! an arm, and a case that calls it finds it, as a method and as a function. A file whose functions share arguments lists
//! their names first: what it does not know it must not read. Integers and truth values go through `exact.rs`, which lists
//! what works on them.

mod activation;
mod arithmetic;
mod creation;
mod differentiation;
mod elementwise;
mod exact;
mod index;
mod joining;
mod layers;
mod linear;
mod loss;
mod network;
mod pooling;
mod reduction;
mod scalars;
mod selection;
mod shape;

use tapeloop::{Element, Tape, Tensor, Var};

use crate::arguments::Arguments;
use crate::value::{Result, Value};
pub use index::index;

/// What a function gives, or that it does not know the name.
type Found<'t, T> = Result<Option<Value<'t, T>>>;

/// Where the fields of named tuples are.
const FIELDS: [(&str, usize); 11] = [
    ("values", 0),
    ("indices", 1),
    ("sign", 0),
    ("logabsdet", 1),
    ("Q", 0),
    ("R", 1),
    ("solution", 0),
    ("result", 0),
    ("info", 1),
    ("min", 0),
    ("max", 1),
];

/// Arguments that change no number.
const WITHOUT_EFFECT: [&str; 5] = ["device", "inplace", "requires_grad", "memory_format", "copy"];

/// Where `inplace` stands among the arguments.
const IN_PLACE: [(&str, usize); 14] = [
    ("relu", 1),
    ("relu6", 1),
    ("selu", 1),
    ("silu", 1),
    ("mish", 1),
    ("hardswish", 1),
    ("hardsigmoid", 1),
    ("elu", 2),
    ("celu", 2),
    ("leaky_relu", 2),
    ("hardtanh", 3),
    ("threshold", 3),
    ("dropout", 3),
    ("alpha_dropout", 3),
];

/// Functions along an axis, which a scalar has here in PyTorch.
const ALONG_AN_AXIS: [&str; 30] = [
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "max",
    "min",
    "argmax",
    "argmin",
    "logsumexp",
    "softmax",
    "log_softmax",
    "softmin",
    "cumsum",
    "cumprod",
    "cummax",
    "cummin",
    "logcumsumexp",
    "sort",
    "argsort",
    "topk",
    "kthvalue",
    "median",
    "norm",
    "vector_norm",
    "any",
    "all",
    "aminmax",
    "var",
    "std",
];

/// Calls a function or a method.
pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, mut a: Arguments<'t, T>) -> Result<Value<'t, T>> {
    if let ([Value::List(items)], Some((_, place))) =
        (&a.positional[..], FIELDS.iter().find(|(field, _)| *field == name))
        && a.module.is_empty()
    {
        return items.get(*place).cloned().ok_or_else(|| format!("there is no {name}"));
    }
    // In place, on what has no other name: leaves with gradients refuse it in PyTorch.
    let name = match (name.strip_suffix('_'), a.positional.first()) {
        (Some(plain), Some(Value::Var(x))) if a.module.is_empty() && x.needs_grad() && plain != "requires_grad" => {
            plain
        }
        _ => name,
    };
    if let Some(value) = layers::build(name, &a)? {
        return Ok(value);
    }
    if let Some((_, place)) = IN_PLACE.iter().find(|(function, _)| *function == name)
        && a.positional.len() == place + 1
    {
        a.positional.truncate(*place);
    }
    a.named.retain(|name, _| !WITHOUT_EFFECT.contains(&name.as_str()));
    if a.has("dtype") && !creation::NAMES.contains(&name) {
        // Computes in a type: the first argument becomes of that type before.
        match (kind(&a.named.remove("dtype").unwrap_or(Value::None))?, a.positional.first_mut()) {
            (Some(Kind::Float), Some(first)) => *first = Value::Var(float(tape, first)?),
            (None, _) => {}
            _ => return Err(format!("argument `dtype` of {name} is not supported")),
        }
    }
    if ALONG_AN_AXIS.contains(&name)
        && let Some(Value::Var(x)) = a.positional.first()
        && x.rank() == 0
    {
        let x = x.unsqueeze(0);
        a.positional[0] = Value::Var(x);
        return scalar(call(tape, name, a)?);
    }
    if let Some(value) = exact::call(name, &mut a, tape)? {
        return Ok(value);
    }
    let functions = [
        scalars::call,
        creation::call,
        exact::logic,
        elementwise::call,
        arithmetic::call,
        reduction::call,
        joining::call,
        shape::call,
        selection::call,
        linear::call,
        activation::call,
        network::call,
        pooling::call,
        loss::call,
        differentiation::call,
    ];
    for function in functions {
        if let Some(value) = function(tape, name, &a)? {
            return a.all_read(name).map(|()| value);
        }
    }
    Err(format!("there is no function {name} of {}", a.positional.first().map_or("nothing".into(), Value::describe)))
}

/// A result with one entry as a scalar, its parts too.
fn scalar<'t, T: Element>(value: Value<'t, T>) -> Result<Value<'t, T>> {
    Ok(match value {
        Value::Var(x) => Value::Var(x.reshape(&[])),
        Value::Ints(x) => Value::Ints(x.reshape(&[])),
        Value::Bools(x) => Value::Bools(x.reshape(&[])),
        Value::List(items) => Value::List(items.into_iter().map(scalar).collect::<Result<Vec<_>>>()?),
        other => other,
    })
}

/// The types of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Float,
    Single,
    Int,
    Bool,
}

/// The type that an argument names.
fn kind<T: Element>(value: &Value<'_, T>) -> Result<Option<Kind>> {
    match value {
        Value::None => Ok(None),
        Value::Name(name) => match name.as_str() {
            "dtype" | "double" | "float64" => Ok(Some(Kind::Float)),
            "float" | "float32" => Ok(Some(Kind::Single)),
            "long" | "int64" | "int" => Ok(Some(Kind::Int)),
            "bool" => Ok(Some(Kind::Bool)),
            other => Err(format!("the type {other} is not supported")),
        },
        other => Err(format!("{} is no type", other.describe())),
    }
}

/// A tensor in another type.
fn convert<'t, T: Element>(tape: &'t Tape<T>, value: &Value<'t, T>, kind: Kind) -> Result<Value<'t, T>> {
    Ok(match (kind, value) {
        (Kind::Float, value) => Value::Var(float(tape, value)?),
        (Kind::Single, Value::Var(x)) if x.needs_grad() => return Err("single precision is not supported".into()),
        (Kind::Single, Value::Var(x)) => Value::Single(x.value().cast()),
        (Kind::Single, Value::Ints(x)) => Value::Single(x.map(|n| n as f32)),
        (Kind::Single, Value::Bools(x)) => Value::Single(x.map(|b| f32::from(u8::from(b)))),
        (Kind::Int, Value::Ints(_)) | (Kind::Bool, Value::Bools(_)) | (Kind::Single, Value::Single(_)) => value.clone(),
        (Kind::Int, Value::Bools(x)) => Value::Ints(x.map(i64::from)),
        (Kind::Int, Value::Var(x)) => Value::Ints(x.value().map(|x| x.to_f64().trunc() as i64)),
        (Kind::Int, Value::Single(x)) => Value::Ints(x.map(|x| x.trunc() as i64)),
        (Kind::Bool, Value::Ints(x)) => Value::Bools(x.map(|n| n != 0)),
        (Kind::Bool, Value::Var(x)) => Value::Bools(truth_tensor(*x)),
        (Kind::Bool, Value::Single(x)) => Value::Bools(x.map(|x| x != 0.0)),
        (_, other) => return Err(format!("{} is no tensor", other.describe())),
    })
}

fn list<'t, T: Element>(items: impl IntoIterator<Item = Value<'t, T>>) -> Value<'t, T> {
    Value::List(items.into_iter().collect())
}

fn with_index<'t, T: Element>((values, indices): (Var<'t, T>, Tensor<i64>)) -> Value<'t, T> {
    list([Value::Var(values), Value::Ints(indices)])
}

/// The value as a float on the tape: a tensor of any type, or a number.
fn float<'t, T: Element>(tape: &'t Tape<T>, value: &Value<'t, T>) -> Result<Var<'t, T>> {
    Ok(match value {
        Value::Var(var) => *var,
        Value::Single(tensor) => tape.constant(tensor.cast()),
        Value::Ints(tensor) => tape.constant(tensor.map(|n| T::from_f64(n as f64))),
        Value::Bools(mask) => tape.mask(mask),
        other => tape.scalar(other.number()?),
    })
}

fn truth_tensor<T: Element>(var: Var<'_, T>) -> Tensor<bool> {
    var.value().map(|x| x != T::ZERO)
}

fn signed(shape: &[i64]) -> Vec<isize> {
    shape.iter().map(|&n| n as isize).collect()
}

/// An axis counted from the front.
fn front(axis: isize, rank: usize) -> usize {
    axis.rem_euclid(rank.max(1) as isize) as usize
}

/// `x` without a batch axis gets one for the call.
fn batched<'t, T: Element>(x: Var<'t, T>, rank: usize, f: impl FnOnce(Var<'t, T>) -> Var<'t, T>) -> Var<'t, T> {
    if x.rank() + 1 == rank { f(x.unsqueeze(0)).squeeze(0) } else { f(x) }
}
