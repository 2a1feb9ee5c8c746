//! A tape as text, DOT and Mermaid.

use std::fmt;
use std::panic::Location;

use super::Tape;
use crate::element::Element;
use crate::shape::Shape;

/// What is recorded on a tape, for people to read.
///
/// ```
/// use tapeloop_autograd::{Tape, Tensor};
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([1.0f32, 2.0]));
/// x.exp().sum_all();
/// let text = tape.graph().to_string();
/// assert!(text.contains("%1 = exp(%0)"));
/// assert!(tape.graph().to_dot().starts_with("digraph"));
/// assert!(tape.graph().to_mermaid().starts_with("flowchart"));
/// ```
#[derive(Clone, Debug)]
pub struct Graph {
    /// The recorded values in order.
    pub nodes: Vec<GraphNode>,
}

/// One recorded value.
#[derive(Clone, Debug)]
pub struct GraphNode {
    /// The operation's name; `leaf` or `constant` if it has none.
    pub op: &'static str,
    /// The indices of its inputs.
    pub inputs: Vec<usize>,
    /// Its shape.
    pub shape: Shape,
    /// Bytes of its elements, not counting that views share them.
    pub bytes: usize,
    /// Whether a backward pass reaches it.
    pub needs_grad: bool,
    /// The line that recorded it.
    pub at: &'static Location<'static>,
}

impl<T: Element> Tape<T> {
    /// What is recorded so far.
    pub fn graph(&self) -> Graph {
        let state = self.state.borrow();
        let nodes = state.nodes.iter().map(|node| GraphNode {
            op: match &node.op {
                Some(op) => op.get().name(),
                None if node.needs_grad => "leaf",
                None => "constant",
            },
            inputs: node.inputs.iter().map(|&i| i as usize).collect(),
            shape: node.value.shape().clone(),
            bytes: node.value.bytes(),
            needs_grad: node.needs_grad,
            at: node.at,
        });
        Graph { nodes: nodes.collect() }
    }
}

impl fmt::Display for Graph {
    /// One line per value: `%2 = add(%0, %1)  [2, 3]  24 B  src/main.rs:7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs = node.inputs.iter().map(|i| format!("%{i}")).collect::<Vec<_>>().join(", ");
            let call = if node.inputs.is_empty() { node.op.to_string() } else { format!("{}({inputs})", node.op) };
            let (file, line) = (node.at.file(), node.at.line());
            writeln!(f, "%{index} = {call}  {}  {} B  {file}:{line}", node.shape, node.bytes)?;
        }
        Ok(())
    }
}

impl Graph {
    /// The graph in Graphviz' language.
    pub fn to_dot(&self) -> String {
        let mut out = String::from("digraph tape {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n");
        for (index, node) in self.nodes.iter().enumerate() {
            let style = if node.needs_grad { "solid" } else { "dashed" };
            let label = format!("{}\\n{} {} B", node.op, node.shape, node.bytes);
            out += &format!("  n{index} [label=\"{label}\", style={style}];\n");
            for input in &node.inputs {
                out += &format!("  n{input} -> n{index};\n");
            }
        }
        out + "}\n"
    }

    /// The graph in Mermaid's language.
    pub fn to_mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (index, node) in self.nodes.iter().enumerate() {
            out += &format!("  n{index}[\"{}<br>{} {} B\"]\n", node.op, node.shape, node.bytes);
            for input in &node.inputs {
                out += &format!("  n{input} --> n{index}\n");
            }
        }
        out
    }
}
