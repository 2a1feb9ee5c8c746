//! The driver: everything a recurrent layer does besides its step.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{
    Checkpoint, Element, Loop, Looped, Module, Param, Path, Returned, Shape, ShapeError, Stream, StreamBuilder, Tape,
    Tensor, Untraceable, Var,
};

use crate::cell::step_with;
use crate::layer::{Axes, Layer, Masked, Outputs, Pass, states_fit, with_states};
use crate::rules::add;
use crate::{Cell, Error, Noise, Rules, State};

/// How a recurrent layer runs over time. Keras' names and defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RnnOptions {
    /// Every step's output instead of the last one's.
    pub return_sequences: bool,
    /// The last states after the output, from [`Rnn::call`].
    pub return_state: bool,
    /// The states after every step, in [`RnnOutput::states`].
    pub return_state_sequences: bool,
    /// From the last step to the first; outputs are in the order of processing.
    pub go_backwards: bool,
    /// Each call starts from the states the last one ended with, as constants: gradients end at the call. The first call
    /// says how many rows a batch has, until [`Rnn::reset_state`]; the length of time is free.
    pub stateful: bool,
    /// Steps that a mask leaves out put out 0. Otherwise they repeat the output of the step processed before them, 0 if
    /// there is none.
    pub zero_output_for_mask: bool,
    /// Records every step on the tape, operation by operation, instead of one loop: slower, with the same result up to
    /// rounding. A loop needs no factor to unroll by: it takes as many steps at a time as suit the caches.
    pub unroll: bool,
    /// Keeps only some of the loop's states for the backward pass, and computes what lies between again.
    pub checkpoint: Option<Checkpoint>,
    /// Gradients end at every so many steps, counted from the first one processed: truncated backpropagation through time
    /// (Williams & Peng 1990). Values stay what they are. Otherwise they go back to the first step.
    pub truncated_bptt: Option<NonZeroUsize>,
    /// Draws noise from a generator of the layer's own, which a pass forks by this number: what layers without one draw
    /// changes nothing. Otherwise it is drawn from the pass's.
    pub seed: Option<u64>,
}

/// A cell repeated over time.
///
/// Input is (batch, time, features). Any length of time is accepted, 0 included; the initial states are zeros
/// unless they are given.
///
/// Where a [mask](Masked) says that a step does not count, the states stay what they were and whatever is in the input,
/// NaN too, changes nothing and gets no gradient. What such a step puts out says
/// [`zero_output_for_mask`](RnnOptions::zero_output_for_mask).
///
/// The cell's step is traced and run as a [`Loop`]. A step that cannot be (it reads values, say) is recorded on the
/// tape again and again, as with [`unroll`](RnnOptions::unroll); [`explain`](Self::explain) tells.
pub struct Rnn<T: Element, C> {
    cell: C,
    options: RnnOptions,
    looped: Loop<T>,
    rules: Rules,
    /// Why the last call was no loop.
    unrolled: Mutex<Option<Untraceable>>,
    /// What a stateful layer carries from call to call: values, never a tape.
    carried: Mutex<Option<SmallVec<[Tensor<T>; 2]>>>,
}

/// The states of a step with a mask: the cell's, and behind them the output before.
type Carried<'t, T> = SmallVec<[Var<'t, T>; 4]>;

/// What all steps of a call have in common.
#[derive(Clone, Copy)]
struct How<'a, T: Element> {
    masked: bool,
    /// Whether all states were 0 at the start.
    from_zeros: bool,
    /// The noise that is the same at every step.
    held: &'a [Tensor<T>],
}

/// What a recurrent layer returns.
#[derive(Clone, Debug)]
pub struct RnnOutput<'t, T: Element> {
    /// (batch, units), or (batch, time, units) with `return_sequences`.
    pub output: Var<'t, T>,
    /// The states after the last step.
    pub state: State<'t, T>,
    /// With `return_state_sequences` the states after every step, (batch, time, …) each, in the order of `state`; else
    /// none. They lie as outputs of all steps do. A step that a mask leaves out repeats its states.
    pub states: State<'t, T>,
    /// What the [activity regularizer](Rules::activity) adds to the loss: of the output and, with `return_state`, of the
    /// states, divided by the batch.
    pub penalty: Option<Var<'t, T>>,
}

