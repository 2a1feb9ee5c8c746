//! f(x ∗ W + b) over time

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tapeloop_autograd::{Conv, Element, Pad, Param, Rng, Tape, Var, module};

use super::{Config, keeps_shape, positive, rule_setters};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Activation, Constraint, DataFormat, Error, Initializer, Regularizer, Rules};

/// What is around the time that a window moves over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePadding {
    /// Nothing: n steps become ⌊(n − reach) / stride⌋ + 1.
    #[default]
    Valid,
    /// So many zeros that n steps become ⌈n / stride⌉.
    Same,
    /// Zeros in front alone, as many as a window reaches back: no output sees what comes after its step.
    Causal,
}

/// The configuration of a convolution over time: Keras' `Conv1D(filters, kernel_size, …)` with its defaults.
///
/// ```
/// use tapeloop_autograd::Tensor;
/// use tapeloop_layers::{Conv1d, Lstm, Sequential, TimePadding};
/// let conv = Conv1d::new(8, 3).padding(TimePadding::Causal).dilation_rate(2);
/// let model = Sequential::new([None, Some(2)]).add(conv).add(Lstm::new(4)).build::<f32>(0)?;
/// assert_eq!(model.predict(&Tensor::zeros([5, 10, 2]))?.shape(), [5, 4]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conv1d {
    /// The number of features it puts out.
    pub filters: usize,
    /// The steps of a window.
    pub kernel_size: usize,
    /// From one window to the next. Default 1.
    pub strides: usize,
    /// What is around time. Default nothing.
    pub padding: TimePadding,
    /// Where the features lie. Default last.
    pub data_format: DataFormat,
    /// From one step of a window to its next. Default 1.
    pub dilation_rate: usize,
    /// Features are divided into groups that do not see each other. Default 1.
    pub groups: usize,
    /// Of the output. Default linear.
    pub activation: Activation,
    /// Whether there is a bias. Default true.
    pub use_bias: bool,
    /// Of `kernel`. Default Glorot uniform.
    pub kernel_initializer: Initializer,
    /// Of `bias`. Default zeros.
    pub bias_initializer: Initializer,
    /// Penalty of `kernel`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_regularizer: Option<Regularizer>,
    /// Penalty of `bias`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_regularizer: Option<Regularizer>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// What `kernel` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_constraint: Option<Constraint>,
    /// What `bias` is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_constraint: Option<Constraint>,
}

impl Default for Conv1d {
    fn default() -> Self {
        Self {
            filters: 0,
            kernel_size: 0,
            strides: 1,
            padding: TimePadding::Valid,
            data_format: DataFormat::ChannelsLast,
            dilation_rate: 1,
            groups: 1,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            activity_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
        }
    }
}

impl Conv1d {
    /// The default configuration with this many filters, and a window of so many steps.
    pub fn new(filters: usize, kernel_size: usize) -> Self {
        Self { filters, kernel_size, ..Self::default() }
    }

    /// From one window to the next.
    pub fn strides(self, strides: usize) -> Self {
        Self { strides, ..self }
    }

    /// What is around time.
    pub fn padding(self, padding: TimePadding) -> Self {
        Self { padding, ..self }
    }

    /// Where the features lie.
    pub fn data_format(self, data_format: DataFormat) -> Self {
        Self { data_format, ..self }
    }

    /// From one step of a window to its next.
    pub fn dilation_rate(self, dilation_rate: usize) -> Self {
        Self { dilation_rate, ..self }
    }

    /// Features are divided into so many groups that do not see each other.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// What is applied to the output.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Whether the layer has a bias.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// What `kernel` starts from.
    pub fn kernel_initializer(self, kernel_initializer: Initializer) -> Self {
        Self { kernel_initializer, ..self }
    }

    /// What `bias` starts from.
    pub fn bias_initializer(self, bias_initializer: Initializer) -> Self {
        Self { bias_initializer, ..self }
    }

    rule_setters! {
        kernel: kernel_regularizer, kernel_constraint;
        bias: bias_regularizer, bias_constraint;
    }

    /// A layer with fresh weights for this many input features.
    ///
    /// # Panics
    /// Where [`try_layer`](Self::try_layer) returns an error.
    #[track_caller]
    pub fn layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Conv1dLayer<T> {
        match self.try_layer(input, rng) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A layer with fresh weights for this many input features.
    ///
    /// # Errors
    /// If a setting makes no sense, or an initializer, a regularizer or a constraint does not suit its weight.
    pub fn try_layer<T: Element>(&self, input: usize, rng: &mut Rng) -> Result<Conv1dLayer<T>, Error> {
        let name = "conv1d";
        let Self { filters, kernel_size, strides, padding, data_format, dilation_rate, groups, .. } = *self;
        for (setting, n) in [
            ("filters", filters),
            ("kernel_size", kernel_size),
            ("strides", strides),
            ("dilation_rate", dilation_rate),
            ("groups", groups),
        ] {
            positive(name, setting, n)?;
        }
        for (setting, n) in [("kernel_size", kernel_size), ("strides", strides), ("dilation_rate", dilation_rate)] {
            if u32::try_from(n).is_err() {
                return Err(Error::config(name, format!("{setting}: {n} is more than any time has")));
            }
        }
        if strides > 1 && dilation_rate > 1 {
            return Err(Error::config(name, "strides and dilation_rate cannot both be more than 1"));
        }
        if !filters.is_multiple_of(groups) || !input.is_multiple_of(groups) {
            let problem = format!("{input} features and {filters} filters do not divide into {groups} groups");
            return Err(Error::config(name, problem));
        }
        keeps_shape(name, "activation", self.activation)?;
        let shape = [kernel_size, input / groups, filters];
        let kernel = self.kernel_initializer.weight(name, "kernel_initializer", shape, rng)?;
        let bias = match self.use_bias {
            true => Some(self.bias_initializer.weight(name, "bias_initializer", [filters], rng)?),
            false => None,
        };
        let rules = Rules::new()
            .regularizer("kernel", self.kernel_regularizer)
            .regularizer("bias", self.bias_regularizer.filter(|_| self.use_bias))
            .activity(self.activity_regularizer)
            .constraint("kernel", self.kernel_constraint.clone())
            .constraint("bias", self.bias_constraint.clone().filter(|_| self.use_bias));
        let activation = self.activation;
        let layer =
            Conv1dLayer { kernel, bias, strides, padding, data_format, dilation_rate, groups, activation, rules };
        layer.rules.check(name, &layer)?;
        layer.rules.check_outputs(name, 3)?;
        Ok(layer)
    }
}

impl Config for Conv1d {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        let (_, features) = time_and_features(self.data_format, input)?;
        let Some(features) = features else {
            return Err(Error::config("conv1d", "the number of features must be known"));
        };
        let layer = self.try_layer::<T>(features, rng)?;
        layer.output_shape(input)?;
        Ok(Box::new(layer))
    }
}

