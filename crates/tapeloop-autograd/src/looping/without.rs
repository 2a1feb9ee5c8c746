//! The engine without one of its parts, to measure what that part is worth: `TAPELOOP_WITHOUT=hoisting` in the environment,
//! or several of the names below with commas between them. Results are equal up to rounding.

use std::sync::OnceLock;

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Products outside the body: all are computed step by step.
    Hoisting,
    /// Groups over a few rows: every operation goes over all rows before the next one.
    Fusion,
    /// Weight gradients of many steps in one product: they are added up after every step.
    Deferring,
    /// Recurrent weights that are packed once: they are packed for every step.
    Packing,
    /// Rows shared out to threads: the body runs on one thread.
    Splitting,
}

const NAMES: [(&str, Part); 5] = [
    ("hoisting", Part::Hoisting),
    ("fusion", Part::Fusion),
    ("deferring", Part::Deferring),
    ("packing", Part::Packing),
    ("splitting", Part::Splitting),
];

/// Whether `part` is to be left out.
pub(crate) fn without(part: Part) -> bool {
    static LEFT_OUT: OnceLock<Vec<Part>> = OnceLock::new();
    LEFT_OUT.get_or_init(|| read(&std::env::var("TAPELOOP_WITHOUT").unwrap_or_default())).contains(&part)
}

/// The parts in a list of names. One that is none is an error of whoever measures.
fn read(list: &str) -> Vec<Part> {
    let known = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|&(_, part)| part);
    let names = list.split(',').filter(|name| !name.is_empty());
    names.map(|name| known(name).unwrap_or_else(|| panic!("TAPELOOP_WITHOUT: there is no part {name}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(read(""), []);
        assert_eq!(read("packing,fusion"), [Part::Packing, Part::Fusion]);
        assert!(std::panic::catch_unwind(|| read("wings")).is_err());
    }
}