impl<T: Element, C: Cell<T>> Rnn<T, C> {
    /// A layer that repeats `cell`.
    pub fn new(cell: C, options: RnnOptions) -> Self {
        let looped = repeated(options);
        Self { cell, options, looped, rules: Rules::new(), unrolled: Mutex::new(None), carried: Mutex::new(None) }
    }

    /// The cell.
    pub fn cell(&self) -> &C {
        &self.cell
    }

    /// The cell alone, without the layer's [rules](Self::rules).
    pub fn into_cell(self) -> C {
        self.cell
    }

    /// The cell, to change its weights.
    pub fn cell_mut(&mut self) -> &mut C {
        &mut self.cell
    }

    /// How it runs over time.
    pub fn options(&self) -> RnnOptions {
        self.options
    }

    /// The same layer, run in another way.
    pub fn with_options(self, options: RnnOptions) -> Self {
        Self { options, looped: repeated(options), ..self }
    }

    /// What its weights and outputs keep to.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The same layer under these rules.
    ///
    /// # Errors
    /// If a rule makes no sense, or suits no weight of the cell.
    pub fn with_rules(self, rules: Rules) -> Result<Self, Error> {
        self.ruled("rnn", rules)
    }

    /// As [`with_rules`](Self::with_rules), of a layer with this name.
    pub(crate) fn ruled(self, layer: &str, rules: Rules) -> Result<Self, Error> {
        rules.check(layer, &self.cell)?;
        let axes = 1 + usize::from(self.options.return_sequences) + self.cell.output_shape().rank();
        rules.check_outputs(layer, axes)?;
        Ok(Self { rules, ..self })
    }

