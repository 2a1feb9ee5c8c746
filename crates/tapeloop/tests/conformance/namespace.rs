//! PyTorch's functions, by name, in our operations.

use std::collections::BTreeMap;

use tapeloop::losses::{self, CrossEntropy, Ctc, KlDiv, Reduction};
use tapeloop::{AttentionMask, Conv, Element, Pad, Pool, Slice, Tape, Tensor, Var, s};

use crate::value::{Result, Value};

/// What a call passes.
pub struct Arguments<'t, T: Element> {
    pub positional: Vec<Value<'t, T>>,
    pub named: BTreeMap<String, Value<'t, T>>,
}

impl<T: Element> Default for Arguments<'_, T> {
    fn default() -> Self {
        Self { positional: Vec::new(), named: BTreeMap::new() }
    }
}

impl<'t, T: Element> Arguments<'t, T> {
    /// The argument at a place, or of one of these names; `None` where it is not given.
    fn get(&self, place: usize, names: &str) -> Value<'t, T> {
        let named = names.split(' ').find_map(|name| self.named.get(name));
        named.or_else(|| self.positional.get(place)).cloned().unwrap_or(Value::None)
    }

    fn var(&self, place: usize, names: &str) -> Result<Var<'t, T>> {
        self.get(place, names).var().map_err(|error| format!("argument {place} ({names}): {error}"))
    }

    fn maybe_var(&self, place: usize, names: &str) -> Result<Option<Var<'t, T>>> {
        match self.get(place, names) {
            Value::None => Ok(None),
            value => value.var().map(Some),
        }
    }

    fn number(&self, place: usize, names: &str, default: f64) -> Result<f64> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.number(),
        }
    }

    fn integer(&self, place: usize, names: &str, default: i64) -> Result<i64> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.integer(),
        }
    }

    fn truth(&self, place: usize, names: &str, default: bool) -> Result<bool> {
        match self.get(place, names) {
            Value::None => Ok(default),
            value => value.truth(),
        }
    }

    fn text(&self, place: usize, names: &str, default: &str) -> Result<String> {
        match self.get(place, names) {
            Value::None => Ok(default.to_string()),
            Value::Text(text) => Ok(text),
            other => Err(format!("{other:?} is no text")),
        }
    }

    fn ints(&self, place: usize, names: &str) -> Result<Tensor<i64>> {
        match self.get(place, names) {
            Value::Ints(tensor) => Ok(tensor),
            other => Err(format!("{other:?} is no tensor of integers")),
        }
    }

    fn bools(&self, place: usize, names: &str) -> Result<Tensor<bool>> {
        match self.get(place, names) {
            Value::Bools(tensor) => Ok(tensor),
            other => Err(format!("{other:?} is no tensor of truth values")),
        }
    }

    /// One axis, several, or none: all of them, which is what an empty list says.
    fn axes(&self, place: usize) -> Result<Vec<isize>> {
        match self.get(place, "dim axis") {
            Value::None => Ok(Vec::new()),
            value => Ok(value.integers()?.into_iter().map(|n| n as isize).collect()),
        }
    }

    /// Integers given one by one or as a list, from a place on.
    fn list(&self, place: usize, names: &str) -> Result<Vec<i64>> {
        match self.get(place, names) {
            Value::None => Ok(Vec::new()),
            Value::Integer(_) if self.positional.len() > place + 1 => {
                self.positional[place..].iter().map(Value::integer).collect()
            }
            value => value.integers(),
        }
    }

    fn lengths(&self, place: usize, names: &str, default: &[usize]) -> Result<Vec<usize>> {
        match self.get(place, names) {
            Value::None => Ok(default.to_vec()),
            value => Ok(value.integers()?.into_iter().map(|n| n as usize).collect()),
        }
    }

    fn reduction(&self, place: usize) -> Result<Reduction> {
        match self.text(place, "reduction", "mean")?.as_str() {
            "mean" => Ok(Reduction::Mean),
            "sum" => Ok(Reduction::Sum),
            "none" => Ok(Reduction::None),
            other => Err(format!("unknown reduction {other}")),
        }
    }
}

fn list<'t, T: Element>(items: impl IntoIterator<Item = Value<'t, T>>) -> Value<'t, T> {
    Value::List(items.into_iter().collect())
}

fn with_index<'t, T: Element>((values, indices): (Var<'t, T>, Tensor<i64>)) -> Value<'t, T> {
    list([Value::Var(values), Value::Ints(indices)])
}

fn vars<'t, T: Element>(value: &Value<'t, T>) -> Result<Vec<Var<'t, T>>> {
    match value {
        Value::List(items) => items.iter().map(Value::var).collect(),
        Value::Var(var) => Ok(vec![*var]),
        other => Err(format!("{other:?} is no list of tensors")),
    }
}

/// The value as a float on the tape: a tensor of any type, or a number.
fn float<'t, T: Element>(tape: &'t Tape<T>, value: &Value<'t, T>) -> Result<Var<'t, T>> {
    Ok(match value {
        Value::Var(var) => *var,
        Value::Ints(tensor) => tape.constant(tensor.map(|n| T::from_f64(n as f64))),
        Value::Bools(mask) => tape.mask(mask),
        other => tape.scalar(other.number()?),
    })
}

fn truth_tensor<T: Element>(var: Var<'_, T>) -> Tensor<bool> {
    var.value().map(|x| x != T::ZERO)
}

/// As softplus beyond its threshold, where PyTorch takes the argument itself.
fn softplus<'t, T: Element>(x: Var<'t, T>, beta: f64, threshold: f64) -> Var<'t, T> {
    let linear = (x * beta).gt(threshold);
    linear.if_else(x, (linear.if_else(0.0, x) * beta).softplus() / beta)
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

/// `x` without a batch axis gets one for the call.
fn batched<'t, T: Element>(x: Var<'t, T>, rank: usize, f: impl FnOnce(Var<'t, T>) -> Var<'t, T>) -> Var<'t, T> {
    if x.rank() + 1 == rank { f(x.unsqueeze(0)).squeeze(0) } else { f(x) }
}

fn signed(shape: &[i64]) -> Vec<isize> {
    shape.iter().map(|&n| n as isize).collect()
}

/// How the error of a function that is not here begins.
pub const UNKNOWN: &str = "there is no function";

/// Calls a function or a method: what stands in front of a dot comes first among the arguments.
pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, arguments: Arguments<'t, T>) -> Result<Value<'t, T>> {
    let a = &arguments;
    if let (Value::List(items), "values" | "indices") = (a.get(0, ""), name) {
        return Ok(items[usize::from(name == "indices")].clone());
    }
    if let Some(value) = on_indices(tape, name, a)? {
        return Ok(value);
    }
    let functions = [unary, binary, reduction, shape, selection, linear, activation, network, loss];
    for function in functions {
        if let Some(value) = function(tape, name, a)? {
            return Ok(value);
        }
    }
    Err(format!("{UNKNOWN} {name}"))
}

type Found<'t, T> = Result<Option<Value<'t, T>>>;

