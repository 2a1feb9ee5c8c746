//! Tensors in `serde`: a shape and the elements in row-major order.
//!
//! Formats that people read, like JSON, have no numbers for what is not finite: there it is written as the strings
//! "NaN", "inf" and "-inf". Finite numbers come back bit for bit, as far as the format does.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, IntoDeserializer, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tensor;
use crate::element::Item;
use crate::shape::Shape;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<D> {
    shape: Shape,
    data: D,
}

const NAN: &str = "NaN";
const INFINITE: &str = "inf";
const NEGATIVE: &str = "-inf";

/// The name of a number that is not finite.
fn name<T: Item>(x: &T) -> Option<&'static str> {
    let any: &dyn Any = x;
    let wide = any.downcast_ref::<f32>().map(|&x| f64::from(x)).or_else(|| any.downcast_ref::<f64>().copied())?;
    match wide {
        x if x.is_nan() => Some(NAN),
        f64::INFINITY => Some(INFINITE),
        f64::NEG_INFINITY => Some(NEGATIVE),
        _ => None,
    }
}

/// Elements, written with names for what is not finite.
struct Named<'a, T>(&'a [T]);

impl<T: Item + Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements = serializer.serialize_seq(Some(self.0.len()))?;
        for x in self.0 {
            match name(x) {
                Some(name) => elements.serialize_element(name)?,
                None => elements.serialize_element(x)?,
            }
        }
        elements.end()
    }
}

/// An element: a number (or truth value), or a name.
struct Number<T>(T);

impl<'de, T: Item + Deserialize<'de>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor(PhantomData)).map(Self)
    }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<'de, T: Item + Deserialize<'de>> Visitor<'de> for NumberVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an element of type {}", T::NAME)?;
        if T::NAME.starts_with("float") {
            write!(f, r#", "{NAN}", "{INFINITE}" or "{NEGATIVE}""#)?;
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, x: bool) -> Result<T, E> {
        T::deserialize(x.into_deserializer())
    }

    fn visit_i64<E: serde::de::Error>(self, x: i64) -> Result<T, E> {
        T::deserialize(x.into_deserializer())
    }

    fn visit_u64<E: serde::de::Error>(self, x: u64) -> Result<T, E> {
        T::deserialize(x.into_deserializer())
    }

    fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<T, E> {
        T::deserialize(x.into_deserializer())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        let x = match text {
            NAN => f64::NAN,
            INFINITE => f64::INFINITY,
            NEGATIVE => f64::NEG_INFINITY,
            _ => return Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        };
        // Types without such numbers refuse them.
        if !T::NAME.starts_with("float") {
            return Err(E::invalid_type(serde::de::Unexpected::Str(text), &self));
        }
        T::deserialize(x.into_deserializer())
    }
}

impl<T: Item + Serialize> Serialize for Tensor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (shape, data) = (self.shape.clone(), self.to_vec());
        if serializer.is_human_readable() {
            Plain { shape, data: Named(&data) }.serialize(serializer)
        } else {
            Plain { shape, data }.serialize(serializer)
        }
    }
}

impl<'de, T: Item + Deserialize<'de>> Deserialize<'de> for Tensor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (shape, data) = if deserializer.is_human_readable() {
            let plain = Plain::<Vec<Number<T>>>::deserialize(deserializer)?;
            (plain.shape, plain.data.into_iter().map(|number| number.0).collect())
        } else {
            let plain = Plain::<Vec<T>>::deserialize(deserializer)?;
            (plain.shape, plain.data)
        };
        Tensor::try_from_vec(shape, data).map_err(D::Error::custom)
    }
}
