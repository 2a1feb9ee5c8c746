//! Streams: steps one after the other, a sample at a time.

use std::fmt;

use smallvec::SmallVec;

use super::compile::Compiled;
use super::compose::Composed;
use super::plan::Want;
use super::trace::{self, Returned, Untraceable};
use crate::element::Element;
use crate::kernels::stream::{Area, Machine};
use crate::shape::{Shape, ShapeError};
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;

/// A network that takes one sample after the other: features in, features out, states kept in between.
///
/// Everything is settled when it is built: weights are copied and packed, every address is known. A step then allocates
/// nothing, locks nothing, makes no system call, and takes the same time every time: it can run where sound is made. The
/// results are those of the loops over the whole sequence, bit for bit.
///
/// ```
/// use smallvec::smallvec;
/// use tapeloop_autograd::{Param, Stream, Tensor};
/// let recurrent = Param::new(Tensor::from([[0.5f64]]));
/// let mut builder = Stream::builder(1);
/// builder.step(&[[1].into()], |x, state| {
///     let h = x + state[0].matmul(&recurrent);
///     (smallvec![h], h)
/// })?;
/// let mut stream = builder.build()?;
/// assert_eq!(stream.step(&[1.0]), [1.0]);
/// assert_eq!(stream.step(&[2.0]), [2.5]);
/// stream.reset();
/// assert_eq!(stream.step(&[2.0]), [2.0]);
/// # Ok::<(), tapeloop_autograd::Untraceable>(())
/// ```
pub struct Stream<T: Element = f32> {
    machine: Machine<T>,
    input: Area,
    output: Area,
    states: Vec<Area>,
}

impl<T: Element> Stream<T> {
    /// Starts with a stream of `input` features that returns its samples as they are.
    pub fn builder(input: usize) -> StreamBuilder<T> {
        StreamBuilder { composed: Composed::new(input), tape: Tape::tracing(), threads: 1 }
    }

    /// Features of a sample.
    pub fn input_width(&self) -> usize {
        self.machine.before(self.input).len()
    }

    /// Numbers of a result.
    pub fn output_width(&self) -> usize {
        self.machine.after(self.output).len()
    }

    /// How many threads work on a step.
    pub fn threads(&self) -> usize {
        self.machine.threads()
    }

    /// The result for the next sample. It stays until the next step.
    ///
    /// # Panics
    /// If the sample has another number of features.
    #[track_caller]
    #[inline]
    pub fn step(&mut self, x: &[T]) -> &[T] {
        let input = self.machine.before_mut(self.input);
        assert!(x.len() == input.len(), "stream: the sample has {} features; it needs {}", x.len(), input.len());
        input.copy_from_slice(x);
        self.machine.step();
        self.machine.after(self.output)
    }

    /// Forgets all samples so far: every state is zero again.
    pub fn reset(&mut self) {
        for &state in &self.states {
            self.machine.before_mut(state).fill(T::ZERO);
        }
    }

    /// The states after the last step, in the order of the steps they belong to.
    pub fn state(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.states.iter().map(|&state| self.machine.before(state))
    }

    /// Goes on from these states, in the order of [`state`](Self::state).
    ///
    /// # Errors
    /// If there are more or fewer, or one has another length; then nothing has changed.
    pub fn set_state<S: AsRef<[T]>>(&mut self, state: &[S]) -> Result<(), ShapeError> {
        let shapes = |lengths: &mut dyn Iterator<Item = usize>| lengths.map(|n| Shape::from([n])).collect::<Vec<_>>();
        let given = shapes(&mut state.iter().map(|state| state.as_ref().len()));
        let wanted = shapes(&mut self.state().map(<[T]>::len));
        if given != wanted {
            let wanted: Vec<String> = wanted.iter().map(Shape::to_string).collect();
            let rule = format!("the stream has states of the shapes {}", wanted.join(", "));
            return Err(ShapeError::new("stream", &given.iter().collect::<Vec<_>>(), rule));
        }
        for (&area, state) in self.states.iter().zip(state) {
            self.machine.before_mut(area).copy_from_slice(state.as_ref());
        }
        Ok(())
    }
}

impl<T: Element> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} -> {}, {} states)", self.input_width(), self.output_width(), self.states.len())
    }
}

/// Collects what a [`Stream`] does to a sample.
pub struct StreamBuilder<T: Element = f32> {
    composed: Composed<T>,
    tape: Tape<T>,
    threads: usize,
}

impl<T: Element> StreamBuilder<T> {
    /// The features so far.
    pub fn width(&self) -> usize {
        self.composed.width()
    }

    /// Appends a step with states of these shapes, without the batch axis. It is called once, with a batch of one, to be
    /// traced: it gets what the stream has made of the sample so far, (1, features), and the states, (1, …), and returns
    /// the next states and its output, (1, features).
    ///
    /// # Errors
    /// If the step cannot be traced, because it reads values; or its output is no row of features. The stream is as it was.
    ///
    /// # Panics
    /// As the step itself.
    #[track_caller]
    pub fn step(
        &mut self,
        states: &[Shape],
        step: impl for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<(), Untraceable> {
        self.append(true, states, step)
    }

    /// `looped`: whether its sequence form is a loop; else it is operation after operation.
    #[track_caller]
    fn append(
        &mut self,
        looped: bool,
        states: &[Shape],
        step: impl for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<(), Untraceable> {
        let x = Shape::from([1, 1, self.width()]);
        let states: SmallVec<[Shape; 2]> =
            states.iter().map(|state| std::iter::once(1).chain(state.iter().copied()).collect()).collect();
        let traced = trace::trace(&mut self.tape, &[x], &states, |x, states| step(x[0], states)).map(|roots| {
            let fixed: Vec<Tensor<T>> =
                trace::fixed(&self.tape, &roots).into_iter().map(|fixed| fixed.value()).collect();
            (trace::read(&self.tape, &roots), fixed)
        });
        self.tape.reset();
        let (step, fixed) = traced?;
        let output = &step.nodes[step.outputs[0]].shape;
        if !matches!(output.dims(), [1, _]) {
            return Err(Untraceable::new(format!("returns {output}, where a stream needs a row of features")));
        }
        T::compose(&mut self.composed, &T::plan(&step, Want::All, false), looped, &fixed);
        Ok(())
    }

    /// Appends a function without states: as [`step`](Self::step).
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// # Panics
    /// As the function itself.
    #[track_caller]
    pub fn map(&mut self, f: impl for<'s> Fn(Var<'s, T>) -> Var<'s, T>) -> Result<(), Untraceable> {
        self.append(false, &[], |x, _| (SmallVec::new(), f(x)))
    }

    /// Shares every step with other threads, this one included; so many at most, and only where rows are wide enough to
    /// be shared. It is worth it where weights are larger than a core's caches, from some 200 units on, and costs the
    /// promise of the default, one thread: the others wait for the next step in a loop, and sleep when it takes long to
    /// come; then the system is asked to wake them. The results are the same bits.
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// The stream, its states zero.
    ///
    /// # Errors
    /// If a step has an operation that streams do not know, or the system gives it no thread.
    pub fn build(self) -> Result<Stream<T>, Untraceable> {
        let Compiled { machine, input, output, states } = T::compile(self.composed, self.threads)?;
        Ok(Stream { machine, input, output, states })
    }
}

impl<T: Element> fmt::Debug for StreamBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamBuilder(… -> {})", self.width())
    }
}
