//! Cells for Keras' `RNN`: its own, stacks of them, and the two of a user's that the reference cases define.

use serde_json::{Map, Value as Json};
use tapeloop::{
    Cell, Element, LayerConfig, Param, Rng, Rnn, RnnOptions, Shape, StackedCells, State, StateShapes, Tensor, Var,
    layers::Config, module,
};

type AnyCell<T> = Box<dyn Cell<T>>;

/// h′ = a h + (1 − a) tanh(x W + h U), a = σ(decay); puts out h′ scale
struct EmaCell<T: Element> {
    kernel: Param<T>,
    recurrent_kernel: Param<T>,
    bias_decay: Param<T>,
    bias_scale: Param<T>,
}
module!(EmaCell<T> { kernel, recurrent_kernel, bias_decay, bias_scale });

impl<T: Element> Cell<T> for EmaCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }
    fn state_shapes(&self) -> StateShapes {
        [self.bias_decay.value().shape().clone()].into_iter().collect()
    }
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let a = x.tape().param(&self.bias_decay).sigmoid();
        let new = (x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel)).tanh();
        [a * h + (1.0 - a) * new].into_iter().collect()
    }
    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        state[0] * &self.bias_scale
    }
}

/// h′ = tanh(x W + m U + ½ h), m′ = 0.9 m + h′ V; puts out both side by side
struct TwoStateCell<T: Element> {
    kernel: Param<T>,
    recurrent_kernel: Param<T>,
    write_kernel: Param<T>,
}
module!(TwoStateCell<T> { kernel, recurrent_kernel, write_kernel });

impl<T: Element> Cell<T> for TwoStateCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }
    fn state_shapes(&self) -> StateShapes {
        let written = self.write_kernel.value();
        [0, 1].map(|axis| Shape::from([written.shape()[axis]])).into_iter().collect()
    }
    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, m) = (state[0], state[1]);
        let h = (x.matmul(&self.kernel) + m.matmul(&self.recurrent_kernel) + h * 0.5).tanh();
        [h, m * 0.9 + h.matmul(&self.write_kernel)].into_iter().collect()
    }
    fn output<'t>(&self, _: Var<'t, T>, state: &[Var<'t, T>]) -> Var<'t, T> {
        Var::concat([state[0], state[1]], -1)
    }
    fn output_shape(&self) -> Shape {
        Shape::from([self.state_shapes().iter().map(Shape::size).sum::<usize>()])
    }
}

/// Keras' `RNN` of a case, for inputs of this width; or why there is none.
pub fn rnn<T: Element>(
    layer: &Json,
    width: usize,
    config: impl Fn(&Json) -> Result<LayerConfig, String>,
) -> Result<Rnn<T, AnyCell<T>>, String> {
    let options = options(layer)?;
    let Some(cells) = layer["cells"].as_array() else {
        return Ok(one(&layer["cell"], width, config)?.with_options(options));
    };
    let (mut width, mut stack) = (width, Vec::new());
    for cell in cells {
        let built = one::<T>(cell, width, &config)?;
        let ruled = cell["args"].as_object().is_some_and(|args| args.keys().any(|name| name.ends_with("_regularizer")));
        if ruled {
            return Err("a penalty of a cell in a stack is not supported yet".into());
        }
        width = built.cell().output_shape().size();
        stack.push(built.into_cell());
    }
    Ok(Rnn::new(Box::new(StackedCells::new(stack)), options))
}

fn options(layer: &Json) -> Result<RnnOptions, String> {
    let mut arguments: Map<String, Json> = layer["args"].as_object().cloned().unwrap_or_default();
    let mut flag = |name: &str| arguments.remove(name).is_some_and(|value| value == Json::Bool(true));
    let options = RnnOptions {
        return_sequences: flag("return_sequences"),
        return_state: flag("return_state"),
        go_backwards: flag("go_backwards"),
        stateful: flag("stateful"),
        zero_output_for_mask: flag("zero_output_for_mask"),
        ..RnnOptions::default()
    };
    // What changes no number.
    ["unroll", "name", "dtype", "trainable"].iter().for_each(|name| drop(arguments.remove(*name)));
    match arguments.keys().next() {
        Some(name) => Err(format!("{name} of RNN is not known")),
        None => Ok(options),
    }
}

/// One cell, repeated.
fn one<T: Element>(
    cell: &Json,
    width: usize,
    config: impl Fn(&Json) -> Result<LayerConfig, String>,
) -> Result<Rnn<T, AnyCell<T>>, String> {
    let kind = cell["layer"].as_str().unwrap_or_default();
    let size = |name: &str| cell["args"][name].as_u64().map(|n| n as usize).ok_or(format!("{kind} has no {name}"));
    let zeros = |shape: [usize; 2]| Param::new(Tensor::zeros(shape));
    let own: AnyCell<T> = match kind {
        "EmaCell" => {
            let units = size("units")?;
            let row = || Param::new(Tensor::zeros([units]));
            let (kernel, recurrent_kernel) = (zeros([width, units]), zeros([units, units]));
            Box::new(EmaCell { kernel, recurrent_kernel, bias_decay: row(), bias_scale: row() })
        }
        "TwoStateCell" => {
            let (units, memory) = (size("units")?, size("memory")?);
            let (kernel, recurrent_kernel) = (zeros([width, units]), zeros([memory, units]));
            Box::new(TwoStateCell { kernel, recurrent_kernel, write_kernel: zeros([units, memory]) })
        }
        _ => {
            let mut layer = cell.clone();
            layer["layer"] = kind.strip_suffix("Cell").unwrap_or(kind).into();
            let config = config(&layer)?;
            return config.recurrent(&[None, Some(width)], &mut Rng::new(0)).map_err(|error| error.to_string());
        }
    };
    Ok(Rnn::new(own, RnnOptions::default()))
}
