//! A measured series from a CSV file, with errors that name line and column.

use std::fmt;
use std::path::{Path, PathBuf};

/// Numbers in time order, with a label for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What was measured: the column's name.
    pub name: String,
    /// When: the first column where all of it are numbers, else the row.
    pub times: Vec<f64>,
    /// What was found.
    pub values: Vec<f64>,
}

/// Why a file could not be read as a series.
#[derive(Debug)]
pub struct Error {
    file: PathBuf,
    line: Option<u64>,
    problem: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for Error {}

impl Series {
    /// Reads one column of a CSV file with a header. Without a name it is the only column that is not the first, or
    /// the only one there is.
    ///
    /// # Errors
    /// If the file cannot be read, has no such column, or a value is missing or no finite number.
    pub fn read(path: &Path, column: Option<&str>) -> Result<Self, Error> {
        let file = std::fs::File::open(path).map_err(|error| Error {
            file: path.into(),
            line: None,
            problem: error.to_string(),
        })?;
        Self::parse(path, file, column)
    }

    /// Yearly sunspot numbers, 1700-2008: `data/README.md` says where they come from.
    ///
    /// # Errors
    /// If the column is another one than `sunspots`.
    pub fn sunspots(column: Option<&str>) -> Result<Self, Error> {
        Self::parse(Path::new("sunspots.csv"), &include_bytes!("../data/sunspots.csv")[..], column)
    }

    fn parse(path: &Path, source: impl std::io::Read, column: Option<&str>) -> Result<Self, Error> {
        let fail = |line: Option<u64>, problem: String| Error { file: path.into(), line, problem };
        let broken = |error: csv::Error| {
            let line = error.position().map(csv::Position::line);
            let problem = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} columns where the header has {expected_len}")
                }
                csv::ErrorKind::Io(error) => error.to_string(),
                csv::ErrorKind::Utf8 { err, .. } => format!("column {} is no UTF-8 text", err.field() + 1),
                _ => error.to_string(),
            };
            fail(line, problem)
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let header = reader.headers().map_err(broken)?.clone();
        let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
        let listed = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let at = match (column, names.len()) {
            (_, 0) => return Err(fail(None, "the file is empty".into())),
            (Some(wanted), _) => names
                .iter()
                .position(|name| *name == wanted)
                .ok_or_else(|| fail(Some(1), format!("there is no column `{wanted}`; there are {}", listed())))?,
            (None, 1) => 0,
            (None, 2) => 1,
            (None, _) => return Err(fail(Some(1), format!("which column? --column takes one of {}", listed()))),
        };
        let (mut values, mut times) = (Vec::new(), Some(Vec::new()));
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map(csv::Position::line);
            let text = record.get(at).unwrap_or_default();
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ if text.is_empty() => {
                    return Err(fail(line, format!("column `{}` is empty", names[at])));
                }
                _ => return Err(fail(line, format!("column `{}`: `{text}` is no finite number", names[at]))),
            }
            let time = record.get(0).filter(|_| at != 0).and_then(|text| text.parse::<f64>().ok());
            times = match (times, time.filter(|time| time.is_finite())) {
                (Some(mut times), Some(time)) => {
                    times.push(time);
                    Some(times)
                }
                _ => None,
            };
        }
        let times = times.unwrap_or_else(|| (1..=values.len()).map(|row| row as f64).collect());
        Ok(Self { name: names[at].to_string(), times, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, column: Option<&str>) -> Result<Series, String> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tapeloop-series-{}-{}.csv", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let series = Series::read(&path, column).map_err(|error| error.to_string());
        std::fs::remove_file(&path).unwrap();
        series
    }

    #[test]
    fn columns_by_name_or_by_being_alone() {
        let series = read("year,flow\n1900,1.5\n1901, 2 \n", None).unwrap();
        assert_eq!((series.name.as_str(), series.values, series.times), ("flow", vec![1.5, 2.0], vec![1900.0, 1901.0]));
        let series = read("day,a,b\nmon,1,2\ntue,3,4\n", Some("b")).unwrap();
        assert_eq!((series.values, series.times), (vec![2.0, 4.0], vec![1.0, 2.0]));
        assert_eq!(read("x\n7\n", None).unwrap().values, [7.0]);
    }

    #[test]
    fn errors_name_line_and_column() {
        let error = |text, column| read(text, column).unwrap_err();
        for (text, column, parts) in [
            ("year,flow\n1900,1\n1901,n/a\n", None, ["line 3", "column `flow`: `n/a`"]),
            ("year,flow\n1900,\n", None, ["line 2", "column `flow` is empty"]),
            ("year,flow\n1900,1\n1901,inf\n", None, ["line 3", "`inf`"]),
            ("year,flow\n1900,1\n1901\n", None, ["line 3", "1 columns where the header has 2"]),
            ("year,flow\n1900,1\n", Some("height"), ["line 1", "no column `height`; there are `year`, `flow`"]),
            ("a,b,c\n1,2,3\n", None, ["line 1", "--column takes one of `a`, `b`, `c`"]),
            ("", None, ["the file is empty", ""]),
        ] {
            let error = error(text, column);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let missing = Series::read(Path::new("/nowhere/at all.csv"), None).unwrap_err().to_string();
        assert!(missing.contains("at all.csv"), "{missing}");
    }
}
