//! `docs/benchmarks.md` and its charts, from the results alone.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::chart::{grouped, short};
use super::results::OURS;
use super::{Bar, Entry, Results, Row, Series, bars, curves, products};
use crate::Spec;

/// A page and the pictures it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The page.
    pub text: String,
    /// File names, in the folder beside it, and what they hold.
    pub charts: Vec<(String, String)>,
}

/// The columns, in this order; a library that is not among them comes behind.
const PEERS: [(&str, &str); 7] = [
    ("torch", "PyTorch"),
    ("jax", "JAX"),
    ("keras", "Keras"),
    ("onnxruntime", "ONNX Runtime"),
    ("candle", "candle"),
    ("burn", "burn"),
    ("rten", "rten"),
];

const WORKLOADS: [(&str, &str); 11] = [
    ("T1", "batch 32, (10, 1) → LSTM(128), last → Dense(1), mean squared error"),
    ("T2", "batch 32, (10, 1) → GRU(64), last → Dense(1), mean squared error"),
    ("T3", "batch 32, (64, 64) → LSTM(256) → LSTM(256), last → Dense(10), mean squared error"),
    ("T4", "batch 32, (64, 64) → GRU(256) → GRU(256), last → Dense(10), mean squared error"),
    ("T5", "batch 64, (32, 1024) → LSTM(1024), last → Dense(10), mean squared error"),
    ("T6", "batch 32, 100 of 96 ids → Embedding(128) → LSTM(512) → Dense(96) at every step, cross-entropy"),
    (
        "T7",
        "batch 32, (64, 64) → a cell of one's own, 256 wide: an LSTM with peepholes and layer normalisation of every gate and of the state, last → Dense(10), mean squared error",
    ),
    ("T8", "batch 8, (4096, 64) → minGRU(256) by a parallel scan, mean over time → Dense(10), mean squared error"),
    (
        "T9",
        "batch 32, lengths 16 to 64, 64 wide → BiLSTM(128) → BiLSTM(128) with masks, last → Dense(10), mean squared error",
    ),
    ("I2", "batch 1, (100, 64) → LSTM(128), every step"),
    ("I3", "batch 32, (100, 64) → LSTM(512), every step"),
];

/// The engine's parts by the names under which they can be left out, and what is done without them. The first is all of it.
pub const ABLATION: [(&str, &str); 6] = [
    ("", "all parts"),
    ("hoisting", "no hoisting: products that need no state are computed step by step"),
    ("fusion", "no fusion: every elementwise operation goes over all rows before the next one"),
    ("deferring", "no deferred weight gradients: they are added up after every step"),
    ("packing", "no packing once: weights are packed for every step"),
    ("splitting", "no splitting of rows: the body runs on one thread"),
];

/// The workloads that are run without parts of the engine.
pub const ABLATED: [&str; 3] = ["T1", "T3", "T6"];

/// The name of their rows.
pub fn ablated(workload: &str) -> String {
    format!("{workload} without parts")
}

const WIDTHS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];

/// The page of all results, its pictures in `folder` beside it.
///
/// # Errors
/// If there are no results, or they are of different machines.
pub fn document(results: &Results, folder: &str) -> Result<Document, String> {
    let machine = results.machine()?.ok_or("there are no results yet")?;
    let mut page = Page { results, folder, text: String::new(), charts: Vec::new() };
    page.line("# Benchmarks\n");
    page.line("<!-- `compare` writes this page and its charts; what is changed by hand is lost. -->\n");
    page.line(
        "Every library does the same work: the same sizes, the same distributions of first weights, Adam with a rate of \
         10⁻³ and ε = 10⁻⁸, `f32`, one process each. A training step is forward from zero states, loss, backward and \
         update. Runners are warmed up and then time single steps; they take turns for several rounds, and what stands \
         here is the median of the rounds' medians. Of each library the fastest of its ways is shown, with its name.\n",
    );
    page.line(
        "**×** is the time of the fastest way of any other library over ours: above 1 ours is faster, below 1 it is \
         slower. **±** is how far our rounds lie apart, (largest − smallest) / median: a difference smaller than that is \
         none.\n",
    );
    let _ = writeln!(page.text, "| machine | |\n| --- | --- |");
    let cores = machine.cores.to_string();
    let list = |list: &[String]| list.join(", ");
    for (name, value) in [
        ("processor", &machine.processor),
        ("cores", &cores),
        ("vectors", &list(&machine.vectors)),
        ("caches", &list(&machine.caches)),
        ("system", &machine.system),
        ("compiler", &machine.compiler),
    ] {
        let _ = writeln!(page.text, "| {name} | {} |", cell(value));
    }
    page.line("");
    page.versions();

    page.line("## Training steps and whole sequences\n");
    page.line("| | |\n| --- | --- |");
    for (name, what) in WORKLOADS {
        let _ = writeln!(page.text, "| {name} | {what} |");
    }
    page.line("");
    let threads = page.threads();
    for &threads in &threads {
        page.steps(threads);
    }
    page.line("## Streaming\n");
    page.line(
        "Batch 1: one number in, one number out, the states carried. The caller has every output before it gives the \
         next input.\n",
    );
    for cell in ["lstm", "gru"] {
        for &threads in &threads {
            page.stream(cell, threads);
        }
    }
    page.peak();
    page.memory();
    page.ablation(&threads);
    page.failures();
    page.origin();
    let Page { text, charts, .. } = page;
    Ok(Document { text: format!("{}\n", text.trim_end()), charts })
}

