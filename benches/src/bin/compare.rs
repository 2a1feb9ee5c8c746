#![forbid(unsafe_code)]
//! Ours and other libraries take turns at the workloads; `docs/benchmarks.md` and its charts are written from what they
//! needed.
//!
//! ```text
//! cargo run --release -p tapeloop-benches --bin compare -- T1 T3 --threads 1,2 --python venv/bin/python
//! ```
//!
//! What was measured stays in a file with a line for each row, so that a run of some workloads replaces their rows alone.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tapeloop_benches::arguments;
use tapeloop_benches::compare::{
    ABLATED, ABLATION, Contestant, Course, Document, Entry, Machine, Peak, Peaks, Record, Results, Runner, ablated,
    document, replace,
};

const HELP: &str = "\
Runs our workloads and those of other libraries in turns, and writes a page with tables and charts.

  compare [WORKLOAD…]    T1 to T9, I1 (all of it), I1-lstm, I1-gru, I1-lstm-128, I2, I3, peak, parts (our engine without
                         each of its parts); all without one

  --threads LIST         threads of everybody (default 1,2)
  --seconds S            how long steps are timed in a round (default 2)
  --rounds N             rounds (default 3)
  --peers LIST           of torch, jax, keras, onnxruntime, candle, burn, rten (default all of them)
  --variants N           only so many ways of each, of those it lists first (default all)
  --all-rounds           go on with ways that were much slower than their library's best in the first round
  --limit S              how long a run may take as a whole (default 300)
  --python PATH          a Python that has what benches/peers/requirements.txt names (default python3)
  --rust-peers FOLDER    where peer-candle, peer-burn and peer-rten are (default target/peers/release)
  --results FILE         what was measured (default target/benchmarks.jsonl)
  --out FILE             the page; its charts go into a folder of its name (default docs/benchmarks.md)
  --page                 measure nothing, write the page from the results";

const PYTHON: [(&str, &str); 4] =
    [("torch", "run_torch.py"), ("jax", "run_jax.py"), ("keras", "run_keras.py"), ("onnxruntime", "run_onnx.py")];
const RUST: [&str; 3] = ["candle", "burn", "rten"];
const WIDTHS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];
const PEAK: &str = "peak";
const PARTS: &str = "parts";

struct Options {
    workloads: Vec<String>,
    threads: Vec<usize>,
    seconds: f64,
    rounds: usize,
    peers: Vec<String>,
    variants: usize,
    all_rounds: bool,
    limit: Duration,
    python: Option<PathBuf>,
    rust_peers: Option<PathBuf>,
    results: Option<PathBuf>,
    out: Option<PathBuf>,
    page: bool,
}

type Failure = Box<dyn std::error::Error>;

/// Workloads and variants that a runner has, or why it does not say.
type List = Result<Vec<(String, String)>, String>;

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let names = || PYTHON.iter().map(|(peer, _)| *peer).chain(RUST);
    let mut options = Options {
        workloads: Vec::new(),
        threads: vec![1, 2],
        seconds: 2.0,
        rounds: 3,
        peers: names().map(Into::into).collect(),
        variants: usize::MAX,
        all_rounds: false,
        limit: Duration::from_secs(300),
        python: None,
        rust_peers: None,
        results: None,
        out: None,
        page: false,
    };
    let count = arguments::threads;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(value) => options.workloads.extend(workloads(&value.string()?)?),
            Long("threads") => {
                options.threads =
                    parser.value()?.parse_with(|list| list.split(',').map(count).collect::<Result<_, _>>())?;
            }
            Long("seconds") => {
                options.seconds = parser.value()?.parse_with(|text| match text.parse::<f64>() {
                    Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
                    _ => Err("it needs a number in 0..=3600"),
                })?;
            }
            Long("rounds") => options.rounds = parser.value()?.parse_with(count)?,
            Long("variants") => options.variants = parser.value()?.parse_with(count)?,
            Long("limit") => options.limit = Duration::from_secs(parser.value()?.parse::<u32>()?.into()),
            Long("peers") => {
                let list = parser.value()?.string()?;
                options.peers = list.split(',').filter(|peer| !peer.is_empty()).map(Into::into).collect();
                if let Some(other) = options.peers.iter().find(|peer| !names().any(|name| name == *peer)) {
                    return Err(format!("there is no runner for {other}").into());
                }
            }
            Long("all-rounds") => options.all_rounds = true,
            Long("python") => options.python = Some(parser.value()?.into()),
            Long("rust-peers") => options.rust_peers = Some(parser.value()?.into()),
            Long("results") => options.results = Some(parser.value()?.into()),
            Long("out") => options.out = Some(parser.value()?.into()),
            Long("page") => options.page = true,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    if options.workloads.is_empty() {
        for name in ["T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "I1", "I2", "I3", PEAK, PARTS] {
            options.workloads.extend(workloads(name)?);
        }
    }
    Ok(Some(options))
}

