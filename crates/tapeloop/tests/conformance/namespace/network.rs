//! Normalization, convolution, attention, dropout.

use tapeloop::losses;
use tapeloop::{AttentionMask, Conv, Element, Pad, Tape, Tensor};

use super::{Found, batched};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::Value;

pub fn call<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let y = match name {
        "layer_norm" | "rms_norm" => {
            let x = a.var(0, "input")?;
            let axes: Vec<isize> = (1..=a.get(1, "normalized_shape").integers()?.len() as isize).map(|k| -k).collect();
            let weight = a.maybe_var(2, "weight")?;
            if name == "rms_norm" {
                x.rms_norm(&axes, weight, a.number(3, "eps", T::EPSILON.to_f64())?)
            } else {
                x.layer_norm(&axes, weight, a.maybe_var(3, "bias")?, a.number(4, "eps", 1e-5)?)
            }
        }
        "batch_norm" => {
            // The momentum is of the running moments, which are no result. `torch.batch_norm` has the weights first.
            let (x, _) = (a.var(0, "input")?, a.number(6, "momentum", 0.1)?);
            let places = if a.module == "torch" { [3, 4, 1, 2] } else { [1, 2, 3, 4] };
            if a.module == "torch" {
                let _ = a.get(8, "cudnn_enabled");
            }
            let (weight, bias) = (a.maybe_var(places[2], "weight")?, a.maybe_var(places[3], "bias")?);
            let running = [a.maybe_var(places[0], "running_mean")?, a.maybe_var(places[1], "running_var")?];
            let (mean, var) = match (a.truth(5, "training", false)?, running) {
                (true, _) => x.moments(1),
                (false, [Some(mean), Some(var)]) => (mean, var),
                _ => return Err("batch_norm without moments".into()),
            };
            x.batch_norm(1, mean, var, weight, bias, a.number(7, "eps", 1e-5)?)
        }
        "instance_norm" => {
            let (x, _) = (a.var(0, "input")?, a.number(6, "momentum", 0.1)?);
            if !a.truth(5, "use_input_stats", true)? {
                return Err("instance_norm with running moments is not supported".into());
            }
            let _ = (a.get(1, "running_mean"), a.get(2, "running_var"));
            x.group_norm(x.dim(1), a.maybe_var(3, "weight")?, a.maybe_var(4, "bias")?, a.number(7, "eps", 1e-5)?)
        }
        "group_norm" => a.var(0, "input")?.group_norm(
            a.integer(1, "num_groups", 1)? as usize,
            a.maybe_var(2, "weight")?,
            a.maybe_var(3, "bias")?,
            a.number(4, "eps", 1e-5)?,
        ),
        "conv1d" | "conv2d" | "conv3d" => {
            let (x, weight) = (a.var(0, "input")?, a.var(1, "weight")?);
            let dilation = a.lengths(5, "dilation", &[1])?;
            let mut conv = Conv::new()
                .stride(&a.lengths(3, "stride", &[1])?)
                .dilation(&dilation)
                .groups(a.integer(6, "groups", 1)? as usize);
            let mut x = x;
            match a.get(4, "padding") {
                Value::None => {}
                Value::Text(text) if text == "valid" => {}
                Value::Text(text) if text != "same" => return Err(format!("unknown padding {text}")),
                Value::Text(_) => {
                    // "same": what does not divide into two is behind.
                    let window = weight.shape();
                    for axis in 2..window.rank() {
                        let total = dilation[if dilation.len() == 1 { 0 } else { axis - 2 }] * (window[axis] - 1);
                        let at = axis as isize - window.rank() as isize;
                        x = x.pad(at, total / 2, total - total / 2, Pad::Constant(0.0));
                    }
                }
                padding => conv = conv.padding(&padding.integers()?.iter().map(|&n| n as usize).collect::<Vec<_>>()),
            }
            let bias = a.maybe_var(2, "bias")?;
            batched(x, weight.rank(), |x| x.conv(weight, bias, &conv))
        }
        "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => {
            let conv = Conv::new()
                .stride(&a.lengths(3, "stride", &[1])?)
                .padding(&a.lengths(4, "padding", &[0])?)
                .output_padding(&a.lengths(5, "output_padding", &[0])?)
                .groups(a.integer(6, "groups", 1)? as usize)
                .dilation(&a.lengths(7, "dilation", &[1])?);
            let (weight, bias) = (a.var(1, "weight")?, a.maybe_var(2, "bias")?);
            batched(a.var(0, "input")?, weight.rank(), |x| x.conv_transpose(weight, bias, &conv))
        }
        "scaled_dot_product_attention" => {
            let (q, k, v) = (a.var(0, "query")?, a.var(1, "key")?, a.var(2, "value")?);
            if a.number(4, "dropout_p", 0.0)? != 0.0 {
                return Err("dropout of attention is not supported".into());
            }
            let (mut k, mut v) = (k, v);
            if a.truth(KEYWORD, "enable_gqa", false)? {
                // Queries share heads of keys and values.
                k = k.repeat_interleave(q.dim(-3) / k.dim(-3), -3);
                v = v.repeat_interleave(q.dim(-3) / v.dim(-3), -3);
            }
            let scale = match a.get(KEYWORD, "scale") {
                Value::None => None,
                scale => Some(scale.number()?),
            };
            let seen;
            let mask = match a.get(3, "attn_mask") {
                Value::Bools(mask) => {
                    seen = mask;
                    AttentionMask::Where(&seen)
                }
                Value::Var(bias) => AttentionMask::Add(bias),
                Value::None if a.truth(5, "is_causal", false)? => AttentionMask::Causal,
                Value::None => AttentionMask::None,
                other => return Err(format!("a mask that is {}", other.describe())),
            };
            q.attention(k, v, mask, scale)
        }
        "cosine_similarity" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            losses::cosine_similarity(x, y, a.integer(2, "dim", 1)? as isize, a.number(3, "eps", 1e-8)?)
        }
        "pairwise_distance" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            let y = losses::pairwise_distance(x, y, a.number(2, "p", 2.0)?, a.number(3, "eps", 1e-6)?);
            if a.truth(4, "keepdim", false)? { y.unsqueeze(-1) } else { y }
        }
        "cdist" => {
            let (x, y) = (a.var(0, "x1")?, a.var(1, "x2")?);
            let _ = a.text(3, "compute_mode", "")?;
            (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(a.number(2, "p", 2.0)?, &[-1], false)
        }
        "pdist" => {
            let (x, p) = (a.var(0, "input")?, a.number(1, "p", 2.0)?);
            let n = x.dim(0) as i64;
            let pairs: Vec<(i64, i64)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
            let rows = |rows: Vec<i64>| x.index_select(0, &Tensor::from(rows));
            let (left, right) = pairs.into_iter().unzip();
            (rows(left) - rows(right)).norm(p, &[1], false)
        }
        "one_hot" => {
            let ids = a.ints(0, "tensor input")?;
            let classes = a.integer(1, "num_classes", -1)?;
            let classes = if classes < 0 { ids.to_vec().iter().max().map_or(0, |n| n + 1) } else { classes };
            let hot = Tensor::<T>::one_hot(&ids, classes as usize);
            return Ok(Some(Value::Ints(hot.map(|x| x.to_f64() as i64))));
        }
        "bincount" => {
            let ids = a.ints(0, "input")?.to_vec();
            let count = (a.integer(2, "minlength", 0)?).max(ids.iter().max().map_or(0, |n| n + 1));
            let counts: Vec<i64> = (0..count).map(|k| ids.iter().filter(|&&id| id == k).count() as i64).collect();
            return Ok(Some(Value::Ints(Tensor::from(counts))));
        }
        "isin" => {
            let (ids, wanted) = (a.ints(0, "elements")?, a.ints(1, "test_elements")?.to_vec());
            let invert = a.truth(KEYWORD, "invert", false)?;
            let _ = a.truth(KEYWORD, "assume_unique", false)?;
            return Ok(Some(Value::Bools(ids.map(|id| wanted.contains(&id) != invert))));
        }
        "embedding" => {
            let (ids, table) = match a.get(0, "input") {
                Value::Ints(ids) => (ids, a.var(1, "weight")?),
                _ => return Err("embedding: the ids are no integers".into()),
            };
            let padding = match a.get(2, "padding_idx") {
                Value::None => None,
                value => Some(value.integer()?.rem_euclid(table.shape()[0] as i64) as usize),
            };
            table.embedding(&ids, padding)
        }
        "pixel_shuffle" | "pixel_unshuffle" => {
            let x = a.var(0, "input")?;
            let r = a.integer(1, "upscale_factor downscale_factor", 1)? as usize;
            let shape = x.shape();
            let lead = x.rank() - 3;
            let (channels, height, width) = (shape[lead], shape[lead + 1], shape[lead + 2]);
            let batch: usize = shape[..lead].iter().product();
            let (y, last) = if name == "pixel_shuffle" {
                let y = x.reshape_to([batch, channels / (r * r), r, r, height, width]);
                (y.permute(&[0, 1, 4, 2, 5, 3]), [channels / (r * r), height * r, width * r])
            } else {
                let y = x.reshape_to([batch, channels, height / r, r, width / r, r]);
                (y.permute(&[0, 1, 3, 5, 2, 4]), [channels * r * r, height / r, width / r])
            };
            y.reshape_to(shape[..lead].iter().copied().chain(last).collect::<Vec<usize>>())
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}
