//! Layers that read both ways: composed of one way each, with masks, in models and in JSON.

use tapeloop_autograd::gradcheck::{Tolerance, gradcheck, gradgradcheck};
use tapeloop_autograd::{Module, Rng, Tape, Tensor, Var};
use tapeloop_layers::{
    Bidirectional, BidirectionalLayer, Cell, Dense, Embedding, Gru, LayerConfig, LayerNorm, Lstm, Masked, Masking,
    Merge, Pass, Sequential, SimpleRnn,
};

type Both = BidirectionalLayer<f64, Box<dyn Cell<f64>>, Box<dyn Cell<f64>>>;

const MERGES: [Option<Merge>; 5] = [None, Some(Merge::Concat), Some(Merge::Sum), Some(Merge::Mul), Some(Merge::Ave)];

fn both(layer: impl Into<LayerConfig>, merge: Option<Merge>) -> Both {
    Bidirectional::new(layer).merge_mode(merge).try_layer(3, &mut Rng::new(0)).unwrap()
}

fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

fn bits(x: &Tensor<f64>) -> Vec<u64> {
    x.to_vec().into_iter().map(f64::to_bits).collect()
}

/// Lengths 5, 2 and 0 of 5.
fn mask() -> Tensor<bool> {
    Tensor::from_fn([3, 5], |i| i[1] < [5, 2, 0][i[0]])
}

#[test]
fn it_is_its_two_layers_and_the_merge() {
    for sequences in [false, true] {
        for merge in MERGES {
            for masked in [false, true] {
                let layer = both(Lstm::new(4).return_sequences(sequences), merge);
                let tape = Tape::inference();
                let x = tape.constant(normal(&[3, 5, 3], 1));
                let x = if masked { Masked::new(x, &mask()) } else { x.into() };
                let initial: Vec<_> = (0..4).map(|k| tape.constant(normal(&[3, 4], k))).collect();
                let ran = layer.run(x, Some(&initial));
                let there = layer.forward_layer().run(x, Some(&initial[..2]));
                let back = layer.backward_layer().run(x, Some(&initial[2..]));
                let (a, b) = (there.output, if sequences { back.output.flip(&[1]) } else { back.output });
                let expected = match merge {
                    None => vec![a, b],
                    Some(Merge::Concat) => vec![Var::concat([a, b], -1)],
                    Some(Merge::Sum) => vec![a + b],
                    Some(Merge::Mul) => vec![a * b],
                    Some(Merge::Ave) => vec![(a + b) * 0.5],
                };
                let expected: Vec<_> = expected.into_iter().chain(there.state).chain(back.state).collect();
                let found: Vec<_> = ran.outputs.into_iter().chain(ran.state).collect();
                assert_eq!(found.len(), expected.len());
                for (a, b) in found.into_iter().zip(expected) {
                    assert_eq!(bits(&a.value()), bits(&b.value()), "{merge:?}");
                }
                assert!(!layer.explain().contains("unrolled"), "{}", layer.explain());
            }
        }
    }
}

/// The way back starts at each row's own end: a padded row is the row alone, in every layer of a stack.
#[test]
fn a_padded_row_is_the_row_alone() {
    let config = Sequential::new([None, Some(3)])
        .add(Masking::new(-7.0))
        .add(Bidirectional::new(Lstm::new(4).return_sequences(true)))
        .add(LayerNorm::new())
        .add(Bidirectional::new(Gru::new(3).return_sequences(true)).merge_mode(Merge::Ave))
        .add(Dense::new(4))
        .add(Bidirectional::new(SimpleRnn::new(2)))
        .add(Dense::new(2));
    let model = config.build::<f64>(3).unwrap();
    let x = normal(&[1, 4, 3], 1);
    let alone = model.predict(&x).unwrap();
    for (lead, time) in [(0, 4), (0, 9), (5, 9), (2, 8)] {
        let inside = |t: usize| (lead..lead + 4).contains(&t);
        let padded = Tensor::from_fn([1, time, 3], |i| if inside(i[1]) { x.at(&[0, i[1] - lead, i[2]]) } else { -7.0 });
        assert_eq!(bits(&model.predict(&padded).unwrap()), bits(&alone), "{lead} of {time}");
    }
}

#[test]
fn gradients() {
    let initial = (0..4).map(|k| normal(&[3, 4], 5 + k));
    let inputs: Vec<_> = [normal(&[3, 5, 3], 1)].into_iter().chain(initial).collect();
    for merge in MERGES {
        for sequences in [false, true] {
            let layer = both(Lstm::new(4).return_sequences(sequences), merge);
            fn f<'t>(layer: &Both, x: &[Var<'t, f64>]) -> Var<'t, f64> {
                let ran = layer.run(Masked::new(x[0], &mask()), Some(&x[1..]));
                Var::concat(ran.outputs.into_iter().chain(ran.state).map(|v| v.reshape(&[-1])), 0)
            }
            gradcheck(|x| f(&layer, x), &inputs, 4, Tolerance::default()).unwrap();
            let tolerance = Tolerance { absolute: 1e-7, relative: 1e-7, ..Tolerance::default() };
            gradgradcheck(|x| f(&layer, x), &inputs, 4, tolerance).unwrap();
        }
    }
}

