//! Gradients inside an expression.

use smallvec::SmallVec;
use tapeloop::{Element, Tape};

use super::{Found, float, list};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    if (a.module.as_str(), name) != ("autograd", "grad") {
        return Ok(None);
    }
    let several = |value: Value<'t, T>| match value {
        Value::List(items) => items,
        single => vec![single],
    };
    let outputs = several(a.get(0, "outputs")).iter().map(Value::var).collect::<Result<Vec<_>>>()?;
    let inputs = several(a.get(1, "inputs")).iter().map(Value::var).collect::<Result<SmallVec<[_; 4]>>>()?;
    let cotangents = match a.get(2, "grad_outputs") {
        Value::None => vec![Value::Number(1.0); outputs.len()],
        given => several(given),
    };
    let mut roots = Vec::new();
    for (output, cotangent) in outputs.into_iter().zip(&cotangents) {
        roots.push((output, float(tape, cotangent)?));
    }
    let _ = (a.truth(3, "retain_graph", true)?, a.truth(KEYWORD, "allow_unused", false)?);
    let gradients = tape.grad(&roots, &inputs);
    // Without a graph they are constants.
    let create_graph = a.truth(4, "create_graph", false)?;
    Ok(Some(list(gradients.into_iter().map(|g| Value::Var(if create_graph { g } else { g.detach() })))))
}
