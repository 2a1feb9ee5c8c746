//! A sequence read in both directions.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Element, Module, Param, Path, Tape, Var};

use crate::layer::{Axes, Layer, Masked, Outputs, Pass, states_fit, with_states};
use crate::rules::add;
use crate::{Cell, Error, Noise, Regularizer, Rnn, RnnOptions, Rules, State, StateShapes};

/// How the outputs of both directions become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Merge {
    /// Side by side.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product, element by element.
    Mul,
    /// Half of their sum.
    Ave,
}

/// Two recurrent layers on the same input, of which one goes from the first step to the last, one from the last to the
/// first (Schuster & Paliwal 1997): Keras' `Bidirectional`.
///
/// With `return_sequences` the backward layer's outputs lie with their steps again; otherwise its output is the one it
/// made last, of the first step. Each row's [mask](Masked) is walked both ways, so that the backward layer starts at the
/// last step that counts. As in Keras, steps that do not count put out 0 in sequences.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{BidirectionalLayer, Lstm, Masked, Merge, RnnOptions};
/// let mut rng = Rng::new(0);
/// let [there, back] = [false, true].map(|back| Lstm::new(4).return_sequences(true).go_backwards(back).layer(3, &mut rng));
/// let layer = BidirectionalLayer::<f32, _, _>::new(there, back, Some(Merge::Concat))?;
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::zeros([2, 5, 3]));
/// assert_eq!(layer.run(Masked::with_lengths(x, &[5, 3]), None).outputs[0].shape(), [2, 5, 8]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
pub struct BidirectionalLayer<T: Element, F, B> {
    forward_layer: Rnn<T, F>,
    backward_layer: Rnn<T, B>,
    merge: Option<Merge>,
    rules: Rules,
}

/// What a bidirectional layer returns.
#[derive(Clone, Debug)]
pub struct BidirectionalOutput<'t, T: Element> {
    /// The merged output, or both without a merge.
    pub outputs: SmallVec<[Var<'t, T>; 2]>,
    /// The forward layer's last states, then the backward layer's.
    pub state: State<'t, T>,
    /// With `return_state_sequences` the states after every step, (batch, time, …) each, the forward layer's, then the
    /// backward layer's, which lie with their steps; else none.
    pub states: State<'t, T>,
    /// What activity regularizers add to the loss: both layers', and that of what they put out together.
    pub penalty: Option<Var<'t, T>>,
}

impl<T: Element, F: Cell<T>, B: Cell<T>> BidirectionalLayer<T, F, B> {
    /// A layer of these two; without a merge it has two outputs.
    ///
    /// # Errors
    /// If both go the same way, they differ in `return_sequences`, `return_state`, `return_state_sequences` or `stateful`, or
    /// a merge other than
    /// side by side has outputs of different shapes.
    pub fn new(forward_layer: Rnn<T, F>, backward_layer: Rnn<T, B>, merge: Option<Merge>) -> Result<Self, Error> {
        let wrong = |problem: &str| Err(Error::config("bidirectional", problem));
        let (there, back) = (forward_layer.options(), backward_layer.options());
        if there.go_backwards == back.go_backwards {
            return wrong("both layers go the same way: one of them needs go_backwards");
        }
        let shared = |options: RnnOptions| {
            let RnnOptions { return_sequences, return_state, return_state_sequences, stateful, .. } = options;
            (return_sequences, return_state, return_state_sequences, stateful)
        };
        if shared(there) != shared(back) {
            return wrong(
                "both layers need the same return_sequences, return_state, return_state_sequences and stateful",
            );
        }
        let (one, other) = (forward_layer.cell().output_shape(), backward_layer.cell().output_shape());
        let merges = match merge {
            None => true,
            Some(Merge::Concat) => {
                one.rank() == other.rank() && one.split_last().map(|x| x.1) == other.split_last().map(|x| x.1)
            }
            Some(_) => one == other,
        };
        if !merges {
            return wrong(&format!("outputs of shapes {one} and {other} cannot be merged so"));
        }
        // As in Keras: an output that goes on in time must not show steps that do not count.
        let quiet = |options: RnnOptions| RnnOptions { zero_output_for_mask: options.return_sequences, ..options };
        Ok(Self {
            forward_layer: forward_layer.with_options(quiet(there)),
            backward_layer: backward_layer.with_options(quiet(back)),
            merge,
            rules: Rules::new(),
        })
    }

