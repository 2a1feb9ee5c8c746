//! Sizes, weights and data, as `../peers/shared.py` has them.

/// What is repeated over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Lstm,
    Gru,
    Peephole,
    MinGru,
    /// An LSTM in both directions, with masks.
    Both,
}

impl Cell {
    pub fn gates(self) -> usize {
        match self {
            Cell::Lstm | Cell::Peephole | Cell::Both => 4,
            Cell::Gru => 3,
            Cell::MinGru => 2,
        }
    }

    pub fn directions(self) -> usize {
        if self == Cell::Both { 2 } else { 1 }
    }
}

/// The sizes of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub cell: Cell,
    pub batch: usize,
    pub time: usize,
    pub inputs: usize,
    pub hidden: usize,
    pub layers: usize,
    pub outputs: usize,
    pub vocabulary: usize,
}

pub const WIDTHS: [usize; 8] = [8, 16, 32, 64, 128, 256, 512, 1024];

impl Work {
    pub const NAMES: [&str; 11] = ["T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "I2", "I3"];

    /// The workload of a name, `I1-lstm-128` for a stream.
    pub fn find(name: &str) -> Option<Self> {
        let sizes = |cell, [batch, time, inputs, hidden, layers, outputs]: [usize; 6]| Self {
            cell,
            batch,
            time,
            inputs,
            hidden,
            layers,
            outputs,
            vocabulary: 0,
        };
        Some(match name {
            "T1" => sizes(Cell::Lstm, [32, 10, 1, 128, 1, 1]),
            "T2" => sizes(Cell::Gru, [32, 10, 1, 64, 1, 1]),
            "T3" => sizes(Cell::Lstm, [32, 64, 64, 256, 2, 10]),
            "T4" => sizes(Cell::Gru, [32, 64, 64, 256, 2, 10]),
            "T5" => sizes(Cell::Lstm, [64, 32, 1024, 1024, 1, 10]),
            "T6" => Self { vocabulary: 96, ..sizes(Cell::Lstm, [32, 100, 128, 512, 1, 96]) },
            "T7" => sizes(Cell::Peephole, [32, 64, 64, 256, 1, 10]),
            "T8" => sizes(Cell::MinGru, [8, 4096, 64, 256, 1, 10]),
            "T9" => sizes(Cell::Both, [32, 64, 64, 128, 2, 10]),
            "I2" => sizes(Cell::Lstm, [1, 100, 64, 128, 1, 0]),
            "I3" => sizes(Cell::Lstm, [32, 100, 64, 512, 1, 0]),
            _ => {
                let (cell, hidden) = name.strip_prefix("I1-")?.split_once('-')?;
                let cell = match cell {
                    "lstm" => Cell::Lstm,
                    "gru" => Cell::Gru,
                    _ => return None,
                };
                let hidden = hidden.parse().ok().filter(|hidden| WIDTHS.contains(hidden))?;
                sizes(cell, [1, 1, 1, hidden, 1, 1])
            }
        })
    }
}

/// Uniform numbers in [0, 1): SplitMix64 of (stream, place), 24 bits each.
fn draw(stream: u64, count: usize) -> impl Iterator<Item = f64> {
    (1..=count as u64).map(move |place| {
        let mut z = ((stream << 32) + place).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64
    })
}

/// Standard normal numbers by the polar form of two uniform ones. Inputs are stream 100, targets 102.
pub fn normal(stream: u64, count: usize) -> Vec<f32> {
    let pairs = draw(stream, count).zip(draw(stream + 1, count));
    pairs.map(|(r, a)| ((-2.0 * (1.0 - r).ln()).sqrt() * (2.0 * std::f64::consts::PI * a).cos()) as f32).collect()
}

/// Numbers below `all`: ids in are stream 100, classes 102.
pub fn classes(stream: u64, count: usize, all: usize) -> Vec<u32> {
    draw(stream, count).map(|u| (u * all as f64) as u32).collect()
}

/// T9: how long each sequence is, 16 to 64, the first the longest.
pub fn lengths(work: &Work) -> Vec<usize> {
    let mut lengths: Vec<usize> = draw(104, work.batch).map(|u| 16 + (u * 49.0) as usize).collect();
    lengths[0] = work.time;
    lengths
}

/// A matrix, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub rows: usize,
    pub columns: usize,
    pub data: Vec<f32>,
}

impl Array {
    pub fn new(rows: usize, columns: usize, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { rows, columns, data }
    }

    pub fn transposed(&self) -> Self {
        let at = |row: usize, column: usize| self.data[column * self.columns + row];
        let data = (0..self.columns).flat_map(|row| (0..self.rows).map(move |column| at(row, column))).collect();
        Self::new(self.columns, self.rows, data)
    }

    /// A gate's columns of `gates` side by side.
    pub fn gate(&self, gate: usize, gates: usize) -> Self {
        let width = self.columns / gates;
        let rows = self.data.chunks(self.columns).flat_map(|row| &row[gate * width..(gate + 1) * width]);
        Self::new(self.rows, width, rows.copied().collect())
    }
}

/// All weights in order: the embedding; for each layer and direction kernel (inputs, gates · hidden), recurrent (hidden,
/// gates · hidden), of the peephole cell peepholes (3, hidden), scales and shifts (5, hidden), else the bias (1, gates ·
/// hidden), of a GRU (2, gates · hidden); kernel and bias of the Dense. Gates in Keras' order.
pub fn weights(work: &Work) -> Vec<Array> {
    let mut stream = 0;
    let mut within = |inputs: usize, rows: usize, columns: usize| {
        stream += 1;
        let root = (inputs as f64).sqrt();
        Array::new(rows, columns, draw(stream, rows * columns).map(|u| ((2.0 * u - 1.0) / root) as f32).collect())
    };
    let zeros = |rows: usize, columns: usize| Array::new(rows, columns, vec![0.0; rows * columns]);
    let (hidden, columns) = (work.hidden, work.cell.gates() * work.hidden);
    let mut all = Vec::new();
    if work.vocabulary > 0 {
        all.push(within(1, work.vocabulary, work.inputs));
    }
    let mut width = work.inputs;
    for _ in 0..work.layers {
        for _ in 0..work.cell.directions() {
            all.push(within(width, width, columns));
            if work.cell != Cell::MinGru {
                all.push(within(hidden, hidden, columns));
            }
            match work.cell {
                Cell::Peephole => {
                    all.push(within(hidden, 3, hidden));
                    all.push(Array::new(5, hidden, vec![1.0; 5 * hidden]));
                    let mut shifts = zeros(5, hidden);
                    shifts.data[hidden..2 * hidden].fill(1.0);
                    all.push(shifts);
                }
                Cell::Gru => all.push(zeros(2, columns)),
                Cell::MinGru => all.push(zeros(1, columns)),
                Cell::Lstm | Cell::Both => {
                    let mut bias = zeros(1, columns);
                    bias.data[hidden..2 * hidden].fill(1.0);
                    all.push(bias);
                }
            }
        }
        width = hidden * work.cell.directions();
    }
    if work.outputs > 0 {
        all.push(within(width, width, work.outputs));
        all.push(zeros(1, work.outputs));
    }
    all
}
