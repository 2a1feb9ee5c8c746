#![forbid(unsafe_code)]
#![doc = "x"]
pub use tapeloop_autograd::*;
