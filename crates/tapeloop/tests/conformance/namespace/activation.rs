//! Activations with options, and functions along an axis.

use tapeloop::{Element, Tape, Var};

use super::{Found, float};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::Value;

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    if name == "polygamma" {
        // The function has the order first, the method the tensor.
        let (order, x) =
            if a.module.is_empty() { (a.get(1, "n"), a.get(0, "")) } else { (a.get(0, "n"), a.get(1, "input")) };
        return Ok(Some(Value::Var(float(tape, &x)?.polygamma(order.integer()? as u32))));
    }
    let Ok(x) = a.var(0, "input self") else { return Ok(None) };
    let axis = || a.axis(1, "dim axis", -1);
    // Without an axis PyTorch takes the first one of scalars, vectors and of rank three, else the second.
    let guessed = || a.axis(1, "dim axis", if matches!(x.rank(), 0 | 1 | 3) { 0 } else { 1 });
    let y = match name {
        "softmax" => x.softmax(guessed()?),
        "softmin" => (-x).softmax(guessed()?),
        "log_softmax" => x.log_softmax(guessed()?),
        "gelu" => match a.text(KEYWORD, "approximate", "none")?.as_str() {
            "tanh" => x.gelu_tanh(),
            _ => x.gelu(),
        },
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
        "dropout" | "alpha_dropout" | "feature_dropout" | "dropout1d" | "dropout2d"
            if a.number(1, "p", 0.5)? == 0.0 || !a.truth(2, "training", true)? =>
        {
            x
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

/// As softplus beyond its threshold, where PyTorch takes the argument itself.
fn softplus<'t, T: Element>(x: Var<'t, T>, beta: f64, threshold: f64) -> Var<'t, T> {
    let linear = (x * beta).gt(threshold);
    linear.if_else(x, (linear.if_else(0.0, x) * beta).softplus() / beta)
}
