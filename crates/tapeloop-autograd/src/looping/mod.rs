//! Loops: a step is traced once, taken apart, and run over time at the speed of a hand-written kernel.

mod body;
mod checkpoint;
mod compile;
mod compose;
mod derive;
mod explain;
mod inside;
mod interpret;
mod lift;
mod lower;
mod plan;
mod rolled;
mod step;
mod stream;
mod trace;
mod without;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use crate::element::Element;
use crate::shape::Shape;
use crate::tape::{Tape, Var};

pub use checkpoint::Checkpoint;
pub(crate) use checkpoint::Segments;
pub(crate) use compile::{Compiled, compile};
pub(crate) use compose::Composed;
pub(crate) use plan::{Plan, Ran, Want};
pub(crate) use rolled::{Part, Several};
pub(crate) use step::{Source, Step};
pub use stream::{Stream, StreamBuilder};
use trace::Fixed;
pub(crate) use trace::untraceable;
pub use trace::{Returned, Untraceable};

/// A step that is repeated over time, as one operation on the tape.
///
/// Every call traces the step anew, on a tape that computes nothing: a few microseconds. The plan that was made of an
/// equal trace is then run, so that nothing a step depends on can go stale.
///
/// ```
/// use smallvec::smallvec;
/// use tapeloop_autograd::{Loop, Param, Tape, Tensor};
/// let recurrent = Param::new(Tensor::from([[0.5f64]]));
/// let looped = Loop::new();
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[[1.0f64]], [[2.0]], [[4.0]]])); // time, batch, features
/// let start = tape.constant(Tensor::zeros([1, 1]));
/// let ran = looped.run(x, &[start], |x, state| {
///     let h = x + state[0].matmul(&recurrent);
///     (smallvec![h], h)
/// })?;
/// assert_eq!(ran.output.value().to_vec(), [1.0, 2.5, 5.25]);
/// assert_eq!(ran.output.sum_all().backward().of(&recurrent).unwrap().item(), 1.0 + 2.5 + 0.5);
/// # Ok::<(), tapeloop_autograd::Untraceable>(())
/// ```
pub struct Loop<T: Element = f32> {
    checkpoint: Option<Checkpoint>,
    known: Mutex<Known<T>>,
}

struct Known<T: Element> {
    /// What steps are traced on.
    tape: Tape<T>,
    plans: Vec<Entry<T>>,
}

struct Entry<T: Element> {
    traced: Traced<T>,
    planned: Planned<T>,
}

#[derive(Clone)]
struct Planned<T: Element> {
    plan: Arc<Plan<T>>,
    /// The plan in segments, if the loop has checkpoints.
    segments: Option<Arc<Segments<T>>>,
}

/// What a plan was made of.
struct Traced<T: Element> {
    step: Step<T>,
    want: Want,
    reverse: bool,
}

impl<T: Element> Known<T> {
    /// Traces a step, and finds or makes its plan.
    fn plan(
        &mut self,
        (want, reverse, every): (Want, bool, bool),
        checkpoint: Option<Checkpoint>,
        sequences: &[Shape],
        states: &[Shape],
        step: impl Traceable<T>,
    ) -> Result<Found<T>, Untraceable> {
        let Self { tape, plans } = self;
        let found = trace::trace(tape, sequences, states, step).map(|mut roots| {
            if every {
                roots.outputs.extend_from_slice(&roots.next);
            }
            let same = |traced: &Traced<T>| {
                traced.want == want && traced.reverse == reverse && trace::same(tape, &roots, &traced.step)
            };
            let fixed = trace::fixed(tape, &roots);
            let planned = match plans.iter().find(|entry| same(&entry.traced)) {
                Some(entry) => entry.planned.clone(),
                None => {
                    let step = trace::read(tape, &roots);
                    let plan = T::plan(&step, want, reverse);
                    let counts = [sequences.len(), states.len(), fixed.len()];
                    let segments =
                        checkpoint.map(|checkpoint| Arc::new(Segments::new(Arc::clone(&plan), checkpoint, counts)));
                    let planned = Planned { plan, segments };
                    if step.has_custom() {
                        // No two calls make equal operations of a user's own: only the last plan is kept.
                        plans.retain(|entry| !entry.traced.step.has_custom());
                    }
                    plans.push(Entry { traced: Traced { step, want, reverse }, planned: planned.clone() });
                    planned
                }
            };
            (planned, fixed)
        });
        // The tape would share the parameters' values, which then could not be changed in place.
        tape.reset();
        found
    }
}

/// A plan, and the fixed values of this trace.
type Found<T> = (Planned<T>, SmallVec<[Fixed<T>; 16]>);

