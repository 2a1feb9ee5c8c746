//! Initializers by name, with parameters or without: in configurations and as text.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Distribution, Fan, Initializer, Nonlinearity};
use crate::Error;

type Make = fn() -> Initializer;

/// The names, Keras' and PyTorch's, and what each stands for alone. What a name with an underscore at its end stands for
/// is in the list only where PyTorch's function of that name has other defaults; NaN and 0 are those without a default.
const NAMES: &[(&str, Make)] = &[
    ("zeros", || Initializer::Zeros),
    ("zero", || Initializer::Zeros),
    ("ones", || Initializer::Ones),
    ("one", || Initializer::Ones),
    ("constant", || Initializer::Constant { value: 0.0 }),
    ("identity", || Initializer::Identity { gain: 1.0 }),
    ("eye", || Initializer::Identity { gain: 1.0 }),
    ("dirac", || Initializer::Dirac { groups: 1 }),
    ("uniform", || Initializer::RANDOM_UNIFORM),
    ("uniform_", || Initializer::Uniform { low: 0.0, high: 1.0 }),
    ("random_uniform", || Initializer::RANDOM_UNIFORM),
    ("normal", || Initializer::Normal { mean: 0.0, std: 0.05 }),
    ("normal_", || Initializer::Normal { mean: 0.0, std: 1.0 }),
    ("random_normal", || Initializer::Normal { mean: 0.0, std: 0.05 }),
    ("truncated_normal", || Initializer::TruncatedNormal { mean: 0.0, std: 0.05, cut: 2.0 }),
    ("trunc_normal", || Initializer::TruncNormal { mean: 0.0, std: 1.0, a: -2.0, b: 2.0 }),
    ("variance_scaling", || Initializer::VarianceScaling {
        scale: 1.0,
        mode: Fan::FanIn,
        distribution: Distribution::TruncatedNormal,
    }),
    ("glorot_uniform", || Initializer::GlorotUniform),
    ("glorot_normal", || Initializer::GlorotNormal),
    ("he_uniform", || Initializer::HeUniform),
    ("he_normal", || Initializer::HeNormal),
    ("lecun_uniform", || Initializer::LecunUniform),
    ("lecun_normal", || Initializer::LecunNormal),
    ("xavier_uniform", || Initializer::XavierUniform { gain: 1.0 }),
    ("xavier_normal", || Initializer::XavierNormal { gain: 1.0 }),
    ("kaiming_uniform", || Initializer::KaimingUniform {
        a: 0.0,
        mode: Fan::FanIn,
        nonlinearity: Nonlinearity::LeakyRelu,
    }),
    ("kaiming_normal", || Initializer::KaimingNormal {
        a: 0.0,
        mode: Fan::FanIn,
        nonlinearity: Nonlinearity::LeakyRelu,
    }),
    ("orthogonal", || Initializer::Orthogonal { gain: 1.0 }),
    ("sparse", || Initializer::Sparse { sparsity: f64::NAN, std: 0.01 }),
    ("per_gate", || Initializer::PerGate { gates: 0, initializer: Box::new(Initializer::Orthogonal { gain: 1.0 }) }),
];

