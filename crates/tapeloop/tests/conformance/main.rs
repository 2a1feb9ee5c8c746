//! Reference cases computed by Keras and PyTorch, run in double and in single precision.
//!
//! `TAPELOOP_CASES=DIR` names another folder of the same format, `TAPELOOP_FAMILIES=torch/ops,keras/lstm` narrows it
//! by prefixes of the cases' names. A folder's `tables` of initial values are read, too. The last line is `N passed, N failed, N skipped`.

mod arguments;
mod case;
mod compare;
mod double_backward;
mod expression;
mod keras_cells;
mod keras_rnn;
mod keras_rules;
mod namespace;
mod tables;
mod torch_rnn;
mod value;
mod zoo;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use case::{Case, File, Numbers};
use compare::Tolerance;
use tapeloop::Element;

/// What became of a case in one precision.
pub enum Outcome<T: Element> {
    /// It ran: outputs and gradients by name.
    Ran(Numbers<T>),
    /// It cannot be represented yet.
    Skipped(String),
}

/// Runs a case in one precision.
fn run<T: Element>(case: &Case, file: &File<T>) -> Result<Outcome<T>, String> {
    match case.family.as_str() {
        "torch/ops" | "torch/losses" => expression::run(case, file),
        "torch/cell" | "torch/rnn_tanh" | "torch/rnn_relu" | "torch/lstm" | "torch/gru" | "torch/layer_dropout" => {
            torch_rnn::run(case, file)
        }
        "torch/double_backward" => double_backward::run(case, file),
        "keras/simple_rnn"
        | "keras/lstm"
        | "keras/gru"
        | "keras/bidirectional"
        | "keras/chain"
        | "keras/conv_lstm"
        | "keras/rnn"
        | "keras/stacked"
        | "keras/time_distributed"
        | "keras/regularized" => keras_rnn::run(case, file),
        "keras/regularizers" | "keras/constraints" => keras_rules::run(case, file),
        family if family.starts_with("zoo/") => zoo::run(case, file),
        family => Ok(Outcome::Skipped(format!("{family} is not supported yet"))),
    }
}

/// Failures and the reason for skipping, if any.
fn check<T: Element>(case: &Case, folder: &Path, tolerance: Tolerance) -> Result<Option<String>, Vec<String>> {
    let file = File::<T>::read(&folder.join(&case.file)).map_err(|error| vec![error])?;
    match caught(|| run(case, &file)).map_err(|error| vec![error])? {
        Outcome::Skipped(reason) => Ok(Some(reason)),
        Outcome::Ran(numbers) => {
            let failures = compare::against(&file, &numbers, tolerance);
            if failures.is_empty() { Ok(None) } else { Err(failures) }
        }
    }
}

/// A panic as an error with its message.
fn caught<R>(run: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default())
    })
}

fn main() -> ExitCode {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let folder = std::env::var_os("TAPELOOP_CASES").map_or(own, PathBuf::from);
    let families = std::env::var("TAPELOOP_FAMILIES").unwrap_or_default();
    let prefixes: Vec<&str> = families.split(',').map(str::trim).filter(|prefix| !prefix.is_empty()).collect();
    let wanted = |id: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| id.starts_with(prefix));
    let read = Case::indices(&folder).and_then(|cases| Ok((cases, tables::rows(&folder)?)));
    let (cases, tables) = match read {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // A panic is a failed case with its message, not a trace on the terminal.
    std::panic::set_hook(Box::new(|_| {}));
    let mut counts = BTreeMap::<&str, [usize; 3]>::new();
    for case in &cases {
        if !wanted(&case.id) {
            continue;
        }
        let double = check::<f64>(case, &folder, Tolerance::double(case.f32_error_grad));
        let single = check::<f32>(case, &folder, Tolerance::single(case.f32_error_out, case.f32_error_grad));
        let mut place = 0;
        for (precision, result) in [("float64", double), ("float32", single)] {
            match result {
                Ok(None) => {}
                Ok(Some(reason)) => {
                    if place == 0 {
                        println!("skipped {}: {reason}", case.id);
                    }
                    place = place.max(2);
                }
                Err(failures) => {
                    failures.iter().for_each(|failure| println!("FAILED {} {precision}: {failure}", case.id));
                    place = 1;
                    break;
                }
            }
        }
        counts.entry(case.family.as_str()).or_default()[place] += 1;
    }
    for row in &tables {
        if !wanted(&row.id) {
            continue;
        }
        let mut place = 0;
        for (precision, check) in [("float64", tables::check::<f64> as fn(&_) -> _), ("float32", tables::check::<f32>)]
        {
            if let Err(failure) = caught(|| check(row)) {
                println!("FAILED {} {precision}: {failure}", row.id);
                place = 1;
            }
        }
        counts.entry(row.family).or_default()[place] += 1;
    }
    let mut total = [0; 3];
    println!();
    for (family, counts) in &counts {
        println!("{family}: {} passed, {} failed, {} skipped", counts[0], counts[1], counts[2]);
        (0..3).for_each(|k| total[k] += counts[k]);
    }
    println!("{} passed, {} failed, {} skipped", total[0], total[1], total[2]);
    if total[1] == 0 && total[0] + total[2] > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
