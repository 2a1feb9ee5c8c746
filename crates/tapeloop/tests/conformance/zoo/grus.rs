//! The family of the GRU.

use tapeloop::{LayerNormGru, Mgu, RecurrentDropoutGru};

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    Some(match of.cell {
        "layer_norm_gru" => {
            let config = LayerNormGru::new(of.units).epsilon(of.number("epsilon").unwrap_or(1e-5));
            Ours::new(config, &["h"])
                .weight("kernel", &["W"])
                .weight("recurrent_kernel", &["U"])
                .weight("bias", &["b"])
                .weight("recurrent_bias", &["b_r"])
                .weight("kernel_gamma", &["gamma_x"])
                .weight("recurrent_gamma", &["gamma_h"])
        }
        "recurrent_dropout_gru" => Ours::new(RecurrentDropoutGru::new(of.units), &["h"]).gates(&["z", "r", "h"]),
        "mgu" => Ours::new(Mgu::new(of.units), &["h"]).gates(&["f", "h"]),
        _ => return None,
    })
}
