//! The command line, the clock and the line.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::numbers::WIDTHS;
use crate::{Outcome, Work};

/// For each workload, or for `I1-lstm` and `I1-gru`, what a runner can do: likely the fastest first.
pub type Lists = &'static [(&'static str, &'static [&'static str])];

/// What the command line asks of a runner.
#[derive(Clone, Debug)]
pub struct Job {
    pub peer: &'static str,
    pub version: &'static str,
    pub name: String,
    pub work: Work,
    pub variant: String,
    pub threads: usize,
    pub span: Duration,
}

/// Where the libraries read how many threads they have.
const POOLS: [&str; 2] = ["RAYON_NUM_THREADS", "RTEN_NUM_THREADS"];

impl Job {
    /// Runs what is asked for: `main` of a runner.
    pub fn main(
        peer: &'static str,
        version: &'static str,
        lists: Lists,
        run: impl FnOnce(&Job) -> Outcome<()>,
    ) -> ExitCode {
        match Self::parse(peer, version, lists).and_then(|job| job.as_ref().map_or(Ok(()), run)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn parse(peer: &'static str, version: &'static str, lists: Lists) -> Outcome<Option<Self>> {
        use lexopt::prelude::*;
        let (mut name, mut variant, mut threads, mut seconds, mut list) = (None, None, 2usize, 4.0, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(value) if name.is_none() => name = Some(value.string()?),
                Long("threads") => threads = parser.value()?.parse()?,
                Long("seconds") => seconds = parser.value()?.parse()?,
                Long("variant") => variant = Some(parser.value()?.string()?),
                Long("list") => list = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        let of = |name: &str| {
            let family = name.splitn(3, '-').take(2).collect::<Vec<_>>().join("-");
            lists.iter().find(|(known, _)| *known == family).map(|(_, variants)| *variants).unwrap_or_default()
        };
        if list {
            let streams = ["lstm", "gru"].into_iter();
            let streams = streams.flat_map(|cell| WIDTHS.map(|width| format!("I1-{cell}-{width}")));
            for name in Work::NAMES.into_iter().map(String::from).chain(streams) {
                for variant in of(&name) {
                    println!("{name} {variant}");
                }
            }
            return Ok(None);
        }
        let mut name = name.ok_or("which workload?")?;
        if name == "I1" {
            name = format!("I1-{}", variant.take().unwrap_or_default());
        }
        let work = Work::find(&name).ok_or_else(|| format!("there is no workload {name}"))?;
        let variant = variant.or_else(|| of(&name).first().map(ToString::to_string)).unwrap_or_default();
        if !of(&name).contains(&variant.as_str()) {
            return Err(format!("{name} has no variant {variant} here; there are: {}", of(&name).join(", ")).into());
        }
        // The pools read their size when they start: once more, with the right one.
        let wanted = threads.to_string();
        if POOLS.iter().any(|pool| std::env::var(pool).ok().as_ref() != Some(&wanted)) {
            let mut again = Command::new(std::env::current_exe()?);
            again.args(std::env::args_os().skip(1)).envs(POOLS.map(|pool| (pool, &wanted)));
            return Err(again.exec().into());
        }
        let span = Duration::try_from_secs_f64(seconds)?;
        Ok(Some(Self { peer, version, name, work, variant, threads, span }))
    }

    /// Warms up, times `call`, which makes `steps` steps and returns a loss, and prints the line.
    ///
    /// # Errors
    /// If the call fails.
    pub fn measure(&self, steps: usize, mut call: impl FnMut() -> Outcome<f32>) -> Outcome<()> {
        // The first call is not one of the five.
        let mut losses = vec![call()?];
        let (start, warm) = (Instant::now(), (self.span / 2).min(Duration::from_secs(1)));
        while losses.len() < 6 || start.elapsed() < warm {
            losses.push(call()?);
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < 5 || start.elapsed() < self.span {
            let before = Instant::now();
            call()?;
            times.push(before.elapsed());
        }
        times.sort_unstable();
        let ms = |time: Duration| format!("{:.4e}", time.as_secs_f64() * 1e3 / steps as f64);
        let (median, min, steps) = (ms(times[times.len() / 2]), ms(times[0]), times.len() * steps);
        let Self { peer, version, name, variant, threads, .. } = self;
        println!(
            r#"{{"peer":"{peer}","variant":"{variant}","workload":"{name}","threads":{threads},"median_ms":{median},"min_ms":{min},"steps":{steps},"version":"{version}","losses":{:?}}}"#,
            &losses[..3]
        );
        Ok(())
    }
}
