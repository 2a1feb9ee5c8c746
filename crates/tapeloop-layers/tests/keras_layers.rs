//! Layers against values of Keras 3.15 on TensorFlow in double precision: outputs, and what becomes of masks.

use serde_json::Value as Json;
use smallvec::SmallVec;
use tapeloop_autograd::losses::{Reduction, huber, l1, masked, mse};
use tapeloop_autograd::{Module, Path, Rng, Tape, Tensor};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    AlphaDropout, Axes, Constraint, Conv1d, Dense, GaussianDropout, GaussianNoise, Layer, LayerConfig, Masked, Masking,
    Pass, Regularizer, Sequential, SpatialDropout1d, TimeDistributed,
};

fn tensor(json: &Json) -> Tensor<f64> {
    let shape: Vec<usize> = serde_json::from_value(json["shape"].clone()).unwrap();
    // JSON has no number for NaN; Python writes a name, which we read as one.
    let numbers = json["data"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap_or(f64::NAN));
    Tensor::from_vec(&shape[..], numbers.collect::<Vec<f64>>())
}

fn close(what: &str, found: &Tensor<f64>, expected: &Tensor<f64>, tolerance: f64) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (found, expected) in found.to_vec().iter().zip(expected.to_vec()) {
        assert!((found - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what}: {found}, not {expected}");
    }
}

fn table(name: &str) -> Vec<Json> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn layers_and_their_masks_are_keras() {
    let rows = table("keras_layers.json");
    assert!(rows.len() > 100);
    for row in rows {
        let name = row["case"].as_str().unwrap();
        let config: LayerConfig = serde_json::from_value(row["layer"].clone()).unwrap();
        let again = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<LayerConfig>(again).unwrap(), config, "{name}");
        let inputs: Vec<Tensor<f64>> = row["x"].as_array().unwrap().iter().map(tensor).collect();
        let masks = row["mask"].as_array().unwrap();
        let axes: Vec<Axes> = inputs.iter().map(|x| x.shape()[1..].iter().map(|&n| Some(n)).collect()).collect();
        let mut layer =
            config.build::<f64>(&axes[0], &mut Rng::new(0)).unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(weights) = row["weights"].as_array() {
            let mut weights = weights.iter();
            layer.visit_mut(&mut Path::default(), &mut |path, param| {
                let weight = tensor(weights.next().unwrap_or_else(|| panic!("{name}: Keras has no {path:?}")));
                assert_eq!(param.value().shape(), weight.shape(), "{name}: {path:?}");
                param.set(weight);
            });
            assert!(weights.next().is_none(), "{name}");
        }
        let tape = Tape::new();
        let given: SmallVec<[Masked<'_, f64>; 4]> = (inputs.iter().zip(masks))
            .map(|(x, mask)| match mask {
                Json::Null => tape.constant(x.clone()).into(),
                mask => Masked::new(tape.constant(x.clone()), tape.constant(tensor(mask))),
            })
            .collect();
        layer.check_all(&given).unwrap();
        let outputs = layer.forward_all(&given, &[], &mut Pass::inference());
        let [Masked { value, mask, .. }] = outputs[..] else { panic!("{name}: one output") };
        let expected = tensor(&row["y"]);
        close(name, &value.value(), &expected, 1e-11);
        let wanted = layer.output_shapes(&axes, &[]).unwrap();
        assert_eq!(wanted, [expected.shape()[1..].iter().map(|&n| Some(n)).collect::<Axes>()], "{name}");
        match &row["y_mask"] {
            Json::Null => assert!(mask.is_none(), "{name}: a mask"),
            own => close(name, &mask.unwrap_or_else(|| panic!("{name}: no mask")).value(), &tensor(own), 0.0),
        }
        let masked: Vec<bool> = given.iter().map(|x| x.mask.is_some()).collect();
        assert_eq!(layer.output_mask(0, &masked), mask.is_some(), "{name}");
        // Lengths that are not known beforehand: what is said of the output holds.
        let open: Vec<Axes> = axes.iter().map(|axes| [&[None], &axes[1..]].concat()).collect();
        if let Ok(layer) = config.build::<f64>(&open[0], &mut Rng::new(0))
            && let Ok(outputs) = layer.output_shapes(&open, &[])
        {
            let fits =
                outputs[0].iter().zip(&expected.shape()[1..]).all(|(said, &n)| said.is_none_or(|said| said == n));
            assert!(fits && outputs[0].len() + 1 == expected.rank(), "{name}: {outputs:?}");
        }
    }
}

