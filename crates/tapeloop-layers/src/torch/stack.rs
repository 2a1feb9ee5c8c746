//! Recurrent layers one behind the other, in one or both directions, with dropout between them.

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Gradients, Module, Param, Path, Rng, StreamBuilder, Tensor, Var};

use super::config::{WAYS, suffix};
use super::names;
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Error, Noise, Portable, Rnn, State};

/// The states of every layer and direction, in PyTorch's order.
type States<'t, T> = SmallVec<[State<'t, T>; 8]>;

/// One direction of a layer: one of our cells, repeated.
pub type Way<T> = Rnn<T, Box<dyn Portable<T>>>;

/// PyTorch's `nn.RNN`, `nn.LSTM` or `nn.GRU` with its weights: built from a [`Lstm`](super::Lstm), a [`Gru`](super::Gru) or a
/// [`Rnn`](super::Rnn).
///
/// Its parameters are named `l0.cell.kernel`, `l0_reverse.cell.bias` and so on, and are in our layout;
/// [`state_dict`](Self::state_dict) has them in PyTorch's.
///
/// With lengths or a mask, outputs behind a row's end are 0, the last states are those of its own end, and the way back
/// starts there: what `pack_padded_sequence` is for.
pub struct Stack<T: Element = f32> {
    name: &'static str,
    /// By layer, then by direction.
    layers: Vec<Vec<Way<T>>>,
    dropout: f64,
    batch_first: bool,
}

/// What PyTorch's module returns.
#[derive(Clone, Debug)]
pub struct StackOutput<'t, T: Element> {
    /// The last layer's outputs: (time, batch, directions·width), or (batch, time, …) with `batch_first`; without
    /// `return_sequences` (batch, directions·width). Without a batch where the input had none.
    pub output: Var<'t, T>,
    /// Every layer's last h, (layers·directions, batch, width), direction by direction.
    pub h_n: Var<'t, T>,
    /// The same of an LSTM's c, (layers·directions, batch, hidden size).
    pub c_n: Option<Var<'t, T>>,
}

