//! Cells as data: JSON, what cannot be, rules of cells within cells.

use tapeloop_autograd::{Module, Param, Path, Rng, Shape, Tape, Tensor};
use tapeloop_layers::cells::ZOO;
use tapeloop_layers::{
    CellConfig, Constraint, Gru, Layer, LayerConfig, Lstm, Mgu, Recurrent, Regularizer, Sequential, Stacked,
    WeightDropped, Zoneout,
};

#[test]
fn every_cell_is_json_and_the_same_again() {
    for row in ZOO {
        let (config, input) = (row.example)(3, 4);
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.starts_with(&format!("{{\"cell\":\"{}", row.name)), "{json}");
        assert_eq!(serde_json::from_str::<CellConfig>(&json).unwrap(), config, "{json}");
        let axes: Vec<_> = [None].into_iter().chain(input.iter().map(|&n| Some(n))).collect();
        let json = format!(
            "{{\"input_shape\": {}, \"layers\": [{{\"layer\": \"rnn\", \"cell\": {json}, \"return_sequences\": true}}]}}",
            serde_json::to_string(&axes).unwrap()
        );
        let model = serde_json::from_str::<Sequential>(&json).unwrap().build::<f64>(5).unwrap();
        let again = serde_json::to_string(model.config()).unwrap();
        let again = serde_json::from_str::<Sequential>(&again).unwrap().build::<f64>(5).unwrap();
        let lead: Vec<usize> = [2, 5].iter().chain(input.iter()).copied().collect();
        let x = Tensor::normal(&lead[..], 0.0, 1.0, &mut Rng::new(1));
        let output = model.predict(&x).unwrap();
        assert_eq!(output.to_vec(), again.predict(&x).unwrap().to_vec(), "{}", row.name);
        let shape: Vec<_> = output.shape().iter().skip(2).map(|&n| Some(n)).collect();
        assert_eq!(model.output_shape()[1..], shape, "{}", row.name);
    }
}

#[test]
fn a_misspelled_setting_is_an_error_that_names_it() {
    for row in ZOO {
        let mut json = serde_json::to_value((row.example)(3, 4).0).unwrap();
        json.as_object_mut().unwrap().insert("unitz".into(), 3.into());
        let error = serde_json::from_value::<CellConfig>(json).unwrap_err().to_string();
        assert!(error.contains("unitz"), "{}: {error}", row.name);
    }
}

fn refused(cell: &str) -> String {
    refused_on(cell, &[None, Some(3)])
}

fn refused_on(cell: &str, input: &[Option<usize>]) -> String {
    use tapeloop_layers::layers::Config;
    let json = format!("{{\"layer\": \"rnn\", \"cell\": {cell}}}");
    let config = serde_json::from_str::<LayerConfig>(&json).unwrap();
    let built: Result<Box<dyn Layer<f32>>, _> = config.build(input, &mut Rng::new(0));
    built.err().unwrap_or_else(|| panic!("{cell} was built")).to_string()
}

