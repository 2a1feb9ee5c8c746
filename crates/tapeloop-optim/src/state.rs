//! What an optimizer remembers, by parameter name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Tensor};

/// What an optimizer remembers between steps. Saved beside the parameters, it lets training go on exactly.
///
/// Options and groups are not in it: they are the program's.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// use tapeloop_optim::{Adam, Optimizer, OptimizerState};
/// let mut w = Param::new(Tensor::from([3.0f32, -2.0]));
/// let (_, gradients) = Tape::new().value_and_grad(|tape| (tape.param(&w) * &w).sum_all());
/// let mut optimizer = Adam::new(0.1);
/// optimizer.step(&mut w, &gradients);
///
/// let saved = serde_json::to_string(&optimizer.state(&w))?;
/// let state: OptimizerState = serde_json::from_str(&saved)?;
/// let mut other = Adam::new(0.1);
/// other.load_state(&w, &state)?;
/// assert_eq!(other.state(&w), optimizer.state(&w));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct OptimizerState<T: Element = f32> {
    /// The optimizer's name, as `adam`.
    pub optimizer: String,
    /// The learning rate, which schedules change.
    pub learning_rate: f64,
    /// Steps taken.
    pub iterations: u64,
    /// The state of every parameter that has one, by the name it has in its module.
    pub params: BTreeMap<String, ParamState<T>>,
}

/// What an optimizer remembers of one parameter.
///
/// ```
/// use tapeloop_optim::ParamState;
/// let state = ParamState::<f32> { steps: 3, buffers: Default::default() };
/// assert_eq!(serde_json::to_string(&state)?, r#"{"steps":3,"buffers":{}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct ParamState<T: Element = f32> {
    /// Steps in which the parameter had a gradient.
    pub steps: u64,
    /// Buffers of the parameter's shape, under the names Keras gives them.
    pub buffers: BTreeMap<String, Tensor<T>>,
}