/// All that a name means: `I1` is 16 workloads.
fn workloads(name: &str) -> Result<Vec<String>, lexopt::Error> {
    let cells: &[&str] = match name {
        "I1" => &["lstm", "gru"],
        "I1-lstm" => &["lstm"],
        "I1-gru" => &["gru"],
        "T1" | "T2" | "T3" | "T4" | "T5" | "T6" | "T7" | "T8" | "T9" | "I2" | "I3" | PEAK | PARTS => {
            return Ok(vec![name.into()]);
        }
        _ => {
            let parts: Vec<&str> = name.split('-').collect();
            let known = WIDTHS.map(|width| width.to_string());
            return match parts[..] {
                ["I1", "lstm" | "gru", width] if known.iter().any(|known| known == width) => Ok(vec![name.into()]),
                _ => Err(format!("there is no workload {name}").into()),
            };
        }
    };
    Ok(cells.iter().flat_map(|cell| WIDTHS.map(|width| format!("I1-{cell}-{width}"))).collect())
}

fn main() -> ExitCode {
    match options().map_err(Into::into).and_then(|options| options.map_or(Ok(()), |options| run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the benches are in no workspace")?;
    let here = std::env::current_exe()?;
    let here = here.parent().ok_or("this program is in no folder")?;
    let target = here.parent().ok_or("this program is in no target folder")?;
    let file = options.results.clone().unwrap_or_else(|| root.join("target/benchmarks.jsonl"));
    let page = options.out.clone().unwrap_or_else(|| root.join("docs/benchmarks.md"));
    let mut results = Results::read(&file)?;
    if !options.page {
        if cfg!(debug_assertions) {
            return Err("it measures nothing without --release".into());
        }
        measure(options, root, here, target, &file, &mut results)?;
    }
    let name = page.file_stem().ok_or("the page has no name")?.to_string_lossy().into_owned();
    let Document { text, charts } = document(&results, &name)?;
    let written = |path: &Path, text: &str| replace(path, text).map_err(|error| format!("{}: {error}", path.display()));
    for (chart, svg) in &charts {
        written(&page.with_file_name(&name).join(chart), svg)?;
    }
    written(&page, &text)?;
    println!("{}, {} charts", page.display(), charts.len());
    Ok(())
}

fn measure(
    options: &Options,
    root: &Path,
    here: &Path,
    target: &Path,
    file: &Path,
    results: &mut Results,
) -> Result<(), Failure> {
    let (machine, commit) = (Machine::here(), commit(root));
    if let Some(other) = results.machine()?.filter(|other| **other != machine) {
        let file = file.display();
        return Err(format!("{file} has results of another machine ({other:?}): --results another file").into());
    }
    build(root, target, &["build", "--bin", "workload"], &[])?;
    let ours = Runner { peer: "tapeloop".into(), program: here.join("workload"), arguments: Vec::new(), without: None };
    let peers: Vec<(Runner, List)> = runners(options, root, target)
        .into_iter()
        .map(|runner| {
            let list = runner.list();
            (runner, list)
        })
        .collect();
    for (runner, list) in &peers {
        if let Err(reason) = list {
            eprintln!("{} is left out: {reason}", runner.peer);
        }
    }
    let places: Vec<(&String, usize)> = {
        let timed = options.workloads.iter().filter(|workload| ![PEAK, PARTS].contains(&&***workload));
        timed.flat_map(|workload| options.threads.iter().map(move |&threads| (workload, threads))).collect()
    };
    for (place, &(workload, threads)) in places.iter().enumerate() {
        let mut contestants = vec![Contestant { runner: ours.clone(), variant: None }];
        let mut missing = Vec::new();
        for (runner, list) in &peers {
            match list {
                Ok(list) => {
                    let variants = list.iter().filter(|(name, _)| name == workload).take(options.variants);
                    contestants.extend(
                        variants
                            .map(|(_, variant)| Contestant { runner: runner.clone(), variant: Some(variant.clone()) }),
                    );
                }
                Err(reason) => missing.push(Entry::failed(&runner.peer, reason)),
            }
        }
        let course = Course {
            workload: workload.clone(),
            threads,
            seconds: options.seconds,
            rounds: options.rounds,
            all_rounds: options.all_rounds,
            limit: options.limit,
            machine: machine.clone(),
            commit: commit.clone(),
            command: command(options),
        };
        let (row, rows) = (place + 1, places.len());
        let mut line = course.race(&contestants, |round, entry| {
            let Entry { peer, variant, medians, failure, .. } = entry;
            let what = match (failure, medians.last()) {
                (Some(failure), _) => failure.clone(),
                (None, Some(ms)) => format!("{ms} ms"),
                (None, None) => String::new(),
            };
            eprintln!("[{row}/{rows}] {workload}, {threads} threads, round {}: {peer} {variant} {what}", round + 1);
        });
        line.entries.append(&mut missing);
        results.put(Record::Row(line));
        // After every row: what is stopped has lost no more than one.
        results.write(file)?;
    }
    if options.workloads.iter().any(|workload| workload == PARTS) {
        for (workload, &threads) in ABLATED.iter().flat_map(|name| options.threads.iter().map(move |n| (name, n))) {
            let without = |&(part, _): &(&'static str, _)| Some(part).filter(|part| !part.is_empty());
            let contestants: Vec<Contestant> = ABLATION
                .iter()
                .map(|part| Contestant { runner: Runner { without: without(part), ..ours.clone() }, variant: None })
                .collect();
            let course = Course {
                workload: (*workload).into(),
                threads,
                seconds: options.seconds,
                rounds: options.rounds,
                all_rounds: true,
                limit: options.limit,
                machine: machine.clone(),
                commit: commit.clone(),
                command: command(options),
            };
            let mut row = course.race(&contestants, |round, entry| {
                eprintln!("{PARTS}, {workload}, {threads} threads, round {}: {:?} ms", round + 1, entry.medians);
            });
            row.workload = ablated(workload);
            row.entries.iter_mut().zip(ABLATION).for_each(|(entry, (part, _))| entry.variant = part.into());
            results.put(Record::Row(row));
            results.write(file)?;
        }
    }
    if options.workloads.iter().any(|workload| workload == PEAK) {
        build(root, target, &["rustc", "--bin", "peak"], &["--", "-C", "target-cpu=native"])?;
        let mut peaks = Vec::new();
        for threads in &options.threads {
            let mut command = Command::new(here.join("peak"));
            command.args(["--threads", &threads.to_string(), "--seconds", &options.seconds.to_string()]);
            let peak = Peak::parse(&String::from_utf8(command.output()?.stdout)?)?;
            eprintln!("peak, {threads} threads: {} GFLOP/s with {}", peak.gflops, peak.vectors);
            peaks.push(peak);
        }
        results.put(Record::Peaks(Peaks { machine, peaks }));
        results.write(file)?;
    }
    Ok(())
}

/// A program of this package, anew if it is stale. Without cargo it is taken as it is.
fn build(root: &Path, target: &Path, what: &[&str], flags: &[&str]) -> Result<(), Failure> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let mut command = Command::new(cargo);
    command.current_dir(root).args(&what[..1]).args(["--quiet", "--release", "-p", "tapeloop-benches"]);
    command.args(&what[1..]).arg("--target-dir").arg(target).args(flags);
    if command.status()?.success() { Ok(()) } else { Err(format!("{} could not be built", what[2]).into()) }
}

/// The runners of the peers that are asked for.
fn runners(options: &Options, root: &Path, target: &Path) -> Vec<Runner> {
    let python = options.python.clone().unwrap_or_else(|| "python3".into());
    let folder = options.rust_peers.clone().unwrap_or_else(|| target.join("peers").join("release"));
    let runner = |peer: &String| match PYTHON.iter().find(|(name, _)| name == peer) {
        Some((_, script)) => Runner {
            peer: peer.clone(),
            program: python.clone(),
            arguments: vec![root.join("benches/peers").join(script).into()],
            without: None,
        },
        None => Runner {
            peer: peer.clone(),
            program: folder.join(format!("peer-{peer}")),
            arguments: Vec::new(),
            without: None,
        },
    };
    options.peers.iter().map(runner).collect()
}

/// The commit that is measured.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_string())
    };
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        None => "unknown".to_string(),
        Some(commit) => match git(&["status", "--porcelain", "--", "crates", "benches", "Cargo.toml", "Cargo.lock"]) {
            Some(changes) if changes.is_empty() => commit,
            _ => format!("{commit} with changes"),
        },
    }
}

/// The call as a reader can repeat it, whatever his paths are.
fn command(options: &Options) -> String {
    let list: Vec<String> = options.threads.iter().map(ToString::to_string).collect();
    let mut text = String::from("cargo run --release -p tapeloop-benches --bin compare --");
    let mut workloads: Vec<String> = options.workloads.clone();
    for (short, cell) in [("I1-lstm", "lstm"), ("I1-gru", "gru")] {
        let all = WIDTHS.map(|width| format!("I1-{cell}-{width}"));
        if all.iter().all(|name| workloads.contains(name)) {
            workloads.retain(|name| !all.contains(name));
            workloads.push(short.into());
        }
    }
    for workload in workloads {
        text += &format!(" {workload}");
    }
    text += &format!(" --threads {} --seconds {} --rounds {}", list.join(","), options.seconds, options.rounds);
    text += &format!(" --peers {}", options.peers.join(","));
    if options.variants != usize::MAX {
        text += &format!(" --variants {}", options.variants);
    }
    if options.all_rounds {
        text += " --all-rounds";
    }
    text + " --python venv/bin/python"
}
