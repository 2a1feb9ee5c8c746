//! Optimizers, schedules and clipping against what Keras 3.15 and PyTorch 2.15 computed in float64.
//!
//! `cases/cases.json` says what was computed; the safetensors files hold it. Gradients are fed as recorded, so that
//! every step is compared, not only where it all leads.

use std::fs;
use std::path::PathBuf;

use safetensors::SafeTensors;
use serde_json::Value;
use tapeloop_autograd::{Element, Gradients, Param, Tape, Tensor, module};
use tapeloop_optim::*;

const TOLERANCE: f64 = 1e-12;

/// `Err` is why a case cannot be replayed.
type Outcome = Result<(), String>;

struct Problem<T: Element> {
    w: Param<T>,
    b: Param<T>,
}
module!(Problem<T> { w, b });

struct Case {
    id: String,
    config: Value,
    data: Vec<u8>,
}

impl Case {
    fn tensor(&self, name: &str) -> Tensor<f64> {
        let file = SafeTensors::deserialize(&self.data).unwrap();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{}: {name}: {error}", self.id));
        let numbers = view.data().chunks_exact(8).map(|bytes| <[u8; 8]>::try_from(bytes).unwrap());
        let numbers = match view.dtype() {
            safetensors::Dtype::I64 => numbers.map(|bytes| i64::from_le_bytes(bytes) as f64).collect(),
            _ => numbers.map(f64::from_le_bytes).collect(),
        };
        Tensor::from_vec(view.shape(), numbers)
    }

    fn rows(&self, name: &str) -> Vec<Tensor<f64>> {
        let all = self.tensor(name);
        let row = all.size() / all.shape()[0];
        all.to_vec().chunks(row).map(|row| Tensor::from_vec(&all.shape()[1..], row.to_vec())).collect()
    }

    fn compare(&self, what: &str, ours: &[f64], reference: &[f64]) {
        assert_eq!(ours.len(), reference.len(), "{}: {what}", self.id);
        let largest = reference.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        for (i, (x, y)) in ours.iter().zip(reference).enumerate() {
            assert!((x - y).abs() <= TOLERANCE * largest, "{}: {what}[{i}] is {x}; the reference is {y}", self.id);
        }
    }
}

fn cases(family: &str) -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let index: Vec<Value> = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let ours = index.into_iter().filter(|case| case["family"] == family);
    ours.map(|case| Case {
        id: case["id"].as_str().unwrap().to_owned(),
        data: fs::read(folder.join(case["file"].as_str().unwrap())).unwrap(),
        config: case["config"].clone(),
    })
    .collect()
}

/// Replays a family, prints what is skipped and why, and wants exactly this many cases to be compared: a case that
/// silently stops being one would otherwise look like success.
fn replay(family: &str, compared: usize, check: impl Fn(&Case) -> Outcome) {
    let cases = cases(family);
    let mut passed = 0;
    for case in &cases {
        match check(case) {
            Ok(()) => passed += 1,
            Err(reason) => println!("skipped {}: {reason}", case.id),
        }
    }
    println!("{family}: {passed} passed, {} skipped", cases.len() - passed);
    assert_eq!(passed, compared, "{family}");
}

/// Gradients with exactly these values.
fn gradients(params: &[(&Param<f64>, &Tensor<f64>)]) -> Gradients<f64> {
    let tape = Tape::new();
    let roots: Vec<_> = params.iter().map(|&(param, gradient)| (tape.param(param), gradient)).collect();
    tape.backward(&roots)
}

/// Takes an option out of a case's arguments; what is left at the end is what this crate does not have.
struct Args(serde_json::Map<String, Value>);

impl Args {
    fn of(value: &Value) -> Self {
        Self(value.as_object().unwrap().clone())
    }
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }
    fn number(&mut self, name: &str) -> Option<f64> {
        self.take(name).map(|value| value.as_f64().unwrap())
    }
    fn count(&mut self, name: &str) -> Option<u64> {
        self.take(name).map(|value| value.as_u64().unwrap())
    }
    fn flag(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| value.as_bool().unwrap())
    }
    fn done(self) -> Outcome {
        let left: Vec<_> = self.0.into_iter().map(|(name, _)| name).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("no {}", left.join(", "))) }
    }
}