/// A parameter, to be read or written.
pub(super) enum Field<'a> {
    Number(&'a mut f64),
    Count(&'a mut usize),
    Fan(&'a mut Fan),
    Distribution(&'a mut Distribution),
    Nonlinearity(&'a mut Nonlinearity),
    Initializer(&'a mut Initializer),
}

impl Initializer {
    /// Its name, without parameters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Ones => "ones",
            Self::Constant { .. } => "constant",
            Self::Identity { .. } => "identity",
            Self::Dirac { .. } => "dirac",
            Self::Uniform { .. } => "uniform",
            Self::Normal { .. } => "normal",
            Self::TruncatedNormal { .. } => "truncated_normal",
            Self::TruncNormal { .. } => "trunc_normal",
            Self::VarianceScaling { .. } => "variance_scaling",
            Self::GlorotUniform => "glorot_uniform",
            Self::GlorotNormal => "glorot_normal",
            Self::HeUniform => "he_uniform",
            Self::HeNormal => "he_normal",
            Self::LecunUniform => "lecun_uniform",
            Self::LecunNormal => "lecun_normal",
            Self::XavierUniform { .. } => "xavier_uniform",
            Self::XavierNormal { .. } => "xavier_normal",
            Self::KaimingUniform { .. } => "kaiming_uniform",
            Self::KaimingNormal { .. } => "kaiming_normal",
            Self::Orthogonal { .. } => "orthogonal",
            Self::Sparse { .. } => "sparse",
            Self::PerGate { .. } => "per_gate",
        }
    }

    /// Its parameters, each with its names: ours, then Keras' and PyTorch's where they are others.
    pub(super) fn fields(&mut self) -> Vec<(&'static [&'static str], Field<'_>)> {
        use Field::{Count, Number};
        const MEAN: &[&str] = &["mean"];
        const STD: &[&str] = &["std", "stddev"];
        match self {
            Self::Constant { value } => vec![(&["value", "val"], Number(value))],
            Self::Identity { gain }
            | Self::XavierUniform { gain }
            | Self::XavierNormal { gain }
            | Self::Orthogonal { gain } => vec![(&["gain"], Number(gain))],
            Self::Dirac { groups } => vec![(&["groups"], Count(groups))],
            Self::Uniform { low, high } => {
                vec![(&["low", "minval", "a"], Number(low)), (&["high", "maxval", "b"], Number(high))]
            }
            Self::Normal { mean, std } => vec![(MEAN, Number(mean)), (STD, Number(std))],
            Self::TruncatedNormal { mean, std, cut } => {
                vec![(MEAN, Number(mean)), (STD, Number(std)), (&["cut"], Number(cut))]
            }
            Self::TruncNormal { mean, std, a, b } => {
                vec![(MEAN, Number(mean)), (STD, Number(std)), (&["a"], Number(a)), (&["b"], Number(b))]
            }
            Self::VarianceScaling { scale, mode, distribution } => vec![
                (&["scale"], Number(scale)),
                (&["mode"], Field::Fan(mode)),
                (&["distribution"], Field::Distribution(distribution)),
            ],
            Self::KaimingUniform { a, mode, nonlinearity } | Self::KaimingNormal { a, mode, nonlinearity } => vec![
                (&["a"], Number(a)),
                (&["mode"], Field::Fan(mode)),
                (&["nonlinearity"], Field::Nonlinearity(nonlinearity)),
            ],
            Self::Sparse { sparsity, std } => vec![(&["sparsity"], Number(sparsity)), (STD, Number(std))],
            Self::PerGate { gates, initializer } => {
                vec![(&["gates"], Count(gates)), (&["initializer"], Field::Initializer(initializer))]
            }
            Self::Zeros
            | Self::Ones
            | Self::GlorotUniform
            | Self::GlorotNormal
            | Self::HeUniform
            | Self::HeNormal
            | Self::LecunUniform
            | Self::LecunNormal => Vec::new(),
        }
    }

    /// What the name stands for alone.
    fn named(name: &str) -> Result<Self, String> {
        let snake = snake_case(name);
        let find = |wanted: &str| NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, make)| make());
        find(&snake)
            .or_else(|| find(snake.strip_suffix('_')?))
            .or_else(|| find(snake.strip_suffix("_initializer")?))
            .ok_or_else(|| {
                let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
                format!("`{name}` is not known; there are {}", names.join(", "))
            })
    }

    /// What the name stands for with these parameters.
    fn with(name: &str, arguments: impl IntoIterator<Item = (String, Argument)>) -> Result<Self, String> {
        let mut initializer = Self::named(name)?;
        for (key, argument) in arguments {
            let mut fields = initializer.fields();
            let Some(place) = fields.iter().position(|(names, _)| names.contains(&key.as_str())) else {
                let known: Vec<_> = fields.iter().map(|(names, _)| names[0]).collect();
                let known =
                    if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
                return Err(format!("{name} has no parameter `{key}`; {known}"));
            };
            let (_, field) = fields.swap_remove(place);
            field.set(argument).map_err(|problem| format!("{name}, `{key}`: {problem}"))?;
        }
        for (names, field) in initializer.fields() {
            match field {
                Field::Number(x) if x.is_nan() => return Err(format!("{name} needs `{}`", names[0])),
                Field::Count(0) => return Err(format!("{name} needs `{}`, which must be at least 1", names[0])),
                _ => {}
            }
        }
        Ok(initializer)
    }

    /// Whether its name alone stands for it.
    fn is_default(&self) -> bool {
        Self::named(self.name()).is_ok_and(|default| default == *self)
    }
}

/// `GlorotUniform` as `glorot_uniform`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (place, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A parameter's value as it is written.
enum Argument {
    Number(f64),
    Word(String),
    Initializer(Initializer),
}

impl Field<'_> {
    fn set(self, argument: Argument) -> Result<(), String> {
        fn word<'a, E: Deserialize<'a>>(word: &'a str) -> Result<E, String> {
            let word: StrDeserializer<'a, de::value::Error> = word.into_deserializer();
            E::deserialize(word).map_err(|error| error.to_string())
        }
        match (self, argument) {
            (Self::Number(x), Argument::Number(value)) if value.is_finite() => *x = value,
            (Self::Number(_), _) => return Err("must be a finite number".into()),
            // Doubles are whole and exact up to here.
            (Self::Count(n), Argument::Number(value))
                if value.fract() == 0.0 && (0.0..=2f64.powi(53)).contains(&value) =>
            {
                *n = value as usize;
            }
            (Self::Count(_), _) => return Err("must be a whole number, 0 or above".into()),
            (Self::Fan(mode), Argument::Word(name)) => *mode = word(&name)?,
            (Self::Distribution(distribution), Argument::Word(name)) => *distribution = word(&name)?,
            (Self::Nonlinearity(nonlinearity), Argument::Word(name)) => *nonlinearity = word(&name)?,
            (Self::Initializer(own), Argument::Word(text)) => *own = parse(&text, DEPTH)?,
            (Self::Initializer(own), Argument::Initializer(initializer)) => *own = initializer,
            (Self::Initializer(_), _) => return Err("must be an initializer".into()),
            (_, _) => return Err("must be a name".into()),
        }
        Ok(())
    }
}

