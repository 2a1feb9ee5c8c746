//! What is made of operations: no derivative of its own to get wrong. The list below names the files.

use crate::element::Element;
use crate::ops::Entry;

/// Writes the modules, and their part of the catalogue.
macro_rules! composed {
    ($($file:ident),* $(,)?) => {
        $(pub mod $file;)*

        /// Every file with its examples, in the order of the list.
        pub(crate) fn catalogue<T: Element>() -> Vec<Entry<T>> {
            vec![$(Entry {
                group: "composed",
                file: stringify!($file),
                differentiable: true,
                examples: $file::examples::<T>(),
            }),*]
        }
    };
}

composed! {
    activations, attention, complex, convolution, dropout, einsum, linalg, losses, normalization, pooling, selection,
    shaping, special, statistics,
}