/// A step that can be called with values of any tape.
trait Traceable<T: Element>: for<'s> Fn(&[Var<'s, T>], &[Var<'s, T>]) -> Returned<'s, T> {}
impl<T: Element, F: for<'s> Fn(&[Var<'s, T>], &[Var<'s, T>]) -> Returned<'s, T>> Traceable<T> for F {}

/// Sequences that a loop goes over together: [`Loop::over`].
#[derive(Clone, Debug)]
pub struct Over<'l, 't, T: Element> {
    looped: &'l Loop<T>,
    sequences: SmallVec<[Var<'t, T>; 2]>,
    want: Want,
    reverse: bool,
    every: bool,
}

/// What a loop returns.
#[derive(Clone, Debug)]
pub struct Looped<'t, T: Element> {
    /// The outputs of all steps, (time, batch, …), or the last one, (batch, …).
    pub output: Var<'t, T>,
    /// The states after the last step.
    pub state: SmallVec<[Var<'t, T>; 4]>,
    /// The states after every step, (time, batch, …) each; none unless they are [asked for](Over::states).
    pub states: SmallVec<[Var<'t, T>; 4]>,
}

impl<T: Element> Default for Loop<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Loop<T> {
    /// A loop that knows no step yet.
    pub fn new() -> Self {
        Self { checkpoint: None, known: Mutex::new(Known { tape: Tape::tracing(), plans: Vec::new() }) }
    }

    /// Keeps states only at these steps, and computes what lies between again when walking back: less memory for more
    /// time.
    ///
    /// ```
    /// use smallvec::smallvec;
    /// use tapeloop_autograd::{Checkpoint, Loop, Tape, Tensor};
    /// let looped = Loop::new().checkpoint(Checkpoint::sqrt());
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::full([10_000, 1, 1], 0.5f64)); // time, batch, features
    /// let start = tape.constant(Tensor::zeros([1, 1]));
    /// let ran = looped.last(x, &[start], |x, state| {
    ///     let h = (x + state[0] * 0.5).tanh();
    ///     (smallvec![h], h)
    /// })?;
    /// assert_eq!(ran.output.sum_all().backward().wrt(x).unwrap().shape(), [10_000, 1, 1]);
    /// # Ok::<(), tapeloop_autograd::Untraceable>(())
    /// ```
    #[must_use]
    pub fn checkpoint(self, checkpoint: Checkpoint) -> Self {
        Self { checkpoint: Some(checkpoint), known: Mutex::new(Known { tape: Tape::tracing(), plans: Vec::new() }) }
    }

    /// Repeats `step` over `x`, (time, batch, …) of at least one step, from these states, (batch, …) each. `step` gets
    /// the present input and the states, and returns the next states and its output.
    ///
    /// # Errors
    /// If the step cannot be traced, because it or, on a tape that records, its derivative reads values.
    ///
    /// # Panics
    /// As the step itself.
    #[track_caller]
    pub fn run<'t>(
        &self,
        x: Var<'t, T>,
        state: &[Var<'t, T>],
        step: impl for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<Looped<'t, T>, Untraceable> {
        self.over(&[x]).run(state, |x, state| step(x[0], state))
    }

    /// As [`run`](Self::run), but only the last step's output is returned.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn last<'t>(
        &self,
        x: Var<'t, T>,
        state: &[Var<'t, T>],
        step: impl for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<Looped<'t, T>, Untraceable> {
        self.over(&[x]).last().run(state, |x, state| step(x[0], state))
    }

    /// Several sequences, (time, batch, …) each, of which every step gets the present elements.
    ///
    /// ```
    /// use smallvec::smallvec;
    /// use tapeloop_autograd::{Loop, Tape, Tensor};
    /// let looped = Loop::new();
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f64]], [[2.0]], [[4.0]]])); // time, batch, features
    /// let counts = tape.constant(Tensor::from([[[1.0]], [[0.0]], [[1.0]]]));
    /// let start = tape.constant(Tensor::zeros([1, 1]));
    /// let sums = looped.over(&[x, counts]).backwards().run(&[start], |x, state| {
    ///     let sum = x[1].if_else(state[0] + x[0], state[0]);
    ///     (smallvec![sum], sum)
    /// })?;
    /// assert_eq!(sums.output.value().to_vec(), [5.0, 4.0, 4.0]);
    /// # Ok::<(), tapeloop_autograd::Untraceable>(())
    /// ```
    pub fn over<'l, 't>(&'l self, sequences: &[Var<'t, T>]) -> Over<'l, 't, T> {
        Over { looped: self, sequences: SmallVec::from_slice(sequences), want: Want::All, reverse: false, every: false }
    }
}