/// Functions whose first argument is a tensor of integers or truth values, or no tensor at all.
fn on_indices<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let first = a.get(0, "input");
    let value = match (name, &first) {
        ("inf", _) => Value::Number(f64::INFINITY),
        ("pi", _) => Value::Number(std::f64::consts::PI),
        ("one_hot", Value::Ints(ids)) => {
            let classes = a.integer(1, "num_classes", -1)?;
            let classes = if classes < 0 { ids.to_vec().iter().max().map_or(0, |n| n + 1) } else { classes };
            Value::Ints(Tensor::<T>::one_hot(ids, classes as usize).map(|x| x.to_f64() as i64))
        }
        ("to" | "float" | "double" | "type_as", _) if !matches!(first, Value::Var(_)) => {
            Value::Var(float(tape, &first)?)
        }
        ("long" | "int", Value::Ints(_)) => first,
        ("long" | "int", Value::Bools(mask)) => Value::Ints(mask.map(i64::from)),
        ("long" | "int", Value::Var(x)) => Value::Ints(x.value().map(|x| x.to_f64().trunc() as i64)),
        ("bool", Value::Var(x)) => Value::Bools(truth_tensor(*x)),
        ("logical_not", Value::Bools(mask)) => Value::Bools(mask.map(|b| !b)),
        ("logical_and" | "logical_or" | "logical_xor", _) => {
            let (x, y) = (float(tape, &first)?.ne(0.0), float(tape, &a.get(1, "other"))?.ne(0.0));
            let sum = x + y;
            Value::Bools(truth_tensor(match name {
                "logical_and" => sum.eq(2.0),
                "logical_or" => sum.gt(0.0),
                _ => sum.eq(1.0),
            }))
        }
        ("embedding", Value::Ints(ids)) => {
            let table = a.var(1, "weight")?;
            let padding = match a.get(2, "padding_idx") {
                Value::None => None,
                value => {
                    let n = table.shape()[0] as i64;
                    Some(value.integer()?.rem_euclid(n) as usize)
                }
            };
            Value::Var(table.embedding(ids, padding))
        }
        ("reshape" | "view", Value::Ints(ids)) => Value::Ints(ids.reshape(&signed(&a.list(1, "shape")?))),
        ("unsqueeze", Value::Ints(ids)) => {
            let axis = a.integer(1, "dim", 0)?.rem_euclid(ids.rank() as i64 + 1) as usize;
            let mut dims: Vec<isize> = ids.shape().iter().map(|&n| n as isize).collect();
            dims.insert(axis, 1);
            Value::Ints(ids.reshape(&dims))
        }
        ("arange", _) => {
            let n = a.integer(0, "end", 0)?;
            Value::Ints(Tensor::from((0..n).collect::<Vec<_>>()))
        }
        ("tensor", Value::List(_)) => {
            let (mut shape, mut numbers, mut whole) = (Vec::new(), Vec::new(), true);
            nested(&first, 0, &mut shape, &mut numbers, &mut whole)?;
            if whole {
                Value::Ints(Tensor::from_vec(shape, numbers.into_iter().map(|x| x as i64).collect()))
            } else {
                Value::Var(tape.constant(Tensor::from_vec(shape, numbers.into_iter().map(T::from_f64).collect())))
            }
        }
        ("polygamma", Value::Integer(order)) => Value::Var(float(tape, &a.get(1, "input"))?.polygamma(*order as u32)),
        ("any" | "all", Value::Bools(mask)) => {
            let (mask, axes, keep) = (tape.mask(mask), a.axes(1)?, a.truth(2, "keepdim", false)?);
            Value::Bools(truth_tensor(if name == "any" { mask.any(&axes, keep) } else { mask.all(&axes, keep) }))
        }
        ("repeat" | "expand", Value::Ints(ids)) => {
            let exact = Tape::<f64>::inference();
            let arguments = Arguments {
                positional: [Value::Var(exact.constant(ids.map(|n| n as f64)))]
                    .into_iter()
                    .chain(a.positional[1..].iter().map(|value| without_floats(value)).collect::<Result<Vec<_>>>()?)
                    .collect(),
                named: BTreeMap::new(),
            };
            Value::Ints(call(&exact, name, arguments)?.var()?.value().map(|x| x as i64))
        }
        ("tensor", Value::Number(x)) => Value::Var(tape.scalar(*x)),
        ("zeros" | "ones", _) => {
            let shape: Vec<usize> = a.list(0, "size")?.into_iter().map(|n| n as usize).collect();
            Value::Var(tape.full(&shape[..], f64::from(name == "ones")))
        }
        ("eye", _) => Value::Var(tape.constant(Tensor::eye(a.integer(0, "n", 0)? as usize))),
        _ => return Ok(None),
    };
    Ok(Some(value))
}

/// Nested lists as a shape and numbers in order.
fn nested<T: Element>(
    value: &Value<'_, T>,
    depth: usize,
    shape: &mut Vec<usize>,
    numbers: &mut Vec<f64>,
    whole: &mut bool,
) -> Result<()> {
    match value {
        Value::List(items) => {
            if shape.len() == depth {
                shape.push(items.len());
            }
            items.iter().try_for_each(|item| nested(item, depth + 1, shape, numbers, whole))
        }
        other => {
            *whole &= matches!(other, Value::Integer(_));
            numbers.push(other.number()?);
            Ok(())
        }
    }
}

