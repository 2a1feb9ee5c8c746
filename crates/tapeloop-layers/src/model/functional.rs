//! The description of a model with several inputs, outputs and branches.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{Element, Rng};

use super::InputShape;
use super::built::{Built, can_be_held};
use super::functional_model::{Call, FunctionalModel};
use crate::layer::{Axes, with_batch};
use crate::{Error, LayerConfig};

/// The description of a model as a graph: named inputs, nodes that apply a layer to what comes before, named outputs. As
/// Keras' functional `Model(inputs, outputs)`, but data: what it is made of is in it by name.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Concatenate, Dense, Functional, Lstm};
///
/// let mut graph = Functional::new();
/// let series = graph.input("series", [None, Some(1)]);
/// let place = graph.input("place", [3]);
/// let past = graph.add(Lstm::new(16), series);
/// let all = graph.add(Concatenate::new(-1), [past, place]);
/// let forecast = graph.add(Dense::new(1), all);
/// graph.output("forecast", forecast);
/// let model = graph.build::<f32>(42)?;
/// let y = model.predict(&[&Tensor::zeros([8, 10, 1]), &Tensor::zeros([8, 3])])?;
/// assert_eq!(y["forecast"].shape(), [8, 1]);
///
/// let json = serde_json::to_string(&graph).unwrap();
/// assert!(json.contains(r#""inputs":["lstm","place"]"#), "{json}");
/// assert_eq!(serde_json::from_str::<Functional>(&json).unwrap(), graph);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
///
/// A recurrent layer starts from states of other nodes, and with `return_state` its own are further outputs of its node:
///
/// ```
/// use tapeloop_layers::{Dense, Functional, Lstm};
/// let mut graph = Functional::new();
/// let question = graph.input("question", [None, Some(8)]);
/// let answer = graph.input("answer", [None, Some(4)]);
/// let encoder = graph.named("encoder").add(Lstm::new(16).return_state(true), question);
/// let states = [encoder.output(1), encoder.output(2)];
/// let decoder = graph.named("decoder").add_with_states(Lstm::new(16).return_sequences(true), answer, &states);
/// let scores = graph.add(Dense::new(4), decoder);
/// graph.output("scores", scores);
/// let text = graph.to_string();
/// assert!(text.contains("decoder = Lstm(answer) from encoder:1, encoder:2"), "{text}");
/// assert!(graph.build::<f32>(0).is_ok());
/// ```
///
/// In JSON, nodes stand in the order in which they are computed: each takes what stands before it, so that there are no
/// cycles. `encoder:1` is output 1 of `encoder`, counted from 0; `encoder` alone is output 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Functional {
    inputs: Vec<Input>,
    nodes: Vec<Applied>,
    outputs: Vec<Output>,
}

/// An input, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    name: String,
    shape: InputShape,
}

/// A layer at its place: one of its own, or that of a node before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Applied {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layer: Option<LayerConfig>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shares: Option<String>,
    inputs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    initial_state: Vec<String>,
}

/// An output, and which value it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    name: String,
    from: String,
}

/// A value in a [`Functional`]: an input, or an output of a node. It belongs to the graph that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    place: Place,
    output: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Input(usize),
    Node(usize),
}

impl Node {
    /// Output `k` of the same node, counted from 0: the states of a recurrent layer with `return_state` come after its
    /// output.
    pub fn output(self, k: usize) -> Self {
        Self { output: k, ..self }
    }
}

/// What a layer is applied to: one value of a graph, or several in their order.
#[derive(Clone, Debug)]
pub struct Nodes(SmallVec<[Node; 2]>);

impl From<Node> for Nodes {
    fn from(node: Node) -> Self {
        Self(smallvec![node])
    }
}

impl From<&[Node]> for Nodes {
    fn from(nodes: &[Node]) -> Self {
        Self(nodes.into())
    }
}

impl<const N: usize> From<[Node; N]> for Nodes {
    fn from(nodes: [Node; N]) -> Self {
        Self(nodes.as_slice().into())
    }
}

/// Where the next node goes, under a name of one's own: [`Functional::named`].
#[derive(Debug)]
pub struct Placing<'g> {
    graph: &'g mut Functional,
    name: String,
}