    /// The layer that goes from the first step to the last.
    pub fn forward_layer(&self) -> &Rnn<T, F> {
        &self.forward_layer
    }

    /// The layer that goes the other way.
    pub fn backward_layer(&self) -> &Rnn<T, B> {
        &self.backward_layer
    }

    /// The same layer with a penalty of what it puts out: of the merged output and, with `return_state`, of the states.
    ///
    /// # Errors
    /// If the regularizer makes no sense, or does not suit such outputs.
    pub fn with_activity_regularizer(self, regularizer: impl Into<Option<Regularizer>>) -> Result<Self, Error> {
        let rules = Rules::new().activity(regularizer);
        let along = usize::from(self.forward_layer.options().return_sequences);
        rules.check_outputs("bidirectional", 1 + along + self.forward_layer.cell().output_shape().rank())?;
        Ok(Self { rules, ..self })
    }

    /// Runs over `x`, (batch, time, features), from `initial` states: the forward layer's, then the backward layer's.
    ///
    /// # Panics
    /// As [`Rnn::run`]; if there are more or fewer states than both layers have.
    #[track_caller]
    pub fn run<'t>(&self, x: impl Into<Masked<'t, T>>, initial: Option<&[Var<'t, T>]>) -> BidirectionalOutput<'t, T> {
        self.run_with(x, initial, [&Noise::none(), &Noise::none()])
    }

    /// As [`run`](Self::run), in a pass through a model: in training with what the cells [draw](Cell::draw) for it.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_in<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        pass: &mut Pass,
    ) -> BidirectionalOutput<'t, T> {
        let x = x.into();
        let noise = [self.forward_layer.draw(x, pass), self.backward_layer.draw(x, pass)];
        self.run_with(x, initial, [&noise[0], &noise[1]])
    }

    /// As [`run`](Self::run), with this noise for the forward layer and for the backward layer.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_with<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        noise: [&Noise<T>; 2],
    ) -> BidirectionalOutput<'t, T> {
        let x = x.into();
        let (there, back) = match initial {
            None => (None, None),
            Some(initial) => {
                let count = self.forward_layer.cell().state_shapes().len();
                let all = count + self.backward_layer.cell().state_shapes().len();
                assert!(
                    initial.len() == all,
                    "bidirectional: both layers together carry {all} states and {} were given",
                    initial.len()
                );
                let (there, back) = initial.split_at(count);
                (Some(there), Some(back))
            }
        };
        let forward = self.forward_layer.run_with(x, there, noise[0]);
        // What goes backwards puts its outputs to their steps without being reversed twice.
        let backward = match self.backward_layer.options().go_backwards {
            true => self.backward_layer.run_in_time(x, back, noise[1]),
            false => self.backward_layer.flipped(self.backward_layer.run_with(x, back, noise[1])),
        };
        let (a, b) = (forward.output, backward.output);
        let outputs = match self.merge {
            None => SmallVec::from_slice(&[a, b]),
            Some(merge) => SmallVec::from_slice(&[match merge {
                Merge::Concat => Var::concat([a, b], -1),
                Merge::Sum => a + b,
                Merge::Mul => a * b,
                Merge::Ave => (a + b) * 0.5,
            }]),
        };
        let state: State<'t, T> = forward.state.into_iter().chain(backward.state).collect();
        let states = forward.states.into_iter().chain(backward.states).collect();
        let mut penalty = add(forward.penalty, backward.penalty);
        penalty = add(penalty, self.rules.of_outputs(&outputs));
        if self.forward_layer.options().return_state {
            penalty = add(penalty, self.rules.of_outputs(&state));
        }
        BidirectionalOutput { outputs, state, states, penalty }
    }

    /// As Keras returns it: the output or both, then with `return_state` the last states. Behind them, with
    /// `return_state_sequences`, those of every step.
    ///
    /// # Panics
    /// As [`run`](Self::run).
    #[track_caller]
    pub fn call<'t>(&self, x: impl Into<Masked<'t, T>>, initial: Option<&[Var<'t, T>]>) -> SmallVec<[Var<'t, T>; 6]> {
        let BidirectionalOutput { outputs, state, states, .. } = self.run(x, initial);
        let state = if self.forward_layer.options().return_state { state } else { State::new() };
        outputs.into_iter().chain(state).chain(states).collect()
    }

    /// How both layers run: [`Rnn::explain`].
    pub fn explain(&self) -> String {
        format!("forward:\n{}backward:\n{}", self.forward_layer.explain(), self.backward_layer.explain())
    }

    /// The rule for a layer of a model.
    fn one_output(&self) -> Result<Merge, Error> {
        self.merge.ok_or_else(|| {
            Error::config("bidirectional", "without a merge_mode it has two outputs, and a model's layer has one")
        })
    }

    /// The shapes of the states of both layers.
    fn state_shapes(&self) -> StateShapes {
        let back = self.backward_layer.cell().state_shapes();
        self.forward_layer.cell().state_shapes().into_iter().chain(back).collect()
    }
}

