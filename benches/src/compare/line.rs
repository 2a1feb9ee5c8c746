//! What a runner prints.

use serde::{Deserialize, Serialize};

/// The last line of a runner of a workload.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Line {
    /// The library.
    pub peer: String,
    /// Which of its ways.
    pub variant: String,
    /// The workload, `I1-lstm-128` for a stream.
    pub workload: String,
    /// Threads it had.
    pub threads: usize,
    /// What a step took in the median, in milliseconds.
    pub median_ms: f64,
    /// The fastest step.
    pub min_ms: f64,
    /// How many were timed.
    pub steps: usize,
    /// The library's version.
    pub version: String,
    /// The most memory the runner had had before the model was there, in MiB, where it says so.
    #[serde(default)]
    pub base_mb: Option<f64>,
}

impl Line {
    /// The last line of `output` that is not empty. What a runner says beyond these fields is its own affair.
    ///
    /// # Errors
    /// If it is no such line, or its times cannot be times.
    pub fn parse(output: &str) -> Result<Self, String> {
        let line: Self = last(output)?;
        let times = [line.min_ms, line.median_ms];
        if times.iter().any(|ms| !ms.is_finite() || *ms <= 0.0) || line.min_ms > line.median_ms || line.steps == 0 {
            let Self { min_ms, median_ms, steps, .. } = line;
            return Err(format!("a median of {median_ms} ms and a minimum of {min_ms} ms over {steps} steps"));
        }
        Ok(line)
    }
}

/// What `peak` prints: multiplications and additions of registers, nothing else.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Peak {
    /// Threads at once.
    pub threads: usize,
    /// 10⁹ operations a second of all of them, in the median; a fused multiply-add is two.
    pub gflops: f64,
    /// The fastest moment.
    pub best_gflops: f64,
    /// The vectors it was compiled for.
    pub vectors: String,
}

impl Peak {
    /// The last line of `output` that is not empty.
    ///
    /// # Errors
    /// If it is no such line, or its rate cannot be one.
    pub fn parse(output: &str) -> Result<Self, String> {
        let peak: Self = last(output)?;
        match peak.gflops.is_finite() && peak.gflops > 0.0 {
            true => Ok(peak),
            false => Err(format!("a peak of {} GFLOP/s", peak.gflops)),
        }
    }
}

fn last<'a, T: Deserialize<'a>>(output: &'a str) -> Result<T, String> {
    let line = output.lines().rev().find(|line| !line.trim().is_empty()).ok_or("it printed nothing")?;
    serde_json::from_str(line).map_err(|error| format!("its last line is not a result: {error}"))
}

/// The upper median, as the runners have it. `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"peer":"torch","variant":"nn","workload":"T3","threads":2,"median_ms":62.5,"min_ms":60,"steps":40,"version":"2.15.0","base_mb":512.5,"losses":[1.0]}"#;

    #[test]
    fn the_last_line_counts() {
        let line = Line::parse(&format!("a warning\n{GOOD}\n\n")).unwrap();
        assert_eq!((line.peer.as_str(), line.threads, line.median_ms, line.steps), ("torch", 2, 62.5, 40));
        assert_eq!(line.base_mb, Some(512.5));
        // Ours does not say what it had before.
        assert_eq!(Line::parse(&GOOD.replace(r#","base_mb":512.5"#, "")).unwrap().base_mb, None);
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        for (from, to) in [
            (r#""steps":40"#, r#""steps":0"#),
            ("62.5", "NaN"),
            ("62.5", "1e999"),
            ("62.5", "-1"),
            (r#""min_ms":60"#, r#""min_ms":63"#),
            (r#""peer":"torch","#, ""),
            ("}", ""),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            assert!(Line::parse(&text).is_err(), "{text}");
        }
        assert!(Line::parse(&format!("{GOOD}\nand then it fell over")).is_err());
        assert!(Line::parse("\n").is_err());
    }

    #[test]
    fn peaks() {
        let text = r#"{"threads":2,"gflops":432.1,"best_gflops":440,"vectors":"avx512f"}"#;
        assert_eq!(Peak::parse(text).unwrap().gflops, 432.1);
        assert!(Peak::parse(&text.replace("432.1", "0")).is_err());
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        // The upper of the two in the middle.
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(3.0));
    }
}
