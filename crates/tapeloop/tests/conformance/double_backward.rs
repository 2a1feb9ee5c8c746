//! Gradients of gradients: a penalty on dinner/dx, differentiated by inputs and weights.

use tapeloop::{Element, Tape};

use crate::Outcome;
use crate::case::{Any, Case, File, Numbers};
use crate::torch_rnn::{Module, input_gradients, states};

pub fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    let module = Module::new(case, file)?;
    let tape = Tape::new();
    let x = tape.leaf(file.need("in/x")?.clone());
    let states = states(&tape, file)?;
    let outputs = module.call(x, &states);
    let inner = outputs
        .iter()
        .filter_map(|(name, output)| {
            file.float(&format!("cot/{name}")).map(|cotangent| (*output * cotangent).sum_all())
        })
        .reduce(|sum, term| sum + term)
        .ok_or("the case has no cotangents")?;
    let gradient = tape.grad(&[(inner, tape.scalar(1.0))], &[x])[0];
    if x.rank() != 3 {
        return Ok(Outcome::Skipped("a penalty of an input without a batch is not supported".into()));
    }
    // The penalty's rows are the case's batch wherever it lies, with `batch_first` too.
    let batch = case.config["dims"][0].as_u64().ok_or("the case has no dims")? as usize;
    let batch_axis = if x.dim(1) == batch { 1 } else { 0 };
    if x.dim(batch_axis) != batch {
        return Err(format!("no axis of {} is a batch of {batch}", x.shape()));
    }
    let penalty = match case.config["penalty"].as_str() {
        Some("gradient_penalty") => {
            let others: Vec<isize> = (0..3).filter(|&axis| axis != batch_axis).collect();
            (gradient.norm(2.0, &others, false) - 1.0).square().mean_all()
        }
        Some("squared_norm") => gradient.square().sum_all(),
        Some("hvp") => (gradient * file.need("in/v")?).sum_all(),
        other => return Ok(Outcome::Skipped(format!("unknown penalty {other:?}"))),
    };
    let loss = penalty + inner * case.config["mix"].as_f64().unwrap_or(0.0);
    let gradients = loss.backward();
    let mut numbers: Numbers<T> =
        outputs.iter().map(|(name, output)| (format!("out/{name}"), Any::Float(output.value()))).collect();
    numbers.insert("out/inner".into(), Any::Float(inner.value()));
    numbers.insert("out/dinner_dx".into(), Any::Float(gradient.value()));
    input_gradients(&gradients, x, &states, &mut numbers);
    module.weight_gradients(&gradients, &mut numbers);
    module.is_a_loop()?;
    Ok(Outcome::Ran(numbers))
}