impl<'t, T: Element> Over<'_, 't, T> {
    /// From the last step to the first. Outputs keep the places of their steps.
    pub fn backwards(self) -> Self {
        Self { reverse: true, ..self }
    }

    /// Returns only the output of the step that is made last.
    pub fn last(self) -> Self {
        Self { want: Want::Last, ..self }
    }

    /// Returns also the states after every step, at the places of their steps.
    ///
    /// ```
    /// use smallvec::smallvec;
    /// use tapeloop_autograd::{Loop, Tape, Tensor};
    /// let looped = Loop::new();
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::from([[[1.0f64]], [[2.0]], [[4.0]]])); // time, batch, features
    /// let start = tape.constant(Tensor::zeros([1, 1]));
    /// let ran = looped.over(&[x]).last().states().run(&[start], |x, state| {
    ///     let sum = state[0] + x[0];
    ///     (smallvec![sum], sum * 10.0)
    /// })?;
    /// assert_eq!(ran.output.item(), 70.0);
    /// assert_eq!(ran.states[0].value().to_vec(), [1.0, 3.0, 7.0]);
    /// # Ok::<(), tapeloop_autograd::Untraceable>(())
    /// ```
    pub fn states(self) -> Self {
        Self { every: true, ..self }
    }

    /// Repeats `step` from these states, (batch, …) each. It gets the present elements of the sequences and the states,
    /// and returns the next states and its output.
    ///
    /// # Errors
    /// As [`Loop::run`].
    ///
    /// # Panics
    /// As the step itself; if the sequences differ in time or batch.
    #[track_caller]
    pub fn run(
        self,
        state: &[Var<'t, T>],
        step: impl for<'s> Fn(&[Var<'s, T>], &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<Looped<'t, T>, Untraceable> {
        let Self { looped, sequences, want, reverse, every } = self;
        let Some(first) = sequences.first() else {
            return Err(Untraceable::new("is repeated over nothing"));
        };
        let tape = first.tape();
        let _line = tape.called();
        let shapes: SmallVec<[Shape; 2]> = sequences.iter().map(|x| x.shape()).collect();
        if tape.is_tracing() {
            return Err(Untraceable::new("holds a loop itself"));
        }
        if tape.watches_anomalies() {
            return Err(Untraceable::new("is watched, operation by operation"));
        }
        if shapes.iter().any(|shape| shape.rank() < 2 || shape.size() == 0) {
            return Err(Untraceable::new("is repeated over nothing"));
        }
        for shape in &shapes {
            let (first, own) = (&shapes[0], shape);
            assert!(own[..2] == first[..2], "loop: sequences of shapes {first} and {own} differ in time or batch");
        }
        let (time, batch) = (shapes[0][0], shapes[0][1]);
        let starts: SmallVec<[Shape; 4]> = state.iter().map(|state| state.shape()).collect();
        let checkpoint = looped.checkpoint;
        let (Planned { plan, segments }, fixed) = {
            let mut known = looped.known.lock().unwrap_or_else(PoisonError::into_inner);
            // A plan has one answer for all that goes along time.
            let planned = if every { Want::All } else { want };
            known.plan((planned, reverse, every), checkpoint, &shapes, &starts, step)?
        };
        if tape.is_recording() {
            plan.training()?;
        }
        let fixed: SmallVec<[Var<'t, T>; 16]> = fixed.into_iter().map(|fixed| fixed.on(tape)).collect();
        let segmented = segments.filter(|_| checkpoint.is_some_and(|checkpoint| checkpoint.segment(time) < time));
        let ran = match segmented {
            Some(segments) => {
                let inputs: SmallVec<[Var<'t, T>; 24]> = sequences.iter().chain(state).chain(&fixed).copied().collect();
                T::run_segments(&segments, tape, &inputs)
            }
            None => T::run(&plan, tape, (time, batch), state, &mut |source| match source {
                Source::Fixed(k) => fixed[*k],
                Source::Sequence(k) => sequences[*k],
                _ => unreachable!("a step that was traced has no other leaves"),
            }),
        };
        let mut output = ran.outputs[0];
        if every && want == Want::Last {
            output = output.select(0, if reverse { 0 } else { time - 1 });
        }
        Ok(Looped { output, state: ran.last, states: ran.outputs[1..].iter().copied().collect() })
    }
}

impl<T: Element> Loop<T> {
    /// The plans so far, in text: what is computed before the loop, its body, what is computed after it.
    pub fn explain(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for entry in &known.plans {
            let Planned { plan, segments } = &entry.planned;
            text += &T::explain(plan);
            if let Some(segments) = segments {
                text += &segments.explain();
            }
        }
        text
    }
}

impl<T: Element> fmt::Debug for Loop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Loop({} plans)", known.plans.len())
    }
}
