//! Arithmetic and comparisons of two tensors and more.

use tapeloop::{Element, Tape};

use super::{Found, float, truth_tensor};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::Value;

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
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
        "xlog1py",
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
        "isclose",
        "allclose",
        "equal",
    ];
    if !known.contains(&name) {
        return Ok(None);
    }
    if name == "where" && a.get(1, "input self").is_none() {
        return Ok(None);
    }
    if name == "where" {
        let condition = a.get(0, "condition");
        // The method: x.where(condition, other).
        let (condition, x) = match (&condition, a.get(1, "input self")) {
            (x, Value::Bools(condition)) if a.module.is_empty() => (Value::Bools(condition), x.clone()),
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
    let second = a.get(1, "other exponent tensor1 end tensor values");
    if let ("pow" | "float_power", Value::Number(_) | Value::Integer(_), Value::Var(_)) =
        (name, &second, a.get(0, "input self"))
    {
        return Ok(Some(Value::Var(x.powf(second.number()?))));
    }
    let y = float(tape, &second)?;
    let alpha = || a.number(KEYWORD, "alpha", 1.0);
    let scaled = |y| if a.has("alpha") { alpha().map(|alpha| y * alpha) } else { Ok(y) };
    let result = match name {
        "add" => x + scaled(y)?,
        "sub" | "subtract" => x - scaled(y)?,
        "rsub" => y - scaled(x)?,
        "mul" | "multiply" => x * y,
        "div" | "divide" | "true_divide" => match a.text(KEYWORD, "rounding_mode", "")?.as_str() {
            "floor" => (x / y).floor(),
            "trunc" => (x / y).trunc(),
            "" => x / y,
            other => return Err(format!("unknown rounding_mode {other}")),
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
        "xlog1py" => x.xlog1py(y),
        "isclose" | "allclose" => {
            let (relative, absolute) = (a.number(2, "rtol", 1e-5)?, a.number(3, "atol", 1e-8)?);
            let (x, y) = (x.detach(), y.detach());
            let near = (x - y).abs().le(y.abs() * relative + absolute);
            let near = truth_tensor(x.eq(y).if_else(1.0, near * (x - y).abs().lt(f64::INFINITY)));
            if name == "allclose" {
                return Ok(Some(Value::Truth(near.to_vec().iter().all(|&near| near))));
            }
            return Ok(Some(Value::Bools(near)));
        }
        "equal" => return Ok(Some(Value::Truth(x.shape() == y.shape() && x.value().to_vec() == y.value().to_vec()))),
        "logaddexp2" => (x * std::f64::consts::LN_2).logaddexp(y * std::f64::consts::LN_2) / std::f64::consts::LN_2,
        "heaviside" => x.eq(0.0).if_else(y, x.gt(0.0)),
        "ldexp" => x * y.exp2(),
        "copysign" => x.abs() * y.ge(0.0).if_else(1.0, -1.0),
        "lerp" => x + float(tape, &a.get(2, "weight"))? * (y - x),
        "addcmul" => x + y * float(tape, &a.get(2, "tensor2"))? * a.number(KEYWORD, "value", 1.0)?,
        "addcdiv" => x + y / float(tape, &a.get(2, "tensor2"))? * a.number(KEYWORD, "value", 1.0)?,
        "eq" => return Ok(Some(Value::Bools(truth_tensor(x.eq(y))))),
        "ne" | "not_equal" => return Ok(Some(Value::Bools(truth_tensor(x.ne(y))))),
        "lt" | "less" => return Ok(Some(Value::Bools(truth_tensor(x.lt(y))))),
        "le" | "less_equal" => return Ok(Some(Value::Bools(truth_tensor(x.le(y))))),
        "gt" | "greater" => return Ok(Some(Value::Bools(truth_tensor(x.gt(y))))),
        "ge" | "greater_equal" => return Ok(Some(Value::Bools(truth_tensor(x.ge(y))))),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(result)))
}
