//! Convolutional recurrent layers: their settings, and what they cannot be.

use tapeloop_autograd::{Module, Param, Path, Rng, Tape, Tensor};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    Bidirectional, Cell, ConvGru2d, ConvLstm1d, ConvLstm2d, ConvLstm3d, DataFormat, Dense, Layer, LayerConfig, Padding,
    PerAxis, Rnn, RnnOptions, Sequential,
};

fn same<T: PartialEq + std::fmt::Debug>(a: &T, b: &T) {
    assert_eq!(a, b);
}

/// Outputs, last states and gradients of x and of all weights.
fn everything<C: Cell<f64>>(rnn: &Rnn<f64, C>, x: &Tensor<f64>) -> Vec<Tensor<f64>> {
    let tape = Tape::new();
    let x = tape.leaf(x.clone());
    let ran = rnn.run(x, None);
    let loss = (ran.output.square() + ran.output * 0.3).sum_all();
    let gradients = loss.backward();
    let mut all = vec![ran.output.value()];
    all.extend(ran.state.iter().map(|state| state.value()));
    all.push(gradients.wrt(x).unwrap().clone());
    all.extend(rnn.params().iter().map(|(_, param)| gradients.of(param).unwrap().clone()));
    all
}

fn close(a: &Tensor<f64>, b: &Tensor<f64>) {
    assert_eq!(a.shape(), b.shape());
    let scale = b.to_vec().iter().fold(1.0f64, |m, x| m.max(x.abs()));
    a.to_vec().iter().zip(b.to_vec()).for_each(|(a, b)| assert!((a - b).abs() <= 1e-13 * scale, "{a} and {b}"));
}

#[test]
fn channels_first_are_the_same_channels() {
    let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
    let x = Tensor::<f64>::normal([2, 3, 5, 4, 3], 0.0, 1.0, &mut Rng::new(1));
    let first_x = x.permute(&[0, 1, 4, 2, 3]);
    fn check(pair: [Rnn<f64, Box<dyn Cell<f64>>>; 2], x: &Tensor<f64>, first_x: &Tensor<f64>) {
        let [last, first] = pair;
        let (a, b) = (everything(&last, x), everything(&first, first_x));
        let states = last.cell().state_shapes().len();
        close(&b[0], &a[0].permute(&[0, 1, 4, 2, 3]));
        (1..=states).for_each(|k| close(&b[k], &a[k].permute(&[0, 3, 1, 2])));
        close(&b[1 + states], &a[1 + states].permute(&[0, 1, 4, 2, 3]));
        a[2 + states..].iter().zip(&b[2 + states..]).for_each(|(a, b)| close(b, a));
    }
    let boxed = |format| -> Box<dyn Cell<f64>> {
        let config = ConvLstm2d::new(2, [3, 2]).strides([2, 1]).data_format(format);
        let shape = if format == DataFormat::ChannelsLast { [5, 4, 3] } else { [3, 5, 4] };
        Box::new(config.cell(shape, &mut Rng::new(5)))
    };
    let formats = [DataFormat::ChannelsLast, DataFormat::ChannelsFirst];
    check(formats.map(|format| Rnn::new(boxed(format), options)), &x, &first_x);
    let boxed = |format| -> Box<dyn Cell<f64>> {
        let config = ConvGru2d::new(2, 3).padding(Padding::Same).dilation_rate(2).data_format(format);
        let shape = if format == DataFormat::ChannelsLast { [5, 4, 3] } else { [3, 5, 4] };
        Box::new(config.cell(shape, &mut Rng::new(5)))
    };
    check(formats.map(|format| Rnn::new(boxed(format), options)), &x, &first_x);
}

/// A window of one place over a grid of one place is the layer of rows.
#[test]
fn a_grid_of_one_place_is_a_row() {
    let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
    let x = Tensor::<f64>::normal([3, 4, 2], 0.0, 1.0, &mut Rng::new(1));
    let row = Rnn::new(tapeloop_layers::Lstm::new(5).cell::<f64>(2, &mut Rng::new(2)), options);
    let mut grid = Rnn::new(ConvLstm3d::new(5, 1).cell::<f64>([1, 1, 1, 2], &mut Rng::new(3)), options);
    let mut weights = row.params().into_iter().map(|(_, param)| param.value().to_vec());
    grid.visit_mut(&mut Path::default(), &mut |_, param: &mut Param<f64>| {
        let weight = Tensor::from_vec(param.value().shape().clone(), weights.next().unwrap());
        param.set(weight);
    });
    let (a, b) = (everything(&row, &x), everything(&grid, &x.reshape(&[3, 4, 1, 1, 1, 2])));
    for (a, b) in a.iter().zip(&b) {
        close(&b.reshape(&a.shape().iter().map(|&n| n as isize).collect::<Vec<_>>()), a);
    }
}

#[test]
fn a_layer_is_a_loop_and_says_how() {
    let layer = ConvLstm2d::new(2, 3).padding(Padding::Same).layer::<f64>([4, 4, 1], &mut Rng::new(0));
    let steps = layer.options();
    everything(&layer, &Tensor::normal([2, 5, 4, 4, 1], 0.0, 1.0, &mut Rng::new(1)));
    let how = layer.explain();
    assert!(how.contains("interpreted, operation by operation, since the step has"), "{how}");
    assert!(how.contains("before: reshape") && how.contains("derivative:") && !how.contains("unrolled"), "{how}");
    same(&steps, &RnnOptions::default());
    let error = layer.stream().unwrap_err().to_string();
    assert!(error.contains("[4, 4, 1]") && error.contains("cannot be streamed"), "{error}");
}