fn optimizer(class: &str, args: &mut Args, convention: Convention) -> Result<Box<dyn Optimizer<f64>>, String> {
    let torch = convention == Convention::Torch;
    let rate = args.number(if torch { "lr" } else { "learning_rate" }).unwrap_or(1e-3);
    let epsilon = args.number(if torch { "eps" } else { "epsilon" }).unwrap_or(if torch { 1e-8 } else { 1e-7 });
    let momentum = args.number("momentum").unwrap_or(0.0);
    let weight_decay = args.number("weight_decay");
    let mut betas = || {
        let pair = args.take("betas").map(|pair| [pair[0].as_f64(), pair[1].as_f64()]);
        let [beta_1, beta_2] = pair.unwrap_or_else(|| [args.number("beta_1"), args.number("beta_2")]);
        (beta_1.unwrap_or(0.9), beta_2.unwrap_or(0.999))
    };
    Ok(match class.to_lowercase().as_str() {
        "sgd" => Box::new(
            Sgd::new(rate)
                .momentum(momentum)
                .nesterov(args.flag("nesterov"))
                .dampening(args.number("dampening").unwrap_or(0.0))
                .weight_decay(weight_decay.unwrap_or(0.0))
                .convention(convention),
        ),
        "adam" => {
            let (beta_1, beta_2) = betas();
            let adam = Adam::new(rate).beta_1(beta_1).beta_2(beta_2).epsilon(epsilon).amsgrad(args.flag("amsgrad"));
            Box::new(adam.weight_decay(weight_decay.unwrap_or(0.0)).convention(convention))
        }
        "adamw" => {
            let (beta_1, beta_2) = betas();
            let adam = AdamW::new(rate).beta_1(beta_1).beta_2(beta_2).epsilon(epsilon).amsgrad(args.flag("amsgrad"));
            let weight_decay = weight_decay.unwrap_or(if torch { 0.01 } else { 0.004 });
            Box::new(adam.weight_decay(weight_decay).convention(convention))
        }
        "rmsprop" => Box::new(
            RmsProp::new(rate)
                .rho(args.number(if torch { "alpha" } else { "rho" }).unwrap_or(if torch { 0.99 } else { 0.9 }))
                .momentum(momentum)
                .centered(args.flag("centered"))
                .epsilon(epsilon)
                .weight_decay(weight_decay.unwrap_or(0.0))
                .convention(convention),
        ),
        _ => return Err(format!("no {class}")),
    })
}

fn trajectory(case: &Case, convention: Convention) -> Outcome {
    if !case.config["constraint_on_W"].is_null() {
        return Err("no constraints".into());
    }
    let mut args = Args::of(&case.config["args"]);
    let schedule = match args.0.get("learning_rate").filter(|rate| rate.is_object()).cloned() {
        Some(rate) => {
            args.take("learning_rate");
            Some(keras_schedule(rate["class"].as_str().unwrap(), Args::of(&rate["args"]))?)
        }
        None => None,
    };
    let (by_value, by_norm) = (args.number("clipvalue"), args.number("clipnorm"));
    let by_global_norm = args.number("global_clipnorm");
    let accumulate = args.count("gradient_accumulation_steps").unwrap_or(1) as usize;
    let mut optimizer = optimizer(case.config["optimizer"].as_str().unwrap(), &mut args, convention)?;
    args.done()?;

    let mut problem = Problem { w: Param::new(case.tensor("start/W")), b: Param::new(case.tensor("start/b")) };
    let (grad_w, grad_b) = (case.rows("in/grad_W"), case.rows("in/grad_b"));
    let (out_w, out_b) = (case.rows("out/W"), case.rows("out/b"));
    let mut sum: Option<Gradients<f64>> = None;
    for step in 0..out_w.len() {
        let now = gradients(&[(&problem.w, &grad_w[step]), (&problem.b, &grad_b[step])]);
        match &mut sum {
            Some(sum) => sum.accumulate(&now),
            None => sum = Some(now),
        }
        if (step + 1) % accumulate == 0 {
            let mut gradients = sum.take().unwrap();
            gradients.scale(1.0 / accumulate as f64);
            if let Some(max) = by_value {
                clip_by_value(&mut gradients, max);
            }
            if let Some(max) = by_norm {
                clip_by_norm(&mut gradients, max);
            }
            if let Some(max) = by_global_norm {
                clip_by_global_norm(&mut gradients, max);
            }
            if let Some(schedule) = &schedule {
                optimizer.set_learning_rate(schedule.at(optimizer.iterations()));
            }
            optimizer.step(&mut problem, &gradients);
        }
        case.compare(&format!("W after step {}", step + 1), &problem.w.value().to_vec(), &out_w[step].to_vec());
        case.compare(&format!("b after step {}", step + 1), &problem.b.value().to_vec(), &out_b[step].to_vec());
    }
    if accumulate > 1 {
        return Ok(()); // Keras counts, and keeps, what is not a step here.
    }
    // What is remembered is compared too, under Keras' names.
    for (param, state) in optimizer.state(&problem).params {
        for (buffer, ours) in state.buffers {
            let (param, torch) = (if param == "w" { "W" } else { "b" }, convention == Convention::Torch);
            let theirs = match (torch, buffer.as_str(), optimizer.state(&problem).optimizer.as_str()) {
                (false, ..) => format!("final/{param}_{buffer}"),
                (true, "momentum", "sgd" | "rmsprop") => format!("final/{param}/momentum_buffer"),
                (true, "momentum", _) => format!("final/{param}/exp_avg"),
                (true, "velocity", "rmsprop") => format!("final/{param}/square_avg"),
                (true, "average_gradient", _) => format!("final/{param}/grad_avg"),
                (true, "velocity_hat", _) => format!("final/{param}/max_exp_avg_sq"),
                (true, ..) => format!("final/{param}/exp_avg_sq"),
            };
            case.compare(&theirs, &ours.to_vec(), &case.tensor(&theirs).to_vec());
        }
    }
    Ok(())
}