/// Dropout masks between layers: where they are from.
enum Drops<'a, T: Element> {
    None,
    Given(&'a [Tensor<T>]),
    Drawn(&'a mut Rng),
}

impl<T: Element> Stack<T> {
    pub(super) fn new(name: &'static str, layers: Vec<Vec<Way<T>>>, dropout: f64, batch_first: bool) -> Self {
        Self { name, layers, dropout, batch_first }
    }

    /// The layers: by number, then by direction.
    pub fn layers(&self) -> &[Vec<Way<T>>] {
        &self.layers
    }

    /// An input, padded, of whose rows the first steps count: `pack_padded_sequence`, in the order of axes that the module
    /// has. Lengths may be in any order, and 0: then the row's states stay what they were.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// use tapeloop_layers::torch;
    /// let gru = torch::Gru::new(4).bidirectional(true).layer::<f32>(1, &mut Rng::new(0));
    /// let tape = Tape::new();
    /// let x = tape.constant(Tensor::ones([5, 2, 1])); // time, batch, features
    /// let run = gru.run(gru.padded(x, &[3, 5]), None);
    /// assert_eq!(run.output.select(1, 0).select(0, 4).value().to_vec(), [0.0; 8]);
    /// ```
    ///
    /// # Panics
    /// If the input has no batch, there are more or fewer lengths than rows, or one is longer than time.
    #[track_caller]
    pub fn padded<'t>(&self, x: Var<'t, T>, lengths: &[usize]) -> Masked<'t, T> {
        assert!(x.rank() == 3, "{}: an input with lengths is {}, not {}", self.name, self.axes(), x.shape());
        let mask = Masked::with_lengths(self.batch_major(x), lengths).mask;
        Masked { value: x, mask, penalty: None }
    }

    /// The output and the last states for `x`, (time, batch, features), or (batch, time, features) with `batch_first`, or
    /// (time, features); its mask, if it has one, is (batch, time) in any case. From the initial states h₀ and, of an LSTM, c₀,
    /// each as [`StackOutput`] has it; else from zeros. Nothing is dropped.
    ///
    /// # Panics
    /// If a shape does not suit.
    #[track_caller]
    pub fn run<'t>(&self, x: impl Into<Masked<'t, T>>, initial: Option<&[Var<'t, T>]>) -> StackOutput<'t, T> {
        self.run_all(x.into(), initial, Drops::None)
    }

    /// As [`run`](Self::run), in a pass through a model: in training with dropout between the layers.
    ///
    /// # Panics
    /// As `run`.
    #[track_caller]
    pub fn run_in<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        pass: &mut Pass,
    ) -> StackOutput<'t, T> {
        self.run_all(x.into(), initial, self.drops(pass))
    }

    /// As [`run`](Self::run), with these factors of the outputs of every layer but the last, each of the outputs' shape: 0 for
    /// what is dropped.
    ///
    /// # Panics
    /// As `run`; if there are more or fewer factors than layers behind the first, or one has another shape.
    #[track_caller]
    pub fn run_with<'t>(
        &self,
        x: impl Into<Masked<'t, T>>,
        initial: Option<&[Var<'t, T>]>,
        dropped: &[Tensor<T>],
    ) -> StackOutput<'t, T> {
        let needed = self.layers.len() - 1;
        assert!(
            dropped.len() == needed,
            "{}: {} dropout masks were given; there are {needed} places between layers",
            self.name,
            dropped.len()
        );
        self.run_all(x.into(), initial, Drops::Given(dropped))
    }

    fn drops<'a>(&self, pass: &'a mut Pass) -> Drops<'a, T> {
        if pass.training && self.dropout > 0.0 { Drops::Drawn(&mut pass.rng) } else { Drops::None }
    }

    #[track_caller]
    fn run_all<'t>(&self, x: Masked<'t, T>, initial: Option<&[Var<'t, T>]>, drops: Drops<'_, T>) -> StackOutput<'t, T> {
        let unbatched = x.value.rank() == 2;
        let (output, last) = self.run_layers(x, initial, drops);
        let count = last[0].len();
        let mut states: SmallVec<[Var<'t, T>; 2]> = SmallVec::new();
        for k in 0..count {
            let mut all: SmallVec<[Var<'t, T>; 8]> = SmallVec::new();
            for state in &last {
                all.push(state[k]);
            }
            let all = Var::stack(all, 0);
            states.push(if unbatched { all.squeeze(1) } else { all });
        }
        StackOutput { output, h_n: states[0], c_n: states.get(1).copied() }
    }

    /// The output, and the last states of every layer and direction.
    #[track_caller]
    fn run_layers<'t>(
        &self,
        x: Masked<'t, T>,
        initial: Option<&[Var<'t, T>]>,
        mut drops: Drops<'_, T>,
    ) -> (Var<'t, T>, States<'t, T>) {
        let Masked { value, mask, .. } = x;
        let (shape, features) = (value.shape(), self.layers[0][0].cell().input_shape()[0]);
        let unbatched = shape.rank() == 2;
        assert!(
            (unbatched || shape.rank() == 3) && shape[shape.rank() - 1] == features,
            "{}: the input has shape {shape}; it needs {} or (time, features), of {features} features",
            self.name,
            self.axes()
        );
        assert!(!(unbatched && mask.is_some()), "{}: an input without a batch cannot have a mask", self.name);
        let mut value = self.batch_major(value);
        let initial = self.start(initial, value.dim(0), unbatched);
        let mut last = States::new();
        for (number, ways) in self.layers.iter().enumerate() {
            if number > 0 {
                value = match &mut drops {
                    Drops::None => value,
                    Drops::Drawn(rng) => value.dropout(self.dropout, rng),
                    Drops::Given(masks) => {
                        let mask = self.batch_major(value.tape().constant(masks[number - 1].clone()));
                        let (own, needed) = (mask.shape(), value.shape());
                        assert!(
                            own == needed,
                            "{}: dropout mask {} has the shape {own}, batch first; the outputs are {needed}",
                            self.name,
                            number - 1
                        );
                        value * mask
                    }
                };
            }
            let mut outputs: SmallVec<[Var<'t, T>; 2]> = SmallVec::new();
            for way in ways {
                let from = initial.get(last.len()).map(|state| &state[..]);
                let run = way.run_in_time(Masked { value, mask, penalty: None }, from, &Noise::none());
                // Masked steps at the end would put out 0.
                outputs.push(if way.options().return_sequences { run.output } else { run.state[0] });
                last.push(run.state);
            }
            value = if outputs.len() == 1 { outputs[0] } else { Var::concat(outputs, -1) };
        }
        let output = match (unbatched, value.rank() == 3 && !self.batch_first) {
            (true, _) => value.squeeze(0),
            (false, true) => value.swap_axes(0, 1),
            _ => value,
        };
        (output, last)
    }

    /// (batch, time, features) of an input or output in the module's order of axes.
    #[track_caller]
    fn batch_major<'t>(&self, x: Var<'t, T>) -> Var<'t, T> {
        match x.rank() {
            2 => x.unsqueeze(0),
            _ if self.batch_first => x,
            _ => x.swap_axes(0, 1),
        }
    }

    /// The states each layer and direction starts from; none for zeros.
    #[track_caller]
    fn start<'t>(&self, initial: Option<&[Var<'t, T>]>, batch: usize, unbatched: bool) -> States<'t, T> {
        let Some(initial) = initial else { return States::new() };
        let shapes = self.layers[0][0].cell().state_shapes();
        assert!(
            initial.len() == shapes.len(),
            "{}: it starts from {} states and {} were given",
            self.name,
            shapes.len(),
            initial.len()
        );
        let places = self.layers.len() * self.layers[0].len();
        for ((state, shape), name) in initial.iter().zip(&shapes).zip(["h", "c"]) {
            let (given, width) = (state.shape(), shape[0]);
            let needed: &[usize] = if unbatched { &[places, width] } else { &[places, batch, width] };
            assert!(
                given[..] == *needed,
                "{}: the initial {name} has shape {given}; it needs {needed:?}: layers·directions, batch if there is one, width",
                self.name
            );
        }
        let mut all = States::new();
        for place in 0..places {
            let mut own = State::new();
            for state in initial {
                let state = state.select(0, place);
                own.push(if unbatched { state.unsqueeze(0) } else { state });
            }
            all.push(own);
        }
        all
    }

    fn axes(&self) -> &'static str {
        if self.batch_first { "(batch, time, features)" } else { "(time, batch, features)" }
    }

    /// Every layer and direction with what stands behind the names of its weights.
    fn ways(&self) -> impl Iterator<Item = (String, &Way<T>)> {
        let numbered = self.layers.iter().enumerate();
        numbered.flat_map(|(layer, ways)| ways.iter().enumerate().map(move |(way, rnn)| (suffix(layer, way), rnn)))
    }

    /// The weights under PyTorch's names, in its layout and order: those of `nn.Module.state_dict`.
    pub fn state_dict(&self) -> Vec<(String, Tensor<T>)> {
        self.named_as_torch(|param| param.value().clone())
    }

    /// The gradients of all weights, in the same form; 0 where there is none.
    pub fn named_gradients(&self, gradients: &Gradients<T>) -> Vec<(String, Tensor<T>)> {
        self.named_as_torch(|param| gradients.of(param).cloned().unwrap_or_else(|| param.value().zeros_like()))
    }

    fn named_as_torch(&self, mut value: impl FnMut(&Param<T>) -> Tensor<T>) -> Vec<(String, Tensor<T>)> {
        let mut all = Vec::new();
        for (suffix, way) in self.ways() {
            let cell = &**way.cell();
            let own = cell.weights_by(&mut value);
            let theirs = names::layout(cell).and_then(|theirs| own.convert(&cell.layout(), &theirs));
            all.extend(names::named(theirs.expect("a module is made of PyTorch's cells"), &suffix));
        }
        all
    }

    /// Takes weights under PyTorch's names.
    ///
    /// # Errors
    /// If a name is missing, unknown or there twice, or a shape is wrong; then nothing has changed.
    pub fn load_state_dict(
        &mut self,
        weights: impl IntoIterator<Item = (impl Into<String>, Tensor<T>)>,
    ) -> Result<(), Error> {
        let cells: Vec<(String, &dyn Portable<T>)> = self.ways().map(|(suffix, way)| (suffix, &**way.cell())).collect();
        let own = names::taken(&cells, weights)?;
        let ways = self.layers.iter_mut().flatten();
        ways.zip(own).try_for_each(|(way, weights)| way.cell_mut().set_weights(weights))
    }

    /// How every layer and direction runs: [`Rnn::explain`].
    pub fn explain(&self) -> String {
        self.ways().map(|(suffix, way)| format!("{}:\n{}", &suffix[1..], way.explain())).collect()
    }
}

