//! The driver: everything a recurrent layer does besides its step.

use std::sync::{Mutex, PoisonError};

use smallvec::SmallVec;
use tapeloop_autograd::{
    Element, Loop, Looped, Module, Param, Path, Shape, ShapeError, Stream, StreamBuilder, Tape, Tensor, Untraceable,
    Var,
};

use crate::layer::{Axes, Layer, Pass};
use crate::{Cell, Error, State};

/// How a recurrent layer runs over time. Keras' names and defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RnnOptions {
    /// Every step's output instead of the last one's.
    pub return_sequences: bool,
    /// The last states after the output, from [`Rnn::call`].
    pub return_state: bool,
    /// From the last step to the first; outputs are in the order of processing.
    pub go_backwards: bool,
    /// Each call starts from the states the last one ended with, as constants: gradients end at the call.
    pub stateful: bool,
    /// Records every step on the tape, operation by operation, instead of one loop: slower, with the same result.
    pub unroll: bool,
}

/// A cell repeated over time.
///
/// Input is (batch, time, features). Any length of time is accepted, 0 included; the initial states are zeros
/// unless they are given.
///
/// The cell's step is traced and run as a [`Loop`]. A step that cannot be (it reads values, say) is recorded on the
/// tape again and again, as with [`unroll`](RnnOptions::unroll); [`explain`](Self::explain) tells.
pub struct Rnn<T: Element, C> {
    cell: C,
    options: RnnOptions,
    looped: Loop<T>,
    /// Why the last call was no loop.
    unrolled: Mutex<Option<Untraceable>>,
    /// What a stateful layer carries from call to call: values, never a tape.
    carried: Mutex<Option<SmallVec<[Tensor<T>; 2]>>>,
}

/// What a recurrent layer returns.
#[derive(Clone, Debug)]
pub struct RnnOutput<'t, T: Element> {
    /// (batch, units), or (batch, time, units) with `return_sequences`.
    pub output: Var<'t, T>,
    /// The states after the last step.
    pub state: State<'t, T>,
}

impl<T: Element, C: Cell<T>> Rnn<T, C> {
    /// A layer that repeats `cell`.
    pub fn new(cell: C, options: RnnOptions) -> Self {
        Self { cell, options, looped: Loop::new(), unrolled: Mutex::new(None), carried: Mutex::new(None) }
    }

    /// The cell.
    pub fn cell(&self) -> &C {
        &self.cell
    }

    /// The cell, to change its weights.
    pub fn cell_mut(&mut self) -> &mut C {
        &mut self.cell
    }

    /// How it runs over time.
    pub fn options(&self) -> RnnOptions {
        self.options
    }

