//! A graph of layers with their weights.

use std::ops::{Deref, Index};

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Module, Param, Path, Tape, Tensor, Var};

use super::built::Built;
use super::summary::{Mark, Row};
use super::{Functional, Summary, mask_suits, suits};
use crate::Error;
use crate::layer::{Axes, Masked, Pass, with_batch};
use crate::rules::add;

/// A layer applied: which one, and the places of the values it takes.
pub(super) struct Call {
    pub(super) layer: usize,
    pub(super) inputs: SmallVec<[usize; 2]>,
    pub(super) states: SmallVec<[usize; 2]>,
    /// How many values it puts out.
    pub(super) outputs: usize,
}

/// A built [`Functional`]: layers with their weights.
///
/// Its parameters are named `node.field`, as `encoder.cell.kernel`. A layer that several nodes share has one set of them,
/// under the name of the node that has it as its own.
pub struct FunctionalModel<T: Element = f32> {
    config: Functional,
    input_names: Vec<String>,
    output_names: Vec<String>,
    layers: Built<T>,
    calls: Vec<Call>,
    /// The places of the outputs.
    outputs: Vec<usize>,
    /// The shape of each value, and whether it has a mask that comes from within.
    axes: Vec<Axes>,
    masked: Vec<bool>,
}

/// Values with names, in order: a slice, and `values["name"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ByName<'m, V> {
    names: &'m [String],
    values: Vec<V>,
}

impl<V> ByName<'_, V> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.names.iter().position(|own| own == name).map(|place| &self.values[place])
    }

    /// The names and values.
    pub fn iter_named(&self) -> impl Iterator<Item = (&str, &V)> {
        self.names.iter().map(String::as_str).zip(&self.values)
    }

    /// The values in order.
    pub fn into_values(self) -> Vec<V> {
        self.values
    }
}

impl<V> Deref for ByName<'_, V> {
    type Target = [V];

    fn deref(&self) -> &[V] {
        &self.values
    }
}

impl<V> Index<&str> for ByName<'_, V> {
    type Output = V;

    /// # Panics
    /// If there is none of this name.
    #[track_caller]
    fn index(&self, name: &str) -> &V {
        match self.get(name) {
            Some(value) => value,
            None => panic!("there is no `{name}`; there are {}", self.names.join(", ")),
        }
    }
}

impl<V> Index<usize> for ByName<'_, V> {
    type Output = V;

    #[track_caller]
    fn index(&self, place: usize) -> &V {
        &self.values[place]
    }
}

/// What a pass through a graph gives.
#[derive(Clone, Debug)]
pub struct FunctionalRun<'m, 't, T: Element> {
    /// The outputs with their masks; their own penalties are in that of the pass.
    pub outputs: ByName<'m, Masked<'t, T>>,
    /// What activity regularizers of all layers add to the loss, and what inputs brought along: each once, however many
    /// outputs it leads to.
    pub penalty: Option<Var<'t, T>>,
}

impl<T: Element> FunctionalModel<T> {
    pub(super) fn new(
        config: Functional,
        layers: Built<T>,
        calls: Vec<Call>,
        outputs: Vec<usize>,
        axes: Vec<Axes>,
        masked: Vec<bool>,
    ) -> Self {
        let input_names = config.input_names().map(String::from).collect();
        let output_names = config.output_names().map(String::from).collect();
        Self { config, input_names, output_names, layers, calls, outputs, axes, masked }
    }

    /// The description it was built from.
    pub fn config(&self) -> &Functional {
        &self.config
    }

    /// The names of the inputs, in order.
    pub fn input_names(&self) -> &[String] {
        &self.input_names
    }

    /// The names of the outputs, in order.
    pub fn output_names(&self) -> &[String] {
        &self.output_names
    }

