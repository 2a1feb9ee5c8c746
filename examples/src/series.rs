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
    /// Reads one column of a CSV file with a header, separated by commas, semicolons or tabs. Without a name it is the
    /// only column that is not the first, or the only one there is.
    ///
    /// # Errors
    /// If the file cannot be read, has no such column, a quote is not closed, or a value is missing or no finite number.
    pub fn read(path: &Path, column: Option<&str>) -> Result<Self, Error> {
        let bytes =
            std::fs::read(path).map_err(|error| Error { file: path.into(), line: None, problem: error.to_string() })?;
        Self::parse(path, &bytes, column)
    }

    /// Yearly sunspot numbers, 1700-2008: `data/README.md` says where they come from.
    ///
    /// # Errors
    /// If the column is another one than `sunspots`.
    pub fn sunspots(column: Option<&str>) -> Result<Self, Error> {
        Self::parse(Path::new("sunspots.csv"), include_bytes!("../data/sunspots.csv"), column)
    }

    fn parse(path: &Path, bytes: &[u8], column: Option<&str>) -> Result<Self, Error> {
        // What Windows writes in front of UTF-8.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let separator = separator(bytes);
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
        let mut reader = csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).from_reader(bytes);
        let header = reader.headers().map_err(broken)?.clone();
        let top = header.position().map(csv::Position::line);
        let names: Vec<&str> = header.iter().collect();
        if let Some(Quote { line, column, problem }) = stray_quote(bytes, separator) {
            let name = names.get(column).filter(|_| Some(line) > top);
            let column = name.map_or_else(|| (column + 1).to_string(), |name| format!("`{name}`"));
            return Err(fail(Some(line), format!("column {column}: {problem}")));
        }
        let listed = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let at = match (column, names.len()) {
            (_, 0) => return Err(fail(None, "the file is empty".into())),
            (Some(wanted), _) => {
                let mut places = (0..names.len()).filter(|&place| names[place] == wanted);
                match (places.next(), places.next()) {
                    (Some(place), None) => place,
                    (None, _) => {
                        return Err(fail(top, format!("there is no column `{wanted}`; there are {}", listed())));
                    }
                    _ => return Err(fail(top, format!("there is more than one column `{wanted}`"))),
                }
            }
            (None, 1) => 0,
            (None, 2) => 1,
            (None, _) => return Err(fail(top, format!("which column? --column takes one of {}", listed()))),
        };
        if names[at].parse::<f64>().is_ok() {
            let problem = format!("column {} is called `{}`: a header of names is missing", at + 1, names[at]);
            return Err(fail(top, problem));
        }
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
                _ => {
                    let hint = if text.contains(',') { "; decimals follow a point" } else { "" };
                    let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
                    return Err(fail(line, format!("column `{}`: `{shown}` is no finite number{hint}", names[at])));
                }
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

/// What stands between the columns: of comma, semicolon and tab what the header has most of.
fn separator(bytes: &[u8]) -> u8 {
    let line = bytes.split(|byte| b"\r\n".contains(byte)).find(|line| !line.is_empty()).unwrap_or_default();
    let count = |separator: u8| line.iter().filter(|&&byte| byte == separator).count();
    // The last of equals is taken.
    b"\t;,".iter().copied().max_by_key(|&separator| count(separator)).unwrap_or(b',')
}

/// A quote that is none, in this line and this column, both of its beginning.
struct Quote {
    line: u64,
    column: usize,
    problem: &'static str,
}

/// The first field in quotes that does not end, or not where its quote ends: a reader that takes it as it comes would
/// join rows.
fn stray_quote(bytes: &[u8], separator: u8) -> Option<Quote> {
    let (mut line, mut column, mut begins, mut place) = (1, 0, true, 0);
    while place < bytes.len() {
        let byte = bytes[place];
        place += 1;
        match byte {
            b'"' if begins => {
                let open = (line, column);
                let fail = |problem| Some(Quote { line: open.0, column: open.1, problem });
                loop {
                    match bytes[place..] {
                        [] => return fail("the quote is not closed"),
                        [b'"', b'"', ..] => place += 2,
                        [b'"', ..] => break,
                        [byte, ..] => {
                            line += u64::from(byte == b'\n');
                            place += 1;
                        }
                    }
                }
                place += 1;
                while bytes.get(place).is_some_and(|&byte| byte == b' ' && byte != separator) {
                    place += 1;
                }
                if bytes.get(place).is_some_and(|&byte| byte != separator && !b"\r\n".contains(&byte)) {
                    return fail("there is more behind the closing quote");
                }
                begins = false;
            }
            b'\n' | b'\r' => {
                line += u64::from(byte == b'\n');
                (column, begins) = (0, true);
            }
            _ if byte == separator => {
                column += 1;
                begins = true;
            }
            _ => begins = false,
        }
    }
    None
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
    fn what_other_programs_write() {
        let expected = read("year,flow\n1900,1.5\n1901,2\n", None).unwrap();
        for text in [
            "\u{feff}year,flow\r\n1900,1.5\r\n1901,2\r\n",
            "year;flow\n1900;1.5\n1901;2\n",
            "year\tflow\n1900\t1.5\n1901\t2",
            "\"year\",\"flow\"\n\"1900\",\"1.5\"\n1901,\"2\" \n",
            "\n\nyear,flow\n\n1900,1.5\n1901,2\n\n",
            "year , flow\n 1900 , 1.5\n1901,2e0\n",
        ] {
            assert_eq!(read(text, None).unwrap(), expected, "{text:?}");
        }
        let quoted = read("day,note,x\n1,\"a \"\"b\"\", c\nd\",2\n2,5\",3\n", Some("x")).unwrap();
        assert_eq!((quoted.values, quoted.times), (vec![2.0, 3.0], vec![1.0, 2.0]));
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
            ("\u{feff}\r\n", None, ["the file is empty", ""]),
            ("year,flow\n1900,1\n1901,\"2\n1902,3\n", None, ["line 3", "column `flow`: the quote is not closed"]),
            ("year,\"flow\n1900,1\n", None, ["line 1", "column 2: the quote is not closed"]),
            ("a,b,c\n1,\"x\ny,2\n2,\"z\",3\n", Some("c"), ["line 2", "column `b`: there is more behind"]),
            ("year;flow\n1900;1,5\n", None, ["line 2", "column `flow`: `1,5` is no finite number; decimals"]),
            ("1900,1\n1901,2\n", None, ["line 1", "column 2 is called `1`: a header"]),
            ("a,a\n1,2\n", Some("a"), ["line 1", "more than one column `a`"]),
            ("a\n\"1\n2\"\n", None, ["line 2", "column `a`: `1\\n2` is no finite number"]),
        ] {
            let error = error(text, column);
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let missing = Series::read(Path::new("/nowhere/at all.csv"), None).unwrap_err().to_string();
        assert!(missing.contains("at all.csv"), "{missing}");
    }
}