fn unary<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input") else { return Ok(None) };
    if a.positional.len() + a.named.len() > 1 {
        return Ok(None);
    }
    let y = match name {
        "abs" | "absolute" => x.abs(),
        "neg" | "negative" => -x,
        "exp" => x.exp(),
        "exp2" => x.exp2(),
        "expm1" => x.exp_m1(),
        "log" => x.ln(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "log1p" => x.ln_1p(),
        "sqrt" => x.sqrt(),
        "rsqrt" => x.rsqrt(),
        "square" => x.square(),
        "reciprocal" => 1.0 / x,
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "asin" | "arcsin" => x.asin(),
        "acos" | "arccos" => x.acos(),
        "atan" | "arctan" => x.atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "asinh" | "arcsinh" => x.asinh(),
        "acosh" | "arccosh" => x.acosh(),
        "atanh" | "arctanh" => x.atanh(),
        "sigmoid" | "expit" => x.sigmoid(),
        "logit" => (x / (1.0 - x)).ln(),
        "erf" => x.erf(),
        "erfc" => x.erfc(),
        "lgamma" | "gammaln" => x.lgamma(),
        "digamma" => x.polygamma(0),
        "sign" | "sgn" => x.sign(),
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "round" => x.round(),
        "trunc" | "fix" => x.trunc(),
        "frac" => x - x.trunc(),
        "relu" => x.relu(),
        "relu6" => x.relu6(),
        "silu" => x.silu(),
        "mish" => x.mish(),
        "softsign" => x.softsign(),
        "tanhshrink" => x.tanh_shrink(),
        "logsigmoid" => x.log_sigmoid(),
        "hardsigmoid" => {
            // PyTorch's derivative is 1/6 rounded to single precision, in double precision too.
            let rounding = f64::from(1.0f32 / 6.0) - 1.0 / 6.0;
            x.hard_sigmoid() + (x - x.detach()) * x.inside(-3.0, 3.0) * rounding
        }
        "hardswish" => x.hard_silu(),
        "selu" => x.selu(),
        "detach" => x.detach(),
        "clone" | "contiguous" | "positive" | "float" | "double" | "requires_grad_" => x,
        "sinc" => {
            let zero = x.eq(0.0);
            let angle = zero.if_else(1.0, x) * std::f64::consts::PI;
            zero.if_else(1.0, angle.sin() / angle)
        }
        "deg2rad" => x * (std::f64::consts::PI / 180.0),
        "rad2deg" => x * (180.0 / std::f64::consts::PI),
        "nanmean" => {
            let known = x.eq(x);
            known.if_else(x, 0.0).sum_all() / known.sum_all()
        }
        "nan_to_num" => {
            let finite = x.eq(x).if_else(x, 0.0);
            let largest = if T::EPSILON.to_f64() > 1e-10 { f64::from(f32::MAX) } else { f64::MAX };
            finite.clamp(-largest, largest)
        }
        "isfinite" => return Ok(Some(Value::Bools(x.value().map(T::is_finite)))),
        "isinf" => return Ok(Some(Value::Bools(x.value().map(|x| !x.is_finite() && !x.is_nan())))),
        "signbit" => return Ok(Some(Value::Bools(x.value().map(|x| x.to_f64().is_sign_negative())))),
        "T" => {
            let axes: Vec<isize> = (0..x.rank() as isize).rev().collect();
            x.permute(&axes)
        }
        "t" if x.rank() < 2 => x,
        "t" | "mT" => x.t(),
        "zeros_like" => x.tape().full(x.shape(), 0.0),
        "ones_like" => x.tape().full(x.shape(), 1.0),
        "ravel" => x.reshape(&[-1]),
        "trace" => x.trace(),
        "inverse" | "inv" => x.inverse(),
        "det" => x.det(),
        "logdet" => x.det().ln(),
        "cholesky" => x.cholesky(),
        "matrix_exp" => x.matrix_exp(),
        "isnan" => return Ok(Some(Value::Bools(truth_tensor(x.ne(x))))),
        "slogdet" => return Ok(Some(list([Value::Var(x.det().sign()), Value::Var(x.log_abs_det())]))),
        "qr" => {
            let (q, r) = x.qr();
            return Ok(Some(list([Value::Var(q), Value::Var(r)])));
        }
        "size" | "shape" => return Ok(Some(list(x.shape().iter().map(|&n| Value::Integer(n as i64))))),
        "numel" => return Ok(Some(Value::Integer(x.size() as i64))),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn binary<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let known = [
        "add",
        "sub",
        "subtract",
        "rsub",
        "mul",
        "multiply",
        "div",
        "divide",
        "true_divide",
        "floor_divide",
        "pow",
        "atan2",
        "arctan2",
        "hypot",
        "fmod",
        "remainder",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
        "logaddexp",
        "xlogy",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "less",
        "greater",
        "neg",
        "lerp",
        "addcmul",
        "addcdiv",
        "clamp",
        "clip",
        "clamp_min",
        "clamp_max",
        "where",
        "masked_fill",
        "copysign",
        "float_power",
        "logaddexp2",
        "heaviside",
        "ldexp",
    ];
    if !known.contains(&name) {
        return Ok(None);
    }
    let integer = |place: usize| match a.get(place, "") {
        Value::Integer(n) => Some(n),
        _ => None,
    };
    // Python's own numbers.
    if let (Some(x), Some(y)) = (integer(0), integer(1)) {
        let value = match name {
            "add" => Value::Integer(x + y),
            "sub" => Value::Integer(x - y),
            "mul" => Value::Integer(x * y),
            "div" => Value::Number(x as f64 / y as f64),
            "pow" => Value::Integer(x.pow(y as u32)),
            "floor_divide" => Value::Integer(x.div_euclid(y)),
            _ => return Ok(None),
        };
        return Ok(Some(value));
    }
    let plain = |place| !matches!(a.get(place, ""), Value::Var(_) | Value::Ints(_) | Value::Bools(_));
    if name == "neg" {
        return Ok(Some(match a.get(0, "") {
            Value::Integer(n) => Value::Integer(-n),
            Value::Number(x) => Value::Number(-x),
            other => Value::Var(-float(tape, &other)?),
        }));
    }
    if plain(0) && plain(1) && a.positional.len() == 2 && !["where", "eq", "ne"].contains(&name) {
        let (x, y) = (a.number(0, "", 0.0)?, a.number(1, "", 0.0)?);
        return Ok(Some(Value::Number(match name {
            "add" => x + y,
            "sub" => x - y,
            "mul" => x * y,
            "div" => x / y,
            "pow" => x.powf(y),
            _ => return Ok(None),
        })));
    }
    if name == "where" {
        let condition = a.get(0, "condition");
        // The method: x.where(condition, other).
        let (condition, x) = match (&condition, a.get(1, "input self")) {
            (Value::Var(x), Value::Bools(condition)) => (Value::Bools(condition), Value::Var(*x)),
            (_, x) => (condition, x),
        };
        let (x, y) = (float(tape, &x)?, float(tape, &a.get(2, "other"))?);
        return Ok(Some(Value::Var(float(tape, &condition)?.if_else(x, y))));
    }
    let x = float(tape, &a.get(0, "input self"))?;
    if name == "masked_fill" {
        return Ok(Some(Value::Var(x.masked_fill(&a.bools(1, "mask")?, float(tape, &a.get(2, "value"))?))));
    }
    if ["clamp", "clip", "clamp_min", "clamp_max"].contains(&name) {
        let (low, high) = match name {
            "clamp_min" => (a.get(1, "min"), Value::None),
            "clamp_max" => (Value::None, a.get(1, "max")),
            _ => (a.get(1, "min"), a.get(2, "max")),
        };
        if matches!(low, Value::Var(_)) || matches!(high, Value::Var(_)) {
            let mut y = x;
            if !low.is_none() {
                y = y.maximum(float(tape, &low)?);
            }
            if !high.is_none() {
                y = y.minimum(float(tape, &high)?);
            }
            return Ok(Some(Value::Var(y)));
        }
        let bound = |value: &Value<'t, T>, none: f64| if value.is_none() { Ok(none) } else { value.number() };
        return Ok(Some(Value::Var(x.clamp(bound(&low, f64::NEG_INFINITY)?, bound(&high, f64::INFINITY)?))));
    }
    let second = a.get(1, "other exponent tensor1 end");
    if let ("pow" | "float_power", Value::Number(_) | Value::Integer(_), Value::Var(_)) =
        (name, &second, a.get(0, "input self"))
    {
        return Ok(Some(Value::Var(x.powf(second.number()?))));
    }
    let y = float(tape, &second)?;
    let alpha = a.number(2, "alpha", 1.0);
    let result = match name {
        "add" => x + if a.named.contains_key("alpha") { y * alpha? } else { y },
        "sub" | "subtract" => x - if a.named.contains_key("alpha") { y * alpha? } else { y },
        "rsub" => y - x,
        "mul" | "multiply" => x * y,
        "div" | "divide" | "true_divide" => match a.text(9, "rounding_mode", "")?.as_str() {
            "floor" => (x / y).floor(),
            "trunc" => (x / y).trunc(),
            _ => x / y,
        },
        "floor_divide" => (x / y).floor(),
        "pow" | "float_power" => x.pow(y),
        "atan2" | "arctan2" => x.atan2(y),
        "hypot" => x.hypot(y),
        "fmod" => x.fmod(y),
        "remainder" => x.remainder(y),
        "maximum" => x.maximum(y),
        "minimum" => x.minimum(y),
        "fmax" => y.ne(y).if_else(x, x.ne(x).if_else(y, x.maximum(y))),
        "fmin" => y.ne(y).if_else(x, x.ne(x).if_else(y, x.minimum(y))),
        "logaddexp" => x.logaddexp(y),
        "xlogy" => x.xlogy(y),
        "logaddexp2" => (x * std::f64::consts::LN_2).logaddexp(y * std::f64::consts::LN_2) / std::f64::consts::LN_2,
        "heaviside" => x.eq(0.0).if_else(y, x.gt(0.0)),
        "ldexp" => x * y.exp2(),
        "copysign" => x.abs() * y.ge(0.0).if_else(1.0, -1.0),
        "lerp" => x + float(tape, &a.get(2, "weight"))? * (y - x),
        "addcmul" => x + y * float(tape, &a.get(2, "tensor2"))? * a.number(9, "value", 1.0)?,
        "addcdiv" => x + y / float(tape, &a.get(2, "tensor2"))? * a.number(9, "value", 1.0)?,
        "eq" => return Ok(Some(Value::Bools(truth_tensor(x.eq(y))))),
        "ne" => return Ok(Some(Value::Bools(truth_tensor(x.ne(y))))),
        "lt" | "less" => return Ok(Some(Value::Bools(truth_tensor(x.lt(y))))),
        "le" => return Ok(Some(Value::Bools(truth_tensor(x.le(y))))),
        "gt" | "greater" => return Ok(Some(Value::Bools(truth_tensor(x.gt(y))))),
        "ge" => return Ok(Some(Value::Bools(truth_tensor(x.ge(y))))),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(result)))
}

