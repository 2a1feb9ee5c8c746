//! A model as a table, laid out like Keras'.

use std::fmt;

/// The table that [`Model::summary`](crate::Model::summary) shows, and that of a [graph](crate::FunctionalModel::summary), with
/// what each layer takes. Where a layer makes a mask, one more column says at which layers it begins, goes on and ends.
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
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    trainable: usize,
    frozen: usize,
    bytes: usize,
    /// What there is to say below.
    last: Option<String>,
}

/// What becomes of a mask at a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// There is none.
    None,
    /// The layer makes it.
    Begins,
    /// It arrives, and is there behind the layer.
    GoesOn,
    /// It arrives, and there is none behind the layer.
    Ends,
}

impl Mark {
    /// Of a layer with a mask in front, or without one, and behind it.
    pub(super) fn of(before: bool, behind: bool) -> Self {
        match (before, behind) {
            (false, false) => Self::None,
            (false, true) => Self::Begins,
            (true, true) => Self::GoesOn,
            (true, false) => Self::Ends,
        }
    }
}

/// A layer's row.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) shape: String,
    /// Elements of trainable parameters, and of frozen ones.
    pub(super) counts: [usize; 2],
    /// What it takes, in a graph.
    pub(super) from: Option<String>,
    pub(super) mask: Mark,
}

impl Summary {
    /// Of these layers, with elements of so many bytes.
    pub(super) fn new(rows: &[Row], bytes: usize, last: Option<String>) -> Self {
        let connected = rows.iter().any(|row| row.from.is_some());
        let masked = rows.iter().any(|row| row.mask != Mark::None);
        let mut heads = vec!["Layer (type)", "Output Shape", "Param #"];
        heads.extend(connected.then_some("Connected to"));
        heads.extend(masked.then_some("Mask"));
        let mut summary = Self { heads, rows: Vec::new(), trainable: 0, frozen: 0, bytes, last };
        for Row { name, shape, counts: [trainable, frozen], from, mask } in rows {
            summary.trainable += trainable;
            summary.frozen += frozen;
            let mut cells = vec![name.clone(), shape.clone(), grouped(trainable + frozen)];
            cells.extend(connected.then(|| from.clone().unwrap_or("-".to_string())));
            let mark = match mask {
                Mark::None => "",
                Mark::Begins => "begins",
                Mark::GoesOn => "goes on",
                Mark::Ends => "ends",
            };
            cells.extend(masked.then(|| mark.to_string()));
            summary.rows.push(cells);
        }
        summary
    }

    /// The number of all parameters' elements.
    pub fn param_count(&self) -> usize {
        self.trainable + self.frozen
    }
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
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.heads[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        let rule = |f: &mut fmt::Formatter<'_>, [left, line, middle, right]: [&str; 4]| {
            let lines: Vec<String> = widths.iter().map(|n| line.repeat(n + 2)).collect();
            writeln!(f, "{left}{}{right}", lines.join(middle))
        };
        let line = |f: &mut fmt::Formatter<'_>, cells: &[&str], bar: &str| {
            for (column, (cell, &n)) in cells.iter().zip(&widths).enumerate() {
                // Numbers lie to the right.
                match column {
                    2 => write!(f, "{bar} {cell:>n$} ")?,
                    _ => write!(f, "{bar} {cell:n$} ")?,
                }
            }
            writeln!(f, "{bar}")
        };
        rule(f, ["┏", "━", "┳", "┓"])?;
        line(f, &self.heads, "┃")?;
        rule(f, ["┡", "━", "╇", "┩"])?;
        for (place, row) in self.rows.iter().enumerate() {
            if place > 0 {
                rule(f, ["├", "─", "┼", "┤"])?;
            }
            line(f, &row.iter().map(String::as_str).collect::<Vec<_>>(), "│")?;
        }
        rule(f, ["└", "─", "┴", "┘"])?;
        let total = |n: usize| format!("{} ({})", grouped(n), readable(n * self.bytes));
        writeln!(f, " Total params: {}", total(self.trainable + self.frozen))?;
        writeln!(f, " Trainable params: {}", total(self.trainable))?;
        write!(f, " Non-trainable params: {}", total(self.frozen))?;
        match &self.last {
            Some(last) => write!(f, "\n {last}"),
            None => Ok(()),
        }
    }
}
