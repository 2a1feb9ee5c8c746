//! What has a name, and parameters or none: initializers, regularizers, constraints, in configurations and as text.

use std::fmt::{self, Write};

use serde::de::value::StrDeserializer;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{Error, Initializer};

/// Names, and how what each stands for is made.
pub(crate) type Names<N> = &'static [(&'static str, fn() -> N)];

/// A kind of them.
pub(crate) trait Named: Clone + PartialEq + Sized + 'static {
    /// What it is, in messages.
    const WHAT: &'static str;

    /// The same with its article.
    const A: &'static str;

    /// The names, and what each stands for alone. What a name with an underscore at its end stands for is in the list only
    /// where it differs; NaN and 0 are those without a default.
    const NAMES: Names<Self>;

    /// Its name, without parameters.
    fn name(&self) -> &'static str;

    /// Its parameters, each with its names: ours, then Keras' and PyTorch's where they are others.
    fn fields(&mut self) -> Vec<(&'static [&'static str], Field<'_>)>;
}

/// A parameter, to be read or written.
pub(crate) enum Field<'a> {
    Number(&'a mut f64),
    Count(&'a mut usize),
    Word(&'a mut dyn Word),
    /// Axes; none stand for all.
    Axes(&'a mut Vec<isize>),
    Initializer(&'a mut Initializer),
}

/// A choice among words.
pub(crate) trait Word {
    fn set(&mut self, word: &str) -> Result<(), String>;
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<E: Serialize + DeserializeOwned> Word for E {
    fn set(&mut self, word: &str) -> Result<(), String> {
        let word: StrDeserializer<'_, de::value::Error> = word.into_deserializer();
        *self = E::deserialize(word).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A parameter's value as it is written.
#[derive(Clone)]
pub(crate) enum Argument {
    Nothing,
    Number(f64),
    Word(String),
    Numbers(Vec<f64>),
    Call(String, Vec<(String, Argument)>),
}

/// How deep they may lie in one another, in text.
const DEPTH: usize = 8;

/// What the name stands for alone.
fn named<N: Named>(name: &str) -> Result<N, String> {
    let snake = snake_case(name);
    let find = |wanted: &str| N::NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, make)| make());
    find(&snake)
        .or_else(|| find(snake.strip_suffix('_')?))
        .or_else(|| find(snake.strip_suffix(N::WHAT)?.strip_suffix('_')?))
        .ok_or_else(|| {
            let names: Vec<_> = N::NAMES.iter().map(|(name, _)| *name).collect();
            format!("`{name}` is not known; there are {}", names.join(", "))
        })
}

/// What the name stands for with these parameters.
fn with<N: Named>(name: &str, arguments: Vec<(String, Argument)>) -> Result<N, String> {
    let mut own: N = named(name)?;
    for (key, argument) in arguments {
        let mut fields = own.fields();
        let Some(place) = fields.iter().position(|(names, _)| names.contains(&key.as_str())) else {
            let known: Vec<_> = fields.iter().map(|(names, _)| names[0]).collect();
            let known = if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
            return Err(format!("{name} has no parameter `{key}`; {known}"));
        };
        let (_, field) = fields.swap_remove(place);
        field.set(argument).map_err(|problem| format!("{name}, `{key}`: {problem}"))?;
    }
    for (names, field) in own.fields() {
        match field {
            Field::Number(x) if x.is_nan() => return Err(format!("{name} needs `{}`", names[0])),
            Field::Count(0) => return Err(format!("{name} needs `{}`, which must be at least 1", names[0])),
            _ => {}
        }
    }
    Ok(own)
}

/// Whether its name alone stands for it.
fn is_default<N: Named>(own: &N) -> bool {
    named(own.name()).is_ok_and(|default: N| default == *own)
}

/// `GlorotUniform` as `glorot_uniform`, `L1L2` as `l1_l2`.
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

impl Field<'_> {
    fn set(self, argument: Argument) -> Result<(), String> {
        // Doubles are whole and exact up to here.
        let whole = |x: f64| x.fract() == 0.0 && x.abs() <= 2f64.powi(53);
        match (self, argument) {
            (Self::Number(x), Argument::Number(value)) if value.is_finite() => *x = value,
            (Self::Number(_), _) => return Err("must be a finite number".into()),
            (Self::Count(n), Argument::Number(value)) if whole(value) && value >= 0.0 => *n = value as usize,
            (Self::Count(_), _) => return Err("must be a whole number, 0 or above".into()),
            (Self::Word(word), Argument::Word(name)) => word.set(&name)?,
            (Self::Word(_), _) => return Err("must be a name".into()),
            (Self::Axes(axes), Argument::Nothing) => axes.clear(),
            (Self::Axes(axes), Argument::Number(axis)) if whole(axis) => *axes = vec![axis as isize],
            (Self::Axes(axes), Argument::Numbers(all)) if !all.is_empty() && all.iter().all(|&x| whole(x)) => {
                *axes = all.into_iter().map(|axis| axis as isize).collect();
            }
            (Self::Axes(_), _) => return Err("must be an axis, several of them, or nothing, which is all axes".into()),
            (Self::Initializer(own), Argument::Word(text)) => *own = parse(&text, DEPTH)?,
            (Self::Initializer(own), Argument::Call(name, arguments)) => *own = with(&name, arguments)?,
            (Self::Initializer(_), _) => return Err("must be an initializer".into()),
        }
        Ok(())
    }
}

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(x) => write!(f, "{x}"),
            Self::Count(n) => write!(f, "{n}"),
            Self::Word(word) => word.write(f),
            Self::Axes(axes) => match &axes[..] {
                [] => f.write_str("none"),
                [axis] => write!(f, "{axis}"),
                axes => write!(f, "{axes:?}"),
            },
            Self::Initializer(initializer) => write!(f, "{initializer}"),
        }
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(x) => x.serialize(serializer),
            Self::Count(n) => n.serialize(serializer),
            Self::Word(_) => serializer.collect_str(self),
            Self::Axes(axes) => match &axes[..] {
                [] => serializer.serialize_none(),
                [axis] => axis.serialize(serializer),
                axes => axes.serialize(serializer),
            },
            Self::Initializer(initializer) => initializer.serialize(serializer),
        }
    }
}