    /// Zeros for every state.
    pub fn zero_state<'t>(&self, tape: &'t Tape<T>, batch: usize) -> State<'t, T> {
        let shape = |state: &Shape| [batch].iter().chain(state.iter()).copied().collect::<Shape>();
        self.cell.state_shapes().iter().map(|state| tape.full(shape(state), 0.0)).collect()
    }

    /// Runs over `x`, (batch, time, features), from `initial` states: the given ones, else what a stateful
    /// layer carries, else zeros.
    ///
    /// # Panics
    /// If `x` is not (batch, time, features) of this cell, or a state has another shape than (batch, …).
    #[track_caller]
    pub fn run<'t>(&self, x: Var<'t, T>, initial: Option<&[Var<'t, T>]>) -> RnnOutput<'t, T> {
        let shape = x.shape();
        if let Err(error) = self.check(&shape) {
            panic!("{error}");
        }
        let state = self.start(x.tape(), shape[0], initial);
        let RnnOutput { output, state } = match self.run_loop(x, &state) {
            Ok(run) => run,
            Err(reason) => {
                *self.unrolled.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                self.run_steps(x, state)
            }
        };
        if self.options.stateful {
            let values = state.iter().map(|state| state.value()).collect();
            *self.carried.lock().unwrap_or_else(PoisonError::into_inner) = Some(values);
        }
        RnnOutput { output, state }
    }

    /// All steps as one operation.
    #[track_caller]
    fn run_loop<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> Result<RnnOutput<'t, T>, Untraceable> {
        if self.options.unroll {
            return Err(Untraceable::new("is to be unrolled"));
        }
        // The loop goes along the first axis.
        let x = if self.options.go_backwards { x.flip(&[1]) } else { x }.swap_axes(0, 1);
        if self.options.return_sequences {
            let Looped { output, state } = self.looped.run(x, state, |x, state| self.step(x, state))?;
            return Ok(RnnOutput { output: output.swap_axes(0, 1), state });
        }
        let Looped { output, state } = self.looped.last(x, state, |x, state| self.step(x, state))?;
        Ok(RnnOutput { output, state })
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> (State<'t, T>, Var<'t, T>) {
        let state = self.cell.step(x, state);
        let output = self.cell.output(x, &state);
        (state, output)
    }

    /// One step after the other on the tape.
    #[track_caller]
    fn run_steps<'t>(&self, x: Var<'t, T>, mut state: State<'t, T>) -> RnnOutput<'t, T> {
        let (batch, time) = (x.dim(0), x.dim(1));
        let mut step = |step: usize| {
            let x = x.select(1, if self.options.go_backwards { time - 1 - step } else { step });
            let output;
            (state, output) = self.step(x, &state);
            output
        };
        let output = match (self.options.return_sequences, time) {
            (true, 1..) => Var::stack((0..time).map(step), 1),
            (false, 1..) => {
                (0..time - 1).for_each(|t| {
                    step(t);
                });
                step(time - 1)
            }
            (sequences, 0) => {
                let lead: &[usize] = if sequences { &[batch, 0] } else { &[batch] };
                let own = self.cell.output_shape();
                x.tape().full(lead.iter().chain(own.iter()).copied().collect::<Shape>(), 0.0)
            }
        };
        RnnOutput { output, state }
    }

    /// How the layer runs: for every kind of call so far the loop that was made of it, in text; and why the last call
    /// that was no loop was none.
    pub fn explain(&self) -> String {
        let unrolled = self.unrolled.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = unrolled.as_ref().map(|reason| format!("unrolled, since {reason}\n")).unwrap_or_default();
        self.looped.explain() + &reason
    }

    /// The layer as a stream, from zero states: a sample's features in, the step's output out, whether or not the layer
    /// returns sequences. Its results are those of [`run`](Self::run) over the whole sequence, bit for bit.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// use tapeloop_layers::Lstm;
    /// let layer = Lstm::new(8).return_sequences(true).layer::<f32>(1, &mut Rng::new(0));
    /// let x = Tensor::normal([1, 20, 1], 0.0, 1.0, &mut Rng::new(1)); // batch, time, features
    /// let tape = Tape::inference();
    /// let all = layer.run(tape.constant(x.clone()), None).output.value().to_vec();
    /// let mut stream = layer.stream()?;
    /// for (x, y) in x.to_vec().iter().zip(all.chunks(8)) {
    ///     assert_eq!(stream.step(&[*x]), y);
    /// }
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the layer goes backwards, or its step cannot be a [`Loop`].
    pub fn stream(&self) -> Result<Stream<T>, Error> {
        let mut builder = Stream::builder(self.cell.input_size());
        Layer::stream(self, &mut builder)?;
        builder.build().map_err(unstreamed)
    }

    /// As Keras returns it: the output, then with `return_state` the last states.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn call<'t>(&self, x: Var<'t, T>, initial: Option<&[Var<'t, T>]>) -> SmallVec<[Var<'t, T>; 3]> {
        let RnnOutput { output, state } = self.run(x, initial);
        let state = if self.options.return_state { state } else { State::new() };
        std::iter::once(output).chain(state).collect()
    }

    /// Forgets what a stateful layer carries: the next call starts from zeros.
    pub fn reset_state(&self) {
        *self.carried.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What a stateful layer carries to its next call.
    pub fn carried_state(&self) -> Option<SmallVec<[Tensor<T>; 2]>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[track_caller]
    fn start<'t>(&self, tape: &'t Tape<T>, batch: usize, initial: Option<&[Var<'t, T>]>) -> State<'t, T> {
        let shapes = self.cell.state_shapes();
        let state: State<'t, T> = match initial {
            Some(initial) => initial.iter().copied().collect(),
            None => match self.carried_state().filter(|_| self.options.stateful) {
                Some(carried) => carried.into_iter().map(|value| tape.constant(value)).collect(),
                None => return self.zero_state(tape, batch),
            },
        };
        assert!(
            state.len() == shapes.len(),
            "rnn: the cell carries {} states and {} were given",
            shapes.len(),
            state.len()
        );
        for (k, (state, shape)) in state.iter().zip(&shapes).enumerate() {
            let given = state.shape();
            assert!(
                given.first() == Some(&batch) && given[1..] == **shape,
                "rnn: state {k} has shape {given}; it needs (batch {batch}, {shape})"
            );
        }
        state
    }

    /// The rule for inputs.
    fn check(&self, x: &Shape) -> Result<(), ShapeError> {
        match x.dims() {
            [_, _, features] if *features == self.cell.input_size() => Ok(()),
            _ => {
                let rule = format!("it needs (batch, time, {} features)", self.cell.input_size());
                Err(ShapeError::new("rnn", &[x], rule))
            }
        }
    }
}

impl<T: Element, C: Module<T>> Module<T> for Rnn<T, C> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        let Self { cell, options: _, looped: _, unrolled: _, carried: _ } = self;
        path.enter("cell", |path| cell.visit(path, visitor));
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        let Self { cell, options: _, looped: _, unrolled: _, carried: _ } = self;
        path.enter("cell", |path| cell.visit_mut(path, visitor));
    }
}

impl<T: Element, C: Cell<T>> Layer<T> for Rnn<T, C> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        self.run(x, None).output
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let [time, features] = input else {
            return Err(Error::config("rnn", format!("needs (time, features), got {} axes", input.len())));
        };
        if *features != Some(self.cell.input_size()) {
            return Err(Error::config("rnn", format!("needs {} features", self.cell.input_size())));
        }
        let output = self.cell.output_shape();
        let time = self.options.return_sequences.then_some(*time);
        Ok(time.into_iter().chain(output.iter().map(|&n| Some(n))).collect())
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        match self.carried_state().as_ref().and_then(|carried| carried.first()) {
            Some(carried) if self.options.stateful && carried.shape().first() != x.shape().first() => {
                let batch = carried.shape()[0];
                Err(Error::input(
                    format!("batches of {batch}, whose states a stateful layer carries (reset_state forgets them)"),
                    format!("a batch of {}", x.shape().first().copied().unwrap_or_default()),
                ))
            }
            _ => Ok(()),
        }
    }

    fn reset_state(&self) {
        Rnn::reset_state(self);
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        if self.options.go_backwards {
            return Err(Error::config(
                "rnn",
                "it cannot be streamed: it goes backwards, from the last step to the first",
            ));
        }
        stream.step(&self.cell.state_shapes(), |x, state| self.step(x, state)).map_err(unstreamed)
    }
}

fn unstreamed(reason: Untraceable) -> Error {
    Error::config("rnn", format!("it cannot be streamed: {reason}"))
}