fn reduction<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let keep = |place| a.truth(place, "keepdim keepdims", false);
    let axis = |default: i64| a.integer(1, "dim axis", default).map(|n| n as isize);
    let whole = a.get(1, "dim axis").is_none();
    let correction = || -> Result<f64> {
        if a.named.contains_key("correction") {
            return a.number(9, "correction", 1.0);
        }
        Ok(f64::from(a.truth(2, "unbiased", true)?))
    };
    let y = match name {
        "sum" => x.sum(&a.axes(1)?, keep(2)?),
        "nansum" => x.ne(x).if_else(0.0, x).sum(&a.axes(1)?, keep(2)?),
        "mean" => x.mean(&a.axes(1)?, keep(2)?),
        "var" => x.var(&a.axes(1)?, correction()?, keep(3)?),
        "std" => x.std(&a.axes(1)?, correction()?, keep(3)?),
        "var_mean" | "std_mean" => {
            let (axes, correction, keep) = (a.axes(1)?, correction()?, keep(3)?);
            let spread =
                if name == "var_mean" { x.var(&axes, correction, keep) } else { x.std(&axes, correction, keep) };
            return Ok(Some(list([Value::Var(spread), Value::Var(x.mean(&axes, keep))])));
        }
        "prod" => x.prod(&a.axes(1)?, keep(2)?),
        "amax" => x.max(&a.axes(1)?, keep(2)?),
        "amin" => x.min(&a.axes(1)?, keep(2)?),
        "aminmax" => {
            return Ok(Some(list([
                Value::Var(x.min(&a.axes(1)?, keep(2)?)),
                Value::Var(x.max(&a.axes(1)?, keep(2)?)),
            ])));
        }
        "max" | "min" if whole => {
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
        "median" if whole => x.reshape(&[-1]).median_at(0, false).0,
        "median" => return Ok(Some(with_index(x.median_at(axis(0)?, keep(2)?)))),
        "argmax" | "argmin" => {
            let value = if whole { x.value().reshape(&[-1]) } else { x.value() };
            let axis = if whole { 0 } else { axis(0)? };
            let keep = keep(2)? && !whole;
            return Ok(Some(Value::Ints(if name == "argmax" {
                value.argmax(axis, keep)
            } else {
                value.argmin(axis, keep)
            })));
        }
        "any" => return Ok(Some(Value::Bools(truth_tensor(x.any(&a.axes(1)?, keep(2)?))))),
        "all" => return Ok(Some(Value::Bools(truth_tensor(x.all(&a.axes(1)?, keep(2)?))))),
        "count_nonzero" => {
            return Ok(Some(Value::Ints(x.ne(0.0).sum(&a.axes(1)?, false).value().map(|n| n.to_f64() as i64))));
        }
        "logsumexp" => x.logsumexp(&a.axes(1)?, keep(2)?),
        "vector_norm" | "norm" => {
            let order = a.get(1, "ord p");
            let order = match &order {
                Value::Text(text) if text == "fro" => 2.0,
                Value::None => 2.0,
                other => other.number()?,
            };
            x.norm(order, &a.axes(2)?, keep(3)?)
        }
        "cumsum" => x.cumsum(axis(0)?),
        "cumprod" => x.cumprod(axis(0)?),
        "logcumsumexp" => x.logcumsumexp(axis(0)?),
        "cummax" => return Ok(Some(with_index(x.cummax(axis(0)?)))),
        "cummin" => return Ok(Some(with_index(x.cummin(axis(0)?)))),
        "diff" => {
            let axis = a.integer(2, "dim", -1)? as isize;
            let n = x.dim(axis) as isize;
            x.slice(axis, 1..) - x.slice(axis, 0..n - 1)
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn shape<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    if name == "meshgrid" {
        let axes = match a.get(0, "tensors") {
            Value::List(_) => vars(&a.get(0, "tensors"))?,
            _ => a.positional.iter().map(Value::var).collect::<Result<Vec<_>>>()?,
        };
        let shape: Vec<usize> = axes.iter().map(|x| x.size()).collect();
        let spread = axes.iter().enumerate().map(|(k, x)| {
            let dims: Vec<isize> = (0..shape.len()).map(|axis| if axis == k { -1 } else { 1 }).collect();
            Value::Var(x.reshape(&dims).broadcast_to(&shape[..]))
        });
        return Ok(Some(list(spread)));
    }
    if ["cat", "concat", "concatenate", "stack", "hstack", "vstack", "column_stack", "dstack"].contains(&name) {
        let parts = vars(&a.get(0, "tensors"))?;
        let axis = a.integer(1, "dim axis", 0)? as isize;
        let rank = parts[0].rank();
        return Ok(Some(Value::Var(match name {
            "stack" => Var::stack(parts, axis),
            "hstack" => Var::concat(parts, isize::from(rank > 1)),
            "column_stack" if rank == 1 => Var::stack(parts, 1),
            "column_stack" => Var::concat(parts, 1),
            "dstack" if rank == 1 => Var::stack(parts, 1).unsqueeze(0),
            "dstack" if rank == 2 => Var::stack(parts, 2),
            "dstack" => Var::concat(parts, 2),
            "vstack" if rank == 1 => Var::stack(parts, 0),
            "vstack" => Var::concat(parts, 0),
            _ => Var::concat(parts, axis),
        })));
    }
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let axis = |place, default: i64| a.integer(place, "dim axis", default).map(|n| n as isize);
    let y = match name {
        "reshape" | "view" => x.reshape(&signed(&a.list(1, "shape size")?)),
        "permute" => x.permute(&signed(&a.list(1, "dims")?)),
        "transpose" | "swapaxes" | "swapdims" => {
            x.swap_axes(a.integer(1, "dim0 axis0", 0)? as isize, a.integer(2, "dim1 axis1", 1)? as isize)
        }
        "movedim" | "moveaxis" => {
            x.move_axis(a.integer(1, "source", 0)? as isize, a.integer(2, "destination", 0)? as isize)
        }
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
        "repeat" => x.repeat(&a.list(1, "repeats")?.iter().map(|&n| n as usize).collect::<Vec<_>>()),
        "tile" => {
            let mut counts: Vec<usize> = a.list(1, "dims")?.iter().map(|&n| n as usize).collect();
            while counts.len() < x.rank() {
                counts.insert(0, 1);
            }
            x.repeat(&counts)
        }
        "repeat_interleave" => match a.get(2, "dim") {
            Value::None => x.reshape(&[-1]).repeat_interleave(a.integer(1, "repeats", 1)? as usize, 0),
            axis => x.repeat_interleave(a.integer(1, "repeats", 1)? as usize, axis.integer()? as isize),
        },
        "split" | "chunk" | "unbind" | "tensor_split" => {
            let axis = match name {
                "unbind" => axis(1, 0)?,
                _ => axis(2, 0)?,
            };
            let n = x.dim(axis);
            let parts = match (name, a.get(1, "split_size_or_sections split_size chunks indices_or_sections")) {
                ("unbind", _) => (0..n).map(|k| x.select(axis, k)).collect(),
                ("chunk", count) => x.chunk(count.integer()? as usize, axis),
                ("tensor_split", count) => {
                    let count = count.integer()? as usize;
                    let lengths: Vec<usize> = (0..count).map(|k| n / count + usize::from(k < n % count)).collect();
                    x.split(&lengths, axis)
                }
                (_, Value::Integer(size)) => {
                    let size = size as usize;
                    x.split(&(0..n.div_ceil(size)).map(|k| size.min(n - k * size)).collect::<Vec<_>>(), axis)
                }
                (_, lengths) => x.split(&lengths.integers()?.iter().map(|&n| n as usize).collect::<Vec<_>>(), axis),
            };
            return Ok(Some(list(parts.into_iter().map(Value::Var))));
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
            x.slice(axis(1, 0)?, start..start + a.integer(3, "length", 0)? as isize)
        }
        "select" => {
            let axis = axis(1, 0)?;
            x.select(axis, a.integer(2, "index", 0)?.rem_euclid(x.dim(axis) as i64) as usize)
        }
        "unfold" if a.positional.len() == 4 => {
            x.unfold(axis(1, 0)?, a.integer(2, "size", 1)? as usize, a.integer(3, "step", 1)? as usize)
        }
        "tril" => x.tril(a.integer(1, "diagonal", 0)? as isize),
        "triu" => x.triu(a.integer(1, "diagonal", 0)? as isize),
        "diag_embed" => x.diag_embed(a.integer(1, "offset", 0)? as isize),
        "diagonal" => {
            let axis = |place, name, default| a.integer(place, name, default).map(|n| n as isize);
            x.diagonal(axis(1, "offset", 0)?, axis(2, "dim1", 0)?, axis(3, "dim2", 1)?)
        }
        "diag" => {
            let offset = a.integer(1, "diagonal", 0)? as isize;
            if x.rank() == 1 { x.diag_embed(offset) } else { x.diagonal(offset, 0, 1) }
        }
        "pad" => {
            let pads = a.get(1, "pad").integers()?;
            let mode = match a.text(2, "mode", "constant")?.as_str() {
                "constant" => Pad::Constant(a.number(3, "value", 0.0)?),
                "reflect" => Pad::Reflect,
                "replicate" => Pad::Replicate,
                _ => Pad::Circular,
            };
            pad(x, &pads, mode)
        }
        "rot90" => {
            let k = a.integer(1, "k", 1)?.rem_euclid(4);
            let axes = if a.get(2, "dims").is_none() { vec![0, 1] } else { signed(&a.get(2, "dims").integers()?) };
            (0..k).fold(x, |y, _| y.swap_axes(axes[0], axes[1]).flip(&[axes[0]]))
        }
        "size" => return Ok(Some(Value::Integer(x.dim(axis(1, 0)?) as i64))),
        "new_zeros" | "new_ones" => {
            let shape: Vec<usize> = a.list(1, "size")?.into_iter().map(|n| n as usize).collect();
            x.tape().full(&shape[..], f64::from(u8::from(name == "new_ones")))
        }
        "quantile" => {
            let (q, axis) = (a.number(1, "q", 0.5)?, a.get(2, "dim"));
            let (x, axis) = if axis.is_none() { (x.reshape(&[-1]), 0) } else { (x, axis.integer()? as isize) };
            let (sorted, _) = x.sort(axis, false);
            let place = q * (x.dim(axis) - 1) as f64;
            let low = sorted.select(axis, place.floor() as usize);
            low + (sorted.select(axis, place.ceil() as usize) - low) * place.fract()
        }
        "full_like" => x.tape().full(x.shape(), a.number(1, "fill_value", 0.0)?),
        "to" | "type_as" => x,
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn selection<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let axis = || a.integer(1, "dim axis", 0).map(|n| n as isize);
    let y = match name {
        "index_select" => x.index_select(axis()?, &a.ints(2, "index")?),
        "gather" => x.gather(axis()?, &a.ints(2, "index")?),
        "take_along_dim" => x.gather(a.integer(2, "dim", 0)? as isize, &a.ints(1, "indices")?),
        "take" => x.reshape(&[-1]).index(&[&a.ints(1, "index")?]),
        "scatter_add" => x.scatter_add(axis()?, &a.ints(2, "index")?, a.var(3, "src")?),
        "scatter" => {
            let index = a.ints(2, "index")?;
            match a.get(3, "src value") {
                Value::Var(source) => x.scatter(axis()?, &index, source),
                value => x.scatter(axis()?, &index, x.tape().full(index.shape(), value.number()?)),
            }
        }
        "index_add" => {
            let alpha = a.number(9, "alpha", 1.0)?;
            x.index_add(axis()?, &a.ints(2, "index")?, a.var(3, "source tensor")? * alpha)
        }
        "index_copy" => {
            let (axis, index, source) = (axis()?, a.ints(2, "index")?, a.var(3, "source tensor")?);
            let mut dims = vec![1isize; x.rank()];
            let at = axis.rem_euclid(x.rank() as isize) as usize;
            dims[at] = index.size() as isize;
            x.scatter(axis, &index.reshape(&dims).broadcast_to(source.shape()).contiguous(), source)
        }
        "index_fill" => {
            let (axis, index) = (axis()?, a.ints(2, "index")?.to_vec());
            let at = axis.rem_euclid(x.rank() as isize) as usize;
            let mask = Tensor::from_fn(x.shape(), |i| index.contains(&(i[at] as i64)));
            x.masked_fill(&mask, a.number(3, "value", 0.0)?)
        }
        "masked_select" => {
            let mask = a.bools(1, "mask")?;
            x.masked_select(&mask.broadcast_to(x.shape()).contiguous())
        }
        "sort" | "argsort" => {
            let place = if name == "sort" || !a.named.contains_key("stable") { 1 } else { 2 };
            let axis = a.integer(place, "dim", -1)? as isize;
            let sorted = x.sort(axis, a.truth(2, "descending", false)?);
            return Ok(Some(if name == "sort" { with_index(sorted) } else { Value::Ints(sorted.1) }));
        }
        "topk" => {
            let axis = a.integer(2, "dim", -1)? as isize;
            return Ok(Some(with_index(x.topk(a.integer(1, "k", 1)? as usize, axis, a.truth(3, "largest", true)?))));
        }
        "kthvalue" => {
            let axis = a.integer(2, "dim", -1)? as isize;
            let k = a.integer(1, "k", 1)? as usize;
            let (values, indices) = x.topk(k, axis, false);
            let last = Tensor::select(&indices, axis, k - 1).contiguous();
            return Ok(Some(list([Value::Var(values.select(axis, k - 1)), Value::Ints(last)])));
        }
        "searchsorted" => {
            let values = a.var(1, "input")?;
            return Ok(Some(Value::Ints(x.value().searchsorted(&values.value(), a.truth(9, "right", false)?))));
        }
        "nonzero" => return Ok(Some(Value::Ints(x.value().nonzero()))),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn linear<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let y = match name {
        "einsum" => {
            let operands = match a.get(1, "operands") {
                Value::List(items) => items,
                _ => a.positional[1..].to_vec(),
            };
            let operands = operands.iter().map(Value::var).collect::<Result<Vec<_>>>()?;
            Var::einsum(&a.text(0, "equation", "")?, &operands)
        }
        "matmul" | "mm" | "bmm" | "mv" => {
            float(tape, &a.get(0, "input"))?.matmul(float(tape, &a.get(1, "other mat2 vec"))?)
        }
        "addmm" | "baddbmm" | "addmv" | "addbmm" => {
            let product = a.var(1, "mat1 batch1 mat")?.matmul(a.var(2, "mat2 batch2 vec")?);
            let product = if name == "addbmm" { product.sum(&[0], false) } else { product };
            let (beta, alpha) = (a.number(9, "beta", 1.0)?, a.number(9, "alpha", 1.0)?);
            a.var(0, "input")? * beta + product * alpha
        }
        "dot" | "vdot" => a.var(0, "input")?.dot(a.var(1, "other tensor")?),
        "inner" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            let (p, q) = (x.shape(), y.shape());
            let n = p[p.rank() - 1] as isize;
            let shape: Vec<usize> = p[..p.rank() - 1].iter().chain(&q[..q.rank() - 1]).copied().collect();
            x.reshape(&[-1, n]).matmul(y.reshape(&[-1, n]).t()).reshape_to(shape)
        }
        "tensordot" => {
            let (x, y) = (a.var(0, "a")?, a.var(1, "b")?);
            let n = a.integer(2, "dims", 2)? as usize;
            let (p, q) = (x.shape(), y.shape());
            let inner: usize = q[..n].iter().product();
            let shape: Vec<usize> = p[..p.rank() - n].iter().chain(&q[n..]).copied().collect();
            x.reshape(&[-1, inner as isize]).matmul(y.reshape(&[inner as isize, -1])).reshape_to(shape)
        }
        "cross" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            let axis = a.integer(2, "dim", -1)? as isize;
            x.roll(-1, axis) * y.roll(-2, axis) - x.roll(-2, axis) * y.roll(-1, axis)
        }
        "addr" => {
            let product = a.var(1, "vec1")?.outer(a.var(2, "vec2")?);
            a.var(0, "input")? * a.number(9, "beta", 1.0)? + product * a.number(9, "alpha", 1.0)?
        }
        "dist" => (a.var(0, "input")? - a.var(1, "other")?).norm(a.number(2, "p", 2.0)?, &[], false),
        "cholesky_solve" => {
            let (b, l) = (a.var(0, "B")?, a.var(1, "L")?);
            l.t().solve_triangular(l.solve_triangular(b, false, false), true, false)
        }
        "outer" | "ger" => a.var(0, "input")?.outer(a.var(1, "vec2")?),
        "linear" => a.var(0, "input")?.linear(a.var(1, "weight")?, a.maybe_var(2, "bias")?),
        "bilinear" => a.var(0, "input1")?.bilinear(a.var(1, "input2")?, a.var(2, "weight")?, a.maybe_var(3, "bias")?),
        "solve" => {
            let (left, right) = (a.var(0, "A")?, a.var(1, "B")?);
            if right.rank() + 1 == left.rank() {
                left.solve(right.unsqueeze(-1)).squeeze(-1)
            } else {
                left.solve(right)
            }
        }
        "solve_triangular" => a.var(0, "A")?.solve_triangular(
            a.var(1, "B")?,
            a.truth(9, "upper", false)?,
            a.truth(9, "unitriangular", false)?,
        ),
        "triangular_solve" => {
            let y = a.var(1, "A")?.solve_triangular(
                a.var(0, "b")?,
                a.truth(2, "upper", true)?,
                a.truth(4, "unitriangular", false)?,
            );
            return Ok(Some(list([Value::Var(y), Value::Var(a.var(1, "A")?)])));
        }
        "chain_matmul" | "multi_dot" => {
            let factors = match a.get(0, "tensors") {
                Value::List(items) => items,
                _ => a.positional.clone(),
            };
            let factors = factors.iter().map(Value::var).collect::<Result<Vec<_>>>()?;
            factors[1..].iter().fold(factors[0], |product, factor| product.matmul(*factor))
        }
        "matrix_norm" => a.var(0, "A")?.norm(2.0, &[-2, -1], a.truth(3, "keepdim", false)?),
        "matrix_power" => {
            let (x, n) = (a.var(0, "A")?, a.integer(1, "n", 1)?);
            let base = if n < 0 { x.inverse() } else { x };
            (1..n.abs()).fold(base, |power, _| power.matmul(base))
        }
        "kron" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            let (p, q) = (x.shape(), y.shape());
            Var::einsum("ij,kl->ikjl", &[x, y]).reshape_to([p[0] * q[0], p[1] * q[1]])
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn activation<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let axis = || a.integer(1, "dim axis", -1).map(|n| n as isize);
    let y = match name {
        "softmax" => x.softmax(axis()?),
        "softmin" => (-x).softmax(axis()?),
        "log_softmax" => x.log_softmax(axis()?),
        "gelu" if a.text(1, "approximate", "none")? == "tanh" => x.gelu_tanh(),
        "gelu" => x.gelu(),
        "elu" => x.elu(a.number(1, "alpha", 1.0)?),
        "celu" => x.celu(a.number(1, "alpha", 1.0)?),
        "leaky_relu" => x.leaky_relu(a.number(1, "negative_slope", 0.01)?),
        "softplus" => softplus(x, a.number(1, "beta", 1.0)?, a.number(2, "threshold", 20.0)?),
        "hardtanh" => x.clamp(a.number(1, "min_val", -1.0)?, a.number(2, "max_val", 1.0)?),
        "threshold" => x.threshold(a.number(1, "threshold", 0.0)?, a.number(2, "value", 0.0)?),
        "prelu" => {
            let slope = a.var(1, "weight")?;
            let slope = if slope.size() > 1 && x.rank() > 2 {
                let dims: Vec<isize> = (0..x.rank()).map(|k| if k == 1 { -1 } else { 1 }).collect();
                slope.reshape(&dims)
            } else {
                slope
            };
            x.prelu(slope)
        }
        "glu" => x.glu(axis()?),
        "softshrink" => x.soft_shrink(a.number(1, "lambd", 0.5)?),
        "hardshrink" => x.hard_shrink(a.number(1, "lambd", 0.5)?),
        "normalize" => {
            let axis = a.integer(2, "dim", 1)? as isize;
            x / x.norm(a.number(1, "p", 2.0)?, &[axis], true).maximum(a.number(3, "eps", 1e-12)?)
        }
        "polygamma" => float(tape, &a.get(1, "input"))?.polygamma(a.integer(0, "n", 0)? as u32),
        "dropout" if a.number(1, "p", 0.5)? == 0.0 || !a.truth(2, "training", true)? => x,
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

fn network<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let spatial = |name: &str| match name.as_bytes()[name.len() - 2] {
        digit @ b'1'..=b'3' => Some((digit - b'0') as usize),
        _ => None,
    };
    let y = match name {
        "layer_norm" | "rms_norm" => {
            let x = a.var(0, "input")?;
            let axes: Vec<isize> = (1..=a.get(1, "normalized_shape").integers()?.len() as isize).map(|k| -k).collect();
            let weight = a.maybe_var(2, "weight")?;
            if name == "rms_norm" {
                x.rms_norm(&axes, weight, a.number(3, "eps", T::EPSILON.to_f64())?)
            } else {
                x.layer_norm(&axes, weight, a.maybe_var(3, "bias")?, a.number(4, "eps", 1e-5)?)
            }
        }
        "batch_norm" => {
            let x = a.var(0, "input")?;
            let (mean, var) = match a.truth(5, "training", false)? {
                true => x.moments(1),
                false => (a.var(1, "running_mean")?, a.var(2, "running_var")?),
            };
            x.batch_norm(1, mean, var, a.maybe_var(3, "weight")?, a.maybe_var(4, "bias")?, a.number(7, "eps", 1e-5)?)
        }
        "instance_norm" => {
            let x = a.var(0, "input")?;
            x.group_norm(x.dim(1), a.maybe_var(3, "weight")?, a.maybe_var(4, "bias")?, a.number(7, "eps", 1e-5)?)
        }
        "group_norm" => a.var(0, "input")?.group_norm(
            a.integer(1, "num_groups", 1)? as usize,
            a.maybe_var(2, "weight")?,
            a.maybe_var(3, "bias")?,
            a.number(4, "eps", 1e-5)?,
        ),
        "conv1d" | "conv2d" | "conv3d" => {
            let (x, weight) = (a.var(0, "input")?, a.var(1, "weight")?);
            let dilation = a.lengths(5, "dilation", &[1])?;
            let mut conv = Conv::new()
                .stride(&a.lengths(3, "stride", &[1])?)
                .dilation(&dilation)
                .groups(a.integer(6, "groups", 1)? as usize);
            let mut x = x;
            match a.get(4, "padding") {
                Value::None => {}
                Value::Text(text) if text == "valid" => {}
                Value::Text(_) => {
                    // "same": what does not divide into two is behind.
                    let window = weight.shape();
                    for axis in 2..window.rank() {
                        let total = dilation[if dilation.len() == 1 { 0 } else { axis - 2 }] * (window[axis] - 1);
                        let at = axis as isize - window.rank() as isize;
                        x = x.pad(at, total / 2, total - total / 2, Pad::Constant(0.0));
                    }
                }
                padding => conv = conv.padding(&padding.integers()?.iter().map(|&n| n as usize).collect::<Vec<_>>()),
            }
            let bias = a.maybe_var(2, "bias")?;
            batched(x, weight.rank(), |x| x.conv(weight, bias, &conv))
        }
        "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => {
            let conv = Conv::new()
                .stride(&a.lengths(3, "stride", &[1])?)
                .padding(&a.lengths(4, "padding", &[0])?)
                .output_padding(&a.lengths(5, "output_padding", &[0])?)
                .groups(a.integer(6, "groups", 1)? as usize)
                .dilation(&a.lengths(7, "dilation", &[1])?);
            let (weight, bias) = (a.var(1, "weight")?, a.maybe_var(2, "bias")?);
            batched(a.var(0, "input")?, weight.rank(), |x| x.conv_transpose(weight, bias, &conv))
        }
        "max_pool1d" | "max_pool2d" | "max_pool3d" => {
            let window = a.lengths(1, "kernel_size", &[1])?;
            let pool = Pool::new(&window)
                .stride(&a.lengths(2, "stride", &window)?)
                .padding(&a.lengths(3, "padding", &[0])?)
                .dilation(&a.lengths(4, "dilation", &[1])?)
                .ceil(a.truth(5, "ceil_mode", false)?);
            batched(a.var(0, "input")?, spatial(name).unwrap_or(1) + 2, |x| x.max_pool(&pool))
        }
        "avg_pool1d" | "avg_pool2d" | "avg_pool3d" => {
            let window = a.lengths(1, "kernel_size", &[1])?;
            let pool = Pool::new(&window)
                .stride(&a.lengths(2, "stride", &window)?)
                .padding(&a.lengths(3, "padding", &[0])?)
                .ceil(a.truth(4, "ceil_mode", false)?)
                .count_padding(a.truth(5, "count_include_pad", true)?);
            batched(a.var(0, "input")?, spatial(name).unwrap_or(1) + 2, |x| x.avg_pool(&pool))
        }
        "adaptive_avg_pool1d" | "adaptive_avg_pool2d" => {
            let axes = spatial(name).unwrap_or(1);
            let mut lengths = a.lengths(1, "output_size", &[1])?;
            lengths.resize(axes, lengths[0]);
            batched(a.var(0, "input")?, axes + 2, |x| x.adaptive_avg_pool(&lengths))
        }
        "unfold" | "fold" => {
            // Images as columns of patches, and the transpose of that.
            let x = a.var(0, "input")?;
            let at = usize::from(name == "fold");
            let pair = |place: usize, names: &str, default: usize| {
                let mut lengths = a.lengths(place + at, names, &[default])?;
                lengths.resize(2, lengths[0]);
                Ok::<_, String>(lengths)
            };
            let (window, dilation) = (pair(1, "kernel_size", 1)?, pair(2, "dilation", 1)?);
            let (padding, stride) = (pair(3, "padding", 0)?, pair(4, "stride", 1)?);
            let count = |n: usize, k: usize| (n + 2 * padding[k] - dilation[k] * (window[k] - 1) - 1) / stride[k] + 1;
            if name == "unfold" {
                let shape = x.shape();
                let padded = (0..2).fold(x, |x, k| x.pad(k as isize + 2, padding[k], padding[k], Pad::Constant(0.0)));
                let windows = (0..2).fold(padded, |x, k| x.windows(k as isize + 2, window[k], stride[k], dilation[k]));
                let places = count(shape[2], 0) * count(shape[3], 1);
                windows.permute(&[0, 1, 4, 5, 2, 3]).reshape_to([shape[0], shape[1] * window[0] * window[1], places])
            } else {
                let size = pair(0, "output_size", 1)?;
                let (batch, rows) = (x.shape()[0], x.shape()[1]);
                let channels = rows / (window[0] * window[1]);
                let patches =
                    x.reshape_to([batch, channels, window[0], window[1], count(size[0], 0), count(size[1], 1)]);
                let mut y = patches.permute(&[0, 1, 4, 5, 2, 3]);
                for k in [1, 0] {
                    let at = k as isize + 2;
                    // The window's axis last, where adding up what overlaps expects it.
                    let last = y.rank() as isize - 1;
                    let moved = if k == 1 { y } else { y.move_axis(last, last) };
                    y = moved.overlap_add(at, stride[k], dilation[k], size[k] + 2 * padding[k]);
                }
                (0..2).fold(y, |y, k| y.slice(k as isize + 2, padding[k] as isize..(padding[k] + size[k]) as isize))
            }
        }
        "adaptive_max_pool1d" => {
            let (x, length) = (a.var(0, "input")?, a.lengths(1, "output_size", &[1])?[0]);
            let n = x.dim(-1);
            let part = |k: usize| {
                let (start, end) = (k * n / length, ((k + 1) * n).div_ceil(length));
                x.slice(-1, start as isize..end as isize).max_at(-1, true).0
            };
            Var::concat((0..length).map(part), -1)
        }
        "scaled_dot_product_attention" => {
            let (q, k, v) = (a.var(0, "query")?, a.var(1, "key")?, a.var(2, "value")?);
            let scale = match a.get(6, "scale") {
                Value::None => None,
                scale => Some(scale.number()?),
            };
            let seen;
            let mask = match a.get(3, "attn_mask") {
                Value::Bools(mask) => {
                    seen = mask;
                    AttentionMask::Where(&seen)
                }
                Value::Var(bias) => AttentionMask::Add(bias),
                _ if a.truth(5, "is_causal", false)? => AttentionMask::Causal,
                _ => AttentionMask::None,
            };
            q.attention(k, v, mask, scale)
        }
        "cosine_similarity" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            losses::cosine_similarity(x, y, a.integer(2, "dim", 1)? as isize, a.number(3, "eps", 1e-8)?)
        }
        "pairwise_distance" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            losses::pairwise_distance(x, y, a.number(2, "p", 2.0)?, a.number(3, "eps", 1e-6)?)
        }
        "cdist" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(a.number(2, "p", 2.0)?, &[-1], false)
        }
        _ => {
            let _ = tape;
            return Ok(None);
        }
    };
    Ok(Some(Value::Var(y)))
}

