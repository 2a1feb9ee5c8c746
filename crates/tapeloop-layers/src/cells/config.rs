//! What cells are built from.

use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Tensor, Var};

use crate::layers::positive;
use crate::{Cell, Error, Initializer, Rules};

/// A cell's configuration: data, from which the cell is built.
pub trait BuildCell {
    /// What is built.
    type Built<T: Element>: Cell<T> + 'static;

    /// The cell for a step's input of this shape, with fresh weights.
    ///
    /// # Errors
    /// If a setting makes no sense, or the cell cannot take such an input.
    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<Self::Built<T>, Error>;

    /// What the weights keep to: nothing, unless the configuration says otherwise.
    fn rules(&self) -> Rules {
        Rules::new()
    }
}

/// Fresh weights of a cell whose step takes a row of features.
pub(crate) struct Fresh<'r> {
    cell: &'static str,
    /// The number of features.
    pub(crate) input: usize,
    /// The width of the state.
    pub(crate) units: usize,
    rng: &'r mut Rng,
}

impl<'r> Fresh<'r> {
    /// Of `cell`, so wide.
    ///
    /// # Errors
    /// If the input is no row of features, or there is no unit.
    pub(crate) fn new(cell: &'static str, input: &Shape, units: usize, rng: &'r mut Rng) -> Result<Self, Error> {
        let [features] = input[..] else {
            let problem = format!("a step's input is a row of features (batch, features), not (batch, …{input})");
            return Err(Error::config(cell, problem));
        };
        positive(cell, "units", units)?;
        Ok(Self { cell, input: features, units, rng })
    }

    /// Without the last feature, which is a time.
    ///
    /// # Errors
    /// If there is no other.
    pub(crate) fn timed(mut self) -> Result<Self, Error> {
        if self.input < 2 {
            return Err(self.wrong(format!("{} features: there must be one, and the time as the last", self.input)));
        }
        self.input -= 1;
        Ok(self)
    }

    /// `kernel`, (input, gates·units).
    pub(crate) fn kernel<T: Element>(&mut self, gates: usize, from: &Initializer) -> Result<Param<T>, Error> {
        self.weight("kernel_initializer", [self.input, self.units.saturating_mul(gates)], from)
    }

    /// `recurrent_kernel`, (units, gates·units).
    pub(crate) fn recurrent_kernel<T: Element>(&mut self, gates: usize, from: &Initializer) -> Result<Param<T>, Error> {
        self.weight("recurrent_initializer", [self.units, self.units.saturating_mul(gates)], from)
    }

    /// `bias`, (gates·units).
    pub(crate) fn bias<T: Element>(&mut self, gates: usize, from: &Initializer) -> Result<Param<T>, Error> {
        self.weight("bias_initializer", [self.units.saturating_mul(gates)], from)
    }

    /// `bias`, (gates·units), where each gate has an initializer of its own.
    pub(crate) fn biases<T: Element>(&mut self, gates: &[&Initializer]) -> Result<Param<T>, Error> {
        let mut values = Vec::new();
        for from in gates {
            values.extend(self.bias::<T>(1, from)?.value().to_vec());
        }
        Ok(Param::new(Tensor::from_vec([values.len()], values)))
    }

    /// `bias`, (gates·units), with 1 in the part of the gate `ones`, if there is one.
    pub(crate) fn bias_with_ones<T: Element>(
        &mut self,
        gates: usize,
        from: &Initializer,
        ones: Option<usize>,
    ) -> Result<Param<T>, Error> {
        let mut bias = self.bias(gates, from)?;
        if let Some(gate) = ones {
            bias.value_mut()[gate * self.units..(gate + 1) * self.units].fill(T::ONE);
        }
        Ok(bias)
    }

    /// Any weight. If there can be none, `setting` is to blame.
    pub(crate) fn weight<T: Element>(
        &mut self,
        setting: &str,
        shape: impl Into<Shape>,
        from: &Initializer,
    ) -> Result<Param<T>, Error> {
        from.weight(self.cell, setting, shape, self.rng)
    }

    /// The rule for a number.
    pub(crate) fn number(&self, setting: &str, x: f64, rule: &str, keeps: impl Fn(f64) -> bool) -> Result<(), Error> {
        if x.is_finite() && keeps(x) { Ok(()) } else { Err(self.wrong(format!("{setting}: {x} is not {rule}"))) }
    }

    /// The rule for a step of time: above 0.
    pub(crate) fn positive(&self, setting: &str, x: f64) -> Result<(), Error> {
        self.number(setting, x, "a number above 0", |x| x > 0.0)
    }

    /// The rule for a share, or a probability.
    pub(crate) fn share(&self, setting: &str, x: f64) -> Result<(), Error> {
        self.number(setting, x, "in 0..=1", |x| (0.0..=1.0).contains(&x))
    }

    /// The rule for any other number.
    pub(crate) fn finite(&self, setting: &str, x: f64) -> Result<(), Error> {
        self.number(setting, x, "a finite number", |_| true)
    }

    /// The rule for a bound that values are kept within, if there is one.
    pub(crate) fn bound(&self, setting: &str, bound: Option<f64>) -> Result<(), Error> {
        match bound {
            Some(bound) if bound.is_nan() || bound <= 0.0 => {
                Err(self.wrong(format!("{setting}: a bound of {bound} is not above 0")))
            }
            _ => Ok(()),
        }
    }

