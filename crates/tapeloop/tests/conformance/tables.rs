//! Keras' tables: what each initializer draws, by its theory; weights and biases right after a layer is built.
//!
//! A table's statistics are of one sample of Keras'. Ours is another, so it is held to what the sample's distribution
//! says: its bounds exactly, each moment to five standard errors at this size, the ends to what as many draws reach.

use std::path::Path;

use serde_json::{Map, Value as Json, json};
use tapeloop::layers::Config;
use tapeloop::{Element, Initializer, Module, Rng, Tensor};

use crate::keras_rnn;

/// What our samples are drawn from.
const SEED: u64 = 17;

/// How many standard errors a moment may be off: a correct one is once in two million.
const ERRORS: f64 = 5.0;

/// The same for the distance between an end and the draw next to it, as −ln of that probability.
const RARE: f64 = 14.5;

/// A row of a table.
pub struct Row {
    pub family: &'static str,
    pub id: String,
    json: Json,
}

/// All rows of a folder's tables, none if it has no tables.
pub fn rows(folder: &Path) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (family, file) in
        [("tables/initializers", "tables/initializers.json"), ("tables/initial_bias", "tables/initial_bias.json")]
    {
        let path = folder.join(file);
        if !path.exists() {
            continue;
        }
        let error = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|e| error(&e))?;
        let table: Vec<Json> = serde_json::from_str(&text).map_err(|e| error(&e))?;
        for json in table {
            let what = ["initializer", "layer"].iter().find_map(|key| json[*key].as_str());
            let id = format!("{family}: {}{} {}", what.unwrap_or("?"), json["args"], json["shape"]);
            rows.push(Row { family, id: id.trim_end_matches(" null").into(), json });
        }
    }
    Ok(rows)
}

/// Checks a row in one precision.
pub fn check<T: Element>(row: &Row) -> Result<(), String> {
    match row.family {
        "tables/initializers" => initializer::<T>(&row.json),
        _ => initial_bias::<T>(&row.json),
    }
}

fn shape_of(json: &Json) -> Result<Vec<usize>, String> {
    serde_json::from_value(json.clone()).map_err(|error| format!("{json} is no shape: {error}"))
}

fn numbers(json: &Json, out: &mut Vec<f64>) {
    match json {
        Json::Array(items) => items.iter().for_each(|item| numbers(item, out)),
        other => out.extend(other.as_f64()),
    }
}

/// What a distribution's sample of `n` may be.
struct Theory {
    mean: f64,
    std: f64,
    /// The bounds, and how densely it lies at them, per standard deviation.
    ends: Option<([f64; 2], f64)>,
    /// Standardised moments: the fourth, sixth and eighth.
    moments: [f64; 3],
}

fn theory(class: &str, row: &Json) -> Result<Theory, String> {
    let given = |name: &str| row["theory"][name].as_f64();
    let std = given("std").ok_or("the table has no deviation")?;
    let ends = given("low").zip(given("high")).map(|(low, high)| [low, high]);
    let mean = given("mean").or(ends.map(|[low, high]| (low + high) / 2.0)).unwrap_or(0.0);
    let uniform = class.ends_with("Uniform") || row["args"]["distribution"] == "uniform";
    let (moments, density) = match (ends, uniform) {
        (None, _) => ([3.0, 15.0, 105.0], None),
        (Some(_), true) => ([9.0 / 5.0, 27.0 / 7.0, 9.0], Some(1.0 / 12f64.sqrt())),
        (Some(_), false) => {
            // Of a normal cut at two of its deviations: E xᵏ = (k − 1) E xᵏ⁻² − 2 2ᵏ⁻¹ φ(2) / P(|x| < 2).
            let at_end = (-2f64).exp() / (2.0 * std::f64::consts::PI).sqrt() / 0.954_499_736_103_641_6;
            let mut moment = [1.0; 5];
            for j in 1..5 {
                let k = 2 * j as i32;
                moment[j] = f64::from(k - 1) * moment[j - 1] - 2.0 * 2f64.powi(k - 1) * at_end;
            }
            let own = moment[1].sqrt();
            let standard = |j: usize| moment[j] / own.powi(2 * j as i32);
            ([standard(2), standard(3), standard(4)], Some(at_end * own))
        }
    };
    if let Some(kurtosis) = given("kurtosis")
        && (kurtosis - moments[0]).abs() > 1e-9
    {
        return Err(format!("the table's kurtosis is {kurtosis}, that of its distribution {}", moments[0]));
    }
    Ok(Theory { mean, std, ends: ends.zip(density), moments })
}