/// Both axes behind the batch, time first.
fn time_and_features(
    data_format: DataFormat,
    input: &[Option<usize>],
) -> Result<(Option<usize>, Option<usize>), Error> {
    match (input, data_format) {
        ([time, features], DataFormat::ChannelsLast) | ([features, time], DataFormat::ChannelsFirst) => {
            Ok((*time, *features))
        }
        _ => Err(Error::config("conv1d", format!("needs (time, features) behind the batch, got {} axes", input.len()))),
    }
}

/// f(x ∗ W + b): windows of steps times the kernel, which is not mirrored. It ends a mask, as in Keras.
#[derive(Clone, Debug)]
pub struct Conv1dLayer<T: Element = f32> {
    /// Weights, (window, input / groups, filters).
    pub kernel: Param<T>,
    /// Bias, (filters).
    pub bias: Option<Param<T>>,
    /// From one window to the next.
    pub strides: usize,
    /// What is around time.
    pub padding: TimePadding,
    /// Where the features lie.
    pub data_format: DataFormat,
    /// From one step of a window to its next.
    pub dilation_rate: usize,
    /// The number of groups of features.
    pub groups: usize,
    /// f
    pub activation: Activation,
    /// What the weights and outputs keep to.
    pub rules: Rules,
}
module!(Conv1dLayer<T> { kernel, bias } rest { strides, padding, data_format, dilation_rate, groups, activation, rules });

impl<T: Element> Conv1dLayer<T> {
    /// The steps that a window reaches back from its last one.
    fn back(&self) -> usize {
        self.dilation_rate * (self.kernel.value().shape()[0] - 1)
    }

    fn conv(&self) -> Conv {
        let conv = Conv::new().stride(&[self.strides]).dilation(&[self.dilation_rate]);
        if self.padding == TimePadding::Same { conv.same() } else { conv }
    }

    /// How many steps come out.
    fn steps(&self, time: usize) -> Result<usize, Error> {
        let window = self.kernel.value().shape()[0];
        let padded = if self.padding == TimePadding::Causal { time + self.back() } else { time };
        match self.conv().lengths(&[padded], &[window]).filter(|_| time > 0) {
            Some(lengths) => Ok(lengths[0]),
            None => {
                let reach = self.back() + 1;
                Err(Error::config(
                    "conv1d",
                    format!("a window that reaches over {reach} steps does not fit into {time}"),
                ))
            }
        }
    }
}

impl<T: Element> Layer<T> for Conv1dLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        let first = self.data_format == DataFormat::ChannelsFirst;
        let mut x = if first { x.swap_axes(1, 2) } else { x };
        if self.padding == TimePadding::Causal {
            x = x.pad(1, self.back(), 0, Pad::Constant(0.0));
        }
        let conv = self.conv();
        let mut y = if self.groups == 1 {
            x.conv_last(&self.kernel, None, &conv)
        } else {
            let kernel = x.tape().param(&self.kernel);
            let shape = self.kernel.value().shape();
            let (width, filters) = (shape[1] as isize, (shape[2] / self.groups) as isize);
            let mut parts: SmallVec<[Var<'t, T>; 8]> = SmallVec::new();
            for group in 0..self.groups as isize {
                let own = kernel.slice(2, group * filters..(group + 1) * filters);
                parts.push(x.slice(2, group * width..(group + 1) * width).conv_last(own, None, &conv));
            }
            Var::concat(parts, 2)
        };
        if let Some(bias) = &self.bias {
            y = y + bias;
        }
        let y = self.activation.apply(y);
        if first { y.swap_axes(1, 2) } else { y }
    }

    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let value = self.forward(x.value, pass);
        Masked { penalty: x.penalty, ..value.into() }.and(self.rules.of_outputs(&[value]))
    }

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.rules.penalty(self, tape)
    }

    fn constrain(&mut self) {
        let rules = std::mem::take(&mut self.rules);
        rules.constrain(self);
        self.rules = rules;
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let shape = self.kernel.value().shape();
        let (width, filters) = (shape[1] * self.groups, shape[2]);
        let (time, features) = time_and_features(self.data_format, input)?;
        if features != Some(width) {
            return Err(Error::config("conv1d", format!("needs {width} features")));
        }
        let time = time.map(|time| self.steps(time)).transpose()?;
        Ok(match self.data_format {
            DataFormat::ChannelsLast => vec![time, Some(filters)],
            DataFormat::ChannelsFirst => vec![Some(filters), time],
        })
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        let known: Axes = x.shape()[1..].iter().map(|&n| Some(n)).collect();
        self.output_shape(&known).map(|_| ())
    }
}
