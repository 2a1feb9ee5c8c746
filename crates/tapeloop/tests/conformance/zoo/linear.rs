//! Linear recurrences, and their gated neighbours.

use tapeloop::{Activation, ForgetGate, Lru, MinGru, MinLstm, Pooling, Qrnn, RgLru, Slstm, Sru};

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let units = of.units;
    Some(match of.cell {
        "mingru" => Ours::new(MinGru::new(units).log_space(of.flag("log_space")), &["h"])
            .weight("kernel", &["W_z", "W_h"])
            .weight("bias", &["b_z", "b_h"]),
        "minlstm" => Ours::new(MinLstm::new(units).log_space(of.flag("log_space")), &["h"])
            .weight("kernel", &["W_f", "W_i", "W_h"])
            .weight("bias", &["b_f", "b_i", "b_h"]),
        "sru" | "sru_square" => {
            let act = if of.text("act") == Some("tanh") { Activation::Tanh } else { Activation::Linear };
            let sru = Sru::new(units).activation(act).alpha(Some(of.number("alpha").unwrap_or(1.0)));
            let kernel: &[&str] =
                if of.features == units { &["W", "W_f", "W_r"] } else { &["W", "W_f", "W_r", "W_skip"] };
            Ours::new(sru, &["h?", "c"])
                .weight("kernel", kernel)
                .weight("peephole", &["v_f", "v_r"])
                .weight("bias", &["b_f", "b_r"])
        }
        "qrnn" => {
            let window = of.number("window").unwrap_or(2.0) as usize;
            let (pooling, gates, own): (_, &[&str], &[&str]) = match of.text("pooling") {
                Some("f") => (Pooling::F, &["z", "f"], &["c"]),
                Some("ifo") => (Pooling::Ifo, &["z", "f", "o", "i"], &["h?", "c"]),
                _ => (Pooling::Fo, &["z", "f", "o"], &["h?", "c"]),
            };
            let states = [own, &["before1?", "before2?", "before3?"][..window - 1]].concat();
            let kernels = ["kernels.0", "kernels.1", "kernels.2", "kernels.3"];
            let named = |make: &dyn Fn(&str) -> String| gates.iter().map(|gate| make(gate)).collect::<Vec<_>>();
            let mut ours = Ours::new(Qrnn::new(units).window(window).pooling(pooling), &states);
            for (k, kernel) in kernels.into_iter().enumerate().take(window) {
                ours.weights.push((kernel, named(&|gate| format!("{gate}{k}"))));
            }
            ours.weights.push(("bias", named(&|gate| format!("b_{gate}"))));
            ours
        }
        "lru" => Ours::new(Lru::new(units), &["h_re", "h_im"])
            .weight("nu", &["nu_log"])
            .weight("theta", &["theta_log"])
            .weight("gamma", &["gamma_log"])
            .weight("kernel", &["B_re", "B_im"])
            .weight("projection", &["C_re", "C_im"])
            .weight("skip", &["D"]),
        "rg_lru" => Ours::new(RgLru::new(units).heads(of.number("heads").unwrap_or(1.0) as usize), &["h"])
            .weight("kernel", &["W_a", "W_x"])
            .weight("recurrence_bias", &["b_a"])
            .weight("input_bias", &["b_x"])
            .weight("lambda", &["lambda"]),
        "slstm" => {
            let exponential = of.text("forget_gate") == Some("exponential");
            let gate = if exponential { ForgetGate::Exponential } else { ForgetGate::Sigmoid };
            let slstm = Slstm::new(units).heads(of.number("heads").unwrap_or(1.0) as usize).forget_gate(gate);
            Ours::new(slstm, &["h", "c", "n", "m"])
                .weight("kernel", &["W_i", "W_f", "W_z", "W_o"])
                .weight("recurrent_kernel", &["R_i", "R_f", "R_z", "R_o"])
                .weight("bias", &["b_i", "b_f", "b_z", "b_o"])
        }
        _ => return None,
    })
}
