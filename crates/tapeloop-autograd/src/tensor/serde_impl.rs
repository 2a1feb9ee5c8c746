//! Tensors in `serde`: a shape and the elements in row-major order.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Tensor;
use crate::element::Item;
use crate::shape::Shape;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<T> {
    shape: Shape,
    data: Vec<T>,
}

impl<T: Item + Serialize> Serialize for Tensor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plain { shape: self.shape.clone(), data: self.to_vec() }.serialize(serializer)
    }
}

impl<'de, T: Item + Deserialize<'de>> Deserialize<'de> for Tensor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let plain = Plain::<T>::deserialize(deserializer)?;
        Tensor::try_from_vec(plain.shape, plain.data).map_err(D::Error::custom)
    }
}