struct Page<'a> {
    results: &'a Results,
    folder: &'a str,
    text: String,
    charts: Vec<(String, String)>,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn chart(&mut self, name: String, words: &str, svg: String) {
        let _ = writeln!(self.text, "![{words}]({}/{name})\n", self.folder);
        self.charts.push((name, svg));
    }

    /// All numbers of threads there are.
    fn threads(&self) -> Vec<usize> {
        let mut all: Vec<usize> = self.results.rows().map(|row| row.threads).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn versions(&mut self) {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in self.results.rows().flat_map(|row| &row.entries).filter(|entry| !entry.version.is_empty()) {
            let known = versions.entry(&entry.peer).or_default();
            if !known.contains(&&*entry.version) {
                known.push(&entry.version);
            }
        }
        self.line("| library | version |\n| --- | --- |");
        for peer in columns(versions.keys().copied()) {
            let _ = writeln!(self.text, "| {} | {} |", name(peer), cell(&versions[peer].join(", ")));
        }
        self.line("");
    }

    /// The table of training steps and whole sequences.
    fn steps(&mut self, threads: usize) {
        let rows: Vec<&Row> = WORKLOADS.iter().filter_map(|(name, _)| self.results.row(name, threads)).collect();
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(self.text, "### {}: milliseconds a step\n", on(threads));
        self.text += &table("", &rows, |row| row.workload.clone(), short);
        let bar = |row: &&Row| {
            let (ratio, best) = (row.ratio()?, row.fastest()?);
            Some(Bar { label: row.workload.clone(), ratio, note: way(best) })
        };
        let all: Vec<Bar> = rows.iter().filter_map(bar).collect();
        if !all.is_empty() {
            let title = format!("Fastest other library against Tapeloop, {}", on(threads));
            let svg = bars(&title, "time of the fastest other ÷ ours; to the right of 1×, ours is faster", &all);
            self.chart(format!("ratios-{threads}.svg"), &title, svg);
        }
    }

    /// The table of a cell's streams.
    fn stream(&mut self, kind: &str, threads: usize) {
        let find = |width: &usize| self.results.row(&format!("I1-{kind}-{width}"), threads);
        let rows: Vec<&Row> = WIDTHS.iter().filter_map(find).collect();
        if rows.is_empty() {
            return;
        }
        let (upper, width) =
            (kind.to_uppercase(), |row: &Row| row.workload.rsplit('-').next().unwrap_or("").to_string());
        let _ = writeln!(self.text, "### {upper}(H) → Dense(1), {}: nanoseconds a sample\n", on(threads));
        self.text += &table("H", &rows, width, nanoseconds);
        let peers = columns(rows.iter().flat_map(|row| &row.entries).map(|entry| &*entry.peer));
        let series = |peer: &str| {
            let point = |row: &&Row| Some((width(row).parse().ok()?, row.best(peer)?.ms()? * 1e6));
            Series { name: name(peer).to_string(), points: rows.iter().filter_map(point).collect() }
        };
        // Ours stays, as the first is drawn boldly.
        let shown = |series: &Series| !series.points.is_empty() || series.name == name(OURS);
        let all: Vec<Series> = peers.into_iter().map(series).filter(shown).collect();
        if all.iter().any(|series| !series.points.is_empty()) {
            let title = format!("Streaming {upper}(H) → Dense(1), batch 1, {}", on(threads));
            let svg = curves(&title, "nanoseconds a sample; lower is better", "H, units of the layer", &all);
            self.chart(format!("streaming-{kind}-{threads}.svg"), &title, svg);
        }
    }

    /// What the registers can do, and T5's share of it.
    fn peak(&mut self) {
        let peaks = self.results.peaks();
        if peaks.is_empty() {
            return;
        }
        self.line("## The machine's peak\n");
        self.line(
            "A loop of fused multiply-adds of registers, without memory, is what the machine can do at most. Of T5 only \
             the matrix products are counted. With B = 64 sequences of T = 32 steps, I = 1024 features and H = 1024 \
             units, an LSTM's step of training has 2 B T · 4 H · (I + H) operations forward, as many for the gradients \
             of the kernels, and 2 B T · 4 H · H for that of the states; the Dense has 3 · 2 B H · 10.\n",
        );
        let _ = writeln!(
            self.text,
            "| threads | vectors | peak, GFLOP/s | T5, GFLOP | T5, GFLOP/s | share |\n| --: | --- | --: | --: | --: | --: |"
        );
        let work = Spec::find("T5", None).ok().and_then(|spec| products(&spec));
        for peak in peaks {
            let ms = self.results.row("T5", peak.threads).and_then(|row| row.ours()?.ms());
            let rate = ms.and_then(|ms| Some(work? / 1e6 / ms));
            let share = rate.map(|rate| format!("{:.0} %", 100.0 * rate / peak.gflops));
            let _ = writeln!(
                self.text,
                "| {} | {} | {} | {} | {} | {} |",
                peak.threads,
                cell(&peak.vectors),
                short(peak.gflops),
                or_dash(work.map(|work| short(work / 1e9))),
                or_dash(rate.map(short)),
                or_dash(share)
            );
        }
        self.line("");
    }

    /// The table of the engine without each of its parts.
    fn ablation(&mut self, threads: &[usize]) {
        let measured = |name: &str| threads.iter().any(|&threads| self.results.row(&ablated(name), threads).is_some());
        if !ABLATED.iter().any(|name| measured(name)) {
            return;
        }
        self.line("## What each part of the engine gives\n");
        self.line(
            "`TAPELOOP_WITHOUT=hoisting` in the environment, or another name, leaves a part out. Milliseconds a step, and in \
             brackets how many times as long as with all parts.\n",
        );
        for &threads in threads {
            let find = |name: &&str| self.results.row(&ablated(name), threads);
            let rows: Vec<&Row> = ABLATED.iter().filter_map(find).collect();
            if rows.is_empty() {
                continue;
            }
            let names: Vec<&str> = rows.iter().map(|row| row.workload.split(' ').next().unwrap_or_default()).collect();
            let mut text = format!(
                "### {}\n\n| | {} |\n| --- |{}\n",
                on(threads),
                names.join(" | "),
                " ---: |".repeat(rows.len())
            );
            for (part, words) in ABLATION {
                let of = |row: &&Row, part: &str| row.entries.iter().find(|entry| entry.variant == part)?.ms();
                let cells = rows.iter().map(|row| match (of(row, part), of(row, "")) {
                    (Some(ms), Some(all)) if !part.is_empty() => format!("{} ({:.2})", short(ms), ms / all),
                    (Some(ms), _) => short(ms),
                    _ => "–".into(),
                });
                let _ = writeln!(text, "| {words} | {} |", cells.collect::<Vec<_>>().join(" | "));
            }
            self.text += &text;
            self.text.push('\n');
        }
    }

    /// The most memory of T6.
    fn memory(&mut self) {
        let rows: Vec<&Row> = self.threads().iter().filter_map(|&threads| self.results.row("T6", threads)).collect();
        let of = |entry: &Entry| entry.peak_mb.map(|peak| (peak, entry.base_mb));
        if !rows.iter().flat_map(|row| &row.entries).any(|entry| of(entry).is_some()) {
            return;
        }
        self.line("## Memory of T6\n");
        self.line(
            "The most memory the process had, in MiB; and, where the runner says so, what it had when its library and \
             the numbers were loaded.\n",
        );
        self.line("| threads | library | peak | before |\n| --: | --- | --: | --: |");
        for row in rows {
            for peer in columns(row.entries.iter().map(|entry| &*entry.peer)) {
                let Some(best) = row.best(peer) else { continue };
                let Some((peak, base)) = of(best) else { continue };
                let base = or_dash(base.map(|mb| format!("{mb:.0}")));
                let _ = writeln!(self.text, "| {} | {} | {peak:.0} | {base} |", row.threads, cell(&way(best)));
            }
        }
        self.line("");
    }

    /// What did not run, and why.
    fn failures(&mut self) {
        let mut reasons: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
        for row in self.results.rows() {
            for entry in &row.entries {
                let Some(reason) = &entry.failure else { continue };
                let mut place = row.workload.clone();
                // Which way, if another of its ways ran.
                if row.best(&entry.peer).is_some() {
                    let _ = write!(place, " ({})", entry.variant);
                }
                let places = reasons.entry((&entry.peer, reason)).or_default();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        if reasons.is_empty() {
            return;
        }
        let mut lines = String::from("## What did not run\n\n| library | workload | reason |\n| --- | --- | --- |\n");
        for ((peer, reason), places) in reasons {
            let _ = writeln!(lines, "| {} | {} | {} |", name(peer), cell(&places.join(", ")), cell(reason));
        }
        self.line(&lines);
    }

    /// Commits and commands.
    fn origin(&mut self) {
        let mut commits: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut commands: Vec<&str> = Vec::new();
        for row in self.results.rows() {
            commits.entry(&row.commit).or_default().push(format!("{} ({})", row.workload, row.threads));
            if !commands.contains(&&*row.command) {
                commands.push(&row.command);
            }
        }
        self.line("## Where this comes from\n");
        match commits.len() {
            1 => {
                let only = commits.keys().next().copied().unwrap_or_default();
                let _ = writeln!(self.text, "All at commit {only}.\n");
            }
            _ => {
                self.line("| commit | workloads (threads) |\n| --- | --- |");
                for (commit, rows) in commits {
                    let _ = writeln!(self.text, "| {commit} | {} |", rows.join(", "));
                }
                self.line("");
            }
        }
        self.line("```sh");
        self.line("python3 -m venv venv && venv/bin/pip install -r benches/peers/requirements.txt");
        self.line("cargo build --release --manifest-path benches/peers-rust/Cargo.toml --target-dir target/peers");
        for command in commands {
            self.line(command);
        }
        self.line("```\n");
    }
}

/// A line for each row: ours, its spread, the peers, the ratio. `number` writes milliseconds.
fn table(corner: &str, rows: &[&Row], label: impl Fn(&Row) -> String, number: impl Fn(f64) -> String) -> String {
    let peers =
        columns(rows.iter().flat_map(|row| &row.entries).map(|entry| &*entry.peer).filter(|peer| *peer != OURS));
    let mut text = format!("| {corner} | Tapeloop | ± |");
    let mut rule = String::from("| --- | --: | --: |");
    for peer in &peers {
        let _ = write!(text, " {} |", name(peer));
        rule += " --: |";
    }
    let _ = writeln!(text, " × |\n{rule} --: |");
    for row in rows {
        let ours = row.ours();
        let spread = ours.and_then(Entry::spread).map(|spread| format!("{:.0} %", 100.0 * spread));
        let ms = or_dash(ours.and_then(Entry::ms).map(&number));
        let _ = write!(text, "| {} | {ms} | {} |", label(row), spread.unwrap_or_default());
        for peer in &peers {
            let best = row.best(peer).and_then(|entry| Some((entry.ms()?, entry)));
            let tried = row.entries.iter().any(|entry| entry.peer == *peer);
            let fastest = row.fastest().is_some_and(|entry| entry.peer == *peer);
            let text_of = match best {
                Some((ms, entry)) if fastest => format!("**{}** {}", number(ms), entry.variant),
                Some((ms, entry)) => format!("{} {}", number(ms), entry.variant),
                None if tried => "–".to_string(),
                None => String::new(),
            };
            let _ = write!(text, " {} |", cell(&text_of));
        }
        let ratio = or_dash(row.ratio().map(|ratio| format!("{}×", short(ratio))));
        let _ = writeln!(text, " {ratio} |");
    }
    text + "\n"
}

/// Those of `peers` once each: ours, the known ones, the others.
fn columns<'a>(peers: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for peer in peers {
        if !all.contains(&peer) {
            all.push(peer);
        }
    }
    let place = |peer: &str| match peer == OURS {
        true => 0,
        false => 1 + PEERS.iter().position(|(known, _)| *known == peer).unwrap_or(PEERS.len()),
    };
    all.sort_by_key(|peer| place(peer));
    all
}