#[test]
fn keras_optimizers() {
    replay("keras/optimizers", 16, |case| trajectory(case, Convention::Keras));
}

#[test]
fn torch_optimizers() {
    replay("torch/optimizers", 12, |case| trajectory(case, Convention::Torch));
}

fn keras_schedule(class: &str, mut args: Args) -> Result<Box<dyn Schedule>, String> {
    let initial = args.number("initial_learning_rate").unwrap_or(0.0);
    let steps = args.count("decay_steps").unwrap_or(1);
    let alpha = args.number("alpha").unwrap_or(0.0);
    let mut decay = || (args.number("decay_rate").unwrap(), args.flag("staircase"));
    let schedule: Box<dyn Schedule> = match class {
        "ExponentialDecay" => {
            let (rate, staircase) = decay();
            Box::new(ExponentialDecay::new(initial, steps, rate).staircase(staircase))
        }
        "InverseTimeDecay" => {
            let (rate, staircase) = decay();
            Box::new(InverseTimeDecay::new(initial, steps, rate).staircase(staircase))
        }
        "PolynomialDecay" => {
            let (end, power) = (args.number("end_learning_rate").unwrap_or(1e-4), args.number("power").unwrap_or(1.0));
            Box::new(PolynomialDecay::new(initial, steps).end(end).power(power).cycle(args.flag("cycle")))
        }
        "CosineDecay" => {
            let (target, over) = (args.number("warmup_target"), args.count("warmup_steps").unwrap_or(0));
            let schedule = CosineDecay::new(initial, steps).alpha(alpha);
            Box::new(target.map_or(schedule, |target| schedule.warmup(target, over)))
        }
        "CosineDecayRestarts" => {
            let (t_mul, m_mul) = (args.number("t_mul").unwrap_or(2.0), args.number("m_mul").unwrap_or(1.0));
            let schedule = CosineRestarts::new(initial, args.count("first_decay_steps").unwrap());
            Box::new(schedule.t_mul(t_mul).m_mul(m_mul).alpha(alpha))
        }
        "PiecewiseConstantDecay" => {
            let boundaries: Vec<u64> = serde_json::from_value(args.take("boundaries").unwrap()).unwrap();
            let values: Vec<f64> = serde_json::from_value(args.take("values").unwrap()).unwrap();
            Box::new(PiecewiseConstant::new(boundaries, values))
        }
        _ => return Err(format!("no {class}")),
    };
    args.done()?;
    Ok(schedule)
}

#[test]
fn keras_schedules() {
    replay("keras/schedules", 9, |case| {
        let schedule = keras_schedule(case.config["schedule"].as_str().unwrap(), Args::of(&case.config["args"]))?;
        let ours: Vec<_> = case.tensor("in/step").to_vec().iter().map(|&step| schedule.at(step as u64)).collect();
        case.compare("learning rate", &ours, &case.tensor("out/lr").to_vec());
        Ok(())
    });
}

