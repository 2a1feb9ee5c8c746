//! Parameters: values that modules own and optimizers change.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::element::Element;
use crate::tensor::Tensor;

/// What tells one parameter from all others in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(u64);

impl ParamId {
    fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A trainable tensor. It is plain data until it is first used on a tape, where it becomes a leaf,
/// once per tape: so no module, optimizer or checkpoint ever carries a lifetime.
///
/// ```
/// use tapeloop_autograd::{Param, Tape, Tensor};
/// let kernel = Param::new(Tensor::from([[2.0f32], [3.0]]));
/// let tape = Tape::new();
/// let x = tape.constant(Tensor::from([[1.0f32, 10.0]]));
/// let gradients = x.matmul(&kernel).sum_all().backward();
/// assert_eq!(gradients.of(&kernel).unwrap().to_vec(), [1.0, 10.0]);
/// ```
pub struct Param<T: Element = f32> {
    id: ParamId,
    value: Tensor<T>,
    trainable: bool,
}

impl<T: Element> Param<T> {
    /// A trainable parameter with this initial value.
    pub fn new(value: Tensor<T>) -> Self {
        Self { id: ParamId::fresh(), value, trainable: true }
    }

    /// What tells it from all other parameters.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// Its present value.
    pub fn value(&self) -> &Tensor<T> {
        &self.value
    }

    /// The elements for writing. In place, unless a tape or a copy still holds the value.
    pub fn value_mut(&mut self) -> &mut [T] {
        self.value.as_mut_slice()
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// If the shape differs.
    #[track_caller]
    pub fn set(&mut self, value: Tensor<T>) {
        assert!(
            value.shape() == self.value.shape(),
            "set: a parameter of shape {} cannot take a value of shape {}",
            self.value.shape(),
            value.shape()
        );
        self.value = value;
    }

    /// Whether it gets gradients. A frozen parameter is a constant on the tape.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// Freezes the parameter, or makes it trainable again.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
    }
}

impl<T: Element> Clone for Param<T> {
    /// Another parameter with the same value: it has an identity, and so gradients, of its own.
    fn clone(&self) -> Self {
        Self { id: ParamId::fresh(), value: self.value.clone(), trainable: self.trainable }
    }
}

impl<T: Element> fmt::Debug for Param<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Param({} {})", T::NAME, self.value.shape())
    }
}

impl<T: Element + Serialize> Serialize for Param<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Element + Deserialize<'de>> Deserialize<'de> for Param<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Tensor::deserialize(deserializer).map(Self::new)
    }
}