fn initializer<T: Element>(row: &Json) -> Result<(), String> {
    let class = row["initializer"].as_str().ok_or("the row has no initializer")?;
    let saved = json!({"class_name": class, "config": row["args"]});
    let initializer: Initializer = serde_json::from_value(saved).map_err(|error| error.to_string())?;
    let shape = shape_of(&row["shape"])?;
    let sample: Tensor<T> =
        initializer.try_tensor(&shape[..], &mut Rng::new(SEED)).map_err(|error| error.to_string())?;
    if sample.shape() != &shape[..] {
        return Err(format!("shape {} instead of {shape:?}", sample.shape()));
    }
    let values: Vec<f64> = sample.to_vec().iter().map(|x| x.to_f64()).collect();
    if !row["values"].is_null() {
        let mut expected = Vec::new();
        numbers(&row["values"], &mut expected);
        return if values == expected { Ok(()) } else { Err(format!("{values:?} instead of {expected:?}")) };
    }
    if class == "Orthogonal" {
        return orthonormal::<T>(&values, &shape, row["args"]["gain"].as_f64().unwrap_or(1.0));
    }
    let Theory { mean, std, ends, moments: [m4, m6, m8] } = theory(class, row)?;
    let n = values.len() as f64;
    let found = values.iter().sum::<f64>() / n;
    let central = |k: i32| values.iter().map(|x| (x - found).powi(k)).sum::<f64>() / n;
    let (deviation, kurtosis) = (central(2).sqrt(), central(4) / central(2).powi(2));
    // Standard errors of large samples, by the delta method.
    for (what, found, expected, error) in [
        ("mean", found, mean, std / n.sqrt()),
        ("deviation", deviation, std, std * ((m4 - 1.0) / (4.0 * n)).sqrt()),
        ("kurtosis", kurtosis, m4, ((m8 - 4.0 * m4 * m6 + 4.0 * m4.powi(3) - m4 * m4) / n).sqrt()),
    ] {
        let off = (found - expected).abs() / error;
        if off.is_nan() || off > ERRORS {
            return Err(format!("the {what} is {found} instead of {expected}, {off:.1} standard errors off"));
        }
    }
    if let Some((ends, density)) = ends {
        // In the precision of the draw: an end may be rounded.
        let [low, high] = ends.map(|end| T::from_f64(end).to_f64());
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if least < low || most > high {
            return Err(format!("it draws {least} to {most}, outside of {low} to {high}"));
        }
        let reach = RARE * std / (n * density);
        if least - low > reach || high - most > reach {
            return Err(format!("it draws {least} to {most}, which does not reach {low} and {high}"));
        }
    }
    Ok(())
}

/// Rows of the matrix (…, last), or columns where there are fewer of them, against each other.
fn orthonormal<T: Element>(values: &[f64], shape: &[usize], gain: f64) -> Result<(), String> {
    let cols = shape[shape.len() - 1];
    let rows = values.len() / cols;
    let (few, long) = (rows.min(cols), rows.max(cols));
    let at = |i: usize, k: usize| if rows <= cols { values[i * cols + k] } else { values[k * cols + i] };
    // The bound of a product of this length, and of as many reflections.
    let allowed = (few + long) as f64 * T::EPSILON.to_f64();
    for i in 0..few {
        for j in 0..few {
            let dot = (0..long).map(|k| at(i, k) * at(j, k)).sum::<f64>() / (gain * gain);
            let off = (dot - f64::from(i == j)).abs();
            if off.is_nan() || off > allowed {
                return Err(format!("the product of {i} and {j} is {dot}"));
            }
        }
    }
    Ok(())
}

/// Features of a step, and the length of a grid's axis, as the table's layers were built with.
const CHANNELS: usize = 2;
const LENGTH: usize = 4;

fn initial_bias<T: Element>(row: &Json) -> Result<(), String> {
    let kind = row["layer"].as_str().ok_or("the row has no layer")?;
    let grid = kind.strip_prefix("ConvLSTM").and_then(|rest| rest.strip_suffix('D')?.parse::<usize>().ok());
    let mut args: Map<String, Json> = row["args"].as_object().cloned().unwrap_or_default();
    args.insert(if grid.is_some() { "filters" } else { "units" }.into(), row["units"].clone());
    // The table writes an initializer as Python's call.
    for (name, value) in &mut args {
        let argument = |text: &str| text.strip_prefix("Constant(")?.strip_suffix(')')?.parse::<f64>().ok();
        if name.ends_with("_initializer")
            && let Some(constant) = value.as_str().and_then(argument)
        {
            *value = json!({"class_name": "Constant", "config": {"value": constant}});
        }
    }
    let config = keras_rnn::config(&json!({"layer": kind, "args": args}))?;
    let mut axes = vec![None];
    axes.extend(std::iter::repeat_n(Some(LENGTH), grid.unwrap_or(0)));
    axes.push(Some(CHANNELS));
    let layer = config.recurrent::<T>(&axes, &mut Rng::new(SEED)).map_err(|error| error.to_string())?;
    let expected = row["weights"].as_object().ok_or("the row has no weights")?;
    let params = layer.params();
    if params.len() != expected.len() {
        return Err(format!("{} weights instead of {}", params.len(), expected.len()));
    }
    for (path, shape) in expected {
        let name = path.rsplit('/').next().unwrap_or_default();
        let own = params.iter().find(|(own, _)| *own == format!("cell.{name}"));
        let (_, param) = own.ok_or_else(|| format!("we have no weight {name}"))?;
        if param.value().shape() != &shape_of(shape)?[..] {
            return Err(format!("{name} has shape {} instead of {shape}", param.value().shape()));
        }
        if name == "bias" {
            let mut expected = Vec::new();
            numbers(&row["bias"], &mut expected);
            let values: Vec<f64> = param.value().to_vec().iter().map(|x| x.to_f64()).collect();
            if values != expected {
                return Err(format!("the bias is {values:?} instead of {expected:?}"));
            }
        }
    }
    Ok(())
}