impl Placing<'_> {
    /// As [`Functional::add`].
    ///
    /// # Panics
    /// As `Functional::add`.
    #[track_caller]
    pub fn add(self, layer: impl Into<LayerConfig>, inputs: impl Into<Nodes>) -> Node {
        self.graph.place(self.name, Some(layer.into()), None, inputs.into(), &[])
    }

    /// As [`Functional::add_with_states`].
    ///
    /// # Panics
    /// As `Functional::add_with_states`.
    #[track_caller]
    pub fn add_with_states(self, layer: impl Into<LayerConfig>, input: Node, states: &[Node]) -> Node {
        self.graph.place(self.name, Some(layer.into()), None, input.into(), states)
    }

    /// As [`Functional::share`].
    ///
    /// # Panics
    /// As `Functional::share`.
    #[track_caller]
    pub fn share(self, node: Node, inputs: impl Into<Nodes>) -> Node {
        self.share_with_states(node, inputs, &[])
    }

    /// As [`Functional::share_with_states`].
    ///
    /// # Panics
    /// As `Functional::share_with_states`.
    #[track_caller]
    pub fn share_with_states(self, node: Node, inputs: impl Into<Nodes>, states: &[Node]) -> Node {
        let shared = self.graph.shared(node);
        self.graph.place(self.name, None, Some(shared), inputs.into(), states)
    }
}

impl Functional {
    /// A graph without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A further input (batch, …) of this shape. Inputs are given to the model in this order, or by name.
    pub fn input(&mut self, name: impl Into<String>, shape: impl Into<InputShape>) -> Node {
        self.inputs.push(Input { name: name.into(), shape: shape.into() });
        Node { place: Place::Input(self.inputs.len() - 1), output: 0 }
    }

    /// A layer applied to a value, or a merging layer to several. The node is named as Keras names layers: the kind, and a
    /// number from the second one on.
    ///
    /// # Panics
    /// If a value is of another graph that has more of them; others are not noticed.
    #[track_caller]
    pub fn add(&mut self, layer: impl Into<LayerConfig>, inputs: impl Into<Nodes>) -> Node {
        let layer = layer.into();
        self.named(self.free(layer.name())).add(layer, inputs)
    }

