//! What reference cases do not show: who is skipped, what is refused, what is remembered.

use tapeloop_autograd::{Gradients, Module, Param, Tape, Tensor, module};
use tapeloop_optim::*;

struct Layer {
    kernel: Param,
    bias: Param,
}
module!(Layer { kernel, bias });

fn layer() -> Layer {
    Layer {
        kernel: Param::new(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])),
        bias: Param::new(Tensor::from([0.5f32, -0.5])),
    }
}

fn values(layer: &Layer) -> (Vec<f32>, Vec<f32>) {
    (layer.kernel.value().to_vec(), layer.bias.value().to_vec())
}

/// Gradients of 1 everywhere.
fn ones(params: &[&Param]) -> Gradients {
    let tape = Tape::new();
    let ones: Vec<_> = params.iter().map(|param| param.value().ones_like()).collect();
    let roots: Vec<_> = params.iter().zip(&ones).map(|(&param, one)| (tape.param(param), one)).collect();
    tape.backward(&roots)
}

fn both(layer: &Layer) -> Gradients {
    ones(&[&layer.kernel, &layer.bias])
}

#[test]
fn without_a_gradient_nothing_changes() {
    let mut layer = layer();
    let mut adam = Adam::new(0.1);
    let gradients = both(&layer);
    adam.step(&mut layer, &gradients);
    let (kernel, state) = (layer.kernel.value().to_vec(), adam.state(&layer).params["kernel"].clone());
    let gradients = ones(&[&layer.bias]);
    adam.step(&mut layer, &gradients);
    assert_eq!(layer.kernel.value().to_vec(), kernel);
    assert_eq!(adam.state(&layer).params["kernel"], state);
    assert_eq!(adam.state(&layer).params["bias"].steps, 2);
    assert_eq!(adam.iterations(), 2);
}

#[test]
fn frozen_parameters_stay_whatever_their_gradients() {
    for by_group in [false, true] {
        let mut layer = layer();
        let gradients = both(&layer);
        layer.bias.set_trainable(by_group);
        let groups = if by_group { Groups::new().prefix("bias", Rule::new().frozen(true)) } else { Groups::new() };
        let mut sgd = Sgd::new(1.0).momentum(0.5).groups(groups);
        sgd.step(&mut layer, &gradients);
        assert_eq!(values(&layer), (vec![0.0, 1.0, 2.0, 3.0], vec![0.5, -0.5]));
        assert_eq!(sgd.state(&layer).params.keys().collect::<Vec<_>>(), ["kernel"]);
    }
}

#[test]
fn groups_change_rate_and_decay() {
    let mut layer = layer();
    let groups = Groups::new()
        .prefix("", Rule::new().weight_decay(0.5))
        .matching(|name| name == "bias", Rule::new().weight_decay(0.0).learning_rate(0.5));
    let gradients = both(&layer);
    Sgd::new(1.0).groups(groups).step(&mut layer, &gradients);
    assert_eq!(values(&layer), (vec![-0.5, 0.0, 0.5, 1.0], vec![0.0, -1.0]));
}

#[test]
fn torch_counts_the_steps_of_each_parameter() {
    for (convention, first_step) in [(Convention::Torch, 0.1), (Convention::Keras, 0.0744)] {
        let mut layer = layer();
        let mut adam = Adam::new(0.1).convention(convention);
        let gradients = ones(&[&layer.kernel]);
        adam.step(&mut layer, &gradients);
        let gradients = ones(&[&layer.bias]);
        adam.step(&mut layer, &gradients);
        assert!((layer.bias.value().at(&[0]) - (0.5 - first_step)).abs() < 1e-4, "{convention:?}");
    }
}

