//! What a loop does step by step: a program, or operation by operation where one of them fits into no program.

use smallvec::SmallVec;

use super::body::{self, Body, Span};
use super::interpret::{self, Interpreted};
use super::step::Step;
use crate::element::Element;
use crate::kernels::threads::Threads;
use crate::tape::pool::Pool;
use crate::tensor::Tensor;

/// A loop's body, which is fed with sequences, initial states and fixed values.
pub(crate) enum Inside<T: Element> {
    Compiled(Body<T>),
    Interpreted(Interpreted<T>),
}

/// What a run works in.
#[allow(clippy::large_enum_variant, reason = "a box would be an allocation in every run")]
pub(crate) enum Memory<T: Element> {
    Compiled(body::Memory<T>),
    Interpreted(interpret::Memory<T>),
}

/// Calls the same function of whichever it is.
macro_rules! either {
    ($self:expr, $memory:expr, |$body:ident, $inner:ident| $call:expr) => {
        match ($self, $memory) {
            (Inside::Compiled($body), Memory::Compiled($inner)) => $call,
            (Inside::Interpreted($body), Memory::Interpreted($inner)) => $call,
            _ => unreachable!("a body runs in its own memory"),
        }
    };
}

impl<T: Element> Inside<T> {
    pub(crate) fn new(step: &Step<T>, states: usize, reverse: bool) -> Self {
        match Body::new(step, states, reverse) {
            Ok(body) => Self::Compiled(body),
            Err(why) => Self::Interpreted(Interpreted::new(step, states, reverse, why)),
        }
    }

    /// Memory for `time` steps of `batch` rows, at most `chunk` at a time. The outputs that are `whole` are kept for all
    /// of time.
    pub(crate) fn prepare(
        &self,
        (time, batch, chunk): (usize, usize, usize),
        initial: &[Tensor<T>],
        fixed: &[Tensor<T>],
        whole: &[bool],
        pool: &mut Pool<T>,
        threads: &Threads,
    ) -> Memory<T> {
        match self {
            Self::Compiled(body) => {
                Memory::Compiled(body.prepare((time, batch, chunk), initial, fixed, whole, pool, threads))
            }
            Self::Interpreted(body) => {
                Memory::Interpreted(body.prepare((time, chunk), initial, fixed, whole, pool, threads))
            }
        }
    }

    /// Runs some steps. `sequences` hold these alone.
    pub(crate) fn run(
        &self,
        memory: &mut Memory<T>,
        sequences: &[Tensor<T>],
        span: Span,
        pool: &mut Pool<T>,
        threads: &Threads,
    ) {
        either!(self, memory, |body, memory| body.run(memory, sequences, span, pool, threads));
    }

    /// The states after the last step.
    pub(crate) fn last(&self, memory: &Memory<T>) -> SmallVec<[Tensor<T>; 4]> {
        either!(self, memory, |body, memory| body.last(memory))
    }

    /// The k-th output over all of time, if that was kept.
    pub(crate) fn whole(&self, memory: &Memory<T>, k: usize) -> Tensor<T> {
        either!(self, memory, |body, memory| body.whole(memory, k))
    }

    /// The k-th output of the steps that were run last.
    pub(crate) fn part(&self, memory: &Memory<T>, k: usize, span: Span) -> Tensor<T> {
        either!(self, memory, |body, memory| body.part(memory, k, span))
    }

    /// The k-th sum over all rows of all steps.
    pub(crate) fn total(&self, memory: &Memory<T>, k: usize, pool: &mut Pool<T>) -> Tensor<T> {
        either!(self, memory, |body, memory| body.total(memory, k, pool))
    }

    /// Gives back what no result holds.
    pub(crate) fn release(&self, memory: Memory<T>, pool: &mut Pool<T>) {
        either!(self, memory, |body, memory| body.release(memory, pool));
    }
}
