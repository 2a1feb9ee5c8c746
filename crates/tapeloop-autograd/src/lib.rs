//! Tensors and a tape.
