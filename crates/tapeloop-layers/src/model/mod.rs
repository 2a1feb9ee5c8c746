//! Models built from a description that is data: layers one after the other, and graphs of layers.

mod built;
mod functional;
mod functional_model;
mod sequential;
mod summary;

pub use functional::{Functional, Node, Nodes, Placing};
pub use functional_model::{ByName, FunctionalModel, FunctionalRun};
pub use sequential::{InputShape, Sequential};
pub use summary::Summary;

use tapeloop_autograd::{Element, Module, Param, Path, Shape, Stream, Tape, Tensor, Var};

use crate::Error;
use crate::layer::{Axes, Masked, Pass, with_batch};
use built::{Built, Named};
use summary::{Mark, Row};

/// A built model: layers with their weights.
///
/// Its description is [`config`](Self::config), its parameters are named `layer.field`, as `lstm.cell.kernel`.
pub struct Model<T: Element = f32> {
    config: Sequential,
    layers: Built<T>,
    /// The shape behind each layer.
    outputs: Vec<Axes>,
}

impl<T: Element> Model<T> {
    /// The description it was built from.
    pub fn config(&self) -> &Sequential {
        &self.config
    }

    /// The names of the layers, in order.
    pub fn layer_names(&self) -> impl Iterator<Item = &str> {
        self.layers.0.iter().map(|named| named.name.as_str())
    }

    /// The shape of the output behind the batch.
    pub fn output_shape(&self) -> &[Option<usize>] {
        self.outputs.last().map_or(&[], |axes| axes)
    }