    /// Zeros for every state.
    pub fn zero_state<'t>(&self, tape: &'t Tape<T>, batch: usize) -> State<'t, T> {
        let shape = |state: &Shape| [batch].iter().chain(state.iter()).copied().collect::<Shape>();
        self.cell.state_shapes().iter().map(|state| tape.full(shape(state), 0.0)).collect()
    }

    /// Runs over `x`, (batch, time, features), from `initial` states: the given ones, else what a stateful
    /// layer carries, else zeros. A value with a [mask](Masked) brings it along.
    ///
    /// # Panics
    /// If `x` is not (batch, time, features) of this cell, its mask not (batch, time), or a state has another shape than
    /// (batch, …).
    #[track_caller]
    pub fn run<'t>(&self, x: impl Into<Masked<'t, T>>, initial: Option<&[Var<'t, T>]>) -> RnnOutput<'t, T> {
        self.run_with(x, initial, &Noise::none())
    }

    /// As [`run`](Self::run), in a pass through a model: in training with what the cell [draws](Cell::draw) for it.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_in<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        pass: &mut Pass,
    ) -> RnnOutput<'t, T> {
        let x = x.into();
        let noise = self.draw(x, pass);
        self.run_with(x, initial, &noise)
    }

    /// As [`run`](Self::run), with this noise, in the order of the cell's own.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_with<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        noise: &Noise<T>,
    ) -> RnnOutput<'t, T> {
        let run = self.run_in_time(x.into(), initial, noise);
        match self.options.go_backwards {
            true => self.flipped(run),
            false => run,
        }
    }

    /// What goes along time the other way round.
    #[track_caller]
    pub(crate) fn flipped<'t>(&self, mut run: RnnOutput<'t, T>) -> RnnOutput<'t, T> {
        if self.options.return_sequences {
            run.output = run.output.flip(&[1]);
        }
        for states in &mut run.states {
            *states = states.flip(&[1]);
        }
        run
    }

    /// What the cell draws for a pass over `x`: nothing, unless it is for training.
    #[track_caller]
    pub(crate) fn draw<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Noise<T> {
        let shape = x.value.shape();
        if let Err(error) = self.check(&shape) {
            panic!("{error}");
        }
        let (tape, batch, time) = (x.value.tape(), shape[0], shape[1]);
        match (pass.training, self.options.seed) {
            (false, _) => Noise::none(),
            (true, None) => self.cell.draw(tape, batch, time, &mut pass.rng),
            (true, Some(seed)) => self.cell.draw(tape, batch, time, &mut pass.own(seed)),
        }
    }

    /// As [`run_with`](Self::run_with), with all outputs at the places of their steps, whichever way they were made.
    #[track_caller]
    pub(crate) fn run_in_time<'t>(
        &self,
        x: Masked<'t, T>,
        initial: Option<&[Var<'t, T>]>,
        noise: &Noise<T>,
    ) -> RnnOutput<'t, T> {
        let Masked { value: x, mask, .. } = x;
        let shape = x.shape();
        if let Err(error) = self.check(&shape) {
            panic!("{error}");
        }
        let mut sequences: SmallVec<[Var<'t, T>; 2]> = smallvec![x];
        if let Some(mask) = mask {
            let own = mask.shape();
            assert!(
                own[..] == shape[..2],
                "rnn: the mask has shape {own}; it needs (batch {}, time {})",
                shape[0],
                shape[1]
            );
            // Nothing flows back to what the mask was made of.
            let mask = if mask.needs_grad() { mask.ne(0.0) } else { mask };
            sequences.push(mask.unsqueeze(-1));
        }
        for each in &noise.each {
            sequences.push(x.tape().constant(each.clone()));
        }
        let masked = mask.is_some();
        let carried = self.carried_state().filter(|_| self.options.stateful);
        let from_zeros = initial.is_none() && carried.is_none();
        let mut state: Carried<'t, T> = self.start(x.tape(), shape[0], initial, carried).into_iter().collect();
        let count = state.len();
        if mask.is_some() && !self.options.zero_output_for_mask {
            state.push(x.tape().full(self.output_of(&[shape[0]]), 0.0));
        }
        let how = How { masked, from_zeros, held: &noise.held };
        let Looped { output, state, states } = match self.options.truncated_bptt {
            Some(steps) if steps.get() < shape[1] => self.run_blocks(&sequences, state, how, steps.get()),
            _ => self.run_block(&sequences, state, how),
        };
        let state: State<'t, T> = state.into_iter().take(count).collect();
        let along: State<'t, T> = states.into_iter().take(count).collect();
        if self.options.stateful {
            let values = state.iter().map(|state| state.value()).collect();
            *self.carried.lock().unwrap_or_else(PoisonError::into_inner) = Some(values);
        }
        let states = if self.options.return_state { &state[..] } else { &[] };
        let penalty = add(self.rules.of_outputs(&[output]), self.rules.of_outputs(states));
        RnnOutput { output, state, states: along, penalty }
    }

    /// All steps, by so many at a time; no gradient flows from one block to the one before it.
    #[track_caller]
    fn run_blocks<'t>(
        &self,
        sequences: &[Var<'t, T>],
        state: Carried<'t, T>,
        how: How<'_, T>,
        steps: usize,
    ) -> Looped<'t, T> {
        let time = sequences[0].dim(1);
        let (mut state, mut how) = (state, how);
        let mut blocks = Vec::with_capacity(time.div_ceil(steps));
        for start in (0..time).step_by(steps) {
            let end = (start + steps).min(time);
            let (from, to) = if self.options.go_backwards { (time - end, time - start) } else { (start, end) };
            let mut present: SmallVec<[Var<'t, T>; 2]> = SmallVec::new();
            for x in sequences {
                present.push(x.slice(1, from as isize..to as isize));
            }
            let ran = self.run_block(&present, state, how);
            state = ran.state.iter().map(|state| state.detach()).collect();
            how.from_zeros = false;
            blocks.push(ran);
        }
        let Some(Looped { output, state, .. }) = blocks.last().cloned() else { unreachable!("there is a block") };
        if self.options.go_backwards {
            blocks.reverse();
        }
        let joined = |of: &dyn Fn(&Looped<'t, T>) -> Var<'t, T>| Var::concat(blocks.iter().map(of), 1);
        Looped {
            output: if self.options.return_sequences { joined(&|block| block.output) } else { output },
            states: (0..blocks[0].states.len()).map(|k| joined(&|block| block.states[k])).collect(),
            state,
        }
    }

    /// Some steps, one after the other: as a loop, if that can be.
    #[track_caller]
    fn run_block<'t>(&self, sequences: &[Var<'t, T>], state: Carried<'t, T>, how: How<'_, T>) -> Looped<'t, T> {
        match self.run_loop(sequences, &state, how) {
            Ok(ran) => ran,
            Err(reason) => {
                *self.unrolled.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                self.run_steps(sequences, state, how)
            }
        }
    }

    /// All steps as one operation.
    #[track_caller]
    fn run_loop<'t>(
        &self,
        sequences: &[Var<'t, T>],
        state: &[Var<'t, T>],
        how: How<'_, T>,
    ) -> Result<Looped<'t, T>, Untraceable> {
        if self.options.unroll {
            return Err(Untraceable::new("is to be unrolled"));
        }
        // The loop goes along the first axis.
        let mut along: SmallVec<[Var<'t, T>; 2]> = SmallVec::new();
        for x in sequences {
            along.push(x.swap_axes(0, 1));
        }
        let mut over = self.looped.over(&along);
        if self.options.go_backwards {
            over = over.backwards();
        }
        if !self.options.return_sequences {
            over = over.last();
        }
        if self.options.return_state_sequences {
            over = over.states();
        }
        let mut ran = over.run(state, |x, state| self.step(x, state, how))?;
        if self.options.return_sequences {
            ran.output = ran.output.swap_axes(0, 1);
        }
        for states in &mut ran.states {
            *states = states.swap_axes(0, 1);
        }
        Ok(ran)
    }

    /// One step, of the present input, its mask, if there is one, and this step's own noise. Behind the cell's states
    /// there is with a mask the output before, unless masked steps put out 0.
    fn step<'t>(&self, x: &[Var<'t, T>], state: &[Var<'t, T>], how: How<'_, T>) -> Returned<'t, T> {
        let (x, each) = x.split_at(1 + usize::from(how.masked));
        let [x, mask @ ..] = x else { unreachable!("there is an input") };
        let mut noise: SmallVec<[Var<'t, T>; 4]> = SmallVec::new();
        for held in how.held {
            noise.push(x.tape().constant(held.clone()));
        }
        noise.extend(each.iter().copied());
        let Some(&mask) = mask.first() else {
            let state = step_with(&self.cell, *x, state, &noise);
            let output = self.cell.output(*x, &state);
            return (state.into_iter().collect(), output);
        };
        let (state, held) = state.split_at(self.cell.state_shapes().len());
        // What is selected away has a gradient of 0, which NaN on the way back would make NaN.
        let x = beside(mask, x.rank()).if_else(*x, 0.0);
        let next = step_with(&self.cell, x, state, &noise);
        let output = self.cell.output(x, &next);
        let mut kept = Carried::new();
        for (next, state) in next.iter().zip(state) {
            kept.push(beside(mask, next.rank()).if_else(*next, *state));
        }
        let counts = beside(mask, output.rank());
        let Some(&held) = held.first() else {
            return (kept, counts.if_else(output, 0.0));
        };
        match next.iter().position(|next| output.is(*next)) {
            // The state is held already; only before the first step that counts it could be another than the output.
            Some(k) if how.from_zeros => {
                let output = kept[k];
                kept.push(held);
                (kept, output)
            }
            _ => {
                let output = counts.if_else(output, held);
                kept.push(output);
                (kept, output)
            }
        }
    }

    /// One step after the other on the tape.
    #[track_caller]
    fn run_steps<'t>(&self, sequences: &[Var<'t, T>], mut state: Carried<'t, T>, how: How<'_, T>) -> Looped<'t, T> {
        let (batch, time) = (sequences[0].dim(0), sequences[0].dim(1));
        let mut outputs = Vec::with_capacity(time);
        let mut all: SmallVec<[Vec<Var<'t, T>>; 4]> = SmallVec::new();
        let every = self.options.return_state_sequences;
        if every {
            all.resize(state.len(), Vec::with_capacity(time));
        }
        for turn in 0..time {
            let t = if self.options.go_backwards { time - 1 - turn } else { turn };
            let mut present: SmallVec<[Var<'t, T>; 2]> = SmallVec::new();
            for x in sequences {
                present.push(x.select(1, t));
            }
            let (next, output) = self.step(&present, &state, how);
            state = next;
            outputs.push(output);
            all.iter_mut().zip(&state).for_each(|(all, state)| all.push(*state));
        }
        let backwards = self.options.go_backwards;
        let mut states = SmallVec::new();
        for (mut all, state) in all.into_iter().zip(&state) {
            if backwards {
                all.reverse();
            }
            states.push(match all.is_empty() {
                true => state.unsqueeze(1).slice(1, 0..0),
                false => Var::stack(all, 1),
            });
        }
        let output = match (outputs.last(), self.options.return_sequences) {
            (Some(_), true) => {
                if self.options.go_backwards {
                    outputs.reverse();
                }
                Var::stack(outputs, 1)
            }
            (Some(&last), false) => last,
            (None, along_time) => {
                let lead: &[usize] = if along_time { &[batch, 0] } else { &[batch] };
                sequences[0].tape().full(self.output_of(lead), 0.0)
            }
        };
        Looped { output, state, states }
    }

    /// The shape of an output with these axes in front.
    fn output_of(&self, lead: &[usize]) -> Shape {
        lead.iter().chain(self.cell.output_shape().iter()).copied().collect()
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
        let mut builder = Stream::builder(self.cell.input_shape().iter().product());
        Layer::stream(self, &mut builder)?;
        builder.build().map_err(unstreamed)
    }

    /// As Keras returns it: the output, then with `return_state` the last states. Behind them, with
    /// `return_state_sequences`, those of every step, which Keras does not have.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn call<'t>(&self, x: impl Into<Masked<'t, T>>, initial: Option<&[Var<'t, T>]>) -> SmallVec<[Var<'t, T>; 3]> {
        let RnnOutput { output, state, states, .. } = self.run(x, initial);
        let state = if self.options.return_state { state } else { State::new() };
        std::iter::once(output).chain(state).chain(states).collect()
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
    fn start<'t>(
        &self,
        tape: &'t Tape<T>,
        batch: usize,
        initial: Option<&[Var<'t, T>]>,
        carried: Option<SmallVec<[Tensor<T>; 2]>>,
    ) -> State<'t, T> {
        let shapes = self.cell.state_shapes();
        let state: State<'t, T> = match (initial, carried) {
            (Some(initial), _) => initial.iter().copied().collect(),
            (None, Some(carried)) => carried.into_iter().map(|value| tape.constant(value)).collect(),
            (None, None) => return self.zero_state(tape, batch),
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
        let needed = self.cell.input_shape();
        if x.rank() == 2 + needed.rank() && x[2..] == *needed {
            return Ok(());
        }
        let rule = match *needed {
            [features] => format!("it needs (batch, time, {features} features)"),
            _ => format!("it needs (batch, time, …) with {needed} at every step"),
        };
        Err(ShapeError::new("rnn", &[x], rule))
    }
}

