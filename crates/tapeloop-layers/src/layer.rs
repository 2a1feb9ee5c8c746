//! A layer: values to values. What a model is a sequence of.

use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{Element, Mask, Module, Rng, StreamBuilder, Tape, Tensor, Var};

use crate::rules::add;
use crate::{Error, State, StateShapes};

/// What one pass through a model is for.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Whether dropout and the like act.
    pub training: bool,
    /// What they draw from.
    pub rng: Rng,
    /// What layers with a seed of their own fork from.
    own: Rng,
}

impl Pass {
    /// A training pass: random choices follow from `seed` alone.
    pub fn training(seed: u64) -> Self {
        let rng = Rng::new(seed);
        Self { training: true, own: rng.fork(0), rng }
    }

    /// A pass that makes no random choices.
    pub fn inference() -> Self {
        let rng = Rng::new(0);
        Self { training: false, own: rng.fork(0), rng }
    }

    /// A generator for a layer with a seed of its own: another one each time it is asked for, the same in passes of the
    /// same seed.
    pub(crate) fn own(&mut self, seed: u64) -> Rng {
        let own = self.own.fork(seed);
        self.own.uniform();
        own
    }
}

/// A value, and which of its steps count: sequences of different lengths in one batch.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::{Lstm, Masked};
/// let lstm = Lstm::new(4).layer::<f32>(1, &mut Rng::new(0));
/// let tape = Tape::inference();
/// let padded = tape.constant(Tensor::from([[[1.0f32], [2.0], [f32::NAN]]]));
/// let short = tape.constant(Tensor::from([[[1.0f32], [2.0]]]));
/// let output = lstm.run(Masked::with_lengths(padded, &[2]), None).output;
/// assert_eq!(output.value().to_vec(), lstm.run(short, None).output.value().to_vec());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Masked<'t, T: Element = f32> {
    /// (batch, time, …)
    pub value: Var<'t, T>,
    /// (batch, time): 0 where a step does not count. Without a mask all of them do.
    pub mask: Option<Var<'t, T>>,
    /// What activity regularizers of the layers so far add to the loss.
    pub penalty: Option<Var<'t, T>>,
}

impl<'t, T: Element> Masked<'t, T> {
    /// `value`, (batch, time, …), of which those steps count for which `mask`, (batch, time), says yes.
    ///
    /// # Panics
    /// If the mask has another shape.
    #[track_caller]
    pub fn new(value: Var<'t, T>, mask: impl Mask<'t, T>) -> Self {
        let mask = mask.on(value.tape());
        let (shape, own) = (value.shape(), mask.shape());
        assert!(
            own.rank() == 2 && shape.rank() >= 2 && own[..] == shape[..2],
            "masked: the mask of a value of shape {shape} is (batch, time), not {own}"
        );
        Self { value, mask: Some(mask), penalty: None }
    }

    /// `value`, (batch, time, …), of whose rows the first steps count: in row b `lengths[b]` of them.
    ///
    /// # Panics
    /// If there are more or fewer lengths than rows, or one is longer than time.
    #[track_caller]
    pub fn with_lengths(value: Var<'t, T>, lengths: &[usize]) -> Self {
        let shape = value.shape();
        assert!(
            shape.rank() >= 2 && shape[0] == lengths.len() && lengths.iter().all(|&length| length <= shape[1]),
            "masked: a value of shape {shape} (batch, time, …) cannot have the lengths {lengths:?}"
        );
        Self::new(value, &Tensor::from_fn(&shape[..2], |i| i[1] < lengths[i[0]]))
    }

    /// The same with one more penalty, if there is one.
    #[track_caller]
    pub(crate) fn and(self, penalty: Option<Var<'t, T>>) -> Self {
        Self { penalty: add(self.penalty, penalty), ..self }
    }
}

impl<'t, T: Element> From<Var<'t, T>> for Masked<'t, T> {
    fn from(value: Var<'t, T>) -> Self {
        Self { value, mask: None, penalty: None }
    }
}

/// The lengths of a value's axes behind the batch; `None` where any length will do.
pub type Axes = Vec<Option<usize>>;

/// What a layer puts out at one place of a graph: most often one value.
pub type Outputs<'t, T> = SmallVec<[Masked<'t, T>; 3]>;

/// A layer with its weights.
pub trait Layer<T: Element>: Module<T> + Send {
    /// The output for an input (batch, …).
    ///
    /// # Panics
    /// If the shape does not suit: [`output_shape`](Self::output_shape) says beforehand.
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T>;