fn torch_schedule(class: &str, mut args: Args, base: f64) -> Result<Box<dyn Schedule>, String> {
    let inner = |args: &mut Args| -> Result<[Box<dyn Schedule>; 2], String> {
        let pair = args.take("schedulers").unwrap();
        let one = |i: usize| torch_schedule(pair[i][0].as_str().unwrap(), Args::of(&pair[i][1]), base);
        Ok([one(0)?, one(1)?])
    };
    let gamma = args.number("gamma").unwrap_or(0.1);
    let total = args.count("total_iters").unwrap_or(5);
    let floor = args.number("eta_min").unwrap_or(0.0) / base;
    let schedule: Box<dyn Schedule> = match class {
        "StepLR" => Box::new(StepDecay::new(base, args.count("step_size").unwrap(), gamma)),
        "ExponentialLR" => Box::new(ExponentialDecay::new(base, 1, gamma)),
        "MultiStepLR" => {
            let milestones: Vec<u64> = serde_json::from_value(args.take("milestones").unwrap()).unwrap();
            let values: Vec<_> = (0..=milestones.len() as i32).map(|i| base * gamma.powi(i)).collect();
            Box::new(PiecewiseConstant::new(milestones.iter().map(|m| m - 1).collect::<Vec<_>>(), values))
        }
        "ConstantLR" => {
            let factor = args.number("factor").unwrap_or(1.0 / 3.0);
            Box::new(PiecewiseConstant::new([total - 1], [base * factor, base]))
        }
        "LinearLR" if args.number("end_factor").unwrap_or(1.0) == 1.0 => {
            let start = args.number("start_factor").unwrap_or(1.0 / 3.0);
            Box::new(LinearWarmup::new(total, Constant::new(base)).start(start))
        }
        "PolynomialLR" => {
            Box::new(PolynomialDecay::new(base, total).end(0.0).power(args.number("power").unwrap_or(1.0)))
        }
        "CosineAnnealingLR" => Box::new(CosineDecay::new(base, args.count("T_max").unwrap()).alpha(floor)),
        "CosineAnnealingWarmRestarts" => {
            let schedule = CosineRestarts::new(base, args.count("T_0").unwrap()).alpha(floor);
            Box::new(schedule.t_mul(args.number("T_mult").unwrap_or(1.0)))
        }
        "OneCycleLR" => Box::new(OneCycle::new(args.number("max_lr").unwrap(), args.count("total_steps").unwrap())),
        "SequentialLR" => {
            let [first, then] = inner(&mut args)?;
            let milestone = args.take("milestones").unwrap()[0].as_u64().unwrap();
            Box::new(move |step| if step < milestone { first.at(step) } else { then.at(step - milestone) })
        }
        "ChainedScheduler" => {
            let [one, other] = inner(&mut args)?;
            Box::new(move |step| one.at(step) * other.at(step) / base)
        }
        _ => return Err(format!("no {class}")),
    };
    args.done()?;
    Ok(schedule)
}

fn torch_plateau(case: &Case) -> Outcome {
    let mut args = Args::of(&case.config["args"]);
    let mut plateau = ReduceOnPlateau::new()
        .factor(args.number("factor").unwrap())
        .patience(args.count("patience").unwrap())
        .min_delta(args.number("threshold").unwrap())
        .cooldown(args.count("cooldown").unwrap())
        .min_learning_rate(args.number("min_lr").unwrap())
        .convention(Convention::Torch);
    args.done()?;
    let mut rates = vec![case.config["base_lr"].as_f64().unwrap()];
    for metric in case.tensor("in/metric").to_vec() {
        rates.push(plateau.next(metric, rates[rates.len() - 1]));
    }
    case.compare("learning rate", &rates, &case.tensor("out/lr").to_vec());
    Ok(())
}

#[test]
fn torch_schedulers() {
    replay("torch/schedulers", 12, |case| {
        let class = case.config["scheduler"].as_str().unwrap();
        if class == "ReduceLROnPlateau" {
            return torch_plateau(case);
        }
        let args = Args::of(&case.config["args"]);
        let mut reference = case.tensor("out/lr").to_vec();
        if let Some(end) = case.config["args"]["T_max"].as_u64() {
            println!("{}: compared up to T_max, after which PyTorch's rate rises again", case.id);
            reference.truncate(end as usize + 1);
        }
        let schedule = torch_schedule(class, args, case.config["base_lr"].as_f64().unwrap())?;
        let ours: Vec<_> = (0..reference.len() as u64).map(|step| schedule.at(step)).collect();
        case.compare("learning rate", &ours, &reference);
        Ok(())
    });
}

#[test]
fn torch_clipping() {
    replay("torch/clipping", 6, |case| {
        let inputs: Vec<_> = (0..3).map(|i| case.tensor(&format!("in/g{i}"))).collect();
        let params: Vec<_> = inputs.iter().map(|g| Param::new(Tensor::zeros(g.shape()))).collect();
        let mut gradients = gradients(&params.iter().zip(&inputs).collect::<Vec<_>>());
        let mut args = Args::of(&case.config["args"]);
        if let Some(max) = args.number("clip_value") {
            clip_by_value(&mut gradients, max);
        } else {
            let p = args.take("norm_type").map_or(2.0, |p| p.as_f64().unwrap_or(f64::INFINITY));
            let norm = clip_grad_norm(&mut gradients, args.number("max_norm").unwrap(), p);
            case.compare("norm", &[norm], &case.tensor("out/total_norm").to_vec());
        }
        args.done()?;
        for (i, param) in params.iter().enumerate() {
            let name = format!("out/g{i}");
            case.compare(&name, &gradients.of(param).unwrap().to_vec(), &case.tensor(&name).to_vec());
        }
        Ok(())
    });
}