impl<T: Element, F: Module<T>, B: Module<T>> Module<T> for BidirectionalLayer<T, F, B> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        let Self { forward_layer, backward_layer, merge: _, rules: _ } = self;
        path.enter("forward_layer", |path| forward_layer.visit(path, visitor));
        path.enter("backward_layer", |path| backward_layer.visit(path, visitor));
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        let Self { forward_layer, backward_layer, merge: _, rules: _ } = self;
        path.enter("forward_layer", |path| forward_layer.visit_mut(path, visitor));
        path.enter("backward_layer", |path| backward_layer.visit_mut(path, visitor));
    }
}

impl<T: Element, F: Cell<T>, B: Cell<T>> Layer<T> for BidirectionalLayer<T, F, B> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        self.forward_masked(x.into(), pass).value
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        if let Err(error) = self.one_output() {
            panic!("{error}");
        }
        let BidirectionalOutput { outputs, penalty, .. } = self.run_in(x, None, pass);
        let mask = x.mask.filter(|_| self.forward_layer.options().return_sequences);
        Masked { value: outputs[0], mask, ..x }.and(penalty)
    }

    /// The output or both, with `return_state` the last states behind; these have no mask.
    #[track_caller]
    fn forward_all<'t>(&self, inputs: &[Masked<'t, T>], states: &[Var<'t, T>], pass: &mut Pass) -> Outputs<'t, T> {
        let [x] = inputs else { panic!("bidirectional: it takes one input, got {}", inputs.len()) };
        let run = self.run_in(*x, (!states.is_empty()).then_some(states), pass);
        let RnnOptions { return_sequences, return_state, .. } = self.forward_layer.options();
        let mask = x.mask.filter(|_| return_sequences);
        let first = Masked { value: run.outputs[0], mask, ..*x }.and(run.penalty);
        let mut all = with_states(first, run.state, return_state);
        if let Some(&second) = run.outputs.get(1) {
            all.insert(1, Masked { mask, ..second.into() });
        }
        all
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let mut axes = self.forward_layer.output_shape(input)?;
        let back = self.backward_layer.output_shape(input)?;
        let side_by_side = self.one_output()? == Merge::Concat;
        if let (true, Some(Some(width)), Some(Some(more))) = (side_by_side, axes.last_mut(), back.last()) {
            *width += more;
        }
        Ok(axes)
    }

    fn output_shapes(&self, inputs: &[Axes], states: &[Axes]) -> Result<Vec<Axes>, Error> {
        let [input] = inputs else {
            return Err(Error::config("bidirectional", format!("takes one input, got {}", inputs.len())));
        };
        let shapes = self.state_shapes();
        states_fit("bidirectional", &shapes, states)?;
        let mut all = match self.merge {
            Some(_) => vec![self.output_shape(input)?],
            None => vec![self.forward_layer.output_shape(input)?, self.backward_layer.output_shape(input)?],
        };
        if self.forward_layer.options().return_state {
            all.extend(shapes.iter().map(|shape| shape.iter().map(|&n| Some(n)).collect::<Axes>()));
        }
        Ok(all)
    }

    fn output_mask(&self, k: usize, masked: &[bool]) -> bool {
        let outputs = if self.merge.is_some() { 1 } else { 2 };
        k < outputs && masked[0] && self.forward_layer.options().return_sequences
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        Layer::check(&self.forward_layer, x)?;
        Layer::check(&self.backward_layer, x)
    }

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        let there = self.forward_layer.penalty(tape);
        add(there, self.backward_layer.penalty(tape))
    }

    fn constrain(&mut self) {
        self.forward_layer.constrain();
        self.backward_layer.constrain();
    }

    fn is_stateful(&self) -> bool {
        self.forward_layer.options().stateful
    }

    fn reset_state(&self) {
        self.forward_layer.reset_state();
        self.backward_layer.reset_state();
    }
}