fn name(peer: &str) -> &str {
    let known = PEERS.iter().find(|(known, _)| *known == peer).map(|(_, name)| *name);
    if peer == OURS { "Tapeloop" } else { known.unwrap_or(peer) }
}

/// `PyTorch nn`
fn way(entry: &Entry) -> String {
    match entry.peer == OURS || entry.variant.is_empty() {
        true => name(&entry.peer).to_string(),
        false => format!("{} {}", name(&entry.peer), entry.variant),
    }
}

fn on(threads: usize) -> String {
    if threads == 1 { "1 thread".to_string() } else { format!("{threads} threads") }
}

fn nanoseconds(ms: f64) -> String {
    let ns = ms * 1e6;
    if ns < 100.0 { short(ns) } else { grouped(ns) }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_string())
}

/// What would end a cell of a table, or be markup in it, is shown as it is.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::{entry, machine, row};
    use super::super::{Machine, Peak, Peaks, Record};
    use super::*;

    fn results(rows: Vec<Row>) -> Results {
        let mut results = Results::default();
        rows.into_iter().for_each(|row| results.put(Record::Row(row)));
        results
    }

    fn ours(ms: &[f64]) -> Entry {
        entry("tapeloop", "tape", ms)
    }

    #[test]
    fn a_table_has_the_best_of_each() {
        let all = vec![
            ours(&[2.0, 2.2, 2.1]),
            entry("jax", "scan", &[4.2]),
            entry("torch", "nn", &[9.0]),
            entry("torch", "loop", &[5.0]),
            Entry::failed("burn", "there is no burn"),
        ];
        let (first, second) = (
            row("T1", 1, all),
            row("T8", 1, vec![Entry::failed("tapeloop", "not yet"), entry("torch", "a|b", &[100.0])]),
        );
        let text = table("", &[&first, &second], |row| row.workload.clone(), short);
        let wanted = "\
|  | Tapeloop | ± | PyTorch | JAX | burn | × |
| --- | --: | --: | --: | --: | --: | --: |
| T1 | 2.10 | 10 % | 5.00 loop | **4.20** scan | – | 2.00× |
| T8 | – |  | **100** a\\|b |  |  | – |

";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_page_of_all() {
        let mut all = results(vec![
            row("T1", 1, vec![ours(&[1.0]), entry("torch", "nn", &[1.5]), Entry::failed("keras", "no module")]),
            row("T5", 2, vec![ours(&[1000.0]), entry("torch", "nn", &[500.0])]),
            row("T6", 2, vec![ours(&[3.0]), Entry { peak_mb: Some(812.0), ..entry("torch", "nn", &[4.0]) }]),
            row(&ablated("T3"), 2, vec![entry("tapeloop", "", &[10.0]), entry("tapeloop", "packing", &[15.0])]),
            row("I1-lstm-8", 1, vec![ours(&[50e-6]), entry("jax", "call", &[0.0125])]),
            row("I1-lstm-16", 1, vec![ours(&[60e-6]), entry("jax", "call", &[0.0135])]),
        ]);
        let peak = Peak { threads: 2, gflops: 400.0, best_gflops: 401.0, vectors: "avx512f".into() };
        all.put(Record::Peaks(Peaks { machine: machine(), peaks: vec![peak] }));
        let Document { text, charts } = document(&all, "pictures").unwrap();
        // 85.9 GFLOP in a second, of 400: 21 %.
        for part in [
            "| processor | Some Processor |",
            "### 1 thread: milliseconds a step",
            "| T1 | 1.00 |  | **1.50** nn | – | 1.50× |",
            "| 2 | avx512f | 400 | 85.9 | 85.9 | 21 % |",
            "| T5 | 1000 |  | **500** nn | 0.500× |",
            "| 8 | 50.0 |  | **12\u{202f}500** call | 250× |",
            "| 2 | PyTorch nn | 812 | – |",
            "| Keras | T1 | no module |",
            "| all parts | 10.0 |",
            "| no packing once: weights are packed for every step | 15.0 (1.50) |",
            "| no fusion: every elementwise operation goes over all rows before the next one | – |",
            "All at commit abc1234.",
            "cargo run … compare",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ratios-1.svg", "ratios-2.svg", "streaming-lstm-1.svg"]);
        for (name, svg) in &charts {
            assert!(svg.starts_with("<svg") && text.contains(&format!("(pictures/{name})")), "{name}");
        }
        assert_eq!(document(&all, "pictures").unwrap().text, text, "the same results, the same page");
    }

    #[test]
    fn rows_of_two_commits_say_so() {
        let old = Row { commit: "0ld".into(), ..row("T1", 1, vec![ours(&[1.0])]) };
        let text = document(&results(vec![old, row("T2", 1, vec![ours(&[1.0])])]), "x").unwrap().text;
        assert!(text.contains("| 0ld | T1 (1) |") && text.contains("| abc1234 | T2 (1) |"), "{text}");
    }

    #[test]
    fn no_page_of_nothing_or_of_two_machines() {
        assert!(document(&Results::default(), "x").is_err());
        let other = Row { machine: Machine { cores: 3, ..machine() }, ..row("T2", 1, vec![]) };
        assert!(document(&results(vec![row("T1", 1, vec![]), other]), "x").is_err());
    }
}
