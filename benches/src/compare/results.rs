//! What was measured, in a file with a line for each row of the tables.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Machine, Peak, files, median};

/// Ours, by the name it gives itself.
pub(super) const OURS: &str = "tapeloop";

/// One way of one library in a row.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Entry {
    /// The library.
    pub peer: String,
    /// Which of its ways.
    pub variant: String,
    /// Its version, if it came to saying it.
    pub version: String,
    /// The medians of its rounds, in milliseconds.
    pub medians: Vec<f64>,
    /// The fastest step of all rounds.
    pub min_ms: Option<f64>,
    /// The most memory its process had, in MiB.
    pub peak_mb: Option<f64>,
    /// And before the model was there.
    pub base_mb: Option<f64>,
    /// Why it did not run, or not to the end.
    pub failure: Option<String>,
}

impl Entry {
    /// A library that cannot even say what it has.
    pub fn failed(peer: &str, reason: &str) -> Self {
        Self { failure: Some(reason.to_string()), ..Self::new(peer, "") }
    }

    /// One that did not run yet.
    pub(super) fn new(peer: &str, variant: &str) -> Self {
        Self {
            peer: peer.to_string(),
            variant: variant.to_string(),
            version: String::new(),
            medians: Vec::new(),
            min_ms: None,
            peak_mb: None,
            base_mb: None,
            failure: None,
        }
    }

    /// The median of the rounds, unless it failed.
    pub fn ms(&self) -> Option<f64> {
        if self.failure.is_some() { None } else { median(&self.medians) }
    }

    /// How far its rounds lie apart: (largest − smallest) / median. `None` of one round.
    pub fn spread(&self) -> Option<f64> {
        let ms = self.ms().filter(|_| self.medians.len() > 1)?;
        let most = self.medians.iter().copied().fold(0.0, f64::max);
        let least = self.medians.iter().copied().fold(f64::INFINITY, f64::min);
        Some((most - least) / ms)
    }
}

/// One workload on so many threads: all of it measured in turns, in one go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Row {
    /// The workload.
    pub workload: String,
    /// Threads of everybody.
    pub threads: usize,
    /// The commit of ours.
    pub commit: String,
    /// What was called, for the reader to call again.
    pub command: String,
    /// The machine.
    pub machine: Machine,
    /// How long steps were timed in each round.
    pub seconds: f64,
    /// Rounds.
    pub rounds: usize,
    /// Ours and the peers.
    pub entries: Vec<Entry>,
}

impl Row {
    /// Ours.
    pub fn ours(&self) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.peer == OURS)
    }

    /// The fastest way of `peer`, if one of them ran.
    pub fn best(&self, peer: &str) -> Option<&Entry> {
        fastest(self.entries.iter().filter(|entry| entry.peer == peer))
    }

    /// The fastest way of any peer.
    pub fn fastest(&self) -> Option<&Entry> {
        fastest(self.entries.iter().filter(|entry| entry.peer != OURS))
    }

    /// The fastest peer's median over ours: above 1, ours is faster.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.fastest()?.ms()? / self.ours()?.ms()?)
    }
}

fn fastest<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<&'a Entry> {
    entries.filter_map(|entry| Some((entry.ms()?, entry))).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, entry)| entry)
}

/// What the registers alone can do.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Peaks {
    /// The machine.
    pub machine: Machine,
    /// For each number of threads.
    pub peaks: Vec<Peak>,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// A row of the tables.
    Row(Row),
    /// The machine's own peak.
    Peaks(Peaks),
}

impl Record {
    fn machine(&self) -> &Machine {
        match self {
            Self::Row(row) => &row.machine,
            Self::Peaks(peaks) => &peaks.machine,
        }
    }

    /// What a newer record takes the place of.
    fn key(&self) -> (&str, usize) {
        match self {
            Self::Row(row) => (&row.workload, row.threads),
            Self::Peaks(_) => ("", 0),
        }
    }
}

/// All that was measured on a machine, the newest of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    records: Vec<Record>,
}