/// The loop of a layer with these options, which knows no step yet.
fn repeated<T: Element>(options: RnnOptions) -> Loop<T> {
    match options.checkpoint {
        Some(checkpoint) => Loop::new().checkpoint(checkpoint),
        None => Loop::new(),
    }
}

/// A column of 0 and 1, (batch, 1), as it broadcasts with a value of this rank, (batch, …).
#[track_caller]
fn beside<T: Element>(mask: Var<'_, T>, rank: usize) -> Var<'_, T> {
    if rank == 2 {
        return mask;
    }
    let ones = std::iter::repeat_n(1, rank.saturating_sub(1));
    mask.reshape(&[mask.dim(0) as isize].into_iter().chain(ones).collect::<SmallVec<[isize; 4]>>())
}

impl<T: Element, C: Module<T>> Module<T> for Rnn<T, C> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        let Self { cell, options: _, looped: _, rules: _, unrolled: _, carried: _ } = self;
        path.enter("cell", |path| cell.visit(path, visitor));
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        let Self { cell, options: _, looped: _, rules: _, unrolled: _, carried: _ } = self;
        path.enter("cell", |path| cell.visit_mut(path, visitor));
    }
}

impl<T: Element, C: Cell<T>> Layer<T> for Rnn<T, C> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        self.run_in(x, None, pass).output
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let RnnOutput { output, penalty, .. } = self.run_in(x, None, pass);
        // The last output has no time left to mask. Outputs in the order of processing have that of the steps, as in Keras.
        Masked { value: output, mask: x.mask.filter(|_| self.options.return_sequences), ..x }.and(penalty)
    }

    /// With `return_state`, the last states behind the output; they have no mask.
    #[track_caller]
    fn forward_all<'t>(&self, inputs: &[Masked<'t, T>], states: &[Var<'t, T>], pass: &mut Pass) -> Outputs<'t, T> {
        let [x] = inputs else { panic!("rnn: it takes one input, got {}", inputs.len()) };
        let run = self.run_in(*x, (!states.is_empty()).then_some(states), pass);
        let mask = x.mask.filter(|_| self.options.return_sequences);
        let first = Masked { value: run.output, mask, ..*x }.and(run.penalty);
        with_states(first, run.state, self.options.return_state)
    }

    fn output_shapes(&self, inputs: &[Axes], states: &[Axes]) -> Result<Vec<Axes>, Error> {
        let [input] = inputs else {
            return Err(Error::config("rnn", format!("takes one input, got {}", inputs.len())));
        };
        let shapes = self.cell.state_shapes();
        states_fit("rnn", &shapes, states)?;
        let output = self.output_shape(input)?;
        let carried = shapes.iter().filter(|_| self.options.return_state);
        Ok(std::iter::once(output).chain(carried.map(|shape| shape.iter().map(|&n| Some(n)).collect())).collect())
    }

    fn output_mask(&self, k: usize, masked: &[bool]) -> bool {
        k == 0 && masked[0] && self.options.return_sequences
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let needed = self.cell.input_shape();
        let [time, step @ ..] = input else {
            return Err(Error::config("rnn", "needs time behind the batch, got no axes"));
        };
        if step.len() != needed.rank() {
            let axes = if needed.rank() == 1 { "(time, features)" } else { "(time, …)" };
            let problem = format!("needs {} axes behind the batch {axes}, got {}", 1 + needed.rank(), input.len());
            return Err(Error::config("rnn", problem));
        }
        if step.iter().zip(needed.iter()).any(|(&got, &needed)| got != Some(needed)) {
            let problem = match *needed {
                [features] => format!("needs {features} features"),
                _ => format!("needs {needed} at every step"),
            };
            return Err(Error::config("rnn", problem));
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

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.rules.penalty(&self.cell, tape)
    }

    fn constrain(&mut self) {
        self.rules.constrain(&mut self.cell);
    }

    fn is_stateful(&self) -> bool {
        self.options.stateful
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
        let step = self.cell.input_shape();
        if step.rank() != 1 {
            let problem =
                format!("it cannot be streamed: a step's input is {step}, where a stream has a row of features");
            return Err(Error::config("rnn", problem));
        }
        stream
            .step(&self.cell.state_shapes(), |x, state| {
                self.step(&[x], state, How { masked: false, from_zeros: true, held: &[] })
            })
            .map_err(unstreamed)
    }
}

fn unstreamed(reason: Untraceable) -> Error {
    Error::config("rnn", format!("it cannot be streamed: {reason}"))
}
