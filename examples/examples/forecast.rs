//! Forecasts a measured series with an LSTM and a GRU, beside what any forecast must beat.
//!
//! ```text
//! cargo run --release --example forecast
//! cargo run --release --example forecast -- --csv FILE --column NAME --window 10 --horizon 1
//! ```

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use tapeloop::prelude::*;
use tapeloop::{Error, optim::CosineDecay};
use tapeloop_examples::chart::{self, COLORS, Line, Panel};
use tapeloop_examples::dataset::{Dataset, Windows, errors};
use tapeloop_examples::progress::Progress;
use tapeloop_examples::series::Series;
use tapeloop_examples::{baselines, table::Table};

const HELP: &str = "\
Forecasts a measured series with an LSTM and a GRU.

  --csv FILE      a CSV file with a header, its columns separated by commas, semicolons or tabs, instead of the
                  yearly sunspot numbers
  --column NAME   the column to forecast
  --window N      values a forecast looks back on (default 10)
  --horizon N     values it looks ahead (default 1)
  --epochs N      passes over the training part (default 150)
  --seed N        of weights and order (default 1)
  --svg FILE      where the picture goes (default forecast.svg)";

struct Options {
    csv: Option<PathBuf>,
    column: Option<String>,
    window: usize,
    horizon: usize,
    epochs: usize,
    seed: u64,
    svg: PathBuf,
}