impl Results {
    /// What `path` has; nothing if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or a line of it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let place = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(place(&error)),
        };
        let mut results = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let record = serde_json::from_str(line).map_err(|error| place(&format!("line {}: {error}", number + 1)))?;
            results.put(record);
        }
        Ok(results)
    }

    /// Writes them, whole or not at all.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let mut text = String::new();
        for record in &self.records {
            text += &serde_json::to_string(record).map_err(|error| error.to_string())?;
            text.push('\n');
        }
        files::replace(path, &text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Adds a record. An older one of the same workload and number of threads goes as a whole: a row is one race, never
    /// put together from several.
    pub fn put(&mut self, record: Record) {
        match self.records.iter_mut().find(|old| old.key() == record.key()) {
            Some(old) => *old = record,
            None => self.records.push(record),
        }
    }

    /// The rows, in the order in which they first came.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.records.iter().filter_map(|record| match record {
            Record::Row(row) => Some(row),
            Record::Peaks(_) => None,
        })
    }

    /// The row of a workload.
    pub fn row(&self, workload: &str, threads: usize) -> Option<&Row> {
        self.rows().find(|row| row.workload == workload && row.threads == threads)
    }

    /// The machine's own peaks.
    pub fn peaks(&self) -> &[Peak] {
        let mut peaks = self.records.iter().filter_map(|record| match record {
            Record::Peaks(peaks) => Some(peaks.peaks.as_slice()),
            Record::Row(_) => None,
        });
        peaks.next().unwrap_or_default()
    }

    /// The one machine of all records; `None` if there are none.
    ///
    /// # Errors
    /// If they come from different machines: such numbers do not stand in one table.
    pub fn machine(&self) -> Result<Option<&Machine>, String> {
        let mut machines = self.records.iter().map(Record::machine);
        let Some(first) = machines.next() else { return Ok(None) };
        match machines.find(|machine| *machine != first) {
            Some(other) => Err(format!("results of two machines, or of one that changed: {first:?} and {other:?}")),
            None => Ok(Some(first)),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn machine() -> Machine {
        Machine {
            processor: "Some Processor".into(),
            cores: 2,
            vectors: vec!["avx2".into()],
            caches: vec!["L2 1M".into()],
            system: "Some Linux".into(),
            compiler: "rustc 1.95.0".into(),
        }
    }

    pub fn entry(peer: &str, variant: &str, medians: &[f64]) -> Entry {
        Entry {
            version: "1.0".into(),
            medians: medians.into(),
            min_ms: medians.iter().copied().reduce(f64::min),
            peak_mb: Some(100.0),
            ..Entry::new(peer, variant)
        }
    }

    pub fn row(workload: &str, threads: usize, entries: Vec<Entry>) -> Row {
        Row {
            workload: workload.into(),
            threads,
            commit: "abc1234".into(),
            command: "cargo run … compare".into(),
            machine: machine(),
            seconds: 2.0,
            rounds: 3,
            entries,
        }
    }

    #[test]
    fn the_fastest_way_of_any_peer_counts() {
        let row = row(
            "T1",
            1,
            vec![
                entry("tapeloop", "tape", &[2.0, 2.5, 1.0]),
                entry("torch", "nn", &[9.0, 7.0, 8.0]),
                entry("torch", "loop", &[6.0, 6.5]),
                entry("jax", "scan", &[5.0, 5.0, 90.0]),
                Entry::failed("burn", "no such file"),
            ],
        );
        assert_eq!(row.best("torch").unwrap().variant, "loop");
        assert_eq!(row.fastest().unwrap().peer, "jax");
        assert_eq!(row.ratio(), Some(2.5));
        assert_eq!(row.best("burn"), None);
        assert_eq!(row.ours().unwrap().spread(), Some(0.75));
        assert_eq!(entry("torch", "nn", &[9.0]).spread(), None);
    }

    #[test]
    fn ours_may_fail_as_well() {
        let row = row("T8", 1, vec![Entry::failed("tapeloop", "not yet"), entry("torch", "nn", &[9.0])]);
        assert_eq!((row.ratio(), row.ours().unwrap().ms()), (None, None));
    }

    #[test]
    fn a_later_run_takes_the_place_of_its_rows_alone() {
        let folder = std::env::temp_dir().join(format!("tapeloop-compare-results-{}", std::process::id()));
        let path = folder.join("results.jsonl");
        assert_eq!(Results::read(&path).unwrap(), Results::default());
        let mut results = Results::default();
        for (workload, threads) in [("T1", 1), ("T1", 2), ("T2", 1)] {
            results.put(Record::Row(row(workload, threads, vec![entry("tapeloop", "tape", &[1.0])])));
        }
        let peak = Peak { threads: 1, gflops: 100.0, best_gflops: 101.0, vectors: "avx2".into() };
        results.put(Record::Peaks(Peaks { machine: machine(), peaks: vec![peak.clone()] }));
        results.write(&path).unwrap();

        let mut again = Results::read(&path).unwrap();
        assert_eq!(again, results);
        let new = row("T1", 2, vec![entry("tapeloop", "tape", &[5.0]), entry("torch", "nn", &[7.0])]);
        again.put(Record::Row(new.clone()));
        again.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        assert_eq!(read.row("T1", 2), Some(&new));
        assert_eq!(read.row("T1", 1), results.row("T1", 1));
        assert_eq!((read.rows().count(), read.peaks()), (3, &[peak][..]));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(Results::read(&path).unwrap_err().contains("line 1"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn two_machines_are_an_error() {
        let mut results = Results::default();
        assert_eq!(results.machine(), Ok(None));
        results.put(Record::Row(row("T1", 1, vec![])));
        assert_eq!(results.machine(), Ok(Some(&machine())));
        let other = Machine { cores: 64, ..machine() };
        results.put(Record::Row(Row { machine: other, ..row("T2", 1, vec![]) }));
        assert!(results.machine().is_err());
    }
}
