//! What the programs understand of their arguments.

use std::time::Duration;

/// A number of threads.
///
/// # Errors
/// If it is none in 1..=1024.
pub fn threads(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(count @ 1..=1024) => Ok(count),
        _ => Err("it needs a number in 1..=1024"),
    }
}

/// So many seconds.
///
/// # Errors
/// If it is no number, negative, or longer than a clock runs.
pub fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or("it needs a number that is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_none_is_refused() {
        assert_eq!((threads("2"), seconds("0.5")), (Ok(2), Ok(Duration::from_millis(500))));
        assert!(["0", "-1", "1025", "two"].iter().all(|text| threads(text).is_err()));
        assert!(["-1", "inf", "NaN", "long"].iter().all(|text| seconds(text).is_err()));
    }
}
