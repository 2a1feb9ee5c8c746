//! Keras' regularizers and constraints by themselves: a tensor, and its penalty or projection.

use serde_json::{Value as Json, json};
use tapeloop::{Constraint, Element, Regularizer, Tape};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let w = file.need("in/w")?.clone();
    let mut numbers = Numbers::new();
    if case.config.get("regularizer").is_some() {
        let saved = saved(&case.config["regularizer"], &case.config["args"]);
        let regularizer: Regularizer = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        let tape = Tape::new();
        let w = tape.leaf(w);
        let penalty = regularizer.penalty(w);
        let gradient = penalty.backward().wrt(w).cloned().ok_or("the penalty has no gradient")?;
        numbers.insert("loss".into(), Any::Float(penalty.value()));
        numbers.insert("grad/in/w".into(), Any::Float(gradient));
    } else {
        let saved = saved(&case.config["constraint"], &case.config["args"]);
        let constraint: Constraint = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        numbers.insert("out/w".into(), Any::Float(constraint.apply(&w)));
    }
    Ok(Outcome::Ran(numbers))
}

/// Keras' class and arguments in the form it saves them in: what we do not know of them is an error.
fn saved(class: &Json, args: &Json) -> Json {
    json!({"class_name": class, "config": args})
}
