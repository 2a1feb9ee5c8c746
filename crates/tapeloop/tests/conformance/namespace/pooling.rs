//! Pooling, and images as columns of patches.

use tapeloop::{Element, Pad, Pool, Tape, Tensor};

use super::{Found, batched};
use crate::arguments::Arguments;
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(_: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let spatial = |name: &str| match name.as_bytes()[name.len().max(2) - 2] {
        digit @ b'1'..=b'3' => Some((digit - b'0') as usize),
        _ => None,
    };
    let y = match name {
        "max_pool1d" | "max_pool2d" | "max_pool3d" => {
            let window = a.lengths(1, "kernel_size", &[1])?;
            if a.truth(6, "return_indices", false)? {
                return Err("return_indices is not supported".into());
            }
            let pool = Pool::new(&window)
                .stride(&a.lengths(2, "stride", &window)?)
                .padding(&a.lengths(3, "padding", &[0])?)
                .dilation(&a.lengths(4, "dilation", &[1])?)
                .ceil(a.truth(5, "ceil_mode", false)?);
            batched(a.var(0, "input")?, spatial(name).unwrap_or(1) + 2, |x| x.max_pool(&pool))
        }
        "avg_pool1d" | "avg_pool2d" | "avg_pool3d" => {
            let window = a.lengths(1, "kernel_size", &[1])?;
            let pool = Pool::new(&window)
                .stride(&a.lengths(2, "stride", &window)?)
                .padding(&a.lengths(3, "padding", &[0])?)
                .ceil(a.truth(4, "ceil_mode", false)?)
                .count_padding(a.truth(5, "count_include_pad", true)?);
            let axes = spatial(name).unwrap_or(1);
            let scale = match a.get(6, "divisor_override") {
                Value::None => 1.0,
                _ if a.truth(4, "ceil_mode", false)? || !a.truth(5, "count_include_pad", true)? => {
                    return Err("divisor_override with windows of different sizes is not supported".into());
                }
                divisor => {
                    let whole: usize = (0..axes).map(|k| window[if window.len() == 1 { 0 } else { k }]).product();
                    whole as f64 / divisor.number()?
                }
            };
            batched(a.var(0, "input")?, axes + 2, |x| x.avg_pool(&pool)) * scale
        }
        "adaptive_avg_pool1d" | "adaptive_avg_pool2d" | "adaptive_avg_pool3d" => {
            let lengths = adaptive(a, spatial(name).unwrap_or(1))?;
            batched(a.var(0, "input")?, lengths.len() + 2, |x| x.adaptive_avg_pool(&lengths))
        }
        "adaptive_max_pool1d" | "adaptive_max_pool2d" | "adaptive_max_pool3d" => {
            let lengths = adaptive(a, spatial(name).unwrap_or(1))?;
            if a.truth(2, "return_indices", false)? {
                return Err("return_indices is not supported".into());
            }
            batched(a.var(0, "input")?, lengths.len() + 2, |x| x.adaptive_max_pool(&lengths))
        }
        "unfold" | "fold" => {
            // Images as columns of patches, and the transpose of that.
            let x = a.var(0, "input")?;
            let at = usize::from(name == "fold");
            let pair = |place: usize, names: &str, default: usize| {
                let mut lengths = a.lengths(place + at, names, &[default])?;
                lengths.resize(2, lengths[0]);
                Ok::<_, String>(lengths)
            };
            let (window, dilation) = (pair(1, "kernel_size", 1)?, pair(2, "dilation", 1)?);
            let (padding, stride) = (pair(3, "padding", 0)?, pair(4, "stride", 1)?);
            let count = |n: usize, k: usize| (n + 2 * padding[k] - dilation[k] * (window[k] - 1) - 1) / stride[k] + 1;
            if name == "unfold" {
                let shape = x.shape();
                let padded = (0..2).fold(x, |x, k| x.pad(k as isize + 2, padding[k], padding[k], Pad::Constant(0.0)));
                let windows = (0..2).fold(padded, |x, k| x.windows(k as isize + 2, window[k], stride[k], dilation[k]));
                let places = count(shape[2], 0) * count(shape[3], 1);
                windows.permute(&[0, 1, 4, 5, 2, 3]).reshape_to([shape[0], shape[1] * window[0] * window[1], places])
            } else {
                let size = pair(0, "output_size", 1)?;
                let (batch, rows) = (x.shape()[0], x.shape()[1]);
                let channels = rows / (window[0] * window[1]);
                let patches =
                    x.reshape_to([batch, channels, window[0], window[1], count(size[0], 0), count(size[1], 1)]);
                let mut y = patches.permute(&[0, 1, 4, 5, 2, 3]);
                for k in [1, 0] {
                    let at = k as isize + 2;
                    // The window's axis last, where adding up what overlaps expects it.
                    let last = y.rank() as isize - 1;
                    let moved = if k == 1 { y } else { y.move_axis(last, last) };
                    y = moved.overlap_add(at, stride[k], dilation[k], size[k] + 2 * padding[k]);
                }
                (0..2).fold(y, |y, k| y.slice(k as isize + 2, padding[k] as isize..(padding[k] + size[k]) as isize))
            }
        }
        "lp_pool1d" | "lp_pool2d" => {
            let (p, window) = (a.number(1, "norm_type", 2.0)?, a.lengths(2, "kernel_size", &[1])?);
            let axes = spatial(name).unwrap_or(1);
            let pool = Pool::new(&window).stride(&a.lengths(3, "stride", &window)?);
            if a.truth(4, "ceil_mode", false)? {
                return Err("argument `ceil_mode` of lp_pool is not supported".into());
            }
            let count: usize = (0..axes).map(|k| window[if window.len() == 1 { 0 } else { k }]).product();
            let means = batched(a.var(0, "input")?, axes + 2, |x| x.powf(p).avg_pool(&pool));
            // PyTorch's root is of the positive part of the sum.
            (means.sign() * means.abs().relu() * count as f64).powf(1.0 / p)
        }
        "interpolate" | "upsample" | "upsample_nearest" | "upsample_bilinear" => return interpolated(name, a),
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}

/// The output's lengths of adaptive pooling; `None` keeps an axis.
fn adaptive<T: Element>(a: &Arguments<'_, T>, axes: usize) -> Result<Vec<usize>> {
    let shape = a.var(0, "input")?.shape();
    let items = match a.get(1, "output_size") {
        Value::List(items) => items,
        single => vec![single; axes],
    };
    let own = &shape[shape.rank() - axes..];
    items
        .iter()
        .zip(own)
        .map(|(item, &n)| if item.is_none() { Ok(n) } else { item.integer().map(|n| n as usize) })
        .collect()
}

/// Nearest or linear values at more or fewer places.
fn interpolated<'t, T: Element>(name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let x = a.var(0, "input")?;
    let axes = x.rank() - 2;
    let default = if name == "upsample_bilinear" { "bilinear" } else { "nearest" };
    let mode = a.text(3, "mode", default)?;
    let aligned = a.truth(4, "align_corners", name == "upsample_bilinear")?;
    let (size, factor) = (a.get(1, "size"), a.get(2, "scale_factor"));
    let each = |value: &Value<'t, T>| match value {
        Value::List(items) => items.clone(),
        single => vec![single.clone(); axes],
    };
    let mut y = x;
    for k in 0..axes {
        let axis = k as isize + 2;
        let n = x.dim(axis);
        let (length, step) = if size.is_none() {
            let factor = each(&factor)[k].number()?;
            ((n as f64 * factor).floor() as usize, 1.0 / factor)
        } else {
            let length = each(&size)[k].integer()? as usize;
            (length, n as f64 / length as f64)
        };
        let last = (n - 1) as f64;
        let places: Vec<f64> = (0..length)
            .map(|i| match (mode.as_str(), aligned) {
                ("nearest", _) => (i as f64 * step).floor().min(last),
                (_, true) if length > 1 => i as f64 * last / (length - 1) as f64,
                (_, true) => 0.0,
                _ => ((i as f64 + 0.5) * step - 0.5).clamp(0.0, last),
            })
            .collect();
        let at = |round: fn(f64) -> f64| {
            y.index_select(axis, &Tensor::from(places.iter().map(|&x| round(x) as i64).collect::<Vec<_>>()))
        };
        y = match mode.as_str() {
            "nearest" => at(f64::floor),
            "linear" | "bilinear" | "trilinear" => {
                let share =
                    x.tape().constant(Tensor::from(places.iter().map(|x| T::from_f64(x.fract())).collect::<Vec<_>>()));
                let dims: Vec<isize> = (0..x.rank()).map(|k| if k as isize == axis { -1 } else { 1 }).collect();
                let share = share.reshape(&dims);
                at(f64::floor) * (1.0 - share) + at(f64::ceil) * share
            }
            other => return Err(format!("the mode {other} is not supported")),
        };
    }
    Ok(Some(Value::Var(y)))
}