impl<T: Element> Module<T> for Stack<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        let Self { name: _, layers, dropout: _, batch_first: _ } = self;
        for (layer, ways) in layers.iter().enumerate() {
            for (way, rnn) in ways.iter().enumerate() {
                path.enter(format_args!("l{layer}{}", WAYS[way]), |path| rnn.visit(path, visitor));
            }
        }
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        let Self { name: _, layers, dropout: _, batch_first: _ } = self;
        for (layer, ways) in layers.iter_mut().enumerate() {
            for (way, rnn) in ways.iter_mut().enumerate() {
                path.enter(format_args!("l{layer}{}", WAYS[way]), |path| rnn.visit_mut(path, visitor));
            }
        }
    }
}

impl<T: Element> Layer<T> for Stack<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, pass: &mut Pass) -> Var<'t, T> {
        self.forward_masked(x.into(), pass).value
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let (value, _) = self.run_layers(x, None, self.drops(pass));
        let sequences = self.layers[self.layers.len() - 1][0].options().return_sequences;
        Masked { value, mask: x.mask.filter(|_| sequences), ..x }
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        self.layers[0][0].output_shape(input).map_err(|error| Error::config(self.name, error.to_string()))?;
        let ways = &self.layers[self.layers.len() - 1];
        let time = ways[0].options().return_sequences.then_some(input[0]);
        let width: usize = ways.iter().map(|way| way.cell().output_shape()[0]).sum();
        Ok(time.into_iter().chain([Some(width)]).collect())
    }

    fn stream(&self, stream: &mut StreamBuilder<T>) -> Result<(), Error> {
        for ways in &self.layers {
            for way in ways {
                Layer::stream(way, stream)?;
            }
        }
        Ok(())
    }
}
