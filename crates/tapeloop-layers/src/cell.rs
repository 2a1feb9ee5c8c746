//! A recurrent cell is one step. It knows no time, no masks, no direction.

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Module, Param, Rng, Shape, Tape, Tensor, Var};

/// What a cell carries from step to step, in the order its documentation states.
pub type State<'t, T> = SmallVec<[Var<'t, T>; 2]>;

/// The shapes of what a cell carries, without the batch axis.
pub type StateShapes = SmallVec<[Shape; 2]>;

/// What is drawn at random for one pass over a sequence, in the cell's own order: values, which have no gradient.
#[derive(Clone, Debug)]
pub struct Noise<T: Element = f32> {
    /// What is the same at every step, (batch, …) or of one row for all.
    pub held: SmallVec<[Tensor<T>; 2]>,
    /// What every step has its own of, (batch, time, …).
    pub each: SmallVec<[Tensor<T>; 2]>,
}

impl<T: Element> Noise<T> {
    /// No noise.
    pub fn none() -> Self {
        Self { held: SmallVec::new(), each: SmallVec::new() }
    }
}

/// One step of a recurrent network.
///
/// A cell of one's own needs the shapes of what it carries and a `step` in primitive operations; everything
/// else (time, direction, sequences, carried states) comes from [`Rnn`](crate::Rnn).
///
/// ```
/// use tapeloop_autograd::{Param, Rng, Shape, Tape, Tensor, Var, module};
/// use smallvec::smallvec;
/// use tapeloop_layers::{Cell, Rnn, RnnOptions, State, StateShapes};
///
/// /// h′ = tanh(x W + h ∘ u)
/// struct Independent {
///     kernel: Param,
///     recurrent: Param,
/// }
/// module!(Independent { kernel, recurrent });
///
/// impl Cell<f32> for Independent {
///     fn input_shape(&self) -> Shape {
///         [self.kernel.value().shape()[0]].into()
///     }
///     fn state_shapes(&self) -> StateShapes {
///         smallvec![self.recurrent.value().shape().clone()]
///     }
///     fn step<'t>(&self, x: Var<'t, f32>, state: &[Var<'t, f32>]) -> State<'t, f32> {
///         let h = state[0];
///         smallvec![(x.matmul(&self.kernel) + h * &self.recurrent).tanh()]
///     }
/// }
///
/// let mut rng = Rng::new(0);
/// let cell = Independent {
///     kernel: Param::new(Tensor::normal([3, 4], 0.0, 0.5, &mut rng)),
///     recurrent: Param::new(Tensor::uniform([4], -1.0, 1.0, &mut rng)),
/// };
/// let rnn = Rnn::new(cell, RnnOptions::default());
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::normal([2, 5, 3], 0.0, 1.0, &mut rng)); // batch, time, features
/// assert_eq!(rnn.run(x, None).output.shape(), [2, 4]);
/// ```
pub trait Cell<T: Element>: Module<T> + Send {
    /// The shape of a step's input, without the batch axis: most often the number of features.
    fn input_shape(&self) -> Shape;

    /// The shapes of what is carried, without the batch axis.
    fn state_shapes(&self) -> StateShapes;

    /// One step: `x` is (batch, …), each state (batch, …) in the order of
    /// [`state_shapes`](Self::state_shapes). Returns the next states in the same order.
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T>;

    /// How many noises [`draw`](Self::draw) gives: that are held, and that every step has its own of.
    fn noises(&self) -> [usize; 2] {
        [0, 0]
    }

    /// What one training pass over `time` steps of `batch` rows draws: dropout masks and the like. Nothing, unless the
    /// cell says otherwise.
    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        let _ = (tape, batch, time, rng);
        Noise::none()
    }

    /// One step of a training pass, with what [`draw`](Self::draw) gave for it: what is held, then this step's own,
    /// (batch, …). Without noise it is [`step`](Self::step).
    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let _ = noise;
        self.step(x, state)
    }

    /// The step's output, from its input and the next states: the first of them, unless the cell says
    /// otherwise.
    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        let _ = x;
        state[0]
    }

    /// The shape of the output, without the batch axis.
    fn output_shape(&self) -> Shape {
        self.state_shapes().swap_remove(0)
    }
}

/// A bias as the step adds it: one row, or the sum of two, as PyTorch has them.
#[track_caller]
pub(crate) fn one_row<'t, T: Element>(tape: &'t Tape<T>, bias: &Param<T>) -> Var<'t, T> {
    let bias = tape.param(bias);
    // One operation, so that a loop adds what it has made before: two rows would be two terms of the step's sum.
    if bias.rank() == 1 { bias } else { bias.sum(&[0], false) }
}

/// A step with what was drawn for it, if anything was.
#[track_caller]
pub(crate) fn step_with<'t, T: Element>(
    cell: &(impl Cell<T> + ?Sized),
    x: Var<'t, T>,
    state: &[Var<'t, T>],
    noise: &[Var<'t, T>],
) -> State<'t, T> {
    match noise {
        [] => cell.step(x, state),
        noise => cell.noisy_step(x, state, noise),
    }
}

/// The noise of a cell around another one, which has its own first: of what is held, and of what every step has its own of.
pub(crate) struct Split<'t, T: Element> {
    /// The outer cell's own.
    pub(crate) own: Noises<'t, T>,
    /// The inner cell's.
    pub(crate) inner: Noises<'t, T>,
}

/// What was drawn for a step.
pub(crate) type Noises<'t, T> = SmallVec<[Var<'t, T>; 8]>;

impl<'t, T: Element> Split<'t, T> {
    /// `noise`, of which so many are each cell's: held, and for every step.
    pub(crate) fn of(noise: &[Var<'t, T>], own: [usize; 2], inner: [usize; 2]) -> Self {
        let mut split = Self { own: Noises::new(), inner: Noises::new() };
        let mut rest = noise;
        for kind in [0, 1] {
            for (part, count) in [(&mut split.own, own[kind]), (&mut split.inner, inner[kind])] {
                let (these, others) = rest.split_at(count.min(rest.len()));
                part.extend_from_slice(these);
                rest = others;
            }
        }
        split
    }
}

impl<T: Element> Noise<T> {
    /// This, the outer cell's own, and then that of the cell within.
    pub(crate) fn and(mut self, inner: Self) -> Self {
        self.held.extend(inner.held);
        self.each.extend(inner.each);
        self
    }
}

impl<T: Element, C: Cell<T> + ?Sized> Cell<T> for Box<C> {
    fn input_shape(&self) -> Shape {
        (**self).input_shape()
    }
    fn state_shapes(&self) -> StateShapes {
        (**self).state_shapes()
    }
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        (**self).step(x, state)
    }
    fn noises(&self) -> [usize; 2] {
        (**self).noises()
    }
    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        (**self).draw(tape, batch, time, rng)
    }
    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        (**self).noisy_step(x, state, noise)
    }
    fn output<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        (**self).output(x, state)
    }
    fn output_shape(&self) -> Shape {
        (**self).output_shape()
    }
}
