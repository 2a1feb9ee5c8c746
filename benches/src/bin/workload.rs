#![forbid(unsafe_code)]
//! Runs one workload and prints what a step took, as one line of JSON. The runners of other libraries print the same.
//!
//! ```text
//! cargo run --release -p tapeloop-benches --bin workload -- T3 --threads 2 --seconds 4
//! cargo run --release -p tapeloop-benches --bin workload -- I1 --variant lstm-128
//! ```

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use tapeloop::Threads;
use tapeloop_benches::{Spec, Times, Workload, arguments};

const HELP: &str = "\
Runs one workload and prints what a step took, as one line of JSON.

  workload NAME     T1 to T9 (training), I1 (streaming), I2, I3 (whole sequences)

  --threads N       threads to work on (default 2)
  --seconds S       how long steps are timed (default 4)
  --variant V       for I1 the cell and its width: lstm-128, gru-64";

struct Options {
    name: String,
    variant: Option<String>,
    threads: usize,
    span: Duration,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut name, mut variant, mut threads, mut span) = (None, None, 2, Duration::from_secs(4));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) if name.is_none() => name = Some(value.string()?),
            Long("threads") => threads = parser.value()?.parse_with(arguments::threads)?,
            Long("seconds") => span = parser.value()?.parse_with(arguments::seconds)?,
            Long("variant") => variant = Some(parser.value()?.string()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    let name = name.ok_or("which workload? --help names them")?;
    Ok(Some(Options { name, variant, threads, span }))
}

fn main() -> ExitCode {
    match options().map_err(Into::into).and_then(|options| options.map(|options| run(&options)).transpose()) {
        Ok(line) => {
            line.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<String, Box<dyn std::error::Error>> {
    let Options { name, variant, threads, span } = options;
    let spec = Spec::find(name, variant.as_deref())?;
    let mut workload = Workload::new(&spec, Threads::new(*threads))?;
    let times = Times::measure(*span, workload.steps(), || {
        black_box(workload.step());
    });
    // Both are plain names, as a workload was found by them: nothing to escape.
    let (variant, version) = (variant.as_deref().unwrap_or("tape"), env!("CARGO_PKG_VERSION"));
    let (median, min, steps) = (significant(times.median), significant(times.min), times.steps);
    Ok(format!(
        r#"{{"peer":"tapeloop","variant":"{variant}","workload":"{name}","threads":{threads},"median_ms":{median},"min_ms":{min},"steps":{steps},"version":"{version}"}}"#
    ))
}

/// Five digits: more is noise.
fn significant(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}
