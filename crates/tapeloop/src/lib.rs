//! Tapeloop.
