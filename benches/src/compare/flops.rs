//! What a training step has to compute, counted.

use crate::{Kind, Recurrence, Spec};

/// Floating-point operations of the matrix products of one training step, a multiply-add being two.
///
/// With B sequences of T steps, I features in, H units and G gates, a recurrent layer has
///
/// ```text
/// forward      2 B T (I + H) G H        inputs and states times their kernels
/// backward     2 B T (I + H) G H        the kernels' gradients
///            + 2 B T H G H              the states' gradient
///            + 2 B T I G H              the inputs', where a layer below needs it
/// ```
///
/// and a `Dense` with R rows in, from H to O, three times 2 R H O. Elementwise work, the loss and Adam are not counted,
/// so a share of the machine's peak made with it is a lower bound. `None` for what does not train, or is not a stack of
/// such layers.
pub fn products(spec: &Spec) -> Option<f64> {
    if spec.kind != Kind::Training {
        return None;
    }
    let gates = match spec.cell {
        Recurrence::Lstm | Recurrence::Peephole => 4,
        Recurrence::Gru => 3,
        #[allow(unreachable_patterns)]
        _ => return None,
    };
    let rows = spec.batch * spec.time;
    let (mut inputs, mut all) = (spec.inputs, 0);
    for layer in 0..spec.layers {
        let below = layer > 0 || spec.vocabulary.is_some();
        let columns = gates * spec.hidden;
        let wide = 2 * (inputs + spec.hidden) + spec.hidden + if below { inputs } else { 0 };
        all += 2 * rows * columns * wide;
        inputs = spec.hidden;
    }
    let dense = if spec.vocabulary.is_some() { rows } else { spec.batch };
    all += 3 * 2 * dense * spec.hidden * spec.outputs;
    Some(all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The oracle goes through the products one by one.
    #[test]
    fn counted_by_hand() {
        let of = |name| products(&Spec::find(name, None).unwrap()).unwrap();
        let product = |m: u64, k: u64, n: u64| (2 * m * k * n) as f64;
        // T1: x W, h U; dW, dU, dh; and the Dense's three.
        let rows = 32 * 10;
        let layer = product(rows, 1, 512)
            + product(rows, 128, 512)
            + product(1, rows, 512)
            + product(128, rows, 512)
            + product(rows, 512, 128);
        assert_eq!(of("T1"), layer + 3.0 * product(32, 128, 1));
        // T5: five products of the same size, 2 · 64 · 32 · 1024 · 4096.
        let dense = 3.0 * product(64, 1024, 10);
        assert_eq!(of("T5"), 5.0 * product(64 * 32, 1024, 4096) + dense);
        // T4: the second layer hands a gradient to the first.
        let (rows, gates) = (32 * 64, 3 * 256);
        let first = 2.0 * product(rows, 64, gates) + 3.0 * product(rows, 256, gates);
        let second = 6.0 * product(rows, 256, gates);
        assert_eq!(of("T4"), first + second + 3.0 * product(32, 256, 10));
        assert_eq!(products(&Spec::find("I2", None).unwrap()), None);
    }
}