#[test]
fn dropout_is_drawn_for_every_gate() {
    let layer = ConvLstm1d::new(2, 3).dropout(0.5).recurrent_dropout(0.5).layer::<f32>([6, 1], &mut Rng::new(0));
    let noise = layer.cell().draw(&Tape::inference(), 3, 4, &mut Rng::new(1));
    let shapes: Vec<_> = noise.held.iter().map(|mask| mask.shape().dims().to_vec()).collect();
    assert_eq!(shapes, [vec![vec![3, 6, 1]; 4], vec![vec![3, 4, 2]; 4]].concat());
    // A rate of 1 drops everything, as in the other layers and in Keras' documentation.
    let layer = ConvLstm1d::new(2, 3).dropout(1.0).layer::<f32>([6, 1], &mut Rng::new(0));
    let masks = layer.cell().draw(&Tape::inference(), 3, 4, &mut Rng::new(1)).held;
    assert_eq!(masks.len(), 4);
    assert!(masks.iter().all(|mask| mask.to_vec().iter().all(|&kept| kept == 0.0)));
}

#[test]
fn a_model_of_grids_is_json_and_has_a_summary() {
    let json = r#"{"input_shape": [null, 6, 5, 2], "layers": [
        {"layer": "conv_lstm2d", "filters": 3, "kernel_size": [3, 2], "strides": 2, "return_sequences": true},
        {"layer": "bidirectional", "forward_layer": {"layer": "conv_gru2d", "filters": 2, "kernel_size": 2, "padding": "same"}},
        {"layer": "dense", "units": 1}]}"#;
    let config: Sequential = serde_json::from_str(json).unwrap();
    let again: Sequential = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(config, again);
    let model = config.build::<f32>(0).unwrap();
    assert_eq!(model.predict(&Tensor::zeros([2, 4, 6, 5, 2])).unwrap().shape(), [2, 2, 2, 1]);
    let summary = model.summary().to_string();
    assert!(summary.contains("conv_lstm2d") && summary.contains("2, 2, 3"), "{summary}");
    let built = Sequential::new([None, Some(6), Some(5), Some(2)])
        .add(ConvLstm2d::new(3, [3, 2]).strides(2).return_sequences(true))
        .add(Bidirectional::new(ConvGru2d::new(2, 2).padding(Padding::Same)))
        .add(Dense::new(1));
    assert_eq!(config, built);
}

#[test]
fn what_cannot_be_is_an_error_with_its_reason() {
    let build = |text: &str, input: &[Option<usize>]| -> String {
        let config: Result<LayerConfig, _> = serde_json::from_str(&format!("{{\"layer\": {text}}}"));
        let built = config.map_err(|error| error.to_string()).and_then(|config| {
            let built: Result<Box<dyn Layer<f32>>, _> = config.build(input, &mut Rng::new(0));
            built.map(|_| ()).map_err(|error| error.to_string())
        });
        built.unwrap_err()
    };
    let line = [None, Some(3), Some(2)];
    for (text, reason) in [
        (r#""conv_lstm1d", "filters": 2, "kernel_size": 5"#, "a window of [5] does not fit into [3]"),
        (r#""conv_lstm1d", "filters": 2, "kernel_size": 2, "dilation_rate": 3"#, "does not fit"),
        (
            r#""conv_lstm1d", "filters": 2, "kernel_size": 2, "dilation_rate": 2, "strides": 2"#,
            "cannot both be more than 1",
        ),
        (r#""conv_lstm1d", "filters": 2, "kernel_size": [2, 2]"#, "2 numbers for a grid of 1 axes"),
        (r#""conv_lstm1d", "filters": 0, "kernel_size": 2"#, "filters must be at least 1"),
        (r#""conv_lstm1d", "filters": 2"#, "kernel_size must be at least 1"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2, "strides": 0"#, "conv_gru1d: strides must be at least 1"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2, "strides": 4611686018427387904"#, "more than any grid"),
        (r#""conv_gru1d", "filters": 4611686018427387904, "kernel_size": 2"#, "there is no memory"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2000000000, "padding": "same""#, "there is no memory"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2, "dropout": 1.5"#, "1.5 is not in 0..=1"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2, "padding": "causal""#, "causal"),
        (r#""conv_gru1d", "filters": 2, "kernel_size": 2, "activation": "glu""#, "glu halves"),
        (r#""conv_lstm2d", "filters": 2, "kernel_size": 2"#, "needs (time, a grid of 2 axes, channels)"),
        (r#""conv_lstm1d", "filters": 2, "kernel_size": 2, "units": 3"#, "units"),
        (
            r#""bidirectional", "forward_layer": {"layer": "conv_lstm1d", "filters": 2, "kernel_size": 4}"#,
            "does not fit",
        ),
    ] {
        let error = build(text, &line);
        assert!(error.contains(reason), "{text}: {error}");
    }
    let error = build(r#""conv_lstm1d", "filters": 2, "kernel_size": 2"#, &[None, None, Some(2)]);
    assert!(error.contains("must be known"), "{error}");
    assert_eq!(PerAxis::from([2, 3]), serde_json::from_str("[2, 3]").unwrap());
}
