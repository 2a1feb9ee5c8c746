#![deny(unsafe_code)]
//! Tensors, a tape that records operations and walks back over them, and the kernels below.
//!
//! ```
//! use tapeloop_autograd::{Param, Tape, Tensor};
//!
//! let w = Param::new(Tensor::from([[1.0f32], [2.0]]));
//! let mut tape = Tape::new();
//! let (loss, gradients) = tape.value_and_grad(|tape| {
//!     let x = tape.constant(Tensor::from([[3.0f32, 4.0]]));
//!     x.matmul(&w).tanh().square().sum_all()
//! });
//! assert!(loss > 0.99);
//! assert_eq!(gradients.of(&w).unwrap().shape(), [2, 1]);
//! ```
//!
//! [`Tensor`] is a value. A [`Tape`] records what happens to values; [`Var`] is a handle to one of them, and has the
//! operations as methods. [`Param`] is a value that a module owns and a tape differentiates by. [`losses`] and
//! [`gradcheck`] are made of these; [`ops`] is how operations, also one's own, are written.

mod compiled;
mod composed;
mod element;
pub mod gradcheck;
#[doc(hidden)]
#[allow(unsafe_code, reason = "vector instructions, and loops shared by threads; nowhere else")]
pub mod kernels;
mod looping;
mod module;
pub mod ops;
mod shape;
mod tape;
mod tensor;

pub use composed::attention::AttentionMask;
pub use composed::complex::Complex;
pub use composed::convolution::Conv;
pub use composed::losses;
pub use composed::pooling::Pool;
pub use composed::shaping::Pad;
pub use element::{Element, Item};
pub use kernels::threads::Threads;
pub use looping::{Checkpoint, Loop, Looped, Over, Returned, Stream, StreamBuilder, Untraceable};
pub use module::{Module, Path};
pub use ops::{Op, Run};
pub use shape::{Shape, ShapeError, ShapeResult};
pub use tape::{Anomaly, Backward, Gradients, Graph, GraphNode, Mask, Operand, Param, ParamId, Phase, Tape, Var};
pub use tensor::random::Rng;
pub use tensor::views::{Slice, s};
pub use tensor::{Nested, Tensor};
