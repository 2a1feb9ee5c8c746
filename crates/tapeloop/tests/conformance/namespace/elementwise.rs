//! Functions of one number, element by element.

use tapeloop::{Element, Tape};

use super::{Found, truth_tensor};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::Value;

pub fn call<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let Ok(x) = a.var(0, "input") else { return Ok(None) };
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
        "logit" => {
            let p = match a.get(1, "eps") {
                Value::None => x,
                eps => x.clamp(eps.number()?, 1.0 - eps.number()?),
            };
            (p / (1.0 - p)).ln()
        }
        "entr" => x.entr(),
        "erf" => x.erf(),
        "erfc" => x.erfc(),
        "lgamma" | "gammaln" => x.lgamma(),
        "digamma" | "psi" => x.polygamma(0),
        "sign" | "sgn" => x.sign(),
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "round" => match a.integer(KEYWORD, "decimals", 0)? {
            0 => x.round(),
            n => (x * 10f64.powi(n as i32)).round() / 10f64.powi(n as i32),
        },
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
            x.hard_sigmoid() + x.inside(-3.0, 3.0).if_else(x - x.detach(), 0.0) * rounding
        }
        "hardswish" => x.hard_silu(),
        "selu" => x.selu(),
        "detach" => x.detach(),
        "clone" | "contiguous" | "positive" | "requires_grad_" => x,
        "ndtr" => x.ndtr(),
        "log_ndtr" => x.log_ndtr(),
        "multigammaln" | "mvlgamma" => {
            let p = a.integer(1, "p", 1)?;
            let shift = (p * (p - 1)) as f64 / 4.0 * std::f64::consts::PI.ln();
            (1..p).fold(x.lgamma(), |sum, k| sum + (x - k as f64 / 2.0).lgamma()) + shift
        }
        "data" => x.detach(),
        "sinc" => {
            let zero = x.eq(0.0);
            let angle = zero.if_else(1.0, x) * std::f64::consts::PI;
            zero.if_else(1.0, angle.sin() / angle)
        }
        "deg2rad" => x * (std::f64::consts::PI / 180.0),
        "rad2deg" => x * (180.0 / std::f64::consts::PI),
        "nan_to_num" => {
            let largest = if T::EPSILON.to_f64() > 1e-10 { f64::from(f32::MAX) } else { f64::MAX };
            let (high, low) = (a.number(2, "posinf", largest)?, a.number(3, "neginf", -largest)?);
            let y = x.eq(x).if_else(x, a.number(1, "nan", 0.0)?);
            let y = y.eq(f64::INFINITY).if_else(high, y);
            y.eq(f64::NEG_INFINITY).if_else(low, y)
        }
        "isposinf" => return Ok(Some(Value::Bools(truth_tensor(x.eq(f64::INFINITY))))),
        "isneginf" => return Ok(Some(Value::Bools(truth_tensor(x.eq(f64::NEG_INFINITY))))),
        "isfinite" => return Ok(Some(Value::Bools(x.value().map(T::is_finite)))),
        "isinf" => return Ok(Some(Value::Bools(x.value().map(|x| !x.is_finite() && !x.is_nan())))),
        "signbit" => return Ok(Some(Value::Bools(x.value().map(|x| x.to_f64().is_sign_negative())))),
        "isnan" => return Ok(Some(Value::Bools(truth_tensor(x.ne(x))))),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}
