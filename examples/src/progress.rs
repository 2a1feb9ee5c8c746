//! A progress line: a bar that redraws itself on a terminal, a few plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Shows how far long work is, on standard error.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: usize,
    start: Instant,
    drawn: Option<Instant>,
    terminal: bool,
}

const WIDTH: usize = 28;

impl Progress {
    /// For work of `total` steps.
    pub fn new(label: impl Into<String>, total: usize) -> Self {
        Self { label: label.into(), total, start: Instant::now(), drawn: None, terminal: io::stderr().is_terminal() }
    }

    /// After `done` steps, with something to say about them.
    pub fn show(&mut self, done: usize, note: &str) {
        let last = done >= self.total;
        let elapsed = self.start.elapsed();
        if self.terminal {
            // Ten frames a second are enough to see it move.
            if !last && self.drawn.is_some_and(|drawn| drawn.elapsed() < Duration::from_millis(100)) {
                return;
            }
            self.drawn = Some(Instant::now());
            let end = if last { "\n" } else { "" };
            eprint!("\r\x1b[2K{}{end}", line(&self.label, done, self.total, elapsed, note));
            // A terminal that is gone is no reason to stop.
            let _ = io::stderr().flush();
        } else if last || done.is_multiple_of((self.total / 5).max(1)) {
            eprintln!("{}", line(&self.label, done, self.total, elapsed, note));
        }
    }
}

fn line(label: &str, done: usize, total: usize, elapsed: Duration, note: &str) -> String {
    let filled = WIDTH * done.min(total) / total.max(1);
    let bar = format!("{}{}", "━".repeat(filled), "╌".repeat(WIDTH - filled));
    let left = elapsed.as_secs_f64() / done.max(1) as f64 * total.saturating_sub(done) as f64;
    let time = if done < total { format!("{left:.0} s left") } else { format!("{:.1} s", elapsed.as_secs_f64()) };
    format!("{label:12} {bar} {done:>4}/{total}  {note}  {time}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let half = line("LSTM", 50, 100, Duration::from_secs(3), "loss 0.5");
        assert!(half.contains("50/100") && half.contains("loss 0.5") && half.contains("3 s left"), "{half}");
        assert_eq!(half.matches('━').count(), WIDTH / 2);
        let done = line("LSTM", 100, 100, Duration::from_millis(6500), "");
        assert!(done.contains("6.5 s") && !done.contains("left"), "{done}");
        assert!(!half.chars().any(char::is_control));
        line("", 0, 0, Duration::ZERO, "");
    }
}
