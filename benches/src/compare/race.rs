//! Runners that take turns.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Entry, Line, Machine, Row};

/// After the first round only those go on that need no longer than this times the best way of their library: the others
/// will not become its best.
const HOPE: f64 = 1.5;

/// The program of a library: `program arguments… WORKLOAD --threads N --seconds S`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// The library.
    pub peer: String,
    /// What is started.
    pub program: PathBuf,
    /// What comes before the workload: a script.
    pub arguments: Vec<OsString>,
    /// A part of the engine that is left out, where that is ours.
    pub without: Option<&'static str>,
}

/// One way of a library that can run a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contestant {
    /// Its program.
    pub runner: Runner,
    /// `--variant`; `None` where there is but one.
    pub variant: Option<String>,
}

/// What all of a race have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// The workload.
    pub workload: String,
    /// Threads of everybody.
    pub threads: usize,
    /// How long steps are timed.
    pub seconds: f64,
    /// Rounds.
    pub rounds: usize,
    /// Whether all go to the end, with hope or without.
    pub all_rounds: bool,
    /// How long one run may take as a whole.
    pub limit: Duration,
    /// The machine.
    pub machine: Machine,
    /// The commit of ours.
    pub commit: String,
    /// What was called, for the reader to call again.
    pub command: String,
}

impl Runner {
    /// All pairs of a workload and a variant it has, in its order: the likely fastest first.
    ///
    /// # Errors
    /// Why it cannot say.
    pub fn list(&self) -> Result<Vec<(String, String)>, String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--list");
        let (output, _) = finish(command, Duration::from_secs(60))?;
        let pairs = output.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(workload, variant)| (workload.trim().to_string(), variant.trim().to_string())).collect())
    }

    fn command(&self, variant: Option<&str>, course: &Course) -> Command {
        let threads = course.threads.to_string();
        let mut command = match processors(course.threads) {
            // All have the same processors, whatever a library would do.
            Some(list) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &list]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.args(&self.arguments).arg(&course.workload);
        command.args(["--threads", &threads, "--seconds", &course.seconds.to_string()]);
        if let Some(variant) = variant {
            command.args(["--variant", variant]);
        }
        if let Some(part) = self.without {
            command.env("TAPELOOP_WITHOUT", part);
        }
        for pool in ["OMP", "MKL", "OPENBLAS", "RAYON", "RTEN"] {
            command.env(format!("{pool}_NUM_THREADS"), &threads);
        }
        command
    }
}

impl Contestant {
    /// One run: its line, and the most memory the process had, in MiB.
    ///
    /// # Errors
    /// Why there is none.
    pub fn run(&self, course: &Course) -> Result<(Line, Option<f64>), String> {
        let (output, peak) = finish(self.runner.command(self.variant.as_deref(), course), course.limit)?;
        let line = Line::parse(&output)?;
        if (line.workload.as_str(), line.threads) != (&*course.workload, course.threads) {
            return Err(format!("it ran {} on {} threads", line.workload, line.threads));
        }
        Ok((line, peak))
    }
}

/// As many processors as there are threads, the last of those allowed, for `taskset`; `None` where there is none, or too
/// few processors.
fn processors(threads: usize) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let all = numbers(list.trim())?;
    let found = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if threads > all.len() || !found.is_ok_and(|status| status.success()) {
        return None;
    }
    Some(all[all.len() - threads..].iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// The numbers of a list as `0-2,5`.
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        all.extend(first..=last);
    }
    Some(all)
}

/// Runs a command to its end: what it printed, and the most memory it had.
fn finish(mut command: Command, limit: Duration) -> Result<(String, Option<f64>), String> {
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", name(&program)))?;
    // Both are read while it runs: a full pipe would stop it.
    let output = read(child.stdout.take());
    let errors = read(child.stderr.take());
    let mut peak = None;
    let status = loop {
        peak = memory(&child).or(peak);
        match child.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if start.elapsed() > limit => break Err(format!("it took longer than {} s", limit.as_secs())),
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(error) => break Err(error.to_string()),
        }
    };
    if status.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let status = status?;
    let (output, errors) = (output.join().unwrap_or_default(), errors.join().unwrap_or_default());
    if status.success() { Ok((output, peak)) } else { Err(reason(&errors).unwrap_or_else(|| status.to_string())) }
}

