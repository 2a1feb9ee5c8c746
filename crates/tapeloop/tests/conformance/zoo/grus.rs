//! The family of the GRU, and cells that know how much time passes.

use tapeloop::{
    Activation, GruD, GruOde, LayerNormGru, LiGru, Mgu, MinimalRnn, Mutant, Mutation, OdeRnn, RecurrentDropoutGru,
    SimpleGate, SimpleMgu, TimeAwareLstm, TypedGru, TypedLstm, TypedRnn,
};

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let units = of.units;
    let typed = |ours: Ours| {
        ours.weight("kernel", &["W_z", "W_f", "W_o"])
            .weight("earlier_kernel", &["V_z", "V_f", "V_o"])
            .weight("bias", &["b_z", "b_f", "b_o"])
    };
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
        // The reference's batch norm is over batch and time: no cell has it.
        "ligru" if of.flag("batch_norm") => return None,
        "ligru" => {
            let act = if of.text("act") == Some("tanh") { Activation::Tanh } else { Activation::Relu };
            Ours::new(LiGru::new(units).activation(act), &["h"]).gates(&["z", "h"])
        }
        "mgu" => Ours::new(Mgu::new(units), &["h"]).gates(&["f", "h"]),
        "minimal_rnn" => Ours::new(MinimalRnn::new(units), &["h"])
            .weight("kernel", &["W_x"])
            .weight("recurrent_kernel", &["U_h"])
            .weight("latent_kernel", &["U_z"])
            .weight("bias", &["b_z", "b_u"]),
        "simple_mgu" => {
            let (gate, kernel, bias) = match of.text("gate") {
                Some("mgu2") => (SimpleGate::Mgu2, true, false),
                Some("mgu3") => (SimpleGate::Mgu3, false, true),
                _ => (SimpleGate::Mgu1, true, true),
            };
            let mut ours = Ours::new(SimpleMgu::new(units).gate(gate), &["h"]).gates(&["h"]);
            if kernel {
                ours = ours.weight("gate_kernel", &["U_f"]);
            }
            if bias {
                ours = ours.weight("gate_bias", &["b_f"]);
            }
            ours
        }
        "mutant" => {
            let (mutation, recurrent): (_, &[&str]) = match of.text("mutation") {
                Some("mut2") => (Mutation::Mut2, &["U_z", "U_r", "U_h"]),
                Some("mut3") => (Mutation::Mut3, &["U_z", "U_r", "U_h"]),
                _ => (Mutation::Mut1, &["U_r", "U_h"]),
            };
            Ours::new(Mutant::new(units).mutation(mutation), &["h"])
                .weight("kernel", &["W_z", "W_r", "W_h"])
                .weight("recurrent_kernel", recurrent)
                .weight("bias", &["b_z", "b_r", "b_h"])
        }
        "typed_rnn" => Ours::new(TypedRnn::new(units), &["h"]).weight("kernel", &["W", "V"]).weight("bias", &["b"]),
        "typed_gru" => typed(Ours::new(TypedGru::new(units), &["h", "before"])),
        "typed_lstm" => typed(Ours::new(TypedLstm::new(units), &["h?", "c", "before"])),
        "gru_d" => {
            let mean = of.number("mean").map(|mean| vec![mean; of.features]).unwrap_or_default();
            Ours::new(GruD::new(units).mean(mean), &["h", "seen"])
                .inputs(&["x", "m", "delta"])
                .gates(&["z", "r", "h"])
                .weight("mask_kernel", &["V_z", "V_r", "V_h"])
                .weight("input_decay", &["w_gamma"])
                .weight("input_decay_bias", &["a_gamma"])
                .weight("state_decay", &["W_gamma"])
                .weight("state_decay_bias", &["b_gamma"])
        }
        "gru_ode" => {
            let minimal = of.flag("minimal");
            let config = GruOde::new(units)
                .minimal(minimal)
                .step_size(of.number("step_size").unwrap_or(0.05))
                .substeps(of.number("substeps").unwrap_or(1.0) as usize);
            let gates: &[&str] = if minimal { &["z", "h"] } else { &["z", "r", "h"] };
            Ours::new(config, &["h"]).gates(gates)
        }
        "ode_rnn" => {
            let config = OdeRnn::new(units)
                .hidden_units(of.number("hidden").map(|n| n as usize))
                .substeps(of.number("substeps").unwrap_or(1.0) as usize);
            Ours::new(config, &["h"])
                .inputs(&["x", "dt"])
                .gates(&["z", "r", "h"])
                .weight("hidden_kernel", &["A"])
                .weight("hidden_bias", &["a"])
                .weight("derivative_kernel", &["B"])
                .weight("derivative_bias", &["b"])
        }
        "time_aware_lstm" => Ours::new(TimeAwareLstm::new(units), &["h", "c"])
            .inputs(&["x", "dt"])
            .gates(&["i", "f", "g", "o"])
            .weight("decay_kernel", &["W_d"])
            .weight("decay_bias", &["b_d"]),
        _ => return None,
    })
}
