//! The classical family.

use tapeloop::{
    Activation, AntisymmetricRnn, Brc, CayleyRnn, ClockworkRnn, CoRnn, Eunn, ExpRnn, FastGrnn, FastRnn, Goru, IndRnn,
    IntersectionRnn, Irnn, JordanRnn, Lem, LightRu, LipschitzRnn, MiRu, Nbrc, NpRnn, Rhn, Scrn, Sgrn, Star, Ugrnn,
    Unicornn, Urnn,
};

use super::{Of, Ours};

/// Of reference weights W, U and b.
fn plain(ours: Ours) -> Ours {
    ours.weight("kernel", &["W"]).weight("recurrent_kernel", &["U"]).weight("bias", &["b"])
}

fn names(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let units = of.units;
    let x = |name: &str| of.number(name).unwrap_or_else(|| panic!("the case has no {name}"));
    let n = |name: &str| of.number(name).map(|n| n as usize);
    let act = |name: &str, default: Activation| match of.text(name) {
        Some(name) => name.parse().unwrap_or_else(|error| panic!("{error}")),
        None => default,
    };
    Some(match of.cell {
        "antisymmetric_rnn" => {
            let gated = of.flag("gated");
            let cell = AntisymmetricRnn::new(units).step_size(x("eps")).gamma(x("gamma")).gated(gated);
            let ours = Ours::new(cell, &["h"]).weight("recurrent_kernel", &["M"]);
            match gated {
                true => ours.weight("kernel", &["V_z", "V"]).weight("bias", &["b_z", "b"]),
                false => ours.weight("kernel", &["V"]).weight("bias", &["b"]),
            }
        }
        "brc" | "nbrc" => {
            let ours = match of.cell {
                "brc" => Ours::new(Brc::new(units), &["h"]),
                _ => Ours::new(Nbrc::new(units), &["h"]),
            };
            ours.weight("kernel", &["W_a", "W_c", "W"])
                .weight("recurrent_kernel", &["U_a", "U_c"])
                .weight("bias", &["b_a", "b_c"])
        }
        "cayley_rnn" => Ours::new(CayleyRnn::new(units).negatives(n("negatives").unwrap_or(0)), &["h"])
            .weight("kernel", &["W"])
            .weight("recurrent_kernel", &["S"])
            .weight("bias", &["b"]),
        "clockwork_rnn" => {
            let periods = of.text("periods")?.split('-').map(|period| period.parse().expect("a period")).collect();
            plain(Ours::new(ClockworkRnn::new(units).periods(periods), &["h", "t"]))
        }
        "cornn" => {
            let cell = CoRnn::new(units).step_size(x("dt")).gamma(x("gamma")).epsilon(x("epsilon"));
            Ours::new(cell, &["y", "z"])
                .output("ys")
                .weight("kernel", &["V"])
                .weight("recurrent_kernel", &["W"])
                .weight("velocity_kernel", &["Wz"])
                .weight("bias", &["b"])
        }
        "eunn" => Ours::new(Eunn::new(units).capacity(n("capacity").unwrap_or(2)).fft(of.flag("fft")), &["h"])
            .weight("kernel", &["W_re", "W_im"])
            .weight("angles", &["theta"])
            .weight("phases", &["phi"])
            .weight("diagonal", &["omega"])
            .weight("bias", &["b"]),
        "exp_rnn" => Ours::new(ExpRnn::new(units), &["h"])
            .weight("kernel", &["W"])
            .weight("recurrent_kernel", &["S"])
            .weight("bias", &["b"]),
        "fast_grnn" => {
            let (w, u) = (n("rank_w"), n("rank_u"));
            let mut ours = Ours::new(FastGrnn::new(units).input_rank(w).recurrent_rank(u), &["h"])
                .weight("kernel", &[if w.is_some() { "W1" } else { "W" }])
                .weight("recurrent_kernel", &[if u.is_some() { "U1" } else { "U" }])
                .weight("bias", &["b_z", "b_h"])
                .weight("zeta", &["zeta"])
                .weight("nu", &["nu"]);
            if w.is_some() {
                ours = ours.weight("kernel_factor", &["W2t"]);
            }
            if u.is_some() {
                ours = ours.weight("recurrent_factor", &["U2t"]);
            }
            ours
        }
        "fast_rnn" => plain(Ours::new(FastRnn::new(units).activation(act("activation", Activation::Tanh)), &["h"]))
            .weight("alpha", &["alpha"])
            .weight("beta", &["beta"]),
        "goru" => Ours::new(Goru::new(units).capacity(n("capacity").unwrap_or(2)).fft(of.flag("fft")), &["h"])
            .weight("kernel", &["W_r", "W_z", "W_h"])
            .weight("recurrent_kernel", &["U_r", "U_z"])
            .weight("angles", &["theta"])
            .weight("bias", &["b_r", "b_z", "b_h"]),
        "indrnn" => Ours::new(IndRnn::new(units).activation(act("act", Activation::Relu)), &["h"])
            .weight("kernel", &["W"])
            .weight("recurrent_kernel", &["u"])
            .weight("bias", &["b"]),
        "intersection_rnn" | "intersection_rnn_square" => {
            let ours = Ours::new(IntersectionRnn::new(units), &["y", "h"]).output("ys").gates(&["y", "h", "gy", "gh"]);
            if of.cell == "intersection_rnn" { ours.weight("projection", &["P"]) } else { ours }
        }
        "irnn" => plain(Ours::new(Irnn::new(units), &["h"])),
        "jordan_rnn" => {
            let cell = JordanRnn::new(units)
                .outputs(n("outputs"))
                .activation(act("activation", Activation::Tanh))
                .output_activation(act("output_activation", Activation::Linear));
            plain(Ours::new(cell, &["y"]).output("ys")).weight("output_kernel", &["V"]).weight("output_bias", &["c"])
        }
        "lem" => Ours::new(Lem::new(units).step_size(x("dt")), &["y", "z"])
            .output("ys")
            .weight("kernel", &["V_1", "V_2", "V_z", "V_y"])
            .weight("recurrent_kernel", &["W_1", "W_2", "W_z"])
            .weight("memory_kernel", &["W_y"])
            .weight("bias", &["b_1", "b_2", "b_z", "b_y"]),
        "light_ru" => Ours::new(LightRu::new(units), &["h"])
            .weight("kernel", &["W_h", "W_f"])
            .weight("recurrent_kernel", &["U_f"])
            .weight("bias", &["b_f"]),
        "lipschitz_rnn" => {
            let gated = of.flag("gated");
            let cell = LipschitzRnn::new(units).step_size(x("eps")).gated(gated);
            let cell = cell.linear_beta(0.8).linear_gamma(0.1).beta(0.6).gamma(0.2);
            let ours = Ours::new(cell, &["h"]).weight("recurrent_kernel", &["C"]).weight("linear_kernel", &["B"]);
            match gated {
                true => ours.weight("kernel", &["U", "E"]).weight("bias", &["b", "e"]),
                false => ours.weight("kernel", &["U"]).weight("bias", &["b"]),
            }
        }
        "mi_ru" => {
            let reset = of.number("reset");
            let gates: &[&str] = if reset.is_some() { &["h"] } else { &["r", "h"] };
            Ours::new(MiRu::new(units).update(x("update")).reset(reset), &["h"]).gates(gates)
        }
        "np_rnn" => plain(Ours::new(NpRnn::new(units), &["h"])),
        "rhn" => {
            let (depth, coupled) = (n("depth")?, !of.flag("uncoupled"));
            let kinds: &[&str] = if coupled { &["h", "t"] } else { &["h", "t", "c"] };
            let each = |letter: &str| -> Vec<String> {
                let layer = |l: usize| kinds.iter().map(move |kind| format!("{letter}_{kind}{l}"));
                (1..=depth).flat_map(layer).collect()
            };
            let (recurrent, bias) = (each("R"), each("b"));
            let kernel: Vec<String> = kinds.iter().map(|kind| format!("W_{kind}")).collect();
            Ours::new(Rhn::new(units).depth(depth).coupled(coupled), &["s"])
                .weight("kernel", &names(&kernel))
                .weight("recurrent_kernel", &names(&recurrent))
                .weight("bias", &names(&bias))
        }
        "scrn" => {
            let learned = of.flag("learned");
            let cell = Scrn::new(units).context(n("context")).outputs(n("outputs")).learned(learned);
            let ours = Ours::new(cell, &["h", "s"])
                .weight("kernel", &["A"])
                .weight("context_kernel", &["B"])
                .weight("recurrent_kernel", &["R"])
                .weight("context_recurrent_kernel", &["P"])
                .weight("output_kernel", &["U"])
                .weight("context_output_kernel", &["V"]);
            if learned { ours.weight("beta", &["beta"]) } else { ours }
        }
        "sgrn" => plain(Ours::new(Sgrn::new(units), &["h"])),
        "star" => Ours::new(Star::new(units), &["h"])
            .weight("kernel", &["W_z", "W_k"])
            .weight("recurrent_kernel", &["U"])
            .weight("bias", &["b_z", "b_k"]),
        "ugrnn" => Ours::new(Ugrnn::new(units), &["h"]).gates(&["c", "g"]),
        "unicornn" => Ours::new(Unicornn::new(units).step_size(x("dt")).alpha(x("alpha")), &["y", "z"])
            .output("ys")
            .weight("kernel", &["V"])
            .weight("recurrent_kernel", &["w"])
            .weight("pace", &["c"])
            .weight("bias", &["b"]),
        "urnn" => Ours::new(Urnn::new(units), &["h"])
            .weight("kernel", &["W_re", "W_im"])
            .weight("phases", &["D"])
            .weight("reflections", &["R"])
            .weight("bias", &["b"]),
        _ => return None,
    })
}