fn read(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// `VmHWM` in MiB, the most it has had so far: asked now and then, it misses no more than the last moment.
fn memory(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// The line that says what went wrong, without paths, and not too long: the last that names an error, else the last.
fn reason(errors: &str) -> Option<String> {
    let lines = || errors.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: "));
    let names_one = |line: &&str| line.split_once(':').is_some_and(|(head, _)| head.ends_with("Error"));
    let line = lines().find(names_one).or_else(|| lines().next())?;
    let words: Vec<&str> = line.trim_start_matches("error: ").split_whitespace().map(name).collect();
    let short: String = words.join(" ").chars().take(120).collect();
    Some(short)
}

/// What comes after the last slash, if it is a path.
fn name(word: &str) -> &str {
    if word.starts_with('/') { word.rsplit('/').find(|part| !part.is_empty()).unwrap_or(word) } else { word }
}

impl Course {
    /// Everyone once in every round, in the same order, ours first. `told` hears of every run.
    pub fn race(&self, contestants: &[Contestant], mut told: impl FnMut(usize, &Entry)) -> Row {
        let mut entries: Vec<Entry> = contestants
            .iter()
            .map(|one| Entry::new(&one.runner.peer, one.variant.as_deref().unwrap_or_default()))
            .collect();
        for round in 0..self.rounds {
            let going: Vec<usize> = (0..entries.len()).filter(|&at| self.goes_on(&entries, at)).collect();
            for at in going {
                let entry = &mut entries[at];
                match contestants[at].run(self) {
                    Ok((line, peak)) => {
                        entry.min_ms = Some(entry.min_ms.map_or(line.min_ms, |min| min.min(line.min_ms)));
                        entry.medians.push(line.median_ms);
                        entry.peak_mb = largest(entry.peak_mb, peak);
                        entry.base_mb = largest(entry.base_mb, line.base_mb);
                        entry.version = line.version;
                        if contestants[at].variant.is_none() {
                            entry.variant = line.variant;
                        }
                    }
                    Err(failure) => entry.failure = Some(failure),
                }
                told(round, entry);
            }
        }
        Row {
            workload: self.workload.clone(),
            threads: self.threads,
            commit: self.commit.clone(),
            command: self.command.clone(),
            machine: self.machine.clone(),
            seconds: self.seconds,
            rounds: self.rounds,
            entries,
        }
    }

    fn goes_on(&self, entries: &[Entry], at: usize) -> bool {
        let entry = &entries[at];
        let (Some(ms), None) = (entry.ms(), &entry.failure) else { return entry.failure.is_none() };
        let own = entries.iter().filter(|other| other.peer == entry.peer).filter_map(Entry::ms);
        self.all_rounds || ms <= HOPE * own.fold(ms, f64::min)
    }
}

fn largest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::results::tests::{entry, machine};
    use super::*;

    fn course(rounds: usize) -> Course {
        Course {
            workload: "T1".into(),
            threads: 1,
            seconds: 0.5,
            rounds,
            all_rounds: false,
            limit: Duration::from_secs(20),
            machine: machine(),
            commit: "abc1234".into(),
            command: String::new(),
        }
    }

    /// A runner that is a line of shell; it sees the workload as `$0` and what follows as `$1`, `$2`, …
    fn shell(peer: &str, variant: Option<&str>, script: &str) -> Contestant {
        let runner = Runner {
            peer: peer.into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            without: None,
        };
        Contestant { runner, variant: variant.map(Into::into) }
    }

    const LINE: &str = r#"echo "{\"peer\":\"p\",\"variant\":\"only\",\"workload\":\"$0\",\"threads\":$2,\"median_ms\":$4,\"min_ms\":0.25,\"steps\":9,\"version\":\"1\"}""#;

    #[test]
    fn a_runner_is_told_its_work() {
        let (line, peak) = shell("p", None, LINE).run(&course(1)).unwrap();
        // The fake prints the seconds it was given as its median.
        assert_eq!((line.workload.as_str(), line.threads, line.median_ms), ("T1", 1, 0.5));
        assert!(peak.is_none_or(|mb| mb > 0.0));
        let pairs = shell("p", None, "echo T1 scan; echo I1-gru-8 scan-4").runner.list().unwrap();
        assert_eq!(pairs, [("T1".into(), "scan".into()), ("I1-gru-8".into(), "scan-4".into())]);
    }

    #[test]
    fn failures_have_a_reason() {
        let fails = |script| shell("p", None, script).run(&course(1)).unwrap_err();
        assert_eq!(fails("echo 'error: T8 is not possible' >&2; exit 2"), "T8 is not possible");
        assert_eq!(fails("echo 'No module named /a/b/c.py' >&2; echo >&2; exit 1"), "No module named c.py");
        let advice = "echo 'a.b.SomeError: it broke' >&2; echo 'Set MORE=1 for more' >&2; exit 1";
        assert_eq!(fails(advice), "a.b.SomeError: it broke");
        assert!(fails("exit 3").contains('3'));
        assert!(fails("echo hello").contains("not a result"));
        assert!(fails(&LINE.replace("$0", "T2")).contains("it ran T2"));
        let missing = Runner { program: "/no/such/program".into(), ..shell("p", None, "").runner };
        assert!(missing.list().is_err());
    }

    #[test]
    fn what_hangs_is_ended() {
        let short = Course { limit: Duration::from_millis(50), ..course(1) };
        assert!(shell("p", None, "exec sleep 30").run(&short).unwrap_err().contains("longer"));
    }

    #[test]
    fn everyone_takes_turns() {
        let contestants = [shell("a", None, LINE), shell("b", Some("x"), "exit 1"), shell("c", Some("y"), LINE)];
        let mut order = Vec::new();
        let row = course(2).race(&contestants, |round, entry| order.push((round, entry.peer.clone())));
        let order: Vec<_> = order.iter().map(|(round, peer)| (*round, peer.as_str())).collect();
        // What failed is not tried again.
        assert_eq!(order, [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "c")]);
        assert_eq!((row.entries[0].medians.as_slice(), row.entries[0].variant.as_str()), (&[0.5, 0.5][..], "only"));
        assert_eq!(row.entries[2].variant, "y");
        assert!(row.entries[1].failure.is_some() && row.entries[1].ms().is_none());
    }

    #[test]
    fn who_has_no_hope_stays_behind() {
        let entries =
            [entry("a", "1", &[10.0]), entry("a", "2", &[15.0]), entry("a", "3", &[15.1]), entry("b", "1", &[99.0])];
        let going = |course: &Course| (0..4).filter(|&at| course.goes_on(&entries, at)).collect::<Vec<_>>();
        assert_eq!(going(&course(3)), [0, 1, 3]);
        assert_eq!(going(&Course { all_rounds: true, ..course(3) }), [0, 1, 2, 3]);
    }

    #[test]
    fn lists_of_processors() {
        assert_eq!(numbers("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(numbers("3"), Some(vec![3]));
        assert_eq!(numbers("x"), None);
    }
}
