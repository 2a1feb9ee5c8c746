//! The configurations: PyTorch's arguments and defaults.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Checkpoint, Element, Param, Rng};

use super::stack::Stack;
use crate::layers::{Config, features, positive};
use crate::{
    Activation, Error, GruCell, Initializer, Layer, LstmCell, Portable, ProjectedLstmCell, RnnOptions, SimpleRnnCell,
    Variational,
};

macro_rules! module {
    (
        $(#[$doc:meta])* $config:ident $name:literal $recurrence:ident;
        $($(#[$own_doc:meta])* $field:ident: $type:ty = $default:expr;)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            /// The number of the input's features. Default none: as many as the input has.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub input_size: Option<usize>,
            /// The width of the state.
            pub hidden_size: usize,
            /// The number of layers one behind the other. Default 1.
            pub num_layers: usize,
            $($(#[$own_doc])* pub $field: $type,)?
            /// Whether there are biases, two of them. Default true.
            pub bias: bool,
            /// Whether inputs and outputs are (batch, time, features) instead of (time, batch, features); states are
            /// (layers·directions, batch, width) either way. Default false; a model needs true.
            pub batch_first: bool,
            /// The probability with which, in training, each element of each step's output is dropped, in every layer but
            /// the last. Default 0; with one layer, it is an error.
            pub dropout: f64,
            /// Whether every layer reads its input both ways, with outputs side by side. Default false.
            pub bidirectional: bool,
            /// Every step's output; otherwise the last layer's last states, side by side. Not PyTorch's; default true.
            pub return_sequences: bool,
            /// Records every step on the tape instead of one loop, with the same result. Not PyTorch's; default false.
            pub unroll: bool,
            /// Keeps only some of the loops' states for the backward pass. Not PyTorch's; default none.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub checkpoint: Option<Checkpoint>,
        }

        impl Default for $config {
            fn default() -> Self {
                Self {
                    input_size: None,
                    hidden_size: 0,
                    num_layers: 1,
                    $($field: $default,)?
                    bias: true,
                    batch_first: false,
                    dropout: 0.0,
                    bidirectional: false,
                    return_sequences: true,
                    unroll: false,
                    checkpoint: None,
                }
            }
        }

        impl $config {
            /// The default configuration with states of this width.
            pub fn new(hidden_size: usize) -> Self {
                Self { hidden_size, ..Self::default() }
            }

            /// The number of the input's features.
            pub fn input_size(self, input_size: usize) -> Self {
                Self { input_size: Some(input_size), ..self }
            }

            /// The number of layers one behind the other.
            pub fn num_layers(self, num_layers: usize) -> Self {
                Self { num_layers, ..self }
            }

            $($(#[$own_doc])* pub fn $field(self, $field: $type) -> Self {
                Self { $field, ..self }
            })?

            /// Whether there are biases.
            pub fn bias(self, bias: bool) -> Self {
                Self { bias, ..self }
            }

            /// Whether the batch is the first axis, and time the second.
            pub fn batch_first(self, batch_first: bool) -> Self {
                Self { batch_first, ..self }
            }

            /// Drops elements of the outputs of every layer but the last, in training, with this probability.
            pub fn dropout(self, dropout: f64) -> Self {
                Self { dropout, ..self }
            }

            /// Whether every layer reads its input both ways.
            pub fn bidirectional(self, bidirectional: bool) -> Self {
                Self { bidirectional, ..self }
            }

            /// Every step's output, or the last layer's last states.
            pub fn return_sequences(self, return_sequences: bool) -> Self {
                Self { return_sequences, ..self }
            }

            /// Records every step on the tape instead of one loop.
            pub fn unroll(self, unroll: bool) -> Self {
                Self { unroll, ..self }
            }

            /// Keeps only some of the loops' states for the backward pass, and computes what lies between again.
            pub fn checkpoint(self, checkpoint: Checkpoint) -> Self {
                Self { checkpoint: Some(checkpoint), ..self }
            }

            /// The module with fresh weights, uniform in ±1/√`hidden_size`, for this many input features.
            ///
            /// # Errors
            /// If a setting makes no sense, or `input_size` is another one.
            pub fn try_layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<Stack<T>, Error> {
                self.plan().build($name, input, rng)
            }

            /// As [`try_layer`](Self::try_layer).
            ///
            /// # Panics
            /// Where that returns an error.
            #[track_caller]
            pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Stack<T> {
                match self.try_layer(input, rng) {
                    Ok(layer) => layer,
                    Err(error) => panic!("{error}"),
                }
            }

            fn plan(&self) -> Plan {
                Plan {
                    recurrence: Kind::$recurrence $({ $field: self.$field })?,
                    input_size: self.input_size,
                    hidden_size: self.hidden_size,
                    num_layers: self.num_layers,
                    bias: self.bias,
                    batch_first: self.batch_first,
                    dropout: self.dropout,
                    bidirectional: self.bidirectional,
                    return_sequences: self.return_sequences,
                    unroll: self.unroll,
                    checkpoint: self.checkpoint,
                }
            }
        }

        impl Config for $config {
            fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                if input.len() != 2 {
                    let problem = format!("needs (time, features) behind the batch, got {} axes", input.len());
                    return Err(Error::config($name, problem));
                }
                if !self.batch_first {
                    let problem = "a model's inputs are (batch, time, features): it needs batch_first";
                    return Err(Error::config($name, problem));
                }
                Ok(Box::new(self.try_layer::<T>(features($name, input)?, rng)?))
            }
        }
    };
}

module! {
    /// The configuration of PyTorch's `nn.LSTM(input_size, hidden_size, …)`, with its defaults.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// use tapeloop_layers::torch;
    /// let lstm = torch::Lstm::new(8).proj_size(3).layer::<f32>(1, &mut Rng::new(0));
    /// let tape = Tape::new();
    /// let run = lstm.run(tape.constant(Tensor::zeros([10, 2, 1])), None); // time, batch, features
    /// assert_eq!(run.output.shape(), [10, 2, 3]);
    /// assert_eq!(run.c_n.unwrap().shape(), [1, 2, 8]);
    /// ```
    Lstm "torch_lstm" Lstm;
    /// The width h is projected to, less than `hidden_size`; 0 for none. Default 0.
    proj_size: usize = 0;
}

module! {
    /// The configuration of PyTorch's `nn.GRU(input_size, hidden_size, …)`, with its defaults.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// use tapeloop_layers::torch;
    /// let gru = torch::Gru::new(8).num_layers(2).dropout(0.2).layer::<f32>(1, &mut Rng::new(0));
    /// let tape = Tape::new();
    /// let run = gru.run(tape.constant(Tensor::zeros([10, 2, 1])), None); // time, batch, features
    /// assert_eq!(run.h_n.shape(), [2, 2, 8]);
    /// ```
    Gru "torch_gru" Gru;
}

module! {
    /// The configuration of PyTorch's `nn.RNN(input_size, hidden_size, …)`, with its defaults.
    ///
    /// ```
    /// use tapeloop_autograd::{Rng, Tape, Tensor};
    /// use tapeloop_layers::{Activation, torch};
    /// let rnn = torch::Rnn::new(8).nonlinearity(Activation::Relu).layer::<f32>(1, &mut Rng::new(0));
    /// let tape = Tape::new();
    /// let run = rnn.run(tape.constant(Tensor::zeros([10, 1])), None); // time, features: no batch
    /// assert_eq!(run.output.shape(), [10, 8]);
    /// ```
    Rnn "torch_rnn" Rnn;
    /// tanh or relu. Default tanh.
    nonlinearity: Activation = Activation::Tanh;
}

/// Which module it is, with what it alone has.
#[derive(Clone, Copy)]
enum Kind {
    Rnn { nonlinearity: Activation },
    Lstm { proj_size: usize },
    Gru,
}

/// What all three have.
struct Plan {
    recurrence: Kind,
    input_size: Option<usize>,
    hidden_size: usize,
    num_layers: usize,
    bias: bool,
    batch_first: bool,
    dropout: f64,
    bidirectional: bool,
    return_sequences: bool,
    unroll: bool,
    checkpoint: Option<Checkpoint>,
}

impl Plan {
    fn check(&self, name: &str, input: usize) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::config(name, problem));
        positive(name, "hidden_size", self.hidden_size)?;
        positive(name, "num_layers", self.num_layers)?;
        positive(name, "input_size", input)?;
        match self.recurrence {
            Kind::Rnn { nonlinearity } if !matches!(nonlinearity, Activation::Tanh | Activation::Relu) => {
                return wrong(format!("nonlinearity: there are tanh and relu, got {nonlinearity}"));
            }
            Kind::Lstm { proj_size } if proj_size >= self.hidden_size => {
                return wrong(format!("proj_size: {proj_size} is not less than hidden_size, {}", self.hidden_size));
            }
            _ => {}
        }
        match self.input_size {
            Some(own) if own != input => return wrong(format!("input_size: it is {own}, and the input has {input}")),
            _ => {}
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            return wrong(format!("dropout: a rate of {} is not in 0..=1", self.dropout));
        }
        if self.dropout > 0.0 && self.num_layers == 1 {
            return wrong(format!("dropout: {} acts between layers, and there is one", self.dropout));
        }
        Ok(())
    }

    fn build<T: Element>(&self, name: &'static str, input: usize, rng: &mut Rng) -> Result<Stack<T>, Error> {
        self.check(name, input)?;
        let directions = 1 + usize::from(self.bidirectional);
        let output = self.width().saturating_mul(directions);
        // Before the first of very many is made; a layer is more than its weights.
        let each = self.hidden_size.saturating_mul(self.hidden_size).saturating_mul(directions).saturating_add(1024);
        Initializer::Zeros.suits::<T>(&[self.num_layers, each]).map_err(|problem| Error::config(name, problem))?;
        let mut layers = Vec::new();
        for layer in 0..self.num_layers {
            let input = if layer == 0 { input } else { output };
            let mut ways = Vec::new();
            for direction in 0..directions {
                let suffix = suffix(layer, direction);
                let options = RnnOptions {
                    return_sequences: self.return_sequences || layer + 1 < self.num_layers,
                    go_backwards: direction == 1,
                    // What is packed has no steps behind a row's end.
                    zero_output_for_mask: true,
                    unroll: self.unroll,
                    checkpoint: self.checkpoint,
                    ..RnnOptions::default()
                };
                ways.push(crate::Rnn::new(self.cell(name, &suffix, input, rng)?, options));
            }
            layers.push(ways);
        }
        Ok(Stack::new(name, layers, self.dropout, self.batch_first))
    }

    /// The width of h.
    fn width(&self) -> usize {
        match self.recurrence {
            Kind::Lstm { proj_size } if proj_size > 0 => proj_size,
            _ => self.hidden_size,
        }
    }

    fn cell<T: Element>(
        &self,
        name: &str,
        suffix: &str,
        input: usize,
        rng: &mut Rng,
    ) -> Result<Box<dyn Portable<T>>, Error> {
        let hidden = self.hidden_size;
        let mut draw = self.draw(name, suffix, rng);
        let (sigmoid, tanh, variational) = (Activation::Sigmoid, Activation::Tanh, Variational::default());
        Ok(match self.recurrence {
            Kind::Rnn { nonlinearity: activation } => {
                let [kernel, recurrent_kernel] = draw.kernels(1, input, hidden)?;
                Box::new(SimpleRnnCell { kernel, recurrent_kernel, bias: draw.bias(1)?, activation, variational })
            }
            Kind::Gru => {
                let [kernel, recurrent_kernel] = draw.kernels(3, input, hidden)?;
                Box::new(GruCell {
                    kernel,
                    recurrent_kernel,
                    bias: draw.bias(3)?,
                    activation: tanh,
                    recurrent_activation: sigmoid,
                    reset_after: true,
                    variational,
                })
            }
            Kind::Lstm { proj_size: 0 } => Box::new(draw.lstm(input, hidden)?),
            Kind::Lstm { proj_size } => {
                let lstm = draw.lstm(input, proj_size)?;
                Box::new(ProjectedLstmCell { lstm, projection: draw.weight("weight_hr", [hidden, proj_size])? })
            }
        })
    }

    fn draw<'a>(&self, name: &'a str, suffix: &'a str, rng: &'a mut Rng) -> Draw<'a> {
        Draw { name, suffix, hidden: self.hidden_size, bias: self.bias, rng }
    }
}

