//! A tape records operations in order and walks back over them.

mod anomaly;
mod backward;
mod gradients;
mod graph;
mod operand;
mod param;
pub(crate) mod pool;
mod var;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::element::Element;
use crate::kernels::threads::Threads;
use crate::looping::{Part, untraceable};
use crate::ops::{AnyOp, Run};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::tensor::buffer::Buffer;

pub use anomaly::{Anomaly, Phase};
pub use backward::Backward;
pub use gradients::Gradients;
pub use graph::{Graph, GraphNode};
pub use operand::{Mask, Operand};
pub use param::{Param, ParamId};
pub use var::Var;

use pool::Pool;

/// A recording of operations on tensors.
///
/// Using a [`Var`] appends a node; nodes lie in the order of their recording, which is topological,
/// so gradients need one loop over a vector: no recursion, no reference counts.
///
/// [`reset`](Self::reset) keeps all memory for the next step. A handle cannot outlive it:
///
/// ```compile_fail,E0502
/// use tapeloop_autograd::{Tape, Tensor};
/// let mut tape = Tape::new();
/// let x = tape.leaf(Tensor::scalar(1.0f32));
/// tape.reset();
/// x.exp(); // `x` still borrows the tape: this does not compile
/// ```
///
/// nor leave the tape it belongs to:
///
/// ```compile_fail,E0597
/// use tapeloop_autograd::{Tape, Tensor};
/// let escaped = {
///     let tape = Tape::new();
///     tape.leaf(Tensor::scalar(1.0f32))
/// };
/// escaped.exp(); // the tape is gone: this does not compile
/// ```
pub struct Tape<T: Element = f32> {
    state: RefCell<State<T>>,
    threads: Threads,
}

struct State<T: Element> {
    nodes: Vec<Node<T>>,
    params: HashMap<ParamId, u32>,
    pool: Pool<T>,
    recording: bool,
    /// Set while walking back: what is recorded then belongs to the forward operation's line.
    site: Option<Site>,
    /// The line to record at, while a function made of operations runs.
    called: Option<&'static Location<'static>>,
    watching: bool,
    anomaly: Option<Anomaly>,
    /// The scratch of a backward pass, kept for its capacity.
    cotangents: Vec<Option<Tensor<T>>>,
    home: gradients::Home<T>,
    /// How often the tape was reset.
    recordings: u64,
    /// Lists of inputs that were too long to lie in their node, kept for their memory.
    long_lists: Vec<SmallVec<[u32; 4]>>,
    /// Set on a tape that follows shapes only: the storage of every value that nobody computes.
    hollow: Option<Arc<Buffer<T>>>,
}

impl<T: Element> State<T> {
    /// The places of a node's inputs, in the memory of an earlier list if they are many.
    fn list(&mut self, inputs: &[Var<'_, T>]) -> SmallVec<[u32; 4]> {
        let mut list = SmallVec::new();
        if inputs.len() > list.inline_size() {
            // The shortest that is long enough: a longer one will be asked for, too.
            let lists = self.long_lists.iter().enumerate();
            let fitting = lists.filter(|(_, list)| list.capacity() >= inputs.len());
            list = match fitting.min_by_key(|(_, list)| list.capacity()).map(|(place, _)| place) {
                Some(place) => self.long_lists.swap_remove(place),
                None => SmallVec::with_capacity(inputs.len()),
            };
        }
        list.extend(inputs.iter().map(|x| x.index));
        list
    }
}

#[derive(Clone, Copy)]
struct Site {
    op: &'static str,
    at: &'static Location<'static>,
}

/// One recorded value. Constants and leaves have no operation.
struct Node<T: Element> {
    op: Option<AnyOp<T>>,
    inputs: SmallVec<[u32; 4]>,
    value: Tensor<T>,
    needs_grad: bool,
    at: &'static Location<'static>,
}

impl<T: Element> Default for Tape<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Element> Tape<T> {
    /// An empty tape that uses every core.
    pub fn new() -> Self {
        Self::with_threads(Threads::shared())
    }