#[test]
fn what_cannot_be_is_an_error_with_its_reason() {
    let lstm = r#"{"cell": "lstm", "units": 3}"#;
    for (cell, words) in [
        (r#"{"cell": "mgu"}"#.to_string(), ["mgu", "units must be at least 1"]),
        (r#"{"cell": "mgu", "units": 18446744073709551615}"#.into(), ["mgu", "kernel"]),
        (r#"{"cell": "lstm", "units": 2, "return_sequences": true}"#.into(), ["lstm", "the layer around the cell"]),
        (r#"{"cell": "lstm", "units": 2, "seed": 2}"#.into(), ["lstm", "the layer around the cell"]),
        (r#"{"cell": "stacked", "cells": []}"#.into(), ["stacked", "at least one"]),
        (format!(r#"{{"cell": "zoneout", "inner": {lstm}, "rates": [1.5]}}"#), ["zoneout", "1.5 is not in 0..=1"]),
        (
            format!(r#"{{"cell": "zoneout", "inner": {lstm}, "rates": [0.1, 0.1, 0.1]}}"#),
            ["zoneout", "3 of them for the 2"],
        ),
        (format!(r#"{{"cell": "dropped", "inner": {lstm}, "input": -0.5}}"#), ["dropped", "input: a rate of -0.5"]),
        (
            format!(r#"{{"cell": "weight_dropped", "inner": {lstm}, "rate": 0.5, "weights": ["U"]}}"#),
            ["`U`", "recurrent_kernel"],
        ),
        (
            r#"{"cell": "residual", "inner": {"cell": "lstm", "units": 4}}"#.into(),
            ["residual", "takes [3] and puts out [4]"],
        ),
        (
            r#"{"cell": "highway", "inner": {"cell": "lstm", "units": 4}}"#.into(),
            ["highway", "takes [3] and puts out [4]"],
        ),
        (
            format!(r#"{{"cell": "dilated", "inner": {lstm}, "distance": 0}}"#),
            ["dilated", "distance must be at least 1"],
        ),
        (format!(r#"{{"cell": "dilated", "inner": {lstm}, "distance": 99999999}}"#), ["dilated", "distance: 99999999"]),
    ] {
        let error = refused(&cell);
        assert!(words.iter().all(|word| error.contains(word)), "{cell}: {error}");
    }
    let restarted = format!(r#"{{"cell": "restarted", "inner": {lstm}}}"#);
    assert!(refused_on(&restarted, &[None, Some(1)]).contains("where segments start"));
    let error = refused_on(lstm, &[None, Some(2), Some(3)]);
    assert!(error.contains("row of features") && error.contains("[2, 3]"), "{error}");
    assert!(refused_on(lstm, &[None, None]).contains("must be known"));
}

/// A stack's cells keep their own rules, and no others.
#[test]
fn rules_of_cells_within_cells_are_theirs() {
    let squares = |param: &Param<f64>| param.value().to_vec().iter().map(|w| w * w).sum::<f64>();
    let cells = Stacked::new([
        Lstm::new(4).kernel_regularizer(Regularizer::l2(0.5)).into(),
        Zoneout::new(Gru::new(2).kernel_regularizer(Regularizer::l2(2.0)).bias_constraint(Constraint::NonNeg), 0.1)
            .into(),
        Mgu::new(2).into(),
    ]);
    let config = Recurrent::new(cells).regularizer("cells.2.recurrent_kernel", Regularizer::l2(8.0));
    let mut layer = config.try_layer::<f64>(Shape::from([3]), &mut Rng::new(0)).unwrap();
    let tape = Tape::new();
    let penalty = layer.penalty(&tape).unwrap().item();
    let mut expected = 0.0;
    for (name, param) in layer.params() {
        expected += match name.as_str() {
            "cell.cells.0.kernel" => 0.5 * squares(param),
            "cell.cells.1.inner.kernel" => 2.0 * squares(param),
            "cell.cells.2.recurrent_kernel" => 8.0 * squares(param),
            _ => 0.0,
        };
    }
    assert!((penalty - expected).abs() < 1e-12 * expected, "{penalty} {expected}");
    drop(tape);
    layer.visit_mut(&mut Path::default(), &mut |_, param: &mut Param<f64>| param.value_mut().fill(-1.0));
    layer.constrain();
    for (name, param) in layer.params() {
        let expected = if name == "cell.cells.1.inner.bias" { 0.0 } else { -1.0 };
        assert!(param.value().to_vec().iter().all(|&w| w == expected), "{name}");
    }
    let wrong = Recurrent::new(Lstm::new(2)).regularizer("cells.0.kernel", Regularizer::l2(1.0));
    let error = wrong.try_layer::<f64>(Shape::from([3]), &mut Rng::new(0)).err().unwrap().to_string();
    assert!(
        error.contains("no weight `cells.0.kernel`") && error.contains("there are kernel, recurrent_kernel, bias"),
        "{error}"
    );
}

/// A dropped weight is 0 at every step and for every row, and the others are larger by what is missing.
#[test]
fn a_weight_that_is_dropped_is_zero_all_the_way() {
    let config = WeightDropped::new(Lstm::new(4), 0.5);
    let layer = Recurrent::new(config).try_layer::<f64>(Shape::from([3]), &mut Rng::new(0)).unwrap();
    let x = Tensor::normal([4, 6, 3], 0.0, 1.0, &mut Rng::new(1));
    let noise = tapeloop_layers::Cell::draw(layer.cell(), &Tape::inference(), 4, 6, &mut Rng::new(2));
    let mask = noise.held[0].to_vec();
    assert!(mask.contains(&0.0) && mask.contains(&2.0) && noise.held[0].shape() == [4, 16]);
    let tape = Tape::inference();
    let dropped = layer.run_with(tape.constant(x.clone()), None, &noise).output.value();
    let mut plain = Recurrent::new(Lstm::new(4)).try_layer::<f64>(Shape::from([3]), &mut Rng::new(0)).unwrap();
    plain.visit_mut(&mut Path::default(), &mut |path, param: &mut Param<f64>| {
        if path.as_str().ends_with("recurrent_kernel") {
            param.value_mut().iter_mut().zip(&mask).for_each(|(w, m)| *w *= m);
        }
    });
    assert_eq!(dropped.to_vec(), plain.run(tape.constant(x), None).output.value().to_vec());
}

/// What stands in the place of a parameter is captured by a loop, and gets its gradient.
#[test]
fn values_in_the_place_of_parameters_reach_a_loop() {
    let layer = Lstm::new(4).layer::<f64>(3, &mut Rng::new(0));
    let x = Tensor::normal([2, 5, 3], 0.0, 1.0, &mut Rng::new(1));
    let run = |scale: f64| {
        let tape = Tape::new();
        let scale = tape.leaf(Tensor::from(scale));
        let weight = &layer.cell().recurrent_kernel;
        let scaled = tape.param(weight) * scale;
        let output = tape.with_params(&[(weight, scaled)], || layer.run(tape.constant(x.clone()), None).output);
        let loss = output.square().sum_all();
        (loss.item(), loss.backward().wrt(scale).unwrap().item())
    };
    let (h, at) = (1e-4, 0.7);
    let difference = (8.0 * (run(at + h).0 - run(at - h).0) - (run(at + 2.0 * h).0 - run(at - 2.0 * h).0)) / (12.0 * h);
    assert!((run(at).1 - difference).abs() < 1e-9, "{} {difference}", run(at).1);
    assert!(layer.explain().contains("derivative:"));
}