/// The ends of names in both directions.
pub(super) const WAYS: [&str; 2] = ["", "_reverse"];

/// What stands behind a weight's name, in this layer and direction.
pub(super) fn suffix(layer: usize, direction: usize) -> String {
    format!("_l{layer}{}", WAYS[direction])
}

/// Fresh weights of one cell, in our layout.
struct Draw<'a> {
    name: &'a str,
    suffix: &'a str,
    hidden: usize,
    bias: bool,
    rng: &'a mut Rng,
}

impl Draw<'_> {
    fn weight<T: Element>(&mut self, weight: &str, shape: [usize; 2]) -> Result<Param<T>, Error> {
        let limit = 1.0 / (self.hidden as f64).sqrt();
        let uniform = Initializer::Uniform { low: -limit, high: limit };
        uniform.weight(self.name, &format!("{weight}{}", self.suffix), shape, self.rng)
    }

    /// Those of the input and of h.
    fn kernels<T: Element>(&mut self, gates: usize, input: usize, h: usize) -> Result<[Param<T>; 2], Error> {
        let width = self.hidden.saturating_mul(gates);
        Ok([self.weight("weight_ih", [input, width])?, self.weight("weight_hh", [h, width])?])
    }

    /// Both, one below the other.
    fn bias<T: Element>(&mut self, gates: usize) -> Result<Option<Param<T>>, Error> {
        match self.bias {
            true => Ok(Some(self.weight("bias", [2, self.hidden.saturating_mul(gates)])?)),
            false => Ok(None),
        }
    }

    fn lstm<T: Element>(&mut self, input: usize, h: usize) -> Result<LstmCell<T>, Error> {
        let [kernel, recurrent_kernel] = self.kernels(4, input, h)?;
        Ok(LstmCell {
            kernel,
            recurrent_kernel,
            bias: self.bias(4)?,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            variational: Variational::default(),
        })
    }
}
