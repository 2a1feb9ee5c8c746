//! The family of the LSTM, and the simple network with its layer normalization.

use tapeloop::{
    Activation, Atr, CappedLstm, Cfn, CifgLstm, FastWeights, HyperLstm, Janet, LayerNormLstm, LayerNormSimpleRnn,
    Lstm1997, MassConservingLstm, MemoryControllerLstm, MogrifierLstm, MultiplicativeLstm, Nas, NestedLstm, OnLstm,
    PeepholeLstm, PhasedLstm, Ran, RecurrentDropoutLstm, UrLstm, WmcLstm,
};

use super::{Of, Ours};

const HC: &[&str] = &["h", "c"];
const IFGO: &[&str] = &["i", "f", "g", "o"];

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let units = of.units;
    let whole = |option: &str| of.number(option).map(|n| n as usize);
    let epsilon = of.number("epsilon").unwrap_or(1e-5);
    Some(match of.cell {
        "peephole_lstm" => {
            let coupled = of.flag("input_forget");
            let config = PeepholeLstm::new(units).input_forget(coupled);
            let config = config.clip(of.number("clip")).cell_clip(of.number("cell_clip"));
            let (gates, peephole): (&[_], &[_]) =
                if coupled { (&["i", "g", "o"], &["p_i", "p_o"]) } else { (IFGO, &["p_i", "p_f", "p_o"]) };
            Ours::new(config, HC).gates(gates).weight("peephole", peephole)
        }
        "cifg_lstm" => Ours::new(CifgLstm::new(units), HC).gates(&["f", "g", "o"]),
        "layernorm_lstm" => layer_norm(Ours::new(LayerNormLstm::new(units).epsilon(epsilon), HC))
            .weight("cell_gamma", &["gamma_c"])
            .weight("cell_beta", &["beta_c"]),
        "layer_norm_simple_rnn" => layer_norm(Ours::new(LayerNormSimpleRnn::new(units).epsilon(epsilon), &["h"])),
        "recurrent_dropout_lstm" => Ours::new(RecurrentDropoutLstm::new(units), HC).gates(IFGO),
        "lstm1997" => Ours::new(Lstm1997::new(units), HC).gates(&["i", "g", "o"]),
        "capped_lstm" => Ours::new(CappedLstm::new(units), HC).gates(IFGO),
        "janet" => {
            let config = Janet::new(units).beta(of.number("beta").unwrap_or(1.0));
            Ours::new(config, &["c"]).gates(&["f", "g"])
        }
        "ur_lstm" => Ours::new(UrLstm::new(units), HC).gates(&["f", "r", "g", "o"]),
        "ran" => {
            let linear = of.text("activation") == Some("linear");
            let activation = if linear { Activation::Linear } else { Activation::Tanh };
            Ours::new(Ran::new(units).activation(activation), HC)
                .weight("kernel", &["W_c", "W_i", "W_f"])
                .weight("recurrent_kernel", &["U_i", "U_f"])
                .weight("bias", &["b_i", "b_f"])
        }
        "atr" => plain(Ours::new(Atr::new(units), &["h"])).weight("bias", &["b"]),
        "cfn" => Ours::new(Cfn::new(units), &["h"])
            .weight("kernel", &["W_θ", "W_η", "W"])
            .weight("recurrent_kernel", &["U_θ", "U_η"])
            .weight("bias", &["b_θ", "b_η"]),
        "mlstm_krause" => Ours::new(MultiplicativeLstm::new(units), HC)
            .gates(&["i", "f", "h", "o"])
            .weight("factor_kernel", &["W_m"])
            .weight("recurrent_factor_kernel", &["U_m"]),
        "mogrifier_lstm" => {
            let (rounds, rank) = (whole("rounds")?, whole("rank"));
            let config = MogrifierLstm::new(units).rounds(rounds).rank(rank);
            let mut ours = Ours::new(config, HC).gates(IFGO);
            let all: [[&'static str; 5]; 5] = [
                ["rounds.0.0", "rounds.0.1", "Q1", "Q1_left", "Q1_right"],
                ["rounds.1.0", "rounds.1.1", "R2", "R2_left", "R2_right"],
                ["rounds.2.0", "rounds.2.1", "Q3", "Q3_left", "Q3_right"],
                ["rounds.3.0", "rounds.3.1", "R4", "R4_left", "R4_right"],
                ["rounds.4.0", "rounds.4.1", "Q5", "Q5_left", "Q5_right"],
            ];
            for [first, second, full, left, right] in all.into_iter().take(rounds) {
                ours = match rank {
                    None => ours.weight(first, &[full]),
                    Some(_) => ours.weight(first, &[left]).weight(second, &[right]),
                };
            }
            ours
        }
        "on_lstm" => Ours::new(OnLstm::new(units).chunk(whole("chunk")?), HC)
            .gates(IFGO)
            .weight("master_kernel", &["W_mf", "W_mi"])
            .weight("master_recurrent_kernel", &["U_mf", "U_mi"])
            .weight("master_bias", &["b_mf", "b_mi"]),
        "wmc_lstm" => Ours::new(WmcLstm::new(units), HC).gates(IFGO).weight("memory_kernel", &["V_i", "V_f", "V_o"]),
        "memory_controller_lstm" => {
            Ours::new(MemoryControllerLstm::new(units), &["h", "v", "c"]).gates(&["i", "f", "n", "o", "m"])
        }
        "mass_conserving_lstm" => {
            let (masses, fixed) = (whole("M")?, of.flag("fixed"));
            let config = MassConservingLstm::new(units).masses(masses).gated_redistribution(!fixed);
            let ours = Ours::new(config, HC)
                .inputs(&["m", "a"])
                .weight("input_kernel", &["W_i0", "W_i1"][..masses])
                .weight("input_bias", &["b_i0", "b_i1"][..masses])
                .weight("output_kernel", &["W_o"])
                .weight("output_bias", &["b_o"])
                .weight("redistribution_bias", &["b_R"]);
            if fixed { ours } else { ours.weight("redistribution_kernel", &["W_R"]) }
        }
        "nas" => Ours::new(Nas::new(units), HC).gates(&["0", "1", "2", "3", "4", "5", "6", "7"]),
        "nested_lstm" => Ours::new(NestedLstm::new(units), &["h", "c", "c_inner"])
            .gates(IFGO)
            .weight("inner_kernel", &["W_ti", "W_tf", "W_tg", "W_to"])
            .weight("inner_recurrent_kernel", &["U_ti", "U_tf", "U_tg", "U_to"])
            .weight("inner_bias", &["b_ti", "b_tf", "b_tg", "b_to"]),
        "hyper_lstm" => hyper(of)?,
        "fast_weights" => {
            let mut config = FastWeights::new(units).inner_steps(whole("inner_steps").unwrap_or(1));
            config = config.decay(of.number("decay").unwrap_or(0.95)).rate(of.number("rate").unwrap_or(0.5));
            if of.text("activation") == Some("tanh") {
                config = config.activation(Activation::Tanh);
            }
            plain(Ours::new(config, &["h", "A"])).weight("gamma", &["gamma"]).weight("beta", &["beta"])
        }
        "phased_lstm" => {
            let config = PhasedLstm::new(units).leak(of.number("leak").unwrap_or(0.001));
            Ours::new(config, HC)
                .inputs(&["x", "t"])
                .gates(IFGO)
                .weight("period", &["period"])
                .weight("shift", &["shift"])
                .weight("open_ratio", &["ratio"])
        }
        _ => return None,
    })
}

