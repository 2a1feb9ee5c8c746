#![forbid(unsafe_code)]
#![doc = "x"]
pub use tapeloop_autograd::*;
pub use tapeloop_layers::*;