    /// The output for `x`, (batch, …), on its tape. A value with a [mask](Masked) brings it along. What activity
    /// regularizers add to the loss, [`forward_masked`](Self::forward_masked) returns beside it.
    ///
    /// # Panics
    /// If `x` does not suit the model; [`predict`](Self::predict) returns an error instead.
    #[track_caller]
    pub fn forward<'t>(&self, x: impl Into<Masked<'t, T>>, pass: &mut Pass) -> Var<'t, T> {
        self.forward_masked(x.into(), pass).value
    }

    /// As [`forward`](Self::forward), with what the layers have made of the mask: which steps of the output count.
    ///
    /// # Panics
    /// As `forward`.
    #[track_caller]
    pub fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        // Here, since a call through `dyn` loses the caller's line.
        if let Err(error) = suits(&x.value.shape(), &self.config.input_shape().0) {
            panic!("{error}");
        }
        let mut x = x;
        for Named { name, layer } in &self.layers.0 {
            if let Err(error) = layer.check(x.value) {
                panic!("{}", error.in_layer(name));
            }
            x = layer.forward_masked(x, pass);
        }
        x
    }

    /// The output for `x`, (batch, …), without gradients.
    ///
    /// Who predicts often does it [on a tape](Self::predict_on) of his own.
    ///
    /// # Errors
    /// If `x` does not suit the model: another shape, ids that do not exist, another batch than a stateful layer
    /// carries.
    pub fn predict(&self, x: &Tensor<T>) -> Result<Tensor<T>, Error> {
        self.predict_on(&mut Tape::inference(), x)
    }

    /// As [`predict`](Self::predict), where of `x`, (batch, time, …), only those steps count for which `mask`,
    /// (batch, time), is true.
    ///
    /// # Errors
    /// As `predict`; if the mask has another shape.
    pub fn predict_masked(&self, x: &Tensor<T>, mask: &Tensor<bool>) -> Result<Tensor<T>, Error> {
        self.predict_masked_on(&mut Tape::inference(), x, mask)
    }

    /// As [`predict`](Self::predict), in the memory and on the threads of `tape`, which is reset before. Once the tape
    /// has seen an input of this size, and the last output is dropped, nothing is allocated; only an embedding makes
    /// its ids anew.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, Threads};
    /// use tapeloop_layers::{Dense, Lstm, Sequential};
    /// let model = Sequential::new([10, 1]).add(Lstm::new(8)).add(Dense::new(1)).build::<f32>(0)?;
    /// let mut tape = Tape::inference_with_threads(Threads::new(1));
    /// for day in 0..3 {
    ///     let forecast = model.predict_on(&mut tape, &Tensor::full([1, 10, 1], day as f32))?;
    ///     println!("{}", forecast.item());
    /// }
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As `predict`.
    pub fn predict_on(&self, tape: &mut Tape<T>, x: &Tensor<T>) -> Result<Tensor<T>, Error> {
        self.predict_with(tape, x, None)
    }

    /// As [`predict_masked`](Self::predict_masked), on a tape as [`predict_on`](Self::predict_on).
    ///
    /// # Errors
    /// As `predict_masked`.
    pub fn predict_masked_on(
        &self,
        tape: &mut Tape<T>,
        x: &Tensor<T>,
        mask: &Tensor<bool>,
    ) -> Result<Tensor<T>, Error> {
        mask_suits(mask.shape(), x.shape())?;
        self.predict_with(tape, x, Some(mask))
    }

    fn predict_with(&self, tape: &mut Tape<T>, x: &Tensor<T>, mask: Option<&Tensor<bool>>) -> Result<Tensor<T>, Error> {
        self.check(x)?;
        tape.reset();
        let output = tape.no_grad(|| {
            let mut pass = Pass::inference();
            let mut x = Masked { mask: mask.map(|mask| tape.mask(mask)), ..tape.constant(x.clone()).into() };
            for Named { name, layer } in &self.layers.0 {
                layer.check(x.value).map_err(|error| error.in_layer(name))?;
                x = layer.forward_masked(x, &mut pass);
            }
            Ok(x.value.value())
        });
        // The tape lets go of the parameters, so that they can be changed in place, and keeps the output, so that its
        // memory is there for the next one.
        tape.reset();
        let output = output?;
        tape.constant(output.clone());
        Ok(output)
    }

    /// The model as a stream, from zero states: one step of time in, its features, and the output for it out. A
    /// recurrent layer carries its states from sample to sample, whether it is stateful or not; where it returns no
    /// sequences, its output is the one so far. The results are those of [`predict`](Self::predict) over the whole
    /// sequence with `return_sequences`, bit for bit, except where a layer is unrolled: that rounds otherwise.
    ///
    /// The stream copies the weights. Its [`step`](Stream::step) allocates nothing, locks nothing, and makes no system call.
    ///
    /// ```
    /// use tapeloop_layers::{Dense, Lstm, Sequential};
    /// let model = Sequential::new([None, Some(1)]).add(Lstm::new(8)).add(Dense::new(1)).build::<f32>(0)?;
    /// let mut stream = model.stream()?;
    /// let mut buffer = [0.5, -0.25, 0.125];
    /// for sample in &mut buffer {
    ///     *sample = stream.step(&[*sample])[0];
    /// }
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a layer needs all of time, as one that goes backwards; or does what streams do not know, as an embedding.
    pub fn stream(&self) -> Result<Stream<T>, Error> {
        self.stream_on(1)
    }

    /// As [`stream`](Self::stream), each step shared with other [threads](tapeloop_autograd::StreamBuilder::threads), this
    /// one included: for weights that are larger than a core's caches.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), or if the system gives it no thread.
    pub fn stream_on(&self, threads: usize) -> Result<Stream<T>, Error> {
        let [lead @ .., features] = &self.config.input_shape().0[..] else {
            return Err(Error::other("a stream needs features: the model takes numbers without axes"));
        };
        if lead.len() > 1 {
            return Err(Error::other(
                "a stream takes (features) at every step: the model has more axes than time and these",
            ));
        }
        // A layer that cannot be streamed says so, also where their number is not known.
        let mut builder = Stream::builder(features.unwrap_or(1)).threads(threads);
        for Named { name, layer } in &self.layers.0 {
            layer.stream(&mut builder).map_err(|error| error.in_layer(name))?;
        }
        if features.is_none() {
            return Err(Error::other("a stream needs to know the number of features"));
        }
        builder.build().map_err(|error| Error::other(format!("the model cannot be streamed: {error}")))
    }

    /// Whether `x` has the shape the model was built for.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, x: &Tensor<T>) -> Result<(), Error> {
        suits(x.shape(), &self.config.input_shape().0)
    }

    /// The penalty of all weights that have a regularizer, as they are on the tape: a scalar for the loss, `None` without
    /// any. What activity regularizers add is in the [`Masked`] that [`forward_masked`](Self::forward_masked) returns.
    ///
    /// ```
    /// use tapeloop_autograd::losses::{Reduction, mse};
    /// use tapeloop_autograd::{Tape, Tensor};
    /// use tapeloop_layers::{Constraint, Dense, Lstm, Pass, Regularizer, Sequential};
    /// let lstm = Lstm::new(8).recurrent_regularizer(Regularizer::l2(1e-4)).activity_regularizer(Regularizer::l2(1e-5));
    /// let dense = Dense::new(1).kernel_constraint(Constraint::max_norm(1.0));
    /// let mut model = Sequential::new([10, 1]).add(lstm).add(dense).build::<f32>(0)?;
    /// let mut tape = Tape::new();
    /// let (loss, gradients) = tape.value_and_grad(|tape| {
    ///     let output = model.forward_masked(tape.constant(Tensor::zeros([4, 10, 1])).into(), &mut Pass::training(0));
    ///     let loss = mse(output.value, &Tensor::ones([4, 1]), Reduction::Mean);
    ///     [output.penalty, model.penalty(tape)].into_iter().flatten().fold(loss, |loss, penalty| loss + penalty)
    /// });
    /// // A step of an optimizer, then:
    /// model.constrain();
    /// # assert!(loss > 1.0);
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    #[track_caller]
    pub fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.layers.penalty(tape)
    }

    /// Projects all weights that have a constraint; to be called after each step of an optimizer.
    pub fn constrain(&mut self) {
        self.layers.constrain();
    }

    /// Forgets what stateful layers carry.
    pub fn reset_state(&self) {
        self.layers.reset_state();
    }

    /// The layers, their shapes and sizes, as a table, and where a mask arrives.
    pub fn summary(&self) -> Summary {
        let mut masked = false;
        let layers = self.layers.0.iter().zip(self.config.layers()).zip(&self.outputs);
        let rows: Vec<Row> = layers
            .map(|((named, config), output)| {
                let behind = named.layer.output_mask(0, &[masked]);
                let mask = Mark::of(std::mem::replace(&mut masked, behind), behind);
                let name = format!("{} ({})", named.name, config.kind());
                Row { name, shape: with_batch(output), counts: named.counts(), from: None, mask }
            })
            .collect();
        Summary::new(&rows, size_of::<T>(), None)
    }
}

impl<T: Element> Module<T> for Model<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        self.layers.visit(path, visitor);
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        self.layers.visit_mut(path, visitor);
    }
}

/// Whether a value of this shape is one of these axes behind the batch.
///
/// # Errors
/// If not.
fn suits(shape: &Shape, expected: &[Option<usize>]) -> Result<(), Error> {
    let fits = shape.rank() == expected.len() + 1
        && shape[1..].iter().zip(expected).all(|(&n, wanted)| wanted.is_none_or(|wanted| wanted == n));
    if fits {
        return Ok(());
    }
    Err(Error::input(format!("an input of shape {}", with_batch(expected)), shape.to_string()))
}

/// Whether a mask is (batch, time) of a value of this shape.
///
/// # Errors
/// If not.
fn mask_suits(mask: &Shape, shape: &Shape) -> Result<(), Error> {
    if mask.rank() == 2 && shape.rank() >= 2 && mask[..] == shape[..2] {
        return Ok(());
    }
    let steps: Shape = shape.iter().take(2).copied().collect();
    Err(Error::input(format!("a mask of shape {steps} (batch, time)"), mask.to_string()))
}
