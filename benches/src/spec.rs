//! The workloads by name.

use tapeloop::Error;

/// What one step of a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Forward from zero states, loss, backward, Adam.
    Training,
    /// Forward over the whole sequence.
    Sequence,
    /// One sample in, one number out, the states carried.
    Stream,
}

/// Which cell is repeated over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// [`tapeloop::Lstm`]
    Lstm,
    /// [`tapeloop::Gru`], reset after the product.
    Gru,
    /// [`Peephole`](crate::Peephole), a user's own.
    Peephole,
    /// [`MinGru`](crate::MinGru), a user's own.
    MinGru,
}

/// The sizes of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What a step is.
    pub kind: Kind,
    /// The cell.
    pub cell: Recurrence,
    /// The sequences of a batch.
    pub batch: usize,
    /// Their steps.
    pub time: usize,
    /// Features of a step.
    pub inputs: usize,
    /// The width of the states.
    pub hidden: usize,
    /// How many recurrent layers there are.
    pub layers: usize,
    /// The width of the `Dense` at the end; 0 for none.
    pub outputs: usize,
    /// Where there is one, ids go in, and every step is classified with cross-entropy.
    pub vocabulary: Option<usize>,
    /// Whether every layer reads both ways, and the sequences are of different lengths.
    pub bidirectional: bool,
}

/// Drawn from 16 to 64.
const LENGTHS: [usize; 32] = [
    64, 29, 47, 42, 38, 32, 28, 55, 52, 60, 27, 54, 55, 23, 27, 64, 52, 24, 36, 39, 25, 58, 56, 61, 38, 58, 22, 57, 18,
    40, 51, 18,
];

impl Spec {
    /// Those with one meaning, without a variant.
    pub const NAMES: [&str; 11] = ["T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "I2", "I3"];

    /// The workload of this name. A variant names the cell and its width where the name leaves them open: `I1` with
    /// `lstm-128`. `I1-lstm-128`, as the peers call it, is the same.
    ///
    /// # Errors
    /// If there is none, or the layers it needs do not exist yet.
    pub fn find(name: &str, variant: Option<&str>) -> Result<Self, Error> {
        let training = |cell, batch, time, inputs, hidden, layers, outputs| Self {
            kind: Kind::Training,
            cell,
            batch,
            time,
            inputs,
            hidden,
            layers,
            outputs,
            vocabulary: None,
            bidirectional: false,
        };
        let sequence =
            |batch, hidden| Self { kind: Kind::Sequence, ..training(Recurrence::Lstm, batch, 100, 64, hidden, 1, 0) };
        let spec = match name {
            "T1" => training(Recurrence::Lstm, 32, 10, 1, 128, 1, 1),
            "T2" => training(Recurrence::Gru, 32, 10, 1, 64, 1, 1),
            "T3" => training(Recurrence::Lstm, 32, 64, 64, 256, 2, 10),
            "T4" => training(Recurrence::Gru, 32, 64, 64, 256, 2, 10),
            "T5" => training(Recurrence::Lstm, 64, 32, 1024, 1024, 1, 10),
            "T6" => Self { vocabulary: Some(96), ..training(Recurrence::Lstm, 32, 100, 128, 512, 1, 96) },
            "T7" => training(Recurrence::Peephole, 32, 64, 64, 256, 1, 10),
            "T8" => training(Recurrence::MinGru, 8, 4096, 64, 256, 1, 10),
            "T9" => Self { bidirectional: true, ..training(Recurrence::Lstm, 32, 64, 64, 128, 2, 10) },
            "I1" => match variant {
                Some(variant) => return Self::stream(variant),
                None => return Err(Error::other("I1 needs a variant: --variant lstm-128")),
            },
            "I2" => sequence(1, 128),
            "I3" => sequence(32, 512),
            _ => match name.strip_prefix("I1-") {
                Some(own) if variant.is_none_or(|variant| variant == own) => return Self::stream(own),
                _ => return Err(Error::other(format!("there is no workload {name}"))),
            },
        };
        match variant {
            Some(variant) => Err(Error::other(format!("{name} has no variant {variant}"))),
            None => Ok(spec),
        }
    }

    /// The stream of a variant as `lstm-128`.
    fn stream(variant: &str) -> Result<Self, Error> {
        let (cell, hidden) = match variant.split_once('-') {
            Some(("lstm", hidden)) => (Recurrence::Lstm, hidden),
            Some(("gru", hidden)) => (Recurrence::Gru, hidden),
            _ => (Recurrence::Lstm, ""),
        };
        let hidden = match hidden.parse() {
            Ok(hidden @ 1..=4096) => hidden,
            _ => {
                let wanted = "lstm-H or gru-H with H in 1..=4096";
                return Err(Error::other(format!("I1 has no variant {variant}: it needs {wanted}")));
            }
        };
        Ok(Self {
            kind: Kind::Stream,
            cell,
            batch: 1,
            time: 1,
            inputs: 1,
            hidden,
            layers: 1,
            outputs: 1,
            vocabulary: None,
            bidirectional: false,
        })
    }

    /// The lengths of the rows, where they differ: those that all runners have.
    pub fn lengths(&self) -> Option<impl Iterator<Item = usize>> {
        let rows = LENGTHS.iter().cycle().take(self.batch);
        self.bidirectional.then(|| rows.map(|&length| length.min(self.time)))
    }

    /// The same work on a small scale, for tests.
    pub fn shrunk(self) -> Self {
        let small = |n: usize| n.min(6);
        Self {
            batch: small(self.batch),
            time: small(self.time),
            inputs: small(self.inputs),
            hidden: small(self.hidden),
            outputs: small(self.outputs),
            vocabulary: self.vocabulary.map(small),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in Spec::NAMES {
            Spec::find(name, None).unwrap();
            assert!(Spec::find(name, Some("other")).is_err());
        }
        let gru = Spec::find("I1", Some("gru-64")).unwrap();
        assert_eq!((gru.cell, gru.hidden), (Recurrence::Gru, 64));
        assert_eq!(Spec::find("I1-gru-64", None).unwrap(), gru);
        for (name, variant) in [
            ("I1", None),
            ("I1", Some("rnn-8")),
            ("I1", Some("lstm-")),
            ("I1", Some("gru-0")),
            ("T10", None),
            ("", None),
        ] {
            assert!(Spec::find(name, variant).is_err(), "{name} {variant:?}");
        }
    }
}
