#![doc = "Tensors, a tape that records operations and walks back over them, and the kernels below."]

mod composed;
mod element;
pub mod gradcheck;
#[doc(hidden)]
pub mod kernels;
mod module;
pub mod ops;
mod shape;
mod tape;
mod tensor;

pub use composed::attention::AttentionMask;
pub use composed::convolution::Conv;
pub use composed::losses;
pub use composed::pooling::Pool;
pub use composed::shaping::Pad;
pub use element::{Element, Item};
pub use kernels::threads::Threads;
pub use module::{Module, Path};
pub use ops::{Op, Run};
pub use shape::{Shape, ShapeError, ShapeResult};
pub use tape::{Anomaly, Backward, Gradients, Graph, GraphNode, Mask, Operand, Param, ParamId, Phase, Tape, Var};
pub use tensor::random::Rng;
pub use tensor::views::{Slice, s};
pub use tensor::{Nested, Tensor};
