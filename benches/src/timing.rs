//! The clock of the runner.

use std::time::{Duration, Instant};

/// What single steps took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Times {
    /// The upper median.
    pub median: f64,
    /// The minimum.
    pub min: f64,
    /// How many steps were timed.
    pub steps: usize,
}

impl Times {
    /// Warms up for half of `span`, but a second at most, then times `call` for `span`; at least five calls of both.
    /// A call makes `steps` steps, and shares its time among them.
    pub fn measure(span: Duration, steps: usize, mut call: impl FnMut()) -> Self {
        const CALLS: usize = 5;
        let (start, warm) = (Instant::now(), (span / 2).min(Duration::from_secs(1)));
        let mut calls = 0;
        while calls < CALLS || start.elapsed() < warm {
            call();
            calls += 1;
        }
        let mut times = Vec::new();
        let start = Instant::now();
        while times.len() < CALLS || start.elapsed() < span {
            let before = Instant::now();
            call();
            times.push(before.elapsed());
        }
        times.sort_unstable();
        let of_step = |time: Duration| time.as_secs_f64() * 1e3 / steps as f64;
        Self { median: of_step(times[times.len() / 2]), min: of_step(times[0]), steps: times.len() * steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_calls_even_without_time() {
        let mut calls = 0;
        let times = Times::measure(Duration::ZERO, 3, || calls += 1);
        assert_eq!((calls, times.steps), (10, 15));
        assert!(times.min <= times.median);
    }
}