fn parse<N: Named>(text: &str, depth: usize) -> Result<N, String> {
    let (name, arguments) = call(text, depth)?;
    with(&name, arguments)
}

/// `name`, or `name(parameter=value, …)`.
fn call(text: &str, depth: usize) -> Result<(String, Vec<(String, Argument)>), String> {
    let text = text.trim();
    let Some((name, rest)) = text.split_once('(') else {
        return Ok((text.into(), Vec::new()));
    };
    let inside = rest.strip_suffix(')').ok_or_else(|| format!("`{text}` lacks the closing parenthesis"))?;
    let mut arguments = Vec::new();
    for argument in split(inside) {
        let (key, value) =
            argument.split_once('=').ok_or_else(|| format!("`{}` is not `parameter=value`", argument.trim()))?;
        arguments.push((key.trim().to_string(), value_of(value.trim(), depth)?));
    }
    Ok((name.trim().into(), arguments))
}

fn value_of(text: &str, depth: usize) -> Result<Argument, String> {
    if let Ok(number) = text.parse::<f64>() {
        return Ok(Argument::Number(number));
    }
    if let Some(list) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let number = |item: &str| item.trim().parse::<f64>().map_err(|_| format!("`{}` is no number", item.trim()));
        return split(list).map(number).collect::<Result<_, _>>().map(Argument::Numbers);
    }
    if text.contains('(') {
        let depth = depth.checked_sub(1).ok_or("too many parentheses within one another")?;
        let (name, arguments) = call(text, depth)?;
        return Ok(Argument::Call(name, arguments));
    }
    Ok(if text == "none" { Argument::Nothing } else { Argument::Word(text.into()) })
}

/// The parts between commas that are in no parentheses.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    let parts = text.split(move |letter| {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    });
    parts.filter(move |_| !text.trim().is_empty())
}

pub(crate) fn from_str<N: Named>(text: &str) -> Result<N, Error> {
    parse(text, DEPTH).map_err(|problem| Error::config(N::WHAT, problem))
}

/// Its name, and its parameters unless the name alone stands for it: what can be parsed again.
pub(crate) fn display<N: Named>(own: &N, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(own.name())?;
    if is_default(own) {
        return Ok(());
    }
    for (place, (names, field)) in own.clone().fields().into_iter().enumerate() {
        write!(f, "{}{}={field}", if place == 0 { "(" } else { ", " }, names[0])?;
    }
    f.write_char(')')
}

