//! The classical family.

use tapeloop::{CoRnn, IndRnn};

use super::{Of, Ours};

pub fn ours(of: &Of<'_>) -> Option<Ours> {
    let (units, x) = (of.units, |name: &str| of.number(name).expect("a number among the options"));
    Some(match of.cell {
        "cornn" => Ours::new(
            CoRnn::new(units).step_size(x("dt")).gamma(x("gamma")).epsilon(x("epsilon")),
            &["y", "z"],
        )
        .output("ys")
        .weight("kernel", &["V"])
        .weight("recurrent_kernel", &["W"])
        .weight("velocity_kernel", &["Wz"])
        .weight("bias", &["b"]),
        "indrnn" => {
            let act = of.text("act").map_or("relu", |act| act).parse().expect("an activation");
            Ours::new(IndRnn::new(units).activation(act), &["h"])
                .weight("kernel", &["W"])
                .weight("recurrent_kernel", &["u"])
                .weight("bias", &["b"])
        }
        _ => return None,
    })
}