#[test]
fn training_goes_on_exactly_from_a_saved_state() {
    fn check(mut one: Box<dyn Optimizer<f32>>, mut other: Box<dyn Optimizer<f32>>) {
        let mut layer = layer();
        let step = |optimizer: &mut Box<dyn Optimizer<f32>>, layer: &mut Layer| {
            let (_, gradients) =
                Tape::new().value_and_grad(|tape| (tape.param(&layer.kernel) * &layer.bias).square().sum_all());
            optimizer.step(layer, &gradients);
        };
        step(&mut one, &mut layer);
        one.set_learning_rate(0.05);
        // Other parameters than the saved ones: names are what counts.
        let mut copy = Layer { kernel: layer.kernel.clone(), bias: layer.bias.clone() };
        let saved = serde_json::to_string(&one.state(&layer)).unwrap();
        other.load_state(&copy, &serde_json::from_str(&saved).unwrap()).unwrap();
        for _ in 0..3 {
            step(&mut one, &mut layer);
            step(&mut other, &mut copy);
        }
        assert_eq!(values(&layer), values(&copy));
        assert_eq!(one.state(&layer), other.state(&copy));
    }
    check(Box::new(Sgd::new(0.1).momentum(0.9)), Box::new(Sgd::new(0.7).momentum(0.9)));
    check(Box::new(Adam::new(0.1).amsgrad(true)), Box::new(Adam::new(0.7).amsgrad(true)));
    check(Box::new(AdamW::new(0.1)), Box::new(AdamW::new(0.7)));
    check(Box::new(RmsProp::new(0.1).centered(true)), Box::new(RmsProp::new(0.7).centered(true)));
}

#[test]
fn a_state_that_does_not_fit_changes_nothing() {
    let mut layer = layer();
    let mut adam = Adam::new(0.1);
    let gradients = both(&layer);
    adam.step(&mut layer, &gradients);
    let good = adam.state(&layer);
    let refused = |change: &dyn Fn(&mut OptimizerState)| {
        let (mut adam, mut bad) = (adam.clone(), good.clone());
        bad.iterations = 99;
        change(&mut bad);
        let error = adam.load_state(&layer, &bad).unwrap_err();
        assert_eq!(adam.state(&layer), good, "{error}");
        error
    };
    let error = refused(&|state| state.optimizer = "sgd".into());
    assert_eq!(error.to_string(), "the state is of `sgd`, not of `adam`");
    let error = refused(&|state| state.learning_rate = -1.0);
    assert_eq!(error.to_string(), "learning_rate is -1; it must be finite and at least 0");
    let error = refused(&|state| drop(state.params.insert("gamma".into(), state.params["bias"].clone())));
    assert_eq!(error.to_string(), "the state's parameter `gamma` is not in the module");
    let error = refused(&|state| drop(state.params.get_mut("kernel").unwrap().buffers.remove("velocity")));
    assert_eq!(
        error.to_string(),
        r#"the state of `kernel` has the buffers ["momentum"]; with these options it needs ["momentum", "velocity"]"#
    );
    let error = refused(&|state| {
        let buffers = &mut state.params.get_mut("kernel").unwrap().buffers;
        buffers.insert("velocity".into(), Tensor::zeros([4]));
    });
    assert_eq!(error.to_string(), "`velocity` of `kernel` has shape [4]; the parameter has shape [2, 2]");
}

#[test]
fn a_clone_of_a_module_starts_anew() {
    let mut first = layer();
    let mut adam = Adam::new(0.1);
    let gradients = both(&first);
    adam.step(&mut first, &gradients);
    let second = Layer { kernel: first.kernel.clone(), bias: first.bias.clone() };
    assert!(adam.state(&second).params.is_empty());
    assert_eq!(second.params().len(), 2);
}

#[test]
fn what_is_not_finite_stays() {
    let param = Param::new(Tensor::from([1.0f32, 2.0]));
    let with = |values: [f32; 2]| {
        let tape = Tape::new();
        tape.backward(&[(tape.param(&param), &Tensor::from(values))])
    };
    let inf = f32::INFINITY;
    let mut gradients = with([inf, 3.0]);
    clip_by_norm(&mut gradients, 1.0);
    assert_eq!(clip_by_global_norm(&mut gradients, 1.0), f64::INFINITY);
    assert_eq!(clip_grad_norm(&mut gradients, 1.0, f64::INFINITY), f64::INFINITY);
    assert_eq!(gradients.of(&param).unwrap().to_vec(), [inf, 3.0]);
    clip_by_value(&mut gradients, 2.0);
    assert_eq!(gradients.of(&param).unwrap().to_vec(), [2.0, 2.0]);

    let mut gradients = with([f32::NAN, 3.0]);
    assert!(clip_by_global_norm(&mut gradients, 1.0).is_nan());
    assert!(clip_grad_norm(&mut gradients, 1.0, f64::INFINITY).is_nan());
    clip_by_value(&mut gradients, 2.0);
    let clipped = gradients.of(&param).unwrap();
    assert!(clipped.at(&[0]).is_nan() && clipped.at(&[1]) == 2.0);

    // The squares of these overflow f32.
    let mut gradients = with([3e30, 4e30]);
    assert!((clip_by_global_norm(&mut gradients, 1.0) / 5e30 - 1.0).abs() < 1e-6);
    assert!((global_norm(&gradients) - 1.0).abs() < 1e-6);
}