fn options() -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options =
        Options { csv: None, column: None, window: 10, horizon: 1, epochs: 150, seed: 1, svg: "forecast.svg".into() };
    fn number<N: FromStr + PartialOrd + Display>(name: &str, least: N, value: OsString) -> Result<N, String> {
        let n = value.to_str().and_then(|text| text.parse().ok()).filter(|n| *n >= least);
        n.ok_or_else(|| format!("{name} takes a whole number from {least} on, not `{}`", value.display()))
    }
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("csv") => options.csv = Some(parser.value()?.into()),
            Long("column") => options.column = Some(parser.value()?.string()?),
            Long("window") => options.window = number("--window", 1, parser.value()?)?,
            Long("horizon") => options.horizon = number("--horizon", 1, parser.value()?)?,
            Long("epochs") => options.epochs = number("--epochs", 1, parser.value()?)?,
            Long("seed") => options.seed = number("--seed", 0, parser.value()?)?,
            Long("svg") => options.svg = parser.value()?.into(),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn main() -> ExitCode {
    let result = match options() {
        Ok(Some(options)) => run(&options),
        Ok(None) => Ok(()),
        Err(error) => Err(format!("{error}\n\n{HELP}").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What training leaves: losses by epoch, and forecasts of the test part.
struct Trained {
    train: Vec<f64>,
    validation: Vec<f64>,
    forecast: Vec<Vec<f64>>,
    seconds: f64,
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    // Not after training.
    let folder = options.svg.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(format!("--svg {}: there is no folder {}", options.svg.display(), folder.display()).into());
    }
    if options.svg.is_dir() {
        return Err(format!("--svg {}: a folder, not a file", options.svg.display()).into());
    }
    let column = options.column.as_deref();
    let (series, source) = match &options.csv {
        Some(path) => (Series::read(path, column)?, path.display().to_string()),
        None => (Series::sunspots(column)?, "yearly sunspot numbers, 1700-2008".to_string()),
    };
    let (values, horizon) = (&series.values, options.horizon);
    let data = Dataset::new(values, options.window, horizon).map_err(|problem| format!("{source}: {problem}"))?;
    println!("{source}: {} values of `{}`", values.len(), series.name);
    println!(
        "windows of {}, {horizon} ahead: {} to train on, {} to validate, {} to test\n",
        options.window,
        data.train.places.len(),
        data.validation.places.len(),
        data.test.places.len()
    );

    let window = Sequential::new([options.window, 1]);
    let models = [
        ("LSTM(128)", window.clone().add(Lstm::new(128)).add(Dense::new(horizon))),
        ("GRU(64)", window.add(Gru::new(64)).add(Dense::new(horizon))),
    ];
    let mut trained = Vec::new();
    for (name, config) in models {
        println!("{}", config.build::<f32>(options.seed)?.summary());
        trained.push((name, train(name, &config, &data, options)?));
    }

    let places = &data.test.places;
    let mut others = vec![("persistence", baselines::persistence(values, places, horizon))];
    others.extend(baselines::autoregression(values, data.known, 10, places, horizon).map(|y| ("AR(10)", y)));
    others.push(("3 harmonics", baselines::harmonics(values, data.known, 3, places, horizon)));
    let mut table = Table::new(&["test part", "RMSE", "MAE", "of persistence", "seconds"]);
    let base = errors(&others[0].1, values, places).0;
    let models = trained.iter().map(|(name, model)| (*name, &model.forecast, format!("{:.1}", model.seconds)));
    for (name, forecast, seconds) in models.chain(others.iter().map(|(name, y)| (*name, y, String::new()))) {
        let (rmse, mae) = errors(forecast, values, places);
        // Of a constant series nothing is left to share.
        let share = if base > 0.0 { short(rmse / base) } else { "-".into() };
        table.row(vec![name.to_string(), short(rmse), short(mae), share, seconds]);
    }
    println!("\n{table}");
    draw(&options.svg, &series, &data, &trained, horizon)?;
    println!("drawn: {}", options.svg.display());
    // The sunspots are known to be worth it; of other series nobody knows.
    for (name, model) in trained.iter().filter(|_| options.csv.is_none()) {
        let rmse = errors(&model.forecast, values, places).0;
        if rmse.is_nan() || rmse >= base {
            let epochs = options.epochs;
            return Err(format!(
                "{name} does not beat persistence after {epochs} epochs: {rmse:.2}, not below {base:.2}"
            )
            .into());
        }
    }
    Ok(())
}

/// Two decimals, or two digits where these would say nothing.
fn short(x: f64) -> String {
    if x == 0.0 || (0.01..1e6).contains(&x) { format!("{x:.2}") } else { format!("{x:.1e}") }
}

/// Trains with Adam along a falling learning rate, and keeps the weights of the best validation loss.
fn train(name: &str, config: &Sequential, data: &Dataset, options: &Options) -> Result<Trained, Error> {
    const BATCH: usize = 32;
    let start = Instant::now();
    let mut model = config.build::<f32>(options.seed)?;
    let count = data.train.places.len();
    let steps = options.epochs.saturating_mul(count.div_ceil(BATCH));
    let schedule = CosineDecay::new(3e-3, steps as u64).alpha(0.02);
    let mut optimizer = Adam::new(3e-3);
    let (mut tape, mut forecasts) = (Tape::new(), Tape::inference());
    let mut rng = Rng::new(options.seed);
    let mut progress = Progress::new(name, options.epochs);
    let mut trained = Trained { train: Vec::new(), validation: Vec::new(), forecast: Vec::new(), seconds: 0.0 };
    let mut best: Option<(f64, Vec<Tensor>)> = None;
    for epoch in 0..options.epochs {
        let mut sum = 0.0;
        for batch in rng.permutation(count).chunks(BATCH) {
            let (x, y) = rows(&data.train, batch);
            let (loss, mut gradients) = tape.value_and_grad(|tape| {
                let forecast = model.forward(tape.constant(x), &mut Pass::training(epoch as u64));
                losses::mse(forecast, &y, Reduction::Mean)
            });
            clip_by_global_norm(&mut gradients, 1.0);
            optimizer.set_learning_rate(schedule.at(optimizer.iterations()));
            optimizer.step(&mut model, &gradients);
            sum += f64::from(loss) * batch.len() as f64;
        }
        let validation = loss(&model, &mut forecasts, &data.validation)?;
        trained.train.push(sum / count as f64);
        trained.validation.push(validation);
        if best.as_ref().is_none_or(|(least, _)| validation < *least) {
            // Copies: the optimizer writes the parameters in place.
            let copy = |value: &Tensor| Tensor::from_vec(value.shape(), value.to_vec());
            best = Some((validation, model.params().iter().map(|(_, param)| copy(param.value())).collect()));
        }
        progress.show(epoch + 1, &format!("loss {:.4}  validation {validation:.4}", sum / count as f64));
    }
    if let Some((_, weights)) = best {
        let mut weights = weights.into_iter();
        model.visit_mut(&mut tapeloop::Path::default(), &mut |_, param| {
            weights.next().into_iter().for_each(|value| param.set(value));
        });
    }
    let forecast = model.predict(&data.test.inputs)?;
    let row = |k: usize| forecast.select(0, k).to_vec().iter().map(|&y| data.scaler.restore(f64::from(y))).collect();
    trained.forecast = (0..data.test.places.len()).map(row).collect();
    trained.seconds = start.elapsed().as_secs_f64();
    Ok(trained)
}

/// The windows of these numbers.
fn rows(windows: &Windows, numbers: &[usize]) -> (Tensor, Tensor) {
    let take = |all: &Tensor| {
        let width = all.size() / all.shape()[0];
        let elements = all.as_slice().unwrap_or_default();
        let data: Vec<f32> = numbers.iter().flat_map(|&n| &elements[n * width..(n + 1) * width]).copied().collect();
        let mut shape = all.shape().dims().to_vec();
        shape[0] = numbers.len();
        Tensor::from_vec(shape, data)
    };
    (take(&windows.inputs), take(&windows.targets))
}

fn loss(model: &Model, tape: &mut Tape, windows: &Windows) -> Result<f64, Error> {
    let forecast = model.predict_on(tape, &windows.inputs)?.to_vec();
    let square = forecast.iter().zip(windows.targets.to_vec()).map(|(y, t)| f64::from(y - t).powi(2));
    Ok(square.sum::<f64>() / forecast.len() as f64)
}

fn draw(
    path: &Path,
    series: &Series,
    data: &Dataset,
    trained: &[(&str, Trained)],
    horizon: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    // Where there are several steps ahead, the farthest is shown.
    let last = horizon - 1;
    let curve = |forecast: &[Vec<f64>]| -> Vec<(f64, f64)> {
        data.test.places.iter().zip(forecast).map(|(&place, row)| (series.times[place + last], row[last])).collect()
    };
    let from = data.test.places[0].saturating_sub(20);
    let measured: Vec<_> = series.times[from..].iter().copied().zip(series.values[from..].iter().copied()).collect();
    let line = |name: String, points, color: usize, width| Line { name, points, color: COLORS[color], width };
    let mut forecasts = vec![line("measured".into(), measured, 0, 2)];
    let mut curves = Vec::new();
    for (k, (name, model)) in trained.iter().enumerate() {
        forecasts.push(line(name.to_string(), curve(&model.forecast), 1 + k, 2));
        let by_epoch = |losses: &[f64]| losses.iter().enumerate().map(|(k, &loss)| (k as f64 + 1.0, loss)).collect();
        curves.push(line(format!("{name}, training"), by_epoch(&model.train), 1 + k, 1));
        curves.push(line(format!("{name}, validation"), by_epoch(&model.validation), 1 + k, 2));
    }
    let title = format!("{} and its forecasts, {horizon} ahead", series.name);
    let panels = [
        Panel { title, x: "time".into(), y: series.name.clone(), log: false, lines: forecasts },
        Panel {
            title: "mean squared error while training (scaled)".into(),
            x: "epoch".into(),
            y: "loss".into(),
            log: true,
            lines: curves,
        },
    ];
    chart::write(path, &panels).map_err(|error| format!("{}: {error}", path.display()).into())
}
