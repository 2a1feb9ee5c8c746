#![forbid(unsafe_code)]
//! Recurrent networks in Rust: a tape, the layers, the optimizers.
//!
//! ```
//! use tapeloop::prelude::*;
//!
//! let mut model = Sequential::new([10, 1]).add(Lstm::new(16)).add(Dense::new(1)).build::<f32>(1)?;
//! let (x, y) = (Tensor::normal([8, 10, 1], 0.0, 1.0, &mut Rng::new(2)), Tensor::zeros([8, 1]));
//! let mut optimizer = Adam::new(1e-2);
//! let mut tape = Tape::new();
//! for epoch in 0..3 {
//!     let (loss, gradients) = tape.value_and_grad(|tape| {
//!         let forecast = model.forward(tape.constant(x.clone()), &mut Pass::training(epoch));
//!         losses::mse(forecast, &y, Reduction::Mean)
//!     });
//!     optimizer.step(&mut model, &gradients);
//!     println!("epoch {epoch}: loss {loss}");
//! }
//! assert_eq!(model.predict(&x)?.shape(), [8, 1]);
//! # Ok::<(), tapeloop::Error>(())
//! ```
//!
//! Everything of [`autograd`] and [`layers`](tapeloop_layers) is at the root; [`optim`] is beside them.

pub use tapeloop_autograd::*;
pub use tapeloop_layers::*;

pub use tapeloop_autograd as autograd;
pub use tapeloop_optim as optim;

/// What most programs use: `use tapeloop::prelude::*;`.
pub mod prelude {
    pub use tapeloop_autograd::losses::{self, Reduction};
    pub use tapeloop_autograd::{Element, Module, Param, Rng, Shape, Tape, Tensor, Var, module, s};
    pub use tapeloop_layers::{
        Activation, Add, Average, AveragePooling1d, Bidirectional, Cell, Concatenate, Constraint, Conv1d, Dense, Dot,
        Dropout, Embedding, Flatten, Functional, FunctionalModel, GlobalAveragePooling1d, GlobalMaxPooling1d, Gru,
        Initializer, Layer, LayerNorm, Lstm, Masked, Masking, MaxPooling1d, Maximum, Merge, Minimum, Model, Multiply,
        Noise, Pass, Permute, Regularizer, RepeatVector, Reshape, Rnn, RnnOptions, Rules, Sequential, SimpleRnn,
        StackedCells, State, StateShapes, Subtract, TimeDistributed, Variational, Vectors,
    };
    pub use tapeloop_optim::{
        Adam, AdamW, Groups, Optimizer, RmsProp, Rule, Schedule, Sgd, clip_by_global_norm, clip_by_norm, clip_by_value,
    };
}

/// The programs of the README and of the book are tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/tape.md")]
    struct Tape;
    #[doc = include_str!("../../../docs/models.md")]
    struct Models;
    #[doc = include_str!("../../../docs/the-loop.md")]
    struct TheLoop;
    #[doc = include_str!("../../../docs/streaming.md")]
    struct Streaming;
    #[doc = include_str!("../../../docs/regularizers.md")]
    struct Regularizers;
    #[doc = include_str!("../../../docs/your-own-cell.md")]
    struct YourOwnCell;
    #[doc = include_str!("../../../docs/for-keras-users.md")]
    struct ForKerasUsers;
    #[doc = include_str!("../../../docs/for-pytorch-users.md")]
    struct ForPytorchUsers;
}

/// What no program can say. `tests/bad_calls.rs` looks for them here.
#[cfg(doctest)]
mod refused {
    /// A length is unsigned.
    ///
    /// ```compile_fail,E0277
    /// tapeloop::Tensor::<f32>::zeros([-1, 3]);
    /// ```
    struct NegativeSize;
    /// So are units.
    ///
    /// ```compile_fail,E0600
    /// tapeloop::Lstm::new(-2);
    /// ```
    struct LstmNegativeUnits;
    /// What is on a tape has no method that changes it.
    ///
    /// ```compile_fail,E0599
    /// let tape = tapeloop::Tape::new();
    /// let y = tape.leaf(tapeloop::Tensor::from([1.0f32])).exp();
    /// y.value_mut()[0] += 1.0;
    /// ```
    struct InplaceOnSaved;
    /// Both sides have one element type; `cast` makes another one of a tensor.
    ///
    /// ```compile_fail,E0277
    /// let (a, b) = (tapeloop::Tape::new(), tapeloop::Tape::new());
    /// let a = a.leaf(tapeloop::Tensor::<f32>::ones([2, 2]));
    /// let b = b.leaf(tapeloop::Tensor::<f64>::ones([2, 2]));
    /// a.matmul(b);
    /// ```
    struct DtypeMix;
}
