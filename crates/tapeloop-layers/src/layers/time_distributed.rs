//! y[t] = f(x[t])

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Element, Module, Param, Path, Rng, Shape, StreamBuilder, Tape, Var};

use super::{Config, LayerConfig};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::rules::add;
use crate::{Error, Regularizer, Rules};

/// The configuration of a layer applied to every step by itself: Keras' `TimeDistributed(layer)`.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Lstm, Sequential, TimeDistributed};
/// // A number for each of the sequences within a sequence.
/// let words = TimeDistributed::new(Lstm::new(8));
/// let model = Sequential::new([None, Some(6), Some(3)]).add(words).add(Lstm::new(4)).build::<f32>(0)?;
/// assert_eq!(model.predict(&Tensor::zeros([2, 5, 6, 3]))?.shape(), [2, 4]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeDistributed {
    /// The layer.
    pub inner: Box<LayerConfig>,
    /// Penalty of the output, divided by the batch; that of the layer is its own. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
}

impl TimeDistributed {
    /// This layer at every step.
    pub fn new(inner: impl Into<LayerConfig>) -> Self {
        Self { inner: Box::new(inner.into()), activity_regularizer: None }
    }

    /// A penalty of the output, divided by the batch.
    pub fn activity_regularizer(self, regularizer: Regularizer) -> Self {
        Self { activity_regularizer: Some(regularizer), ..self }
    }
}

impl Config for TimeDistributed {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        let [_, step @ ..] = input else { return Err(too_short()) };
        if step.is_empty() {
            return Err(too_short());
        }
        let within = |error: Error| Error::config("time_distributed", error.to_string());
        let inner = self.inner.build::<T>(step, rng).map_err(within)?;
        let output = inner.output_shape(step).map_err(within)?;
        let rules = Rules::new().activity(self.activity_regularizer);
        rules.check_outputs("time_distributed", 2 + output.len())?;
        Ok(Box::new(TimeDistributedLayer { inner, step: step.to_vec(), rules }))
    }
}

fn too_short() -> Error {
    Error::config("time_distributed", "needs time and at least one more axis behind the batch")
}

/// A layer at every step of (batch, time, …), as if each were a row of the batch. One that is stateful takes one step after
/// the other instead, and goes on from step to step, as in Keras.
///
/// A [mask](Masked) stays what it was; the layer itself sees none. What its activity regularizer adds is the sum over all
/// steps, each divided by the batch.
pub struct TimeDistributedLayer<T: Element = f32> {
    inner: Box<dyn Layer<T>>,
    /// The axes of a step.
    step: Axes,
    rules: Rules,
}

impl<T: Element> TimeDistributedLayer<T> {
    /// The layer that every step goes through.
    pub fn inner(&self) -> &dyn Layer<T> {
        &*self.inner
    }

    /// Every step at once, as rows.
    #[track_caller]
    fn at_once<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let shape = x.shape();
        let (batch, time) = (shape[0], shape[1]);
        let rows: Shape = std::iter::once(batch * time).chain(shape[2..].iter().copied()).collect();
        let y = self.inner.forward_masked(x.reshape_to(rows).into(), pass);
        let own = y.value.shape();
        let steps: Shape = [batch, time].into_iter().chain(own[1..].iter().copied()).collect();
        let mut all = Masked::from(y.value.reshape_to(steps));
        if let Some(penalty) = y.penalty {
            // It was divided by the rows.
            all.penalty = Some(penalty * time as f64);
        }
        all
    }

    /// One step after the other.
    #[track_caller]
    fn in_turn<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        if x.dim(1) == 0 {
            // Nothing goes on.
            let step: Axes = x.shape()[2..].iter().map(|&n| Some(n)).collect();
            let output = self.inner.output_shape(&step).unwrap_or_default();
            let shape: Shape = [x.dim(0), 0].into_iter().chain(output.into_iter().flatten()).collect();
            return x.tape().full(shape, 0.0).into();
        }
        let mut outputs: SmallVec<[Var<'t, T>; 16]> = SmallVec::new();
        let mut penalty = None;
        for t in 0..x.dim(1) {
            let y = self.inner.forward_masked(x.select(1, t).into(), pass);
            penalty = add(penalty, y.penalty);
            outputs.push(y.value);
        }
        Masked { penalty, ..Var::stack(outputs, 1).into() }
    }
}

impl<T: Element> Module<T> for TimeDistributedLayer<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        let Self { inner, step: _, rules: _ } = self;
        path.enter("inner", |path| inner.visit(path, visitor));
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        let Self { inner, step: _, rules: _ } = self;
        path.enter("inner", |path| inner.visit_mut(path, visitor));
    }
}

impl<T: Element> Layer<T> for TimeDistributedLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        self.forward_masked(x.into(), pass).value
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let shape = x.value.shape();
        assert!(
            shape.rank() == 2 + self.step.len(),
            "time_distributed: x has shape {shape}; it needs (batch, time, …) with {} axes at every step",
            self.step.len()
        );
        let y = match self.inner.is_stateful() {
            true => self.in_turn(x.value, pass),
            false => self.at_once(x.value, pass),
        };
        let penalty = add(y.penalty, self.rules.of_outputs(&[y.value]));
        Masked { value: y.value, ..x }.and(penalty)
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let [time, step @ ..] = input else { return Err(too_short()) };
        if step.is_empty() {
            return Err(too_short());
        }
        let output = self.inner.output_shape(step);
        let output = output.map_err(|error| Error::config("time_distributed", error.to_string()))?;
        Ok(std::iter::once(*time).chain(output).collect())
    }

    fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
        masked[0]
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        match x.shape()[..] {
            [_, 0, ..] => Ok(()),
            [..] if self.inner.is_stateful() => self.inner.check(x.select(1, 0)),
            [batch, time, ref step @ ..] => {
                let rows: Shape = std::iter::once(batch * time).chain(step.iter().copied()).collect();
                self.inner.check(x.reshape_to(rows))
            }
            _ => Ok(()),
        }
    }

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.inner.penalty(tape)
    }

    fn constrain(&mut self) {
        self.inner.constrain();
    }

    fn is_stateful(&self) -> bool {
        self.inner.is_stateful()
    }

    fn reset_state(&self) {
        self.inner.reset_state();
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        if self.step.len() != 1 {
            let problem = "it cannot be streamed: a step has more axes than a stream's row of features";
            return Err(Error::config("time_distributed", problem));
        }
        self.inner.stream(stream).map_err(|error| Error::config("time_distributed", error.to_string()))
    }
}