/// Keras' `Loss` with a prediction that has a mask.
#[test]
fn masked_losses_are_keras() {
    let rows = table("masked_losses.json");
    let [y, t, w] = ["y", "t", "w"].map(|name| tensor(&rows[0][name]));
    let tape = Tape::new();
    let y = tape.leaf(y);
    for row in &rows[1..] {
        let loss = row["loss"].as_str().unwrap();
        // Keras takes the mean over the features first.
        let terms = match loss {
            "mse" => mse(y, &t, Reduction::None),
            "l1" => l1(y, &t, Reduction::None),
            _ => huber(y, &t, 1.0, Reduction::None),
        };
        let mut terms = terms.mean(&[-1], false);
        if row["weighted"] == true {
            terms = terms * &w;
        }
        let mask = tape.constant(tensor(&row["mask"]));
        let reduction = match row["reduction"].as_str().unwrap() {
            "sum" => Reduction::Sum,
            "none" => Reduction::None,
            _ => Reduction::Mean,
        };
        let found = masked(terms, mask, reduction);
        let expected = tensor(&row["value"]);
        // Where nothing is reduced, Keras leaves its factor for the mean out, as we do.
        close(&row.to_string(), &found.value(), &expected, 1e-12);
        assert!(found.sum_all().backward().wrt(y).is_none_or(Tensor::all_finite), "{row}");
    }
}

/// The mean over (batch, time, features) at once is the mean of the means.
#[test]
fn a_masked_model_has_the_loss_of_its_steps() {
    let config = Sequential::new([None, Some(2)]).add(Masking::new(0.0));
    let model = config.add(tapeloop_layers::Gru::new(3).return_sequences(true)).build::<f64>(1).unwrap();
    let tape = Tape::new();
    let x = tape.constant(Tensor::from([[[1.0, 2.0], [0.5, -1.0], [0.0, 0.0]]]));
    let output = model.forward_masked(x.into(), &mut Pass::training(0));
    let terms = mse(output.value, 0.25, Reduction::None);
    let short = mse(output.value.slice(1, 0..2), 0.25, Reduction::Mean);
    assert!((masked(terms, output.mask.unwrap(), Reduction::Mean).item() - short.item()).abs() < 1e-15);
}

#[test]
fn noise_has_its_moments_and_its_seed() {
    let tape = Tape::new();
    let x = tape.constant(Tensor::<f64>::normal([2, 200, 100], 0.0, 1.0, &mut Rng::new(3)));
    let ones = tape.constant(Tensor::<f64>::ones([2, 200, 100]));
    let moments = |y: tapeloop_autograd::Var<'_, f64>| [y.mean_all().item(), y.var(&[0, 1, 2], 0.0, false).item()];
    let near = |what: &str, found: [f64; 2], expected: [f64; 2]| {
        // 40,000 numbers: five standard errors of a mean, and of a variance with some kurtosis.
        let within = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.05);
        assert!(within, "{what}: {found:?}, not {expected:?}");
    };
    let layers: [(LayerConfig, LayerConfig); 4] = [
        (GaussianNoise::new(0.5).into(), GaussianNoise::new(0.5).seed(9).into()),
        (GaussianDropout::new(0.2).into(), GaussianDropout::new(0.2).seed(9).into()),
        (AlphaDropout::new(0.3).into(), AlphaDropout::new(0.3).seed(9).into()),
        (SpatialDropout1d::new(0.5).into(), SpatialDropout1d::new(0.5).seed(9).into()),
    ];
    for (config, seeded) in &layers {
        let build = |config: &LayerConfig| config.build::<f64>(&[None, Some(100)], &mut Rng::new(0)).unwrap();
        let (layer, seeded) = (build(config), build(seeded));
        let name = config.name();
        assert_eq!(layer.forward(x, &mut Pass::inference()).value().to_vec(), x.value().to_vec(), "{name}");
        let run = |layer: &dyn Layer<f64>, seed| layer.forward(x, &mut Pass::training(seed)).value().to_vec();
        assert_eq!(run(&*layer, 1), run(&*layer, 1), "{name}");
        assert_ne!(run(&*layer, 1), run(&*layer, 2), "{name}");
        // A layer with a seed leaves the pass's own generator alone.
        let mut pass = Pass::training(1);
        seeded.forward(x, &mut pass);
        assert_eq!(layer.forward(x, &mut pass).value().to_vec(), run(&*layer, 1), "{name}");
        let masked = layer.forward_masked(Masked::with_lengths(x, &[200, 7]), &mut Pass::training(1));
        assert!(masked.mask.is_some() && layer.output_mask(0, &[true]), "{name}");
    }
    let run = |config: &LayerConfig, x| {
        let layer = config.build::<f64>(&[None, Some(100)], &mut Rng::new(0)).unwrap();
        layer.forward(x, &mut Pass::training(5))
    };
    near("gaussian_noise", moments(run(&layers[0].0, ones)), [1.0, 0.25]);
    near("gaussian_dropout", moments(run(&layers[1].0, ones)), [1.0, 0.25]);
    near("alpha_dropout", moments(run(&layers[2].0, x)), [0.0, 1.0]);
    let y = run(&layers[3].0, ones);
    assert!(y.value().to_vec().iter().all(|&y| y == 0.0 || y == 2.0));
    assert_eq!(y.select(1, 0).value().to_vec(), y.select(1, 199).value().to_vec());
}