    /// A recurrent layer that starts from these states, all it carries in its order: Keras' `initial_state`. Those of a
    /// [`Bidirectional`](crate::Bidirectional) are the forward layer's, then the backward layer's.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn add_with_states(&mut self, layer: impl Into<LayerConfig>, input: Node, states: &[Node]) -> Node {
        let layer = layer.into();
        self.named(self.free(layer.name())).add_with_states(layer, input, states)
    }

    /// The layer of another node at one more place: with the same weights, and the same carried states if it is stateful.
    ///
    /// # Panics
    /// If the node is an input; as [`add`](Self::add).
    #[track_caller]
    pub fn share(&mut self, node: Node, inputs: impl Into<Nodes>) -> Node {
        self.share_with_states(node, inputs, &[])
    }

    /// As [`share`](Self::share), from these states.
    ///
    /// # Panics
    /// As `share`.
    #[track_caller]
    pub fn share_with_states(&mut self, node: Node, inputs: impl Into<Nodes>, states: &[Node]) -> Node {
        let shared = self.shared(node);
        let kind = self.nodes.iter().find(|other| other.name == shared).and_then(|other| other.layer.as_ref());
        let name = match kind {
            Some(kind) => self.free(kind.name()),
            None => self.free(&shared),
        };
        self.place(name, None, Some(shared), inputs.into(), states)
    }

    /// The next node under a name of one's own: `graph.named("encoder").add(…)`. Its parameters are named after it.
    pub fn named(&mut self, name: impl Into<String>) -> Placing<'_> {
        Placing { graph: self, name: name.into() }
    }

    /// A further output of the model.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn output(&mut self, name: impl Into<String>, node: Node) {
        let from = self.reference(node);
        self.outputs.push(Output { name: name.into(), from });
    }

    /// The name of a value's node, or of an input.
    ///
    /// # Panics
    /// As [`add`](Self::add).
    #[track_caller]
    pub fn name(&self, node: Node) -> &str {
        let name = match node.place {
            Place::Input(k) => self.inputs.get(k).map(|input| &input.name),
            Place::Node(k) => self.nodes.get(k).map(|node| &node.name),
        };
        name.expect("graph: the value is of another graph")
    }

    #[track_caller]
    fn reference(&self, node: Node) -> String {
        match (self.name(node), node.output) {
            (name, 0) => name.to_string(),
            (name, k) => format!("{name}:{k}"),
        }
    }

    /// The name of the node whose layer it is.
    #[track_caller]
    fn shared(&self, node: Node) -> String {
        let Place::Node(k) = node.place else { panic!("graph: the input `{}` has no layer to share", self.name(node)) };
        let name = self.name(node).to_string();
        self.nodes[k].shares.clone().unwrap_or(name)
    }

    #[track_caller]
    fn place(
        &mut self,
        name: String,
        layer: Option<LayerConfig>,
        shares: Option<String>,
        inputs: Nodes,
        states: &[Node],
    ) -> Node {
        let mut references: [Vec<String>; 2] = [Vec::new(), Vec::new()];
        for (nodes, references) in [&inputs.0[..], states].into_iter().zip(&mut references) {
            for &node in nodes {
                references.push(self.reference(node));
            }
        }
        let [inputs, initial_state] = references;
        self.nodes.push(Applied { name, layer, shares, inputs, initial_state });
        Node { place: Place::Node(self.nodes.len() - 1), output: 0 }
    }

    /// The kind itself, or the first number behind it that makes it a new name.
    fn free(&self, kind: &str) -> String {
        let taken = |name: &str| {
            self.inputs.iter().any(|input| input.name == name) || self.nodes.iter().any(|node| node.name == name)
        };
        let numbered = (1..).map(|n| format!("{kind}_{n}"));
        std::iter::once(kind.to_string()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// The model, with fresh weights that follow from `seed` alone. A chain has the weights of the same
    /// [`Sequential`](crate::Sequential).
    ///
    /// # Errors
    /// If there are no inputs or no outputs; a name is there twice, or is no name; a reference is to nothing, or to what
    /// comes later; something leads to no output; a layer cannot be built as it is configured, or cannot take what it is
    /// applied to. The message names the node.
    pub fn build<T: Element>(&self, seed: u64) -> Result<FunctionalModel<T>, Error> {
        if self.inputs.is_empty() || self.outputs.is_empty() {
            return Err(Error::other("a graph needs at least one input and one output"));
        }
        let rng = Rng::new(seed);
        let mut values = Values::default();
        for (place, Input { name, shape }) in self.inputs.iter().enumerate() {
            self.new_name(name, place)?;
            can_be_held::<T>(name, &shape.0)?;
            values.add(name, vec![shape.0.clone()], &[false]);
        }
        let mut layers: Built<T> = Built(Vec::with_capacity(self.nodes.len()));
        // Where the layer of a node lies.
        let mut own = HashMap::<&str, usize>::new();
        let mut calls: Vec<Call> = Vec::with_capacity(self.nodes.len());
        for (place, node) in self.nodes.iter().enumerate() {
            let name = &node.name;
            self.new_name(name, self.inputs.len() + place)?;
            let inputs = self.find(node, &node.inputs, &mut values)?;
            let states = self.find(node, &node.initial_state, &mut values)?;
            let axes = |slots: &[usize]| slots.iter().map(|&slot| values.axes[slot].clone()).collect::<Vec<Axes>>();
            let (input_axes, state_axes) = (axes(&inputs), axes(&states));
            let Some(first) = input_axes.first() else {
                return Err(Error::config(name, "is applied to nothing"));
            };
            let layer = match (&node.layer, &node.shares) {
                (Some(config), None) => {
                    layers.push(name.clone(), config, first, &rng)?;
                    own.insert(name, layers.0.len() - 1);
                    layers.0.len() - 1
                }
                (None, Some(shared)) => match own.get(shared.as_str()) {
                    Some(&layer) => layer,
                    None => {
                        let problem =
                            format!("shares the layer of `{shared}`, but no node before it has one of its own");
                        return Err(Error::config(name, problem));
                    }
                },
                _ => return Err(Error::config(name, "needs either `layer` or `shares`")),
            };
            let built = &layers.0[layer].layer;
            let outputs = built.output_shapes(&input_axes, &state_axes).map_err(|error| error.in_layer(name))?;
            for output in &outputs {
                can_be_held::<T>(name, output)?;
            }
            let masked: SmallVec<[bool; 4]> = inputs.iter().map(|&slot| values.masked[slot]).collect();
            let behind: SmallVec<[bool; 4]> = (0..outputs.len()).map(|k| built.output_mask(k, &masked)).collect();
            values.add(name, outputs, &behind);
            calls.push(Call { layer, inputs, states, outputs: behind.len() });
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (place, Output { name, from }) in self.outputs.iter().enumerate() {
            if name.is_empty() || self.outputs[..place].iter().any(|other| other.name == *name) {
                return Err(Error::other(format!("the name of the output `{name}` is empty, or there twice")));
            }
            match values.find(from) {
                Ok(slot) => outputs.push(slot),
                Err(problem) => return Err(Error::other(format!("the output `{name}`: {problem}"))),
            }
        }
        if let Some((name, _)) = values.used.iter().find(|(_, used)| !used) {
            let what = if self.inputs.iter().any(|input| input.name == *name) { "the input" } else { "the node" };
            return Err(Error::other(format!("{what} `{name}` leads to no output")));
        }
        let Values { axes, masked, .. } = values;
        Ok(FunctionalModel::new(self.clone(), layers, calls, outputs, axes, masked))
    }

    /// The rule for the name of an input or node, which are `place` in their order.
    fn new_name(&self, name: &str, place: usize) -> Result<(), Error> {
        if name.is_empty() || name.contains(['.', ':']) {
            return Err(Error::other(format!("`{name}` is no name: it may not be empty, nor have `.` or `:` in it")));
        }
        let names = self.inputs.iter().map(|input| &input.name).chain(self.nodes.iter().map(|node| &node.name));
        match names.take(place).any(|other| other == name) {
            true => Err(Error::other(format!("there are two of the name `{name}`"))),
            false => Ok(()),
        }
    }

    /// Where the values lie that a node refers to.
    fn find(
        &self,
        node: &Applied,
        references: &[String],
        values: &mut Values<'_>,
    ) -> Result<SmallVec<[usize; 2]>, Error> {
        let mut slots = SmallVec::new();
        for reference in references {
            match values.find(reference) {
                Ok(slot) => slots.push(slot),
                Err(problem) => {
                    let name = parts(reference).map_or(reference.as_str(), |(name, _)| name);
                    let problem = match self.nodes.iter().any(|other| other.name == name) && !values.knows(name) {
                        true if name == node.name => "takes its own output: a graph has no cycles".into(),
                        true => format!("takes `{reference}`, which comes only after it: a graph has no cycles"),
                        false => problem,
                    };
                    return Err(Error::config(&node.name, problem));
                }
            }
        }
        Ok(slots)
    }

    pub(super) fn input_names(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|input| input.name.as_str())
    }

    pub(super) fn input_shapes(&self) -> impl Iterator<Item = &InputShape> {
        self.inputs.iter().map(|input| &input.shape)
    }

    pub(super) fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.name.as_str())
    }

    pub(super) fn node_names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Of every node its name, its kind or whose layer it has, and what it is applied to.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, String, String)> {
        self.nodes.iter().map(|node| {
            let what = match (&node.layer, &node.shares) {
                (Some(layer), _) => layer.kind().to_string(),
                (None, shared) => format!("as {}", shared.as_deref().unwrap_or_default()),
            };
            let from = [&node.inputs[..], &node.initial_state].concat().join(", ");
            (node.name.as_str(), what, from)
        })
    }

    /// The outputs and where they come from, in one line.
    pub(super) fn outputs_line(&self) -> String {
        let outputs: Vec<String> = self.outputs.iter().map(|own| format!("{} = {}", own.name, own.from)).collect();
        format!("Outputs: {}", outputs.join(", "))
    }
}

