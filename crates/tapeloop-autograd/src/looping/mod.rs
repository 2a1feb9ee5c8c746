//! Loops: a step is traced once, taken apart, and run over time at the speed of a hand-written kernel.

mod compile;
mod compose;
mod derive;
mod explain;
mod lift;
mod lower;
mod plan;
mod splice;
mod step;
mod stream;
mod trace;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use crate::element::Element;
use crate::shape::Shape;
use crate::tape::{Tape, Var};

pub(crate) use compile::{Compiled, compile};
pub(crate) use compose::Composed;
pub(crate) use plan::{Plan, Ran, Want};
pub(crate) use splice::{Part, Splice};
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
    known: Mutex<Known<T>>,
}

struct Known<T: Element> {
    /// What steps are traced on.
    tape: Tape<T>,
    plans: Vec<(Traced<T>, Planned<T>)>,
}

type Planned<T> = Result<Arc<Plan<T>>, Untraceable>;

/// What a plan was made of.
struct Traced<T: Element> {
    step: Step<T>,
    want: Want,
}

impl<T: Element> Known<T> {
    /// Traces a step, and finds or makes its plan.
    fn plan(
        &mut self,
        want: Want,
        x: &Shape,
        states: &[Shape],
        step: impl Traceable<T>,
    ) -> Result<Found<T>, Untraceable> {
        let Self { tape, plans } = self;
        let count = states.len();
        let found = trace::trace(tape, &x[1..].into(), states, step).and_then(|roots| {
            let same = |traced: &Traced<T>| traced.want == want && trace::same(tape, count, &roots, &traced.step);
            let plan = match plans.iter().find(|(traced, _)| same(traced)) {
                Some((_, plan)) => plan.clone()?,
                None => {
                    let step = trace::read(tape, count, &roots);
                    let plan = T::plan(&step, want);
                    plans.push((Traced { step, want }, plan.clone()));
                    plan?
                }
            };
            Ok((plan, trace::fixed(tape, count)))
        });
        // The tape would share the parameters' values, which then could not be changed in place.
        tape.reset();
        found
    }
}

/// A plan, and the fixed values of this trace.
type Found<T> = (Arc<Plan<T>>, SmallVec<[Fixed<T>; 16]>);

/// A step that can be called with values of any tape.
trait Traceable<T: Element>: for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T> {}
impl<T: Element, F: for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>> Traceable<T> for F {}

/// What a loop returns.
#[derive(Clone, Debug)]
pub struct Looped<'t, T: Element> {
    /// The outputs of all steps, (time, batch, …), or the last one, (batch, …).
    pub output: Var<'t, T>,
    /// The states after the last step.
    pub state: SmallVec<[Var<'t, T>; 2]>,
}

impl<T: Element> Default for Loop<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Loop<T> {
    /// A loop that knows no step yet.
    pub fn new() -> Self {
        Self { known: Mutex::new(Known { tape: Tape::tracing(), plans: Vec::new() }) }
    }

    /// Repeats `step` over `x`, (time, batch, …) of at least one step, from these states, (batch, …) each. `step` gets
    /// the present input and the states, and returns the next states and its output.
    ///
    /// # Errors
    /// If the step cannot be traced, because it reads values, or has operations that loops do not know.
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
        self.run_for(Want::All, x, state, step)
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
        self.run_for(Want::Last, x, state, step)
    }

    #[track_caller]
    fn run_for<'t>(
        &self,
        want: Want,
        x: Var<'t, T>,
        state: &[Var<'t, T>],
        step: impl for<'s> Fn(Var<'s, T>, &[Var<'s, T>]) -> Returned<'s, T>,
    ) -> Result<Looped<'t, T>, Untraceable> {
        let _line = x.tape().called();
        let shape = x.shape();
        if x.tape().is_tracing() {
            return Err(Untraceable::new("holds a loop itself"));
        }
        if x.tape().watches_anomalies() {
            return Err(Untraceable::new("is watched, operation by operation"));
        }
        if shape.rank() < 2 || shape.size() == 0 {
            return Err(Untraceable::new("is repeated over nothing"));
        }
        let (time, batch) = (shape[0], shape[1]);
        let shapes: SmallVec<[Shape; 2]> = state.iter().map(|state| state.shape()).collect();
        let (plan, fixed) =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).plan(want, &shape, &shapes, step)?;
        let tape = x.tape();
        let fixed: SmallVec<[Var<'t, T>; 16]> = fixed
            .into_iter()
            .map(|fixed| match fixed.param {
                Some((id, trainable)) => tape.param_leaf(id, &fixed.value, trainable),
                None => tape.constant(fixed.value),
            })
            .collect();
        let ran = T::run(&plan, tape, (time, batch), state, &mut |source| match source {
            Source::Fixed(k) => fixed[*k],
            _ => x,
        });
        Ok(Looped { output: ran.outputs[0], state: ran.last })
    }
}

impl<T: Element> Loop<T> {
    /// The plans so far, in text: what is computed before the loop, its body, what is computed after it.
    pub fn explain(&self) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (_, plan) in &known.plans {
            match plan {
                Ok(plan) => text += &T::explain(plan),
                Err(error) => text += &format!("no loop, since {error}\n"),
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