fn loss<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let target = || a.get(1, "target").var();
    let classes = |reduction: Reduction| -> Result<CrossEntropy<T>> {
        Ok(CrossEntropy {
            axis: if a.var(0, "input")?.rank() == 1 { 0 } else { 1 },
            weight: a.maybe_var(2, "weight")?.map(Var::value),
            ignore_index: Some(a.integer(4, "ignore_index", -100)?),
            label_smoothing: a.number(7, "label_smoothing", 0.0)?,
            reduction,
        })
    };
    let y = match name {
        "mse_loss" => losses::mse(a.var(0, "input")?, target()?, a.reduction(4)?),
        "l1_loss" => losses::l1(a.var(0, "input")?, target()?, a.reduction(4)?),
        "huber_loss" => losses::huber(a.var(0, "input")?, target()?, a.number(3, "delta", 1.0)?, a.reduction(2)?),
        "smooth_l1_loss" => {
            losses::smooth_l1(a.var(0, "input")?, target()?, a.number(5, "beta", 1.0)?, a.reduction(4)?)
        }
        "cross_entropy" => match a.get(1, "target") {
            Value::Ints(targets) => classes(a.reduction(6)?)?.of(a.var(0, "input")?, &targets),
            target => classes(a.reduction(6)?)?.of_distribution(a.var(0, "input")?, target.var()?),
        },
        "nll_loss" => {
            let options = classes(a.reduction(6)?)?;
            options.of_log_probabilities(a.var(0, "input")?, &a.ints(1, "target")?)
        }
        "binary_cross_entropy" => {
            let terms = losses::bce(a.var(0, "input")?, target()?, Reduction::None);
            let terms = match a.maybe_var(2, "weight")? {
                Some(weight) => terms * weight,
                None => terms,
            };
            match a.reduction(5)? {
                Reduction::Mean => terms.mean_all(),
                Reduction::Sum => terms.sum_all(),
                Reduction::None => terms,
            }
        }
        "binary_cross_entropy_with_logits" => losses::bce_with_logits_weighted(
            a.var(0, "input")?,
            target()?,
            a.maybe_var(2, "weight")?,
            a.maybe_var(6, "pos_weight")?,
            a.reduction(5)?,
        ),
        "kl_div" => {
            let reduction = a.text(4, "reduction", "mean")?;
            let options = KlDiv {
                log_target: a.truth(5, "log_target", false)?,
                batch_mean: reduction == "batchmean",
                reduction: if reduction == "batchmean" { Reduction::Sum } else { a.reduction(4)? },
            };
            losses::kl_div(a.var(0, "input")?, target()?, options)
        }
        "poisson_nll_loss" => losses::poisson_nll(
            a.var(0, "input")?,
            target()?,
            a.truth(2, "log_input", true)?,
            a.truth(3, "full", false)?,
            a.reduction(7)?,
        ),
        "gaussian_nll_loss" => losses::gaussian_nll(
            a.var(0, "input")?,
            target()?,
            float(tape, &a.get(2, "var"))?,
            a.number(4, "eps", 1e-6)?,
            a.truth(3, "full", false)?,
            a.reduction(5)?,
        ),
        "hinge_embedding_loss" => {
            losses::hinge_embedding(a.var(0, "input")?, target()?, a.number(2, "margin", 1.0)?, a.reduction(5)?)
        }
        "multi_margin_loss" => {
            let (x, targets) = (a.var(0, "input")?, a.ints(1, "target")?);
            let (p, margin) = (a.number(2, "p", 1.0)?, a.number(3, "margin", 1.0)?);
            let at = targets.reshape(&[-1, 1]);
            let terms = (margin - x.gather(1, &at) + x).relu().powf(p);
            let own = Tensor::<T>::one_hot(&targets, x.dim(1)).map(|x| x != T::ZERO);
            let terms = terms.masked_fill(&own, 0.0).sum(&[1], false) / x.dim(1) as f64;
            match a.reduction(7)? {
                Reduction::Mean => terms.mean_all(),
                Reduction::Sum => terms.sum_all(),
                Reduction::None => terms,
            }
        }
        "multilabel_soft_margin_loss" => {
            let terms = losses::bce_with_logits(a.var(0, "input")?, target()?, Reduction::None);
            let terms = match a.maybe_var(2, "weight")? {
                Some(weight) => terms * weight,
                None => terms,
            };
            let terms = terms.mean(&[-1], false);
            match a.reduction(5)? {
                Reduction::Mean => terms.mean_all(),
                Reduction::Sum => terms.sum_all(),
                Reduction::None => terms,
            }
        }
        "soft_margin_loss" => losses::soft_margin(a.var(0, "input")?, target()?, a.reduction(4)?),
        "margin_ranking_loss" => losses::margin_ranking(
            a.var(0, "input1")?,
            a.var(1, "input2")?,
            a.var(2, "target")?,
            a.number(3, "margin", 0.0)?,
            a.reduction(6)?,
        ),
        "cosine_embedding_loss" => losses::cosine_embedding(
            a.var(0, "input1")?,
            a.var(1, "input2")?,
            a.var(2, "target")?,
            a.number(3, "margin", 0.0)?,
            a.reduction(6)?,
        ),
        "triplet_margin_loss" => losses::triplet_margin(
            [a.var(0, "anchor")?, a.var(1, "positive")?, a.var(2, "negative")?],
            a.number(3, "margin", 1.0)?,
            a.number(4, "p", 2.0)?,
            a.truth(6, "swap", false)?,
            a.reduction(8)?,
        ),
        "ctc_loss" => {
            let options = Ctc {
                blank: a.integer(4, "blank", 0)? as usize,
                reduction: a.reduction(5)?,
                zero_infinity: a.truth(6, "zero_infinity", false)?,
            };
            let (inputs, targets) = (a.lengths(2, "input_lengths", &[])?, a.lengths(3, "target_lengths", &[])?);
            losses::ctc(a.var(0, "log_probs")?, &a.ints(1, "targets")?, &inputs, &targets, options)
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

/// `value[items]`, as NumPy reads it.
pub fn index<'t, T: Element>(value: Value<'t, T>, items: &[Value<'t, T>]) -> Result<Value<'t, T>> {
    if let Value::List(parts) = &value {
        let k = items[0].integer()?;
        return parts.get(k.rem_euclid(parts.len() as i64) as usize).cloned().ok_or_else(|| "index".into());
    }
    if let Value::Bools(mask) = &value {
        let whole = index(Value::<T>::Ints(mask.map(i64::from)), items)?;
        return match whole {
            Value::Ints(tensor) => Ok(Value::Bools(tensor.map(|n| n != 0))),
            other => Ok(other),
        };
    }
    if let Value::Ints(tensor) = &value {
        // Through doubles, which hold every index there is.
        let tape = Tape::<f64>::inference();
        let exact = tape.constant(tensor.map(|n| n as f64));
        let items = items.iter().map(without_floats).collect::<Result<Vec<_>>>()?;
        return Ok(Value::Ints(index(Value::Var(exact), &items)?.var()?.value().map(|x| x as i64)));
    }
    let mut x = value.var()?;
    // A list of integers indexes like a tensor of them.
    let items = &items
        .iter()
        .map(|item| match item {
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

fn without_floats<'a, T: Element>(item: &Value<'_, T>) -> Result<Value<'a, f64>> {
    Ok(match item {
        Value::Ints(tensor) => Value::Ints(tensor.clone()),
        Value::Bools(tensor) => Value::Bools(tensor.clone()),
        Value::Integer(n) => Value::Integer(*n),
        Value::Slice(a, b, c) => Value::Slice(*a, *b, *c),
        Value::Ellipsis => Value::Ellipsis,
        Value::None => Value::None,
        other => return Err(format!("{other:?} is no index")),
    })
}
