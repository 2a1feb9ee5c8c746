//! Cells one above the other within a step.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape, Tape, Var, module};

use crate::cell::{Noises, step_with};
use crate::{BuildCell, Cell, CellConfig, Error, Noise, Rules, State, StateShapes};

/// The configuration of [`StackedCells`]: Keras' `StackedRNNCells(cells)`.
///
/// ```
/// use tapeloop_layers::{Gru, Lstm, Recurrent, Sequential, Stacked};
/// let cells = Stacked::new([Lstm::new(8).into(), Gru::new(4).into()]);
/// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(cells)).build::<f32>(0)?;
/// assert_eq!(model.output_shape(), [Some(4)]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stacked {
    /// The cells, the lowest first.
    pub cells: Vec<CellConfig>,
}

impl Stacked {
    /// These cells, the lowest first.
    pub fn new(cells: impl Into<Vec<CellConfig>>) -> Self {
        Self { cells: cells.into() }
    }
}

impl BuildCell for Stacked {
    type Built<T: Element> = StackedCells<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<StackedCells<T>, Error> {
        if self.cells.is_empty() {
            return Err(Error::config("stacked", "there must be at least one cell"));
        }
        let mut input = input.clone();
        let mut cells = Vec::with_capacity(self.cells.len());
        for config in &self.cells {
            let cell = config.boxed::<T>(&input, rng)?;
            input = cell.output_shape();
            cells.push(cell);
        }
        Ok(StackedCells { cells })
    }

    fn rules(&self) -> Rules {
        let mut all = Rules::new();
        for (place, cell) in self.cells.iter().enumerate() {
            all = all.and(cell.rules().within(&format!("cells.{place}")));
        }
        all
    }
}

/// Cells of which each takes the output of the one below, within one step: Keras' `StackedRNNCells`. Its output is that of
/// the last one, its states are theirs, one cell's after the other's.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{Gru, Lstm, Rnn, RnnOptions, StackedCells};
/// let mut rng = Rng::new(0);
/// let cells = StackedCells::new(vec![Box::new(Lstm::new(4).cell(3, &mut rng)), Box::new(Gru::new(2).cell(4, &mut rng))]);
/// let rnn = Rnn::<f32, _>::new(cells, RnnOptions { return_state: true, ..RnnOptions::default() });
/// let tape = Tape::new();
/// let returned = rnn.call(tape.constant(Tensor::zeros([5, 10, 3])), None);
/// // The output; h and c of the first cell; h of the second.
/// for (x, width) in returned.iter().zip([2, 4, 4, 2]) {
///     assert_eq!(x.shape(), [5, width]);
/// }
/// ```
pub struct StackedCells<T: Element = f32> {
    cells: Vec<Box<dyn Cell<T>>>,
}
module!(StackedCells<T> { cells });

impl<T: Element> StackedCells<T> {
    /// These cells, the first one lowest.
    ///
    /// # Panics
    /// If there are none, or one cannot take the output of the one below.
    #[track_caller]
    pub fn new(cells: Vec<Box<dyn Cell<T>>>) -> Self {
        assert!(!cells.is_empty(), "stacked: there must be at least one cell");
        for (place, pair) in cells.windows(2).enumerate() {
            let (below, needed) = (pair[0].output_shape(), pair[1].input_shape());
            assert!(below == needed, "stacked: cell {place} puts out {below}, and the one above it needs {needed}");
        }
        Self { cells }
    }

    /// The cells, the lowest first.
    pub fn cells(&self) -> &[Box<dyn Cell<T>>] {
        &self.cells
    }
}

impl<T: Element> Cell<T> for StackedCells<T> {
    fn input_shape(&self) -> Shape {
        self.cells[0].input_shape()
    }

    fn state_shapes(&self) -> StateShapes {
        self.cells.iter().flat_map(|cell| cell.state_shapes()).collect()
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noises(&self) -> [usize; 2] {
        self.cells.iter().fold([0, 0], |sum, cell| [0, 1].map(|kind| sum[kind] + cell.noises()[kind]))
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let mut all = Noise::none();
        for cell in &self.cells {
            let Noise { held, each } = cell.draw(tape, batch, time, rng);
            // Another number would give the cells above the wrong ones.
            assert!(
                cell.noises() == [held.len(), each.len()],
                "stacked: a cell draws {} noises that are held and {} for each step, and says it draws {:?}",
                held.len(),
                each.len(),
                cell.noises()
            );
            all.held.extend(held);
            all.each.extend(each);
        }
        all
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (mut held, mut each) = noise.split_at(self.noises()[0].min(noise.len()));
        let (mut x, mut state) = (x, state);
        let mut all = State::new();
        for cell in &self.cells {
            let mut own_noise = Noises::new();
            for (rest, count) in [&mut held, &mut each].into_iter().zip(cell.noises()) {
                let (own, others) = rest.split_at(count.min(rest.len()));
                own_noise.extend_from_slice(own);
                *rest = others;
            }
            let (own, others) = state.split_at(cell.state_shapes().len());
            state = others;
            let next = step_with(cell, x, own, &own_noise);
            x = cell.output(x, &next);
            all.extend(next);
        }
        all
    }

    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        // An output that is made of the input needs that of every cell.
        let (mut x, mut state) = (x, state);
        for cell in &self.cells {
            let (own, rest) = state.split_at(cell.state_shapes().len());
            x = cell.output(x, own);
            state = rest;
        }
        x
    }

    fn output_shape(&self) -> Shape {
        self.cells[self.cells.len() - 1].output_shape()
    }
}
