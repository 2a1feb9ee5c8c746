//! The family of the GRU.

use tapeloop::Mgu;

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    Some(match of.cell {
        "mgu" => Ours::new(Mgu::new(of.units), &["h"]).gates(&["f", "h"]),
        _ => return None,
    })
}