#[test]
fn masks_travel_through_a_model_until_a_layer_ends_them() {
    let ids = Tensor::from([[3.0f64, 1.0, 0.0, 0.0], [2.0, 2.0, 4.0, 1.0]]);
    let counts = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
    let start = || Sequential::new([None]).add(Embedding::new(5, 3).mask_zero(true));
    let mask_behind = |config: &Sequential| {
        let model = config.build::<f64>(0).unwrap();
        let tape = Tape::new();
        let x = tape.constant(ids.clone());
        model.forward_masked(x.into(), &mut Pass::training(1)).mask.map(|mask| mask.value().to_vec())
    };
    let sequences = start()
        .add(Lstm::new(4).return_sequences(true))
        .add(Dense::new(3))
        .add(LayerNorm::new())
        .add(tapeloop_layers::Dropout::new(0.5))
        .add(tapeloop_layers::ActivationLayer::new(tapeloop_layers::Activation::Relu))
        .add(Bidirectional::new(Gru::new(2).return_sequences(true)));
    assert_eq!(mask_behind(&sequences), Some(counts.to_vec()));
    assert_eq!(mask_behind(&sequences.clone().add(Gru::new(2))), None);
    assert_eq!(mask_behind(&sequences.add(Bidirectional::new(Gru::new(2)))), None);
    assert_eq!(mask_behind(&Sequential::new([None]).add(Embedding::new(5, 3))), None);
    // That of the ids says the same as one that is given, and both can be.
    let model = start().add(Lstm::new(4)).build::<f64>(0).unwrap();
    let plain = Sequential::new([None]).add(Embedding::new(5, 3)).add(Lstm::new(4)).build::<f64>(0).unwrap();
    let mask = ids.map(|id| id != 0.0);
    assert_eq!(bits(&model.predict(&ids).unwrap()), bits(&plain.predict_masked(&ids, &mask).unwrap()));
    assert_ne!(bits(&model.predict(&ids).unwrap()), bits(&plain.predict(&ids).unwrap()));
    let first = Tensor::from_fn([2, 4], |i| i[1] < 1);
    let given = [&model, &plain].map(|model| bits(&model.predict_masked(&ids, &first).unwrap()));
    assert_eq!(given[0], given[1]);
    assert_ne!(given[0], bits(&model.predict(&ids).unwrap()));
    let error = plain.predict_masked(&ids, &Tensor::full([2, 3], true)).unwrap_err();
    assert!(error.is_input() && error.to_string().contains("[2, 4] (batch, time)"), "{error}");
}

#[test]
fn what_does_not_go_together_is_an_error() {
    let sequences = || Lstm::new(2).return_sequences(true);
    for (config, part) in [
        (Bidirectional::new(Dense::new(2)), "dense: it repeats no cell over time"),
        (Bidirectional::new(Lstm::new(0)), "lstm: units must be at least 1"),
        (Bidirectional::new(sequences()).backward_layer(sequences()), "go_backwards"),
        (Bidirectional::new(sequences()).backward_layer(Gru::new(2).go_backwards(true)), "return_sequences"),
        (
            Bidirectional::new(Lstm::new(2)).backward_layer(Gru::new(3).go_backwards(true)).merge_mode(Merge::Sum),
            "cannot be merged",
        ),
        (Bidirectional::new(Lstm::new(2)).merge_mode(None), "two outputs"),
    ] {
        let error = Sequential::new([4, 3]).add(config).build::<f32>(0).err().unwrap().to_string();
        assert!(error.starts_with("bidirectional") && error.contains(part), "{error}");
    }
    let error = Sequential::new([3]).add(Bidirectional::new(Lstm::new(2))).build::<f32>(0).err().unwrap();
    assert!(error.to_string().contains("(time, features)"), "{error}");
    let error = Sequential::new([3]).add(Masking::default()).build::<f32>(0).err().unwrap();
    assert!(error.to_string().contains("masking: needs (time, features)"), "{error}");
}

#[test]
fn a_model_that_reads_both_ways_is_its_json() {
    let config = Sequential::new([None])
        .add(Embedding::new(9, 4).mask_zero(true))
        .add(Bidirectional::new(Lstm::new(3).return_sequences(true).zero_output_for_mask(true)).merge_mode(Merge::Mul))
        .add(Bidirectional::new(Lstm::new(3)).backward_layer(Gru::new(2).go_backwards(true)))
        .add(Dense::new(1));
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Sequential>(&json).unwrap(), config);
    let short = r#"{"input_shape": [4, 2], "layers": [
        {"layer": "masking", "mask_value": -1.0},
        {"layer": "bidirectional", "forward_layer": {"layer": "gru", "units": 3}},
        {"layer": "bidirectional", "forward_layer": {"layer": "gru", "units": 3}, "merge_mode": null}]}"#;
    let expected = Sequential::new([4, 2])
        .add(Masking::new(-1.0))
        .add(Bidirectional::new(Gru::new(3)))
        .add(Bidirectional::new(Gru::new(3)).merge_mode(None));
    assert_eq!(serde_json::from_str::<Sequential>(short).unwrap(), expected);
    let model = config.build::<f32>(0).unwrap();
    let names: Vec<_> = model.params().into_iter().map(|(name, _)| name).collect();
    for name in ["bidirectional.forward_layer.cell.kernel", "bidirectional_1.backward_layer.cell.bias"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    let text = model.summary().to_string();
    for part in ["bidirectional (Bidirectional)", "(None, None, 3)", "bidirectional_1 (Bidirectional)", "(None, 5)"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn both_ways_are_stateful_together() {
    let config = Bidirectional::new(Gru::new(2).stateful(true));
    let model = Sequential::new([None, Some(3)]).add(config).build::<f64>(0).unwrap();
    let x = normal(&[2, 4, 3], 1);
    let first = model.predict(&x).unwrap();
    let second = model.predict(&x).unwrap();
    assert_ne!(bits(&first), bits(&second));
    assert!(model.predict(&normal(&[3, 4, 3], 1)).unwrap_err().to_string().contains("batches of 2"));
    model.reset_state();
    assert_eq!(bits(&first), bits(&model.predict(&x).unwrap()));
}
