//! A model as a table, laid out like Keras'.

use std::fmt;

use crate::LayerConfig;

/// The table that [`Model::summary`](crate::Model::summary) shows.
///
/// ```
/// use tapeloop_layers::{Dense, Lstm, Sequential};
/// let model = Sequential::new([10, 1]).add(Lstm::new(128)).add(Dense::new(1)).build::<f32>(0)?;
/// let text = model.summary().to_string();
/// assert!(text.contains("(None, 128)") && text.contains("66,560"), "{text}");
/// assert!(text.contains("Total params: 66,689 (260.50 KB)"), "{text}");
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    rows: Vec<[String; 3]>,
    trainable: usize,
    frozen: usize,
    bytes: usize,
}

impl Summary {
    pub(super) fn new<'a>(
        layers: impl Iterator<Item = (String, &'a LayerConfig, &'a Vec<Option<usize>>, [usize; 2])>,
        bytes: usize,
    ) -> Self {
        let mut summary = Self { rows: Vec::new(), trainable: 0, frozen: 0, bytes };
        for (name, config, output, [trainable, frozen]) in layers {
            summary.trainable += trainable;
            summary.frozen += frozen;
            let count = grouped(trainable + frozen);
            summary.rows.push([format!("{name} ({})", config.kind()), with_batch(output), count]);
        }
        summary
    }

    /// The number of all parameters' elements.
    pub fn param_count(&self) -> usize {
        self.trainable + self.frozen
    }
}

/// A shape with the batch in front, as `(None, 10, 1)`.
pub(super) fn with_batch(axes: &[Option<usize>]) -> String {
    let axes: Vec<_> = axes.iter().map(|n| n.map_or("None".to_string(), |n| n.to_string())).collect();
    let comma = if axes.is_empty() { "," } else { ", " };
    format!("(None{comma}{})", axes.join(", "))
}

/// 1234567 as `1,234,567`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as `260.50 KB`.
fn readable(bytes: usize) -> String {
    let (mut size, mut unit) = (bytes as f64, "B");
    for next in ["KB", "MB", "GB", "TB"] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.2} {unit}")
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 3] = ["Layer (type)", "Output Shape", "Param #"];
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEAD[column].len()]).max().unwrap_or(0)
        };
        let widths = [0, 1, 2].map(width);
        let rule = |f: &mut fmt::Formatter<'_>, [left, line, middle, right]: [&str; 4]| {
            let lines = widths.map(|n| line.repeat(n + 2));
            writeln!(f, "{left}{}{right}", lines.join(middle))
        };
        let [a, b, c] = widths;
        rule(f, ["┏", "━", "┳", "┓"])?;
        writeln!(f, "┃ {:a$} ┃ {:b$} ┃ {:>c$} ┃", HEAD[0], HEAD[1], HEAD[2])?;
        rule(f, ["┡", "━", "╇", "┩"])?;
        for (place, [name, shape, count]) in self.rows.iter().enumerate() {
            if place > 0 {
                rule(f, ["├", "─", "┼", "┤"])?;
            }
            writeln!(f, "│ {name:a$} │ {shape:b$} │ {count:>c$} │")?;
        }
        rule(f, ["└", "─", "┴", "┘"])?;
        let total = |n: usize| format!("{} ({})", grouped(n), readable(n * self.bytes));
        writeln!(f, " Total params: {}", total(self.trainable + self.frozen))?;
        writeln!(f, " Trainable params: {}", total(self.trainable))?;
        write!(f, " Non-trainable params: {}", total(self.frozen))
    }
}