    /// As [`forward`](Self::forward), of a value that may have a mask; says which steps of the output count. A layer that
    /// knows nothing of masks ends them: it takes padding for values, and so does what follows. Penalties go on.
    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        Masked { penalty: x.penalty, ..self.forward(x.value, pass).into() }
    }

    /// As [`forward_masked`](Self::forward_masked), as a graph calls it: of all inputs and initial states, with all
    /// outputs. A layer takes one input and no states, and has one output, unless it says otherwise.
    ///
    /// # Panics
    /// As `forward`; [`output_shapes`](Self::output_shapes) says beforehand.
    #[track_caller]
    fn forward_all<'t>(&self, inputs: &[Masked<'t, T>], states: &[Var<'t, T>], pass: &mut Pass) -> Outputs<'t, T> {
        match (inputs, states) {
            ([x], []) => smallvec![self.forward_masked(*x, pass)],
            _ => panic!("{}", takes_one(inputs.len(), states.len())),
        }
    }

    /// The shape of the output, both without the batch axis.
    ///
    /// # Errors
    /// If the layer cannot take such an input.
    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error>;

    /// The shapes of what [`forward_all`](Self::forward_all) puts out, all without the batch axis.
    ///
    /// # Errors
    /// If the layer cannot take such inputs or states.
    fn output_shapes(&self, inputs: &[Axes], states: &[Axes]) -> Result<Vec<Axes>, Error> {
        match (inputs, states) {
            ([input], []) => Ok(vec![self.output_shape(input)?]),
            _ => Err(takes_one(inputs.len(), states.len())),
        }
    }

    /// Whether output `k` has a mask, where those inputs have one of which `masked` says so.
    fn output_mask(&self, k: usize, masked: &[bool]) -> bool {
        let _ = (k, masked);
        false
    }

    /// Whether the layer can take this very value, beyond what its configuration says of shapes. Only what needs numbers
    /// reads them: a model may be part of a step that is traced.
    ///
    /// # Errors
    /// With what is wrong.
    fn check(&self, _: Var<'_, T>) -> Result<(), Error> {
        Ok(())
    }

    /// As [`check`](Self::check), of all inputs at one place of a graph.
    ///
    /// # Errors
    /// With what is wrong.
    fn check_all(&self, inputs: &[Masked<'_, T>]) -> Result<(), Error> {
        inputs.first().map_or(Ok(()), |x| self.check(x.value))
    }

    /// The penalty of the layer's weights as they are on the tape, a scalar that is added to the loss. `None` where no
    /// weight has a regularizer.
    #[track_caller]
    fn penalty<'t>(&self, _: &'t Tape<T>) -> Option<Var<'t, T>> {
        None
    }

    /// Projects the weights to where their constraints want them; to be called after each step of an optimizer.
    fn constrain(&mut self) {}

    /// Whether rows of a batch go on where those of the call before ended.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Forgets what is carried from call to call.
    fn reset_state(&self) {}

    /// Appends to a stream what the layer does to one step of time, in inference.
    ///
    /// # Errors
    /// If it needs more of time than the past, or does what streams do not know. So does a layer that does not say.
    fn stream(&self, _: &mut StreamBuilder<T>) -> Result<(), Error> {
        Err(Error::config("", "it cannot be streamed: it takes all of time at once"))
    }
}

/// The rule for inputs of a layer that says nothing else.
fn takes_one(inputs: usize, states: usize) -> Error {
    match states {
        0 => Error::config("", format!("takes one input, got {inputs}")),
        _ => Error::config("", "takes no initial states: it carries none"),
    }
}

/// An output with the states behind it, if they are returned.
pub(crate) fn with_states<'t, T: Element>(
    first: Masked<'t, T>,
    states: State<'t, T>,
    returned: bool,
) -> Outputs<'t, T> {
    let states = states.into_iter().filter(|_| returned);
    std::iter::once(first).chain(states.map(Masked::from)).collect()
}

/// The rule for initial states: none, or all in their order.
pub(crate) fn states_fit(layer: &str, needed: &StateShapes, given: &[Axes]) -> Result<(), Error> {
    if given.is_empty() {
        return Ok(());
    }
    if given.len() != needed.len() {
        let problem = format!("it carries {} states, got {} initial ones", needed.len(), given.len());
        return Err(Error::config(layer, problem));
    }
    for (k, (needed, given)) in needed.iter().zip(given).enumerate() {
        if given.len() != needed.rank() || given.iter().zip(needed.iter()).any(|(&given, &n)| given != Some(n)) {
            let axes: Axes = needed.iter().map(|&n| Some(n)).collect();
            let problem = format!("initial state {k} is {}, got {}", with_batch(&axes), with_batch(given));
            return Err(Error::config(layer, problem));
        }
    }
    Ok(())
}

/// A shape with the batch in front, as `(None, 10, 1)`.
pub(crate) fn with_batch(axes: &[Option<usize>]) -> String {
    let axes: Vec<_> = axes.iter().map(|n| n.map_or("None".to_string(), |n| n.to_string())).collect();
    let comma = if axes.is_empty() { "," } else { ", " };
    format!("(None{comma}{})", axes.join(", "))
}