    /// The rule for a number that is at least 0.
    pub(crate) fn at_least_0(&self, setting: &str, x: f64) -> Result<(), Error> {
        self.number(setting, x, "a number of at least 0", |x| x >= 0.0)
    }

    /// The rule for a number of repetitions, which no text may make endless.
    pub(crate) fn at_most(&self, setting: &str, n: usize, most: usize) -> Result<(), Error> {
        match n <= most {
            true => Ok(()),
            false => Err(self.wrong(format!("{setting}: {n} is more than {most}"))),
        }
    }

    /// A weight (…, parts·width) whose parts are drawn one by one, each from the initializer of the setting before it.
    pub(crate) fn parts<T: Element>(
        &mut self,
        lead: &[usize],
        width: usize,
        parts: &[(&str, &Initializer)],
    ) -> Result<Param<T>, Error> {
        let shape = [lead, &[width]].concat();
        let tape = Tape::inference();
        let mut drawn = Vec::new();
        for (setting, from) in parts {
            drawn.push(tape.constant(self.weight::<T>(setting, &shape[..], from)?.value().clone()));
        }
        Ok(Param::new(Var::concat(drawn, -1).value()))
    }

    /// What is wrong with a setting.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::config(self.cell, problem)
    }
}

/// z within ± a bound, if there is one.
#[track_caller]
pub(crate) fn clipped<T: Element>(z: Var<'_, T>, bound: Option<f64>) -> Var<'_, T> {
    match bound {
        Some(bound) => z.clamp(-bound, bound),
        None => z,
    }
}

/// The length of a weight's first axis, as a shape: of an input, where it is a `kernel`; of a state, where it is a
/// `recurrent_kernel`.
pub(crate) fn rows<T: Element>(weight: &Param<T>) -> Shape {
    Shape::from([weight.value().shape()[0]])
}

/// A width, as a shape, of which the last axis of `weight` holds so many.
pub(crate) fn columns<T: Element>(weight: &Param<T>, parts: usize) -> Shape {
    Shape::from([weight.value().shape().last().copied().unwrap_or(1) / parts])
}

/// So many parts of a step: at least one, and no more than can be traced.
pub(crate) fn substeps(cell: &str, setting: &str, count: usize) -> Result<usize, Error> {
    const MOST: usize = 1000;
    positive(cell, setting, count)?;
    if count > MOST {
        return Err(Error::config(cell, format!("{setting}: {count} of them; there may be {MOST}")));
    }
    Ok(count)
}

/// Declares a cell's configuration: its settings with their defaults. Gives the struct as JSON reads it, `new(units)`, a
/// builder method for every other setting, and `cell(input, rng)`.
macro_rules! config {
    (
        $(#[$doc:meta])*
        $name:ident($built:ident) {
            $(#[$of_units:meta])* units,
            $($(#[$of_setting:meta])* $setting:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(#[$of_units])*
            pub units: usize,
            $($(#[$of_setting])* pub $setting: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { units: 0, $($setting: $default,)* }
            }
        }

        impl $name {
            /// The default configuration with this many units.
            pub fn new(units: usize) -> Self {
                Self { units, ..Self::default() }
            }

            $(
                $(#[$of_setting])*
                pub fn $setting(self, $setting: $type) -> Self {
                    Self { $setting, ..self }
                }
            )*

            /// A cell with fresh weights for this many input features.
            ///
            /// # Panics
            /// If a setting makes no sense.
            #[track_caller]
            pub fn cell<T: tapeloop_autograd::Element>(
                &self,
                input: usize,
                rng: &mut tapeloop_autograd::Rng,
            ) -> $built<T> {
                match $crate::cells::BuildCell::cell_for(self, &tapeloop_autograd::Shape::from([input]), rng) {
                    Ok(cell) => cell,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
}
pub(crate) use config;

/// Methods of a cell around another one, `inner`, that are the other one's.
macro_rules! as_inner {
    (@one input_shape) => {
        fn input_shape(&self) -> tapeloop_autograd::Shape {
            self.inner.input_shape()
        }
    };
    (@one state_shapes) => {
        fn state_shapes(&self) -> $crate::StateShapes {
            self.inner.state_shapes()
        }
    };
    (@one noises) => {
        fn noises(&self) -> [usize; 2] {
            self.inner.noises()
        }
    };
    (@one draw) => {
        fn draw(&self, tape: &tapeloop_autograd::Tape<T>, batch: usize, time: usize, rng: &mut tapeloop_autograd::Rng) -> $crate::Noise<T> {
            self.inner.draw(tape, batch, time, rng)
        }
    };
    (@one output) => {
        fn output<'t>(&self, x: tapeloop_autograd::Var<'t, T>, state: &[tapeloop_autograd::Var<'t, T>]) -> tapeloop_autograd::Var<'t, T> {
            self.inner.output(x, state)
        }
    };
    (@one output_shape) => {
        fn output_shape(&self) -> tapeloop_autograd::Shape {
            self.inner.output_shape()
        }
    };
    ($($method:ident)+) => {
        $($crate::cells::config::as_inner! { @one $method })+
    };
}
pub(crate) use as_inner;
