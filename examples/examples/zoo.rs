//! The table of all cells: parameters, states, what a step costs, and where its equations come from.
//!
//! ```text
//! cargo run --release --example zoo
//! cargo run --release --example zoo -- lstm gru mgu --units 256 --batch 8
//! ```

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use tapeloop::cells::{Row, ZOO};
use tapeloop::prelude::*;
use tapeloop::{Rnn, RnnOptions, Threads};
use tapeloop_examples::progress::Progress;
use tapeloop_examples::table::Table;

const HELP: &str = "\
Prints a table of all cells, or of those named, with what a step of one costs.

  --units N     the width of the state (default 128)
  --features N  the width of the input (default: as many)
  --batch N     rows (default 32)
  --time N      steps of a sequence (default 64)
  --threads N   (default 1)
  --plain       only the table of parameters and sources: nothing is timed";

struct Options {
    names: Vec<String>,
    units: usize,
    features: Option<usize>,
    batch: usize,
    time: usize,
    threads: usize,
    plain: bool,
}

fn number(name: &str, value: std::ffi::OsString) -> Result<usize, lexopt::Error> {
    match value.to_str().map(usize::from_str) {
        Some(Ok(n)) if n > 0 => Ok(n),
        _ => Err(format!("{name} {}: not a number of at least 1", value.display()).into()),
    }
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options =
        Options { names: Vec::new(), units: 128, features: None, batch: 32, time: 64, threads: 1, plain: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("units") => options.units = number("--units", parser.value()?)?,
            Long("features") => options.features = Some(number("--features", parser.value()?)?),
            Long("batch") => options.batch = number("--batch", parser.value()?)?,
            Long("time") => options.time = number("--time", parser.value()?)?,
            Long("threads") => options.threads = number("--threads", parser.value()?)?,
            Long("plain") => options.plain = true,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            Value(name) => options.names.push(name.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    if let Some(name) = options.names.iter().find(|name| !ZOO.iter().any(|row| row.name == **name)) {
        return Err(format!("there is no cell `{name}`").into());
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => {
            run(&options);
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) {
    let named = |row: &&Row| options.names.is_empty() || options.names.iter().any(|name| name == row.name);
    let rows: Vec<&Row> = ZOO.iter().filter(named).collect();
    let features = options.features.unwrap_or(options.units);
    let head = ["cell", "family", "parameters", "states", "forward, ns", "training, ns", "source"];
    let head = if options.plain { [&head[..4], &head[6..]].concat() } else { head.to_vec() };
    let mut table = Table::new(&head);
    let mut progress = Progress::new("cells", rows.len());
    let mut interpreted = false;
    for (place, row) in rows.iter().enumerate() {
        let cell = row.build::<f32>(features, options.units, &mut Rng::new(0));
        let states: Vec<String> = cell.state_shapes().iter().map(|shape| join(shape.dims())).collect();
        let mut cells =
            vec![row.name.to_string(), row.family.to_string(), cell.param_count().to_string(), states.join(", ")];
        if !options.plain {
            let (times, mark) =
                time(Rnn::new(cell, RnnOptions { return_sequences: true, ..RnnOptions::default() }), options);
            interpreted |= mark;
            cells.extend(times.map(|ns| format!("{ns:.0}{}", if mark { "*" } else { "" })));
        }
        cells.push(row.source.to_string());
        table.row(cells);
        progress.show(place + 1, row.name);
    }
    println!("\n{table}");
    println!("  {} cells, {features} features, {} units", rows.len(), options.units);
    if !options.plain {
        println!(
            "  a step of {} rows, of {} in a sequence, {} thread(s): the median of runs forward, and forward and backward",
            options.batch, options.time, options.threads
        );
    }
    if interpreted {
        println!("  * the step is interpreted, operation by operation");
    }
}

fn join(lengths: &[usize]) -> String {
    lengths.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

/// Nanoseconds of a step, forward alone and forward and backward; and whether its body is interpreted.
fn time(rnn: Rnn<f32, Box<dyn Cell<f32>>>, options: &Options) -> ([f64; 2], bool) {
    let lead = [options.batch, options.time];
    let shape: Vec<usize> = lead.iter().chain(rnn.cell().input_shape().iter()).copied().collect();
    let x = Tensor::normal(&shape[..], 0.0, 1.0, &mut Rng::new(1));
    let mut inference = Tape::inference_with_threads(Threads::new(options.threads));
    let mut training = Tape::with_threads(Threads::new(options.threads));
    let forward = median(options.time, || {
        inference.reset();
        let output = rnn.run(inference.constant(x.clone()), None).output;
        assert_eq!(output.dim(1), options.time);
    });
    let both = median(options.time, || {
        // What is frozen, as a reservoir, has a derivative of its input all the same.
        training.reset();
        let leaf = training.leaf(x.clone());
        let gradients = rnn.run(leaf, None).output.square().sum_all().backward();
        assert!(gradients.wrt(leaf).is_some());
    });
    ([forward, both], rnn.explain().contains("interpreted"))
}

/// Nanoseconds of a run by its steps: the median of as many runs as a fifth of a second has, at least three.
fn median(steps: usize, mut run: impl FnMut()) -> f64 {
    run();
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || start.elapsed().as_secs_f64() < 0.2 {
        let begin = Instant::now();
        run();
        times.push(begin.elapsed().as_secs_f64());
    }
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2] * 1e9 / steps as f64
}