pub(crate) fn serialize<N: Named, S: Serializer>(own: &N, serializer: S) -> Result<S::Ok, S::Error> {
    struct Parameters<'a, N>(&'a N);

    impl<N: Named> Serialize for Parameters<'_, N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.clone().fields().into_iter().map(|(names, field)| (names[0], field)))
        }
    }

    if is_default(own) {
        return serializer.serialize_str(own.name());
    }
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(own.name(), &Parameters(own))?;
    map.end()
}

pub(crate) fn deserialize<'de, N: Named, D: Deserializer<'de>>(deserializer: D) -> Result<N, D::Error> {
    struct Written<N>(std::marker::PhantomData<N>);

    impl<'de, N: Named> Visitor<'de> for Written<N> {
        type Value = N;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}: a name, or an object of a name and parameters", N::A)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<N, E> {
            parse(text, DEPTH).map_err(|problem| E::custom(format!("{}: {problem}", N::WHAT)))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<N, A::Error> {
            let own = called(entries(map)?).and_then(|(name, arguments)| with(&name, arguments));
            own.map_err(|problem| de::Error::custom(format!("{}: {problem}", N::WHAT)))
        }
    }

    deserializer.deserialize_any(Written(std::marker::PhantomData))
}

type Call = (String, Vec<(String, Argument)>);

/// `{"name": {"parameter": value, …}}`, or as Keras writes it, `{"class_name": "Name", "config": {"parameter": value, …}}`.
fn called(entries: Vec<(String, Value)>) -> Result<Call, String> {
    if !entries.iter().any(|(key, _)| key == "class_name") {
        let mut entries = entries.into_iter();
        return match (entries.next(), entries.next()) {
            (None, _) => Err("an object without a name".into()),
            (Some((name, _)), Some((second, _))) => Err(format!("`{name}` or `{second}`, not both")),
            (Some((name, value)), None) => Ok((name, value.arguments()?)),
        };
    }
    let mut call = Call::default();
    for (key, value) in entries {
        match (key.as_str(), value) {
            ("class_name", Value::Plain(Argument::Word(name))) => call.0 = name,
            ("class_name", _) => return Err("a class_name must be a name".into()),
            ("config", value) => {
                call.1 = value.arguments()?;
                // Keras writes it beside everything it draws; ours follows from the model's.
                call.1.retain(|(key, value)| key != "seed" || !matches!(value, Argument::Nothing));
            }
            // Where Keras looks for the class.
            ("module" | "registered_name" | "build_config", _) => {}
            (key, _) => return Err(format!("`{key}` beside a class_name is not known")),
        }
    }
    Ok(call)
}

fn entries<'de, A: MapAccess<'de>>(mut map: A) -> Result<Vec<(String, Value)>, A::Error> {
    let mut entries = Vec::new();
    while let Some(entry) = map.next_entry()? {
        entries.push(entry);
    }
    Ok(entries)
}

/// What can be in an object.
enum Value {
    Plain(Argument),
    Object(Vec<(String, Value)>),
}

impl Value {
    fn arguments(self) -> Result<Vec<(String, Argument)>, String> {
        match self {
            Self::Plain(Argument::Nothing) => Ok(Vec::new()),
            Self::Plain(_) => Err("its parameters must be an object".into()),
            Self::Object(entries) => entries.into_iter().map(|(key, value)| Ok((key, value.argument()?))).collect(),
        }
    }

    fn argument(self) -> Result<Argument, String> {
        match self {
            Self::Plain(argument) => Ok(argument),
            Self::Object(entries) => called(entries).map(|(name, arguments)| Argument::Call(name, arguments)),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, some numbers, a name, or an object of a name and parameters")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Plain(Argument::Number(value)))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Plain(Argument::Number(value as f64)))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Plain(Argument::Number(value as f64)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Plain(Argument::Word(text.into())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
                Ok(Value::Plain(Argument::Nothing))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Value::Plain(Argument::Numbers(numbers)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                entries(map).map(Value::Object)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// Reads and writes a kind by name: as text, and in configurations.
macro_rules! written {
    ($kind:ident) => {
        impl std::str::FromStr for $kind {
            type Err = $crate::Error;

            fn from_str(text: &str) -> Result<Self, $crate::Error> {
                $crate::named::from_str(text)
            }
        }

        impl std::fmt::Display for $kind {
            /// Its name, and its parameters unless the name alone stands for it: what can be parsed again.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::named::display(self, f)
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::named::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::named::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use written;