/// How deep initializers may lie in one another, in text.
const DEPTH: usize = 8;

fn parse(text: &str, depth: usize) -> Result<Initializer, String> {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('(') else {
        return Initializer::with(text, []);
    };
    let inside = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks the closing parenthesis"))?;
    let mut arguments = Vec::new();
    for argument in split(inside) {
        let (key, value) =
            argument.split_once('=').ok_or_else(|| format!("`{}` is not `parameter=value`", argument.trim()))?;
        let value = value.trim();
        let value = match value.parse::<f64>() {
            Ok(number) => Argument::Number(number),
            Err(_) if value.contains('(') => {
                let depth = depth.checked_sub(1).ok_or("too many parentheses within one another")?;
                Argument::Initializer(parse(value, depth)?)
            }
            Err(_) => Argument::Word(value.into()),
        };
        arguments.push((key.trim().to_string(), value));
    }
    Initializer::with(name.trim(), arguments)
}

/// The parts between commas that are in no parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    let parts = text.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.filter(move |_| !text.trim().is_empty())
}

impl FromStr for Initializer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text, DEPTH).map_err(|problem| Error::config("initializer", problem))
    }
}

impl fmt::Display for Initializer {
    /// Its name, and its parameters unless the name alone stands for them: what can be parsed again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if self.is_default() {
            return Ok(());
        }
        for (place, (names, field)) in self.clone().fields().into_iter().enumerate() {
            write!(f, "{}{}=", if place == 0 { "(" } else { ", " }, names[0])?;
            match field {
                Field::Number(x) => write!(f, "{x}"),
                Field::Count(n) => write!(f, "{n}"),
                Field::Fan(mode) => mode.serialize(&mut *f),
                Field::Distribution(distribution) => distribution.serialize(&mut *f),
                Field::Nonlinearity(nonlinearity) => nonlinearity.serialize(&mut *f),
                Field::Initializer(initializer) => write!(f, "{initializer}"),
            }?;
        }
        f.write_char(')')
    }
}

impl Serialize for Initializer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_default() {
            return serializer.serialize_str(self.name());
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name(), &Parameters(self))?;
        map.end()
    }
}

struct Parameters<'a>(&'a Initializer);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut copy = self.0.clone();
        let mut map = serializer.serialize_map(None)?;
        for (names, field) in copy.fields() {
            match field {
                Field::Number(x) => map.serialize_entry(names[0], x),
                Field::Count(n) => map.serialize_entry(names[0], n),
                Field::Fan(mode) => map.serialize_entry(names[0], mode),
                Field::Distribution(distribution) => map.serialize_entry(names[0], distribution),
                Field::Nonlinearity(nonlinearity) => map.serialize_entry(names[0], nonlinearity),
                Field::Initializer(initializer) => map.serialize_entry(names[0], initializer),
            }?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Initializer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Initializer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an initializer: a name, or an object of a name and parameters")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Initializer, E> {
                parse(text, DEPTH).map_err(|problem| E::custom(format!("initializer: {problem}")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Initializer, A::Error> {
                object(map)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// `{"name": {"parameter": value, …}}`
fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Initializer, A::Error> {
    let (name, Arguments(arguments)) = map
        .next_entry::<String, Arguments>()?
        .ok_or_else(|| de::Error::custom("initializer: an object without a name"))?;
    if let Some(second) = map.next_key::<String>()? {
        return Err(de::Error::custom(format!("initializer: `{name}` or `{second}`, not both")));
    }
    Initializer::with(&name, arguments).map_err(|problem| de::Error::custom(format!("initializer: {problem}")))
}

struct Arguments(Vec<(String, Argument)>);

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of an initializer's parameters")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Arguments, E> {
                Ok(Arguments(Vec::new()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Arguments, A::Error> {
                let mut arguments = Vec::new();
                while let Some(argument) = map.next_entry()? {
                    arguments.push(argument);
                }
                Ok(Arguments(arguments))
            }
        }

        deserializer.deserialize_any(Written)
    }
}

impl<'de> Deserialize<'de> for Argument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Argument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a name or an initializer")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Argument, E> {
                Ok(Argument::Number(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Argument, E> {
                Ok(Argument::Number(value as f64))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Argument, E> {
                Ok(Argument::Number(value as f64))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Argument, E> {
                Ok(Argument::Word(text.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Argument, A::Error> {
                object(map).map(Argument::Initializer)
            }
        }

        deserializer.deserialize_any(Written)
    }
}