    /// An empty tape that works on `threads`. Results have the same bits for any number of them.
    pub fn with_threads(threads: Threads) -> Self {
        Self {
            state: RefCell::new(State {
                nodes: Vec::new(),
                params: HashMap::new(),
                pool: Pool::default(),
                recording: true,
                site: None,
                called: None,
                watching: false,
                anomaly: None,
                cotangents: Vec::new(),
                home: gradients::Home::default(),
                recordings: 0,
                long_lists: Vec::new(),
                hollow: None,
            }),
            threads,
        }
    }

    /// A tape that keeps values only: for inference, nothing is remembered for a backward pass.
    pub fn inference() -> Self {
        Self::inference_with_threads(Threads::shared())
    }

    /// As [`inference`](Self::inference), on `threads`.
    pub fn inference_with_threads(threads: Threads) -> Self {
        let mut tape = Self::with_threads(threads);
        tape.state.get_mut().recording = false;
        tape
    }

    /// A tape that follows shapes and computes nothing: what is recorded on it is a program.
    pub(crate) fn tracing() -> Self {
        let tape = Self::with_threads(Threads::alone());
        tape.state.borrow_mut().hollow = Some(Arc::new(Buffer::from_vec(Vec::new())));
        tape
    }

    /// A leaf of which only the shape is known.
    pub(crate) fn hollow(&self, shape: &Shape) -> Var<'_, T> {
        let buffer = self.state.borrow().hollow.clone().expect("a tracing tape");
        self.push(Tensor::hollow(shape.clone(), buffer), true, Location::caller())
    }

    /// Forgets everything recorded and keeps the memory: buffers, nodes, tables.
    pub fn reset(&mut self) {
        self.truncate(0);
        let state = self.state.get_mut();
        state.params.clear();
        state.recordings += 1;
        state.site = None;
        state.called = None;
        state.anomaly = None;
    }