/// One line for each input, node and output, in order.
impl fmt::Display for Functional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Input { name, shape } in &self.inputs {
            writeln!(f, "{name}: {}", with_batch(&shape.0))?;
        }
        for (node, (name, what, _)) in self.nodes.iter().zip(self.rows()) {
            write!(f, "{name} = {what}({})", node.inputs.join(", "))?;
            match node.initial_state.is_empty() {
                true => writeln!(f)?,
                false => writeln!(f, " from {}", node.initial_state.join(", "))?,
            }
        }
        f.write_str(&self.outputs_line())
    }
}

/// The values so far, while a graph is built.
#[derive(Default)]
struct Values<'g> {
    axes: Vec<Axes>,
    /// Whether there is a mask, if none comes from without.
    masked: Vec<bool>,
    /// The first value of each name, and how many there are.
    places: HashMap<&'g str, (usize, usize)>,
    /// Whether something refers to it, in order.
    used: Vec<(&'g str, bool)>,
}

impl<'g> Values<'g> {
    fn add(&mut self, name: &'g str, axes: Vec<Axes>, masked: &[bool]) {
        self.places.insert(name, (self.axes.len(), axes.len()));
        self.axes.extend(axes);
        self.masked.extend(masked);
        self.used.push((name, false));
    }

    fn knows(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Where the value of a reference lies; it is used from now on.
    fn find(&mut self, reference: &str) -> Result<usize, String> {
        let (name, k) = parts(reference).ok_or_else(|| format!("`{reference}` is no name, nor `name:output`"))?;
        let Some(&(first, count)) = self.places.get(name) else {
            return Err(format!("there is nothing of the name `{name}`"));
        };
        if k >= count {
            return Err(format!("`{name}` has no output {k}, only {count}, counted from 0"));
        }
        self.used.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, used)| *used = true);
        Ok(first + k)
    }
}

/// `name` or `name:output`.
fn parts(reference: &str) -> Option<(&str, usize)> {
    match reference.split_once(':') {
        None => Some((reference, 0)),
        Some((name, k)) => k.parse().ok().map(|k| (name, k)),
    }
}