#[test]
fn keras_plateau() {
    // `keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.1, cooldown=2, min_lr=0.2)`, by hand.
    let mut plateau = ReduceOnPlateau::new().factor(0.5).patience(2).min_delta(0.1).cooldown(2).min_learning_rate(0.2);
    let mut rate = 1.0;
    let metrics = [1.0, 0.95, 0.95, 0.95, 0.95, 0.95, 0.5, 0.5, f64::NAN, 0.5, 0.5, 0.5];
    let rates = metrics.map(|metric| {
        rate = plateau.next(metric, rate);
        rate
    });
    assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]);
}

#[test]
fn schedules_survive_serde() {
    fn check<S: Schedule + serde::Serialize + for<'a> serde::Deserialize<'a>>(schedule: S) {
        let text = serde_json::to_string(&schedule).unwrap();
        let back: S = serde_json::from_str(&text).unwrap();
        (0..30).for_each(|step| assert_eq!(back.at(step), schedule.at(step), "{text}"));
    }
    check(Constant::new(0.1));
    check(StepDecay::new(0.1, 3, 0.5));
    check(ExponentialDecay::new(0.1, 3, 0.5).staircase(true));
    check(InverseTimeDecay::new(0.1, 3, 0.5));
    check(PolynomialDecay::new(0.1, 3).cycle(true));
    check(CosineDecay::new(0.0, 10).warmup(0.1, 5));
    check(CosineRestarts::new(0.1, 5));
    check(LinearWarmup::new(5, PiecewiseConstant::new([3, 8], [0.3, 0.2, 0.1])));
    check(OneCycle::new(0.1, 20).three_phase().linear());
    let bad = r#"{"boundaries": [5], "values": [1.0]}"#;
    let error = serde_json::from_str::<PiecewiseConstant>(bad).unwrap_err().to_string();
    assert!(error.starts_with("1 boundaries need one rate more than that; 1 were given"), "{error}");
}

#[test]
fn nonsense_panics() {
    fn message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
        let payload = std::panic::catch_unwind(f).unwrap_err();
        let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
        text.unwrap_or_else(|| payload.downcast_ref::<String>().unwrap().clone())
    }
    let text = message(|| drop(Sgd::<f32>::new(-1.0)));
    assert_eq!(text, "learning_rate is -1; it must be finite and at least 0");
    let text = message(|| drop(Adam::<f32>::default().beta_2(1.0)));
    assert_eq!(text, "beta_2 is 1; it must be at least 0 and less than 1");
    let text = message(|| drop(RmsProp::<f32>::default().epsilon(f64::NAN)));
    assert_eq!(text, "epsilon is NaN; it must be finite and at least 0");
    let text = message(|| Sgd::<f32>::default().set_learning_rate(f64::INFINITY));
    assert_eq!(text, "learning_rate is inf; it must be finite and at least 0");
    let text = message(|| _ = ExponentialDecay::new(0.1, 0, 0.5));
    assert_eq!(text, "decay_steps is 0; it must be at least 1");
    let text = message(|| drop(PiecewiseConstant::new([2, 1], [1.0, 1.0, 1.0])));
    assert_eq!(text, "the boundaries [2, 1] do not rise");
    let text = message(|| {
        let mut layer = layer();
        let gradients = both(&layer);
        let mut sgd = Sgd::new(0.1);
        sgd.step(&mut layer, &gradients);
        drop(sgd.momentum(0.9));
    });
    assert_eq!(text, "momentum can only be set before the first step");
}