    /// The shapes of the outputs behind the batch.
    pub fn output_shapes(&self) -> ByName<'_, &[Option<usize>]> {
        self.outputs_of(self.outputs.iter().map(|&slot| &self.axes[slot][..]).collect())
    }

    fn outputs_of<V>(&self, values: Vec<V>) -> ByName<'_, V> {
        ByName { names: &self.output_names, values }
    }

    /// What is given by the names of inputs, in their order: for [`predict`](Self::predict) and
    /// [`forward`](Self::forward).
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// use tapeloop_layers::{Functional, Subtract};
    /// let mut graph = Functional::new();
    /// let [now, before] = ["now", "before"].map(|name| graph.input(name, [2]));
    /// let change = graph.add(Subtract::new(), [now, before]);
    /// graph.output("change", change);
    /// let model = graph.build::<f32>(0)?;
    /// let (now, before) = (Tensor::from([[3.0f32, 5.0]]), Tensor::from([[1.0f32, 2.0]]));
    /// let inputs = model.in_order([("before", &before), ("now", &now)])?;
    /// assert_eq!(model.predict(&inputs)?["change"].to_vec(), [2.0, 3.0]);
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a name is not that of an input, or comes twice; if one is missing.
    pub fn in_order<'n, V>(&self, given: impl IntoIterator<Item = (&'n str, V)>) -> Result<Vec<V>, Error> {
        let mut slots: Vec<Option<V>> = self.input_names.iter().map(|_| None).collect();
        for (name, value) in given {
            match self.input_names.iter().position(|own| own == name) {
                Some(place) if slots[place].is_none() => slots[place] = Some(value),
                Some(_) => return Err(Error::other(format!("the input `{name}` is given twice"))),
                None => {
                    let all = self.input_names.join(", ");
                    return Err(Error::other(format!("there is no input `{name}`; there are {all}")));
                }
            }
        }
        let missing = |(slot, name): (Option<V>, &String)| {
            slot.ok_or_else(|| Error::other(format!("the input `{name}` is not given")))
        };
        slots.into_iter().zip(&self.input_names).map(missing).collect()
    }

    /// The outputs for these inputs, each (batch, …), in their order, on their tape. Masks travel by themselves: each
    /// layer gets those of its inputs.
    ///
    /// # Panics
    /// If the inputs do not suit the graph; [`predict`](Self::predict) returns an error instead.
    #[track_caller]
    pub fn forward<'t>(&self, inputs: &[Masked<'t, T>], pass: &mut Pass) -> FunctionalRun<'_, 't, T> {
        match self.run(inputs, pass) {
            Ok(run) => run,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    fn run<'t>(&self, inputs: &[Masked<'t, T>], pass: &mut Pass) -> Result<FunctionalRun<'_, 't, T>, Error> {
        let given = inputs.len();
        if given != self.input_names.len() {
            let expected = format!("{} inputs ({})", self.input_names.len(), self.input_names.join(", "));
            return Err(Error::input(expected, given.to_string()));
        }
        let mut penalty = None;
        let mut values: SmallVec<[Masked<'t, T>; 16]> = SmallVec::new();
        for ((x, name), shape) in inputs.iter().zip(&self.input_names).zip(self.config.input_shapes()) {
            let own = x.value.shape();
            suits(&own, &shape.0).map_err(|error| error.in_layer(name))?;
            if let Some(mask) = x.mask {
                mask_suits(&mask.shape(), &own).map_err(|error| error.in_layer(name))?;
            }
            let batch = inputs[0].value.shape()[0];
            if own[0] != batch {
                let expected = format!("a batch of {batch}, as `{}`", self.input_names[0]);
                return Err(Error::input(expected, own[0].to_string()).in_layer(name));
            }
            penalty = add(penalty, x.penalty);
            values.push(Masked { penalty: None, ..*x });
        }
        for (call, name) in self.calls.iter().zip(self.config.node_names()) {
            let layer = &self.layers.0[call.layer].layer;
            let inputs: SmallVec<[Masked<'t, T>; 4]> = call.inputs.iter().map(|&slot| values[slot]).collect();
            let states: SmallVec<[Var<'t, T>; 4]> = call.states.iter().map(|&slot| values[slot].value).collect();
            layer.check_all(&inputs).map_err(|error| error.in_layer(name))?;
            for output in layer.forward_all(&inputs, &states, pass) {
                penalty = add(penalty, output.penalty);
                values.push(Masked { penalty: None, ..output });
            }
        }
        let outputs = self.outputs.iter().map(|&slot| values[slot]).collect();
        Ok(FunctionalRun { outputs: self.outputs_of(outputs), penalty })
    }

    /// The outputs for these inputs, each (batch, …), in their order, without gradients.
    ///
    /// # Errors
    /// If the inputs do not suit the graph: more or fewer of them, other shapes, different batches, ids that do not exist.
    pub fn predict(&self, inputs: &[&Tensor<T>]) -> Result<ByName<'_, Tensor<T>>, Error> {
        self.predict_on(&mut Tape::inference(), inputs)
    }

    /// As [`predict`](Self::predict), of inputs with masks, (batch, time), which say what steps count.
    ///
    /// # Errors
    /// As `predict`; if a mask has another shape.
    pub fn predict_masked(
        &self,
        inputs: &[(&Tensor<T>, Option<&Tensor<bool>>)],
    ) -> Result<ByName<'_, Tensor<T>>, Error> {
        self.predict_masked_on(&mut Tape::inference(), inputs)
    }

    /// As [`predict`](Self::predict), in the memory and on the threads of `tape`, which is reset before.
    ///
    /// # Errors
    /// As `predict`.
    pub fn predict_on(&self, tape: &mut Tape<T>, inputs: &[&Tensor<T>]) -> Result<ByName<'_, Tensor<T>>, Error> {
        let inputs: SmallVec<[_; 4]> = inputs.iter().map(|&x| (x, None)).collect();
        self.predict_masked_on(tape, &inputs)
    }

    /// As [`predict_masked`](Self::predict_masked), on a tape as [`predict_on`](Self::predict_on).
    ///
    /// # Errors
    /// As `predict_masked`.
    pub fn predict_masked_on(
        &self,
        tape: &mut Tape<T>,
        inputs: &[(&Tensor<T>, Option<&Tensor<bool>>)],
    ) -> Result<ByName<'_, Tensor<T>>, Error> {
        tape.reset();
        let outputs = tape.no_grad(|| {
            let on_tape = |&(x, mask): &(&Tensor<T>, Option<&Tensor<bool>>)| {
                let mask = mask.map(|mask| tape.mask(mask));
                Masked { mask, ..tape.constant(x.clone()).into() }
            };
            let inputs: SmallVec<[Masked<'_, T>; 4]> = inputs.iter().map(on_tape).collect();
            let run = self.run(&inputs, &mut Pass::inference())?;
            Ok(run.outputs.iter().map(|output| output.value.value()).collect::<Vec<_>>())
        });
        // As a chain does: the tape lets go of the parameters, and keeps the memory of the outputs.
        tape.reset();
        let outputs = outputs?;
        for output in &outputs {
            tape.constant(output.clone());
        }
        Ok(self.outputs_of(outputs))
    }

    /// The penalty of all weights that have a regularizer, as they are on the tape; weights that are shared have it once.
    /// What activity regularizers add is in the [`FunctionalRun`].
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

    /// The nodes, their shapes and sizes, what each is connected to, and where a mask arrives, as a table. A node with
    /// the layer of another has a row of its own, and no parameters.
    pub fn summary(&self) -> Summary {
        let mut rows: Vec<Row> = Vec::new();
        let mut slot = 0;
        for (name, shape) in self.config.input_names().zip(self.config.input_shapes()) {
            let name = format!("{name} (Input)");
            rows.push(Row { name, shape: with_batch(&shape.0), counts: [0, 0], from: None, mask: Mark::None });
            slot += 1;
        }
        let mut seen = 0;
        for (call, (name, what, from)) in self.calls.iter().zip(self.config.rows()) {
            let named = &self.layers.0[call.layer];
            let own = call.layer == seen;
            seen += usize::from(own);
            let behind = slot..slot + call.outputs;
            slot = behind.end;
            let shapes: Vec<String> = self.axes[behind.clone()].iter().map(|axes| with_batch(axes)).collect();
            let before = call.inputs.iter().any(|&place| self.masked[place]);
            let mask = Mark::of(before, self.masked[behind].contains(&true));
            let counts = if own { named.counts() } else { [0, 0] };
            rows.push(Row {
                name: format!("{name} ({what})"),
                shape: shapes.join(", "),
                counts,
                from: Some(from),
                mask,
            });
        }
        Summary::new(&rows, size_of::<T>(), Some(self.config.outputs_line()))
    }
}

impl<T: Element> Module<T> for FunctionalModel<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        self.layers.visit(path, visitor);
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        self.layers.visit_mut(path, visitor);
    }
}