#[test]
fn a_convolution_keeps_to_its_rules() {
    let conv = Conv1d::new(4, 3).kernel_regularizer(Regularizer::l2(1.0)).kernel_constraint(Constraint::max_norm(0.1));
    let conv = conv.activity_regularizer(Regularizer::l1(1.0));
    let mut model = Sequential::new([8, 2]).add(conv).build::<f64>(0).unwrap();
    let tape = Tape::new();
    let x = tape.constant(Tensor::ones([2, 8, 2]));
    let output = model.forward_masked(x.into(), &mut Pass::inference());
    assert!((output.penalty.unwrap().item() - output.value.abs().sum_all().item() / 2.0).abs() < 1e-12);
    let kernel = model.params()[0].1.value().to_vec();
    let squares: f64 = kernel.iter().map(|w| w * w).sum();
    assert!((model.penalty(&tape).unwrap().item() - squares).abs() < 1e-12);
    model.constrain();
    assert!(model.params()[0].1.value().to_vec().iter().map(|w| w * w).sum::<f64>() < squares);
}

/// What a layer at every step adds to the loss is what it adds at all of them: here that of the layer on all axes.
#[test]
fn a_layer_at_every_step_has_its_penalties() {
    let dense = || Dense::new(3).activity_regularizer(Regularizer::l1(0.5)).kernel_regularizer(Regularizer::l2(0.25));
    let tape = Tape::new();
    let x = tape.constant(Tensor::<f64>::normal([2, 4, 3], 0.0, 1.0, &mut Rng::new(1)));
    let of = |config: Sequential| {
        let model = config.build::<f64>(5).unwrap();
        let activity = model.forward_masked(x.into(), &mut Pass::inference()).penalty.unwrap().item();
        [activity, model.penalty(&tape).unwrap().item()]
    };
    let [within, alone] =
        [of(Sequential::new([4, 3]).add(TimeDistributed::new(dense()))), of(Sequential::new([4, 3]).add(dense()))];
    assert!(within.iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-12), "{within:?}, not {alone:?}");
    let both = TimeDistributed::new(Dense::new(3)).activity_regularizer(Regularizer::l1(0.5));
    let wrapped = Sequential::new([4, 3]).add(both).build::<f64>(5).unwrap();
    let penalty = wrapped.forward_masked(x.into(), &mut Pass::inference()).penalty.unwrap().item();
    assert!((penalty - alone[0]).abs() < 1e-12);
}

/// A stateful layer goes on from step to step; others take all steps at once.
#[test]
fn what_is_stateful_goes_from_step_to_step() {
    let gru = || tapeloop_layers::Gru::new(3).stateful(true);
    let x = Tensor::<f64>::normal([2, 4, 5, 2], 0.0, 1.0, &mut Rng::new(1));
    let distributed = TimeDistributed::new(gru());
    let model = Sequential::new([4, 5, 2]).add(distributed).build::<f64>(7).unwrap();
    let by_itself = Sequential::new([5, 2]).add(gru()).build::<f64>(7).unwrap();
    for _ in 0..2 {
        let all = model.predict(&x).unwrap();
        for t in 0..4 {
            let step = by_itself.predict(&x.select(1, t)).unwrap();
            close(&format!("step {t}"), &all.select(1, t), &step, 1e-15);
        }
    }
    assert!(model.predict(&Tensor::zeros([3, 4, 5, 2])).unwrap_err().is_input());
    model.reset_state();
    assert_eq!(model.predict(&Tensor::zeros([3, 4, 5, 2])).unwrap().shape(), [3, 4, 3]);
}
