#![forbid(unsafe_code)]
//! What the registers alone can do: fused multiply-adds without memory, on so many threads at once; one line of JSON.
//! Only the vectors it is compiled for are used, so `compare` builds it for the machine it runs on:
//!
//! ```text
//! cargo rustc --release -p tapeloop-benches --bin peak -- -C target-cpu=native
//! ```

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tapeloop_benches::compare::median;

use tapeloop_benches::arguments;

const HELP: &str = "\
Measures fused multiply-adds of registers, and prints one line of JSON.

  --threads N    threads at once (default 1)
  --seconds S    for how long (default 2)";

const VECTORS: &str = if cfg!(target_feature = "avx512f") {
    "avx512f"
} else if cfg!(all(target_feature = "avx2", target_feature = "fma")) {
    "avx2"
} else if cfg!(target_feature = "neon") {
    "neon"
} else {
    "baseline"
};

/// Floats of a vector.
const LANES: usize = if cfg!(target_feature = "avx512f") {
    16
} else if cfg!(target_feature = "avx2") {
    8
} else {
    4
};

/// Numbers that do not wait for each other, one loop over them: it becomes twelve vectors in registers. That is enough
/// for the latency of two units of four cycles.
const NUMBERS: usize = 12 * LANES;

/// Steps of a burst, each a multiply-add of every number.
const STEPS: usize = 200_000;

/// A burst: x ← x a + b of all numbers, `STEPS` times.
#[inline(never)]
fn burst(a: f32, b: f32) -> f32 {
    let mut all = [0.5f32; NUMBERS];
    for _ in 0..STEPS {
        for x in &mut all {
            // Where there is no such instruction, `mul_add` would be a function of the system's library.
            *x = if cfg!(any(target_feature = "fma", target_feature = "neon")) { x.mul_add(a, b) } else { *x * a + b };
        }
    }
    all.iter().sum()
}

/// 10⁹ operations a second of every burst of a thread.
fn rates(barrier: &Barrier, span: Duration) -> Vec<f64> {
    let work = (2 * NUMBERS * STEPS) as f64;
    barrier.wait();
    let (start, mut rates) = (Instant::now(), Vec::new());
    while rates.len() < 5 || start.elapsed() < span {
        let before = Instant::now();
        black_box(burst(black_box(0.999), black_box(1e-3)));
        rates.push(work / before.elapsed().as_secs_f64() / 1e9);
    }
    rates
}

fn options() -> Result<Option<(usize, Duration)>, lexopt::Error> {
    use lexopt::prelude::*;
    let (mut threads, mut span) = (1, Duration::from_secs(2));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("threads") => threads = parser.value()?.parse_with(arguments::threads)?,
            Long("seconds") => span = parser.value()?.parse_with(arguments::seconds)?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some((threads, span)))
}

fn main() -> ExitCode {
    let (threads, span) = match options() {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let barrier = Barrier::new(threads);
    let all: Vec<Vec<f64>> = thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(|| rates(&barrier, span))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap_or_default()).collect()
    });
    let middle: f64 = all.iter().filter_map(|rates| median(rates)).sum();
    let best: f64 = all.iter().filter_map(|rates| rates.iter().copied().reduce(f64::max)).sum();
    println!(r#"{{"threads":{threads},"gflops":{middle:.1},"best_gflops":{best:.1},"vectors":"{VECTORS}"}}"#);
    ExitCode::SUCCESS
}