    /// Records a step and walks back over it: resets the tape, calls `step` for a scalar, and returns its
    /// value and the gradients of all parameters and leaves. Afterwards the tape holds nothing, so that
    /// parameters can be changed in place.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// let w = Param::new(Tensor::from([3.0f32]));
    /// let mut tape = Tape::new();
    /// let (loss, gradients) = tape.value_and_grad(|tape| tape.param(&w).square().sum_all());
    /// assert_eq!((loss, gradients.of(&w).unwrap().item()), (9.0, 6.0));
    /// ```
    ///
    /// # Panics
    /// If `step` returns more than one element.
    #[track_caller]
    pub fn value_and_grad(&mut self, step: impl for<'t> FnOnce(&'t Self) -> Var<'t, T>) -> (T, Gradients<T>) {
        self.reset();
        let (value, gradients) = {
            let root = step(self);
            (root.item(), root.backward())
        };
        let anomaly = self.anomaly();
        self.reset();
        self.state.get_mut().anomaly = anomaly;
        (value, gradients)
    }

    /// A leaf: a value that gets a gradient.
    #[track_caller]
    pub fn leaf(&self, value: Tensor<T>) -> Var<'_, T> {
        let recording = self.state.borrow().recording;
        self.push(value, recording, Location::caller())
    }

    /// A value that gets no gradient.
    #[track_caller]
    pub fn constant(&self, value: Tensor<T>) -> Var<'_, T> {
        self.push(value, false, Location::caller())
    }

    /// A scalar constant.
    #[track_caller]
    pub fn scalar(&self, value: f64) -> Var<'_, T> {
        self.full(Shape::scalar(), value)
    }

    /// A constant with one value everywhere.
    #[track_caller]
    pub fn full(&self, shape: impl Into<Shape>, value: f64) -> Var<'_, T> {
        self.constant(self.filled(&shape.into(), T::from_f64(value)))
    }

    /// One value everywhere, in a buffer of the pool's.
    #[track_caller]
    fn filled(&self, shape: &Shape, value: T) -> Tensor<T> {
        let mut tensor = self.state.borrow_mut().pool.take(shape);
        tensor.as_mut_slice().fill(value);
        tensor
    }

    /// A constant whose elements are `f()`, one after the other, in a buffer of the pool's: what is drawn at random for one
    /// pass. A step that draws is no loop, since every step draws anew.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape};
    /// let (tape, mut rng) = (Tape::<f32>::new(), Rng::new(1));
    /// let noise = tape.drawn(&[2, 3].into(), || rng.normal() as f32);
    /// assert_eq!(noise.shape(), [2, 3]);
    /// ```
    #[track_caller]
    pub fn drawn(&self, shape: &Shape, f: impl FnMut() -> T) -> Var<'_, T> {
        if self.state.borrow().hollow.is_some() {
            untraceable("draws random numbers", Location::caller());
        }
        let mut tensor = self.state.borrow_mut().pool.take(shape);
        tensor.as_mut_slice().fill_with(f);
        self.constant(tensor)
    }

    /// A constant of 1 where `mask` is true and 0 elsewhere.
    #[track_caller]
    pub fn mask(&self, mask: &Tensor<bool>) -> Var<'_, T> {
        let mut tensor = self.state.borrow_mut().pool.take(mask.shape());
        let dense = mask.contiguous();
        for (x, &keep) in tensor.as_mut_slice().iter_mut().zip(dense.as_slice().unwrap_or_default()) {
            *x = if keep { T::ONE } else { T::ZERO };
        }
        self.constant(tensor)
    }

    /// The leaf of a parameter: the same one however often it is used on this tape.
    #[track_caller]
    pub fn param(&self, param: &Param<T>) -> Var<'_, T> {
        self.param_leaf(param.id(), param.value(), param.trainable())
    }

    /// Calls `f` with other values in the place of parameters: what uses one of them within `f` uses its value here, and the
    /// gradient flows to that.
    ///
    /// ```
    /// use tapeloop_autograd::{Param, Tape, Tensor};
    /// let w = Param::new(Tensor::from([3.0f32]));
    /// let tape = Tape::new();
    /// let halved = tape.param(&w) * 0.5;
    /// let y = tape.with_params(&[(&w, halved)], || tape.param(&w).square().sum_all());
    /// assert_eq!(y.item(), 2.25);
    /// assert_eq!(y.backward().of(&w).unwrap().to_vec(), [1.5]);
    /// ```
    ///
    /// # Panics
    /// If a value is of another tape, or has another shape than its parameter.
    #[track_caller]
    pub fn with_params<R>(&self, values: &[(&Param<T>, Var<'_, T>)], f: impl FnOnce() -> R) -> R {
        /// Puts back what was there, also where `f` panics.
        struct Restore<'a, T: Element>(&'a Tape<T>, SmallVec<[(ParamId, Option<u32>); 4]>);
        impl<T: Element> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                let params = &mut self.0.state.borrow_mut().params;
                for (id, before) in self.1.drain(..).rev() {
                    match before {
                        Some(index) => params.insert(id, index),
                        None => params.remove(&id),
                    };
                }
            }
        }
        let mut before = SmallVec::new();
        for (param, value) in values {
            let (wanted, shape) = (param.value().shape(), value.shape());
            assert!(shape == *wanted, "with_params: a value of shape {shape} for a parameter of shape {wanted}");
            assert!(std::ptr::eq(value.tape(), self), "with_params: a value of another tape");
            before.push((param.id(), self.state.borrow_mut().params.insert(param.id(), value.index)));
        }
        let _restore = Restore(self, before);
        f()
    }

    /// Calls `f` with recording off: what it computes gets no gradient.
    ///
    /// A step of a loop that does cannot be traced: the loop then runs step by step.
    #[track_caller]
    pub fn no_grad<R>(&self, f: impl FnOnce() -> R) -> R {
        if self.is_tracing() {
            untraceable("turns recording off", Location::caller());
        }
        self.with_recording(false, f)
    }

    /// Calls `f` with recording off, and forgets what it put on the tape: its buffers are free again.
    pub(crate) fn scratch<R>(&self, f: impl for<'s> FnOnce(&'s Self) -> R) -> R {
        let mark = self.len();
        let result = self.no_grad(|| f(self));
        self.truncate(mark);
        result
    }

    /// Calls `f` with recording on, whatever it was.
    pub(crate) fn recorded<R>(&self, f: impl FnOnce() -> R) -> R {
        self.with_recording(true, f)
    }

    fn with_recording<R>(&self, recording: bool, f: impl FnOnce() -> R) -> R {
        struct Restore<'a, T: Element>(&'a Tape<T>, bool);
        impl<T: Element> Drop for Restore<'_, T> {
            fn drop(&mut self) {
                self.0.state.borrow_mut().recording = self.1;
            }
        }
        let before = std::mem::replace(&mut self.state.borrow_mut().recording, recording);
        let _restore = Restore(self, before);
        f()
    }

    /// Until the guard is dropped, operations are recorded at the line that called: for functions that call operations
    /// from closures, where that line would be lost.
    #[track_caller]
    pub(crate) fn called(&self) -> Called<'_, T> {
        let called = &mut self.state.borrow_mut().called;
        let outermost = called.is_none();
        called.get_or_insert(Location::caller());
        Called { tape: self, outermost }
    }

    /// Whether operations are remembered for a backward pass.
    pub fn is_recording(&self) -> bool {
        self.state.borrow().recording
    }

    /// The number of recorded values.
    pub fn len(&self) -> usize {
        self.state.borrow().nodes.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all recorded values and of the buffers waiting to be used again.
    pub fn bytes(&self) -> usize {
        let state = self.state.borrow();
        state.nodes.iter().map(|node| node.value.bytes()).sum::<usize>() + state.pool.bytes()
    }

    /// Works on these threads from now on.
    pub(crate) fn use_threads(&mut self, threads: &Threads) {
        self.threads = threads.clone();
    }

    /// The threads this tape works on.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Records `op` on `inputs`. This is how every operation, built in or a user's own, comes onto a tape.
    ///
    /// # Panics
    /// With the operation's shape rule if the inputs' shapes do not fit; if an input belongs to another
    /// tape; if there are more than `u32::MAX` values.
    #[track_caller]
    pub(crate) fn apply<'t>(&'t self, op: impl Into<AnyOp<T>>, inputs: &[Var<'t, T>]) -> Var<'t, T> {
        T::record(self, op.into(), inputs)
    }

    /// As [`apply`](Self::apply), for [`Compiled::record`](crate::compiled::Compiled::record) alone.
    #[track_caller]
    pub(crate) fn record<'t>(&'t self, op: AnyOp<T>, inputs: &[Var<'t, T>]) -> Var<'t, T> {
        let at = self.line(Location::caller());
        for input in inputs {
            assert!(
                std::ptr::eq(input.tape, self),
                "{}: its inputs live on different tapes; record both on one, or pass the value on",
                op.get().name()
            );
        }
        let mut state = self.state.borrow_mut();
        let value = {
            let State { nodes, pool, hollow, .. } = &mut *state;
            let values: SmallVec<[&Tensor<T>; 6]> = inputs.iter().map(|x| &nodes[x.index as usize].value).collect();
            let shapes: SmallVec<[&Shape; 6]> = values.iter().map(|value| value.shape()).collect();
            let shape = match op.get().shape(&shapes) {
                Ok(shape) => shape,
                // A line inside the library says little.
                Err(error) if at != Location::caller() => panic!("{error}, called at {at}"),
                Err(error) => panic!("{error}"),
            };
            let value = match hollow {
                Some(buffer) => Tensor::hollow(shape.clone(), Arc::clone(buffer)),
                None => op.get().forward(&values, &mut Run { pool, threads: &self.threads, shape: &shape }),
            };
            assert!(
                value.shape() == &shape,
                "{}: its shape rule said {shape}, its result has {}",
                op.get().name(),
                value.shape()
            );
            value
        };
        if state.watching {
            state.watch(&op, inputs, &value, at);
        }
        if !state.recording {
            return self.append(&mut state, None, SmallVec::new(), value, false, at);
        }
        let indices = state.list(inputs);
        let needs_grad = op.differentiable() && indices.iter().any(|&i| state.nodes[i as usize].needs_grad);
        self.append(&mut state, Some(op), indices, value, needs_grad, at)
    }

    /// Records the loop `several` on `inputs`, which has computed `results`: the node of the loop, and one for each result.
    #[track_caller]
    pub(crate) fn splice<'t>(
        &'t self,
        several: AnyOp<T>,
        inputs: &[Var<'t, T>],
        results: SmallVec<[Tensor<T>; 16]>,
    ) -> SmallVec<[Var<'t, T>; 16]> {
        let at = Location::caller();
        let mut state = self.state.borrow_mut();
        if !state.recording {
            return results.into_iter().map(|x| self.append(&mut state, None, SmallVec::new(), x, false, at)).collect();
        }
        let indices = state.list(inputs);
        let needs_grad = indices.iter().any(|&i| state.nodes[i as usize].needs_grad);
        let nothing = state.pool.take(&Shape::from([0]));
        let of = self.append(&mut state, Some(several), indices, nothing, needs_grad, at).index;
        let part = |x| self.append(&mut state, Some(AnyOp::Part(Part)), SmallVec::from_slice(&[of]), x, needs_grad, at);
        results.into_iter().map(part).collect()
    }

    /// The leaf of the parameter of this identity, as [`param`](Self::param).
    #[track_caller]
    pub(crate) fn param_leaf(&self, id: ParamId, value: &Tensor<T>, trainable: bool) -> Var<'_, T> {
        let mut state = self.state.borrow_mut();
        if let Some(&index) = state.params.get(&id) {
            return Var { tape: self, index };
        }
        let needs_grad = trainable && state.recording;
        let leaf = self.append(&mut state, None, SmallVec::new(), value.clone(), needs_grad, Location::caller());
        state.params.insert(id, leaf.index);
        leaf
    }

    /// Visits what is recorded: place, operation, inputs, value.
    pub(crate) fn each_node(&self, mut visit: impl FnMut(usize, Option<&AnyOp<T>>, &[u32], &Tensor<T>)) {
        for (index, node) in self.state.borrow().nodes.iter().enumerate() {
            visit(index, node.op.as_ref(), &node.inputs, &node.value);
        }
    }

    /// Gives `f` the buffers and the threads, to compute what no operation does.
    pub(crate) fn compute<R>(&self, f: impl FnOnce(&mut Pool<T>, &Threads) -> R) -> R {
        f(&mut self.state.borrow_mut().pool, &self.threads)
    }

    /// The parameter whose leaf this is, and whether it is trainable.
    pub(crate) fn param_at(&self, index: usize) -> Option<(ParamId, bool)> {
        let state = self.state.borrow();
        let (&id, _) = state.params.iter().find(|&(_, &leaf)| leaf as usize == index)?;
        Some((id, state.nodes[index].needs_grad))
    }

    /// Whether it follows shapes only.
    pub(crate) fn is_tracing(&self) -> bool {
        self.state.borrow().hollow.is_some()
    }

    /// The line that what is called at `at` counts as.
    fn line(&self, at: &'static Location<'static>) -> &'static Location<'static> {
        self.state.borrow().called.unwrap_or(at)
    }

    /// Appends a value without an operation.
    fn push(&self, value: Tensor<T>, needs_grad: bool, at: &'static Location<'static>) -> Var<'_, T> {
        self.append(&mut self.state.borrow_mut(), None, SmallVec::new(), value, needs_grad, at)
    }

    fn append(
        &self,
        state: &mut State<T>,
        op: Option<AnyOp<T>>,
        inputs: SmallVec<[u32; 4]>,
        value: Tensor<T>,
        needs_grad: bool,
        at: &'static Location<'static>,
    ) -> Var<'_, T> {
        let index = u32::try_from(state.nodes.len()).expect("a tape holds at most 2^32 values");
        let at = state.site.map_or(state.called.unwrap_or(at), |site| site.at);
        state.nodes.push(Node { op, inputs, value, needs_grad, at });
        Var { tape: self, index }
    }

    /// Forgets all nodes from `len` on and takes their buffers back.
    fn truncate(&self, len: usize) {
        let mut state = self.state.borrow_mut();
        let State { nodes, pool, home, long_lists, .. } = &mut *state;
        home.collect(pool);
        for mut node in nodes.drain(len..) {
            pool.give(node.value);
            if node.inputs.spilled() {
                node.inputs.clear();
                long_lists.push(node.inputs);
            }
        }
    }
}

/// See [`Tape::called`].
pub(crate) struct Called<'t, T: Element> {
    tape: &'t Tape<T>,
    outermost: bool,
}

impl<T: Element> Drop for Called<'_, T> {
    fn drop(&mut self) {
        if self.outermost {
            self.tape.state.borrow_mut().called = None;
        }
    }
}

impl<T: Element> fmt::Debug for Tape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} values, {} bytes)", self.len(), self.bytes())
    }
}
