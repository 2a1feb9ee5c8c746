//! Cells in continuous time, reservoirs, spiking neurons.

use tapeloop::{Cfc, CfcMode, Esn, Lif, Lmu, Ltc, Surrogate};

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let units = of.units;
    let count = |option: &str, default: usize| of.number(option).map_or(default, |n| n as usize);
    Some(match of.cell {
        "cfc" => {
            let mode = match of.text("mode") {
                Some("pure") => CfcMode::Pure,
                Some("no_gate") => CfcMode::NoGate,
                _ => CfcMode::Gated,
            };
            let layers = count("backbone_layers", 1);
            let (memory, timed) = (of.flag("mixed_memory"), !of.flag("untimed"));
            let config = Cfc::new(units)
                .mode(mode)
                .backbone_layers(layers)
                .backbone_units(count("backbone_units", 6))
                .timed(timed)
                .mixed_memory(memory);
            let mut ours = Ours::new(config, if memory { &["h", "c"] } else { &["h"] }).inputs(if timed {
                &["x", "dt"]
            } else {
                &["x"]
            });
            let backbone = [
                ("backbone_kernels.0", "backbone_biases.0", "B0", "b_B0"),
                ("backbone_kernels.1", "backbone_biases.1", "B1", "b_B1"),
            ];
            for (kernel, bias, w, b) in backbone.into_iter().take(layers) {
                ours = ours.weight(kernel, &[w]).weight(bias, &[b]);
            }
            ours = match mode {
                CfcMode::Pure => ours
                    .weight("kernel", &["ff1"])
                    .weight("bias", &["b_ff1"])
                    .weight("time_constant", &["w_tau"])
                    .weight("amplitude", &["A"]),
                _ => ours
                    .weight("kernel", &["ff1", "ff2", "time_a", "time_b"])
                    .weight("bias", &["b_ff1", "b_ff2", "b_time_a", "b_time_b"]),
            };
            if memory {
                ours = ours
                    .weight("memory.kernel", &["W_i", "W_f", "W_g", "W_o"])
                    .weight("memory.recurrent_kernel", &["U_i", "U_f", "U_g", "U_o"])
                    .weight("memory.bias", &["b_i", "b_f", "b_g", "b_o"]);
            }
            ours
        }
        "ltc" => Ours::new(Ltc::new(units).unfolds(count("unfolds", 6)).timed(true), &["v"])
            .inputs(&["x", "dt"])
            .weight("leak", &["g"])
            .weight("leak_potential", &["l"])
            .weight("capacitance", &["c"])
            .weight("weight", &["w"])
            .weight("slope", &["sigma"])
            .weight("threshold", &["mu"])
            .weight("reversal", &["E"])
            .weight("synapses", &["mask"])
            .weight("sensory_weight", &["w_s"])
            .weight("sensory_slope", &["sigma_s"])
            .weight("sensory_threshold", &["mu_s"])
            .weight("sensory_reversal", &["E_s"])
            .weight("sensory_synapses", &["mask_s"])
            .weight("input_scale", &["w_in"])
            .weight("input_bias", &["b_in"])
            .weight("output_scale", &["w_out"])
            .weight("output_bias", &["b_out"]),
        "lmu" => {
            Ours::new(Lmu::new(units).order(count("order", 5)).theta(of.number("theta").unwrap_or(8.0)), &["h", "m"])
                .weight("kernel", &["W_x"])
                .weight("recurrent_kernel", &["W_h"])
                .weight("memory_kernel", &["W_m"])
                .weight("encoder", &["e_x"])
                .weight("recurrent_encoder", &["e_h"])
                .weight("memory_encoder", &["e_m"])
        }
        "esn" => Ours::new(Esn::new(units).leak(of.number("leak").unwrap_or(1.0)), &["h"])
            .weight("kernel", &["W"])
            .weight("recurrent_kernel", &["U"])
            .weight("bias", &["b"]),
        "lif" => {
            let slope = of.number("slope").unwrap_or(25.0);
            let surrogate = match of.text("surrogate") {
                Some("arctan") => Surrogate::Arctan { slope },
                _ => Surrogate::FastSigmoid { slope },
            };
            let (alpha, recurrent) = (of.number("alpha"), of.flag("recurrent"));
            let config = Lif::new(units)
                .threshold(0.5)
                .synaptic_decay(alpha)
                .recurrent(recurrent)
                .surrogate(surrogate)
                .graded(of.flag("graded"));
            let ours = Ours::new(config, if alpha.is_some() { &["u", "i"] } else { &["u"] })
                .weight("kernel", &["W"])
                .weight("bias", &["b"]);
            if recurrent { ours.weight("recurrent_kernel", &["U"]) } else { ours }
        }
        _ => return None,
    })
}