fn plain(ours: Ours) -> Ours {
    ours.weight("kernel", &["W"]).weight("recurrent_kernel", &["U"])
}

fn layer_norm(ours: Ours) -> Ours {
    plain(ours).weight("bias", &["b"]).weight("kernel_gamma", &["gamma_x"]).weight("recurrent_gamma", &["gamma_h"])
}

fn hyper(of: &Of<'_>) -> Option<Ours> {
    let normalized = !of.flag("plain");
    let config = HyperLstm::new(of.units)
        .hyper_units(of.number("hyper_units")? as usize)
        .embedding(of.number("embedding")? as usize)
        .layer_norm(normalized)
        .epsilon(of.number("epsilon")?);
    let ours = Ours::new(config, &["h", "c", "h_small", "c_small"])
        .gates(IFGO)
        .weight("hyper_kernel", &["W_ti", "W_tf", "W_tg", "W_to"])
        .weight("hyper_recurrent_kernel", &["U_ti", "U_tf", "U_tg", "U_to"])
        .weight("hyper_bias", &["b_ti", "b_tf", "b_tg", "b_to"])
        .weight("scale_kernel", &["Z_xi", "Z_xf", "Z_xg", "Z_xo", "Z_hi", "Z_hf", "Z_hg", "Z_ho"])
        .weight("scale_bias", &["z_xi", "z_xf", "z_xg", "z_xo", "z_hi", "z_hf", "z_hg", "z_ho"])
        .weight("scale", &["D_xi", "D_xf", "D_xg", "D_xo", "D_hi", "D_hf", "D_hg", "D_ho"])
        .weight("shift_kernel", &["Z_bi", "Z_bf", "Z_bg", "Z_bo"])
        .weight("shift", &["D_bi", "D_bf", "D_bg", "D_bo"]);
    if !normalized {
        return Some(ours);
    }
    let ours = ours
        .weight("norms.gamma", &["gamma_i", "gamma_f", "gamma_g", "gamma_o"])
        .weight("norms.beta", &["beta_i", "beta_f", "beta_g", "beta_o"])
        .weight("norms.cell_gamma", &["gamma_c"])
        .weight("norms.cell_beta", &["beta_c"])
        .weight("hyper_norms.gamma", &["gamma_ti", "gamma_tf", "gamma_tg", "gamma_to"])
        .weight("hyper_norms.beta", &["beta_ti", "beta_tf", "beta_tg", "beta_to"])
        .weight("hyper_norms.cell_gamma", &["gamma_tc"])
        .weight("hyper_norms.cell_beta", &["beta_tc"]);
    Some(ours)
}
