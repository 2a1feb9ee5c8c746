//! Weights in the layouts of other libraries, against their equations written out.

use tapeloop_autograd::{Element, Rng, Tape, Tensor};
use tapeloop_layers::{
    Biases, CellWeights, Gru, Layout, Library, Lstm, Portable, Recurrence, Rnn, RnnOptions, SimpleRnn,
};

const FEATURES: usize = 3;
const UNITS: usize = 4;

type Gates = Vec<Vec<f64>>;

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// x W + b gate by gate, of a matrix (features, gates·units), or transposed.
fn gates(x: &[f64], matrix: &Tensor<f64>, transposed: bool, bias: &[f64]) -> Gates {
    let entry =
        |row: usize, column: usize| if transposed { matrix.at(&[column, row]) } else { matrix.at(&[row, column]) };
    let all: Vec<f64> = bias
        .iter()
        .enumerate()
        .map(|(column, bias)| bias + x.iter().enumerate().map(|(row, x)| x * entry(row, column)).sum::<f64>())
        .collect();
    all.chunks(UNITS).map(<[f64]>::to_vec).collect()
}

fn each(f: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..UNITS).map(f).collect()
}

/// A step of ONNX's LSTM: gates i, o, f, c; W (4H, I), R (4H, H), B = [Wb, Rb].
fn onnx_lstm(w: &CellWeights<f64>, x: &[f64], h: &[f64], c: &[f64]) -> [Vec<f64>; 2] {
    let b = w.biases[0].to_vec();
    let (wb, rb) = b.split_at(4 * UNITS);
    let (a, s) = (gates(x, &w.kernel, true, wb), gates(h, &w.recurrent_kernel, true, rb));
    let z = |gate: usize, k: usize| a[gate][k] + s[gate][k];
    let c = each(|k| sigmoid(z(2, k)) * c[k] + sigmoid(z(0, k)) * z(3, k).tanh());
    [each(|k| sigmoid(z(1, k)) * c[k].tanh()), c]
}

/// A step of Haiku's LSTM: gates i, g, f, o, and 1 added to f.
fn haiku_lstm(w: &CellWeights<f64>, x: &[f64], h: &[f64], c: &[f64]) -> [Vec<f64>; 2] {
    let (a, s) =
        (gates(x, &w.kernel, false, &w.biases[0].to_vec()), gates(h, &w.recurrent_kernel, false, &[0.0; 4 * UNITS]));
    let z = |gate: usize, k: usize| a[gate][k] + s[gate][k];
    let c = each(|k| sigmoid(z(2, k) + 1.0) * c[k] + sigmoid(z(0, k)) * z(1, k).tanh());
    [each(|k| sigmoid(z(3, k)) * c[k].tanh()), c]
}

/// A step of PyTorch's and cuDNN's LSTM: gates i, f, g, o, two biases.
fn torch_lstm(w: &CellWeights<f64>, x: &[f64], h: &[f64], c: &[f64]) -> [Vec<f64>; 2] {
    let [a, s] = torch_gates(w, x, h);
    let z = |gate: usize, k: usize| a[gate][k] + s[gate][k];
    let c = each(|k| sigmoid(z(1, k)) * c[k] + sigmoid(z(0, k)) * z(2, k).tanh());
    [each(|k| sigmoid(z(3, k)) * c[k].tanh()), c]
}

fn torch_gates(w: &CellWeights<f64>, x: &[f64], h: &[f64]) -> [Gates; 2] {
    let [b_ih, b_hh] = [0, 1].map(|k| w.biases[k].to_vec());
    [gates(x, &w.kernel, true, &b_ih), gates(h, &w.recurrent_kernel, true, &b_hh)]
}

/// A step of PyTorch's and cuDNN's GRU: gates r, z, n; n = tanh(a + r s).
fn torch_gru(w: &CellWeights<f64>, x: &[f64], h: &[f64], _: &[f64]) -> [Vec<f64>; 2] {
    let [a, s] = torch_gates(w, x, h);
    let new = each(|k| {
        let (r, z) = (sigmoid(a[0][k] + s[0][k]), sigmoid(a[1][k] + s[1][k]));
        (1.0 - z) * (a[2][k] + r * s[2][k]).tanh() + z * h[k]
    });
    [new, vec![0.0; UNITS]]
}

/// A step of ONNX's GRU: gates z, r, h; `linear_before_reset` puts r behind the product.
fn onnx_gru(w: &CellWeights<f64>, x: &[f64], h: &[f64], linear_before_reset: bool) -> [Vec<f64>; 2] {
    let b = w.biases[0].to_vec();
    let (wb, rb) = b.split_at(3 * UNITS);
    let (a, s) = (gates(x, &w.kernel, true, wb), gates(h, &w.recurrent_kernel, true, rb));
    let r = each(|k| sigmoid(a[1][k] + s[1][k]));
    let reset: Vec<f64> = each(|k| r[k] * h[k]);
    let before = gates(&reset, &w.recurrent_kernel, true, rb);
    let new = each(|k| {
        let z = sigmoid(a[0][k] + s[0][k]);
        let candidate = if linear_before_reset { r[k] * s[2][k] } else { before[2][k] };
        (1.0 - z) * (a[2][k] + candidate).tanh() + z * h[k]
    });
    [new, vec![0.0; UNITS]]
}

/// A step of Haiku's GRU: gates z, r, a; the reset gate before the product; z says what is new.
fn haiku_gru(w: &CellWeights<f64>, x: &[f64], h: &[f64], _: &[f64]) -> [Vec<f64>; 2] {
    let (a, s) =
        (gates(x, &w.kernel, false, &w.biases[0].to_vec()), gates(h, &w.recurrent_kernel, false, &[0.0; 3 * UNITS]));
    let reset: Vec<f64> = each(|k| sigmoid(a[1][k] + s[1][k]) * h[k]);
    let s2 = gates(&reset, &w.recurrent_kernel, false, &[0.0; 3 * UNITS]);
    let new = each(|k| {
        let z = sigmoid(a[0][k] + s[0][k]);
        (1.0 - z) * h[k] + z * (a[2][k] + s2[2][k]).tanh()
    });
    [new, vec![0.0; UNITS]]
}

type Step = fn(&CellWeights<f64>, &[f64], &[f64], &[f64]) -> [Vec<f64>; 2];

/// Every row of the table but ours, with its equations.
fn steps() -> Vec<(Library, Recurrence, Step)> {
    let simple: Step = |w, x, h, _| {
        let b: Vec<f64> = w.biases.iter().flat_map(Tensor::to_vec).collect();
        let (a, s) = (gates(x, &w.kernel, true, &b[..UNITS]), gates(h, &w.recurrent_kernel, true, &b[UNITS..]));
        [each(|k| (a[0][k] + s[0][k]).tanh()), vec![0.0; UNITS]]
    };
    use Library::{Cudnn, Haiku, Onnx, Torch};
    use Recurrence::{Gru, GruResetBefore, Lstm, SimpleRnn};
    vec![
        (Torch, SimpleRnn, simple),
        (Onnx, SimpleRnn, simple),
        (Cudnn, SimpleRnn, simple),
        (Torch, Lstm, torch_lstm),
        (Onnx, Lstm, onnx_lstm),
        (Cudnn, Lstm, torch_lstm),
        (Haiku, Lstm, haiku_lstm),
        (Torch, Gru, torch_gru),
        (Onnx, Gru, |w, x, h, _| onnx_gru(w, x, h, true)),
        (Cudnn, Gru, torch_gru),
        (Onnx, GruResetBefore, |w, x, h, _| onnx_gru(w, x, h, false)),
        (Haiku, GruResetBefore, haiku_gru),
    ]
}

/// Our cell of these equations, with biases that are not 0.
fn cell(recurrence: Recurrence) -> Box<dyn Portable<f64>> {
    let rng = &mut Rng::new(7);
    let mut cell: Box<dyn Portable<f64>> = match recurrence {
        Recurrence::SimpleRnn => Box::new(SimpleRnn::new(UNITS).cell(FEATURES, rng)),
        Recurrence::Lstm => Box::new(Lstm::new(UNITS).cell(FEATURES, rng)),
        Recurrence::Gru => Box::new(Gru::new(UNITS).cell(FEATURES, rng)),
        Recurrence::GruResetBefore => Box::new(Gru::new(UNITS).reset_after(false).cell(FEATURES, rng)),
    };
    let mut weights = cell.weights();
    weights.biases = weights.biases.iter().map(|bias| Tensor::normal(bias.shape(), 0.0, 0.5, rng)).collect();
    cell.set_weights(weights).unwrap();
    cell
}

/// The step of a cell from these states.
fn ours(cell: &dyn Portable<f64>, x: &[f64], h: &[f64], c: &[f64]) -> Vec<Vec<f64>> {
    let tape = Tape::inference();
    let row = |x: &[f64]| tape.constant(Tensor::from_vec([1, x.len()], x.to_vec()));
    cell.step(row(x), &[row(h), row(c)]).into_iter().map(|state| state.value().to_vec()).collect()
}

fn normal(count: usize, seed: u64) -> Vec<f64> {
    Tensor::normal([count], 0.0, 1.0, &mut Rng::new(seed)).to_vec()
}

#[test]
fn equations_in_every_layout_give_the_same_step() {
    let (x, h, c) = (normal(FEATURES, 1), normal(UNITS, 2), normal(UNITS, 3));
    let steps = steps();
    for row in Layout::TABLE {
        let (library, recurrence) = (row.library, row.recurrence);
        assert_eq!(Layout::of(library, recurrence).unwrap(), *row);
        if library == Library::Keras {
            assert_eq!(cell(recurrence).layout(), *row);
            continue;
        }
        let step =
            steps.iter().find(|step| (step.0, step.1) == (library, recurrence)).expect("equations of every row").2;
        let cell = cell(recurrence);
        let theirs = step(&cell.weights_for(library).unwrap(), &x, &h, &c);
        for (ours, theirs) in ours(&*cell, &x, &h, &c).iter().zip(&theirs) {
            let near = ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-14);
            assert!(near, "{library:?} {recurrence:?}: {ours:?} {theirs:?}");
        }
        // Their own weights, both biases of them, come here as well.
        let mut weights = cell.weights_for(library).unwrap();
        weights.biases =
            weights.biases.iter().map(|bias| Tensor::from_vec(bias.shape(), normal(bias.size(), 9))).collect();
        let mut here = self::cell(recurrence);
        here.set_weights_of(library, &weights).unwrap();
        let theirs = step(&weights, &x, &h, &c);
        for (ours, theirs) in ours(&*here, &x, &h, &c).iter().zip(&theirs) {
            assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-14), "{library:?} {recurrence:?}, back");
        }
    }
}

#[test]
fn between_any_two_and_back_is_the_same() {
    for from in Layout::TABLE {
        let own = Layout::of(Library::Keras, from.recurrence).unwrap();
        let weights = cell(from.recurrence).weights().convert(&own, from).unwrap();
        for to in Layout::TABLE.iter().filter(|to| to.recurrence == from.recurrence) {
            let there = weights.convert(from, to).unwrap();
            let back = there.convert(to, from).unwrap();
            // A forget gate to which 1 is added is rounded.
            let exact = from.forget == to.forget;
            let flat = |w: &CellWeights<f64>| -> Vec<f64> {
                [&w.kernel, &w.recurrent_kernel].into_iter().chain(&w.biases).flat_map(Tensor::to_vec).collect()
            };
            let bound = if exact { 0.0 } else { 1e-15 };
            assert!(flat(&back).iter().zip(flat(&weights)).all(|(a, b)| (a - b).abs() <= bound), "{from:?} {to:?}");
            assert_eq!(there.biases.len(), if to.biases == Biases::Two { 2 } else { 1 });
        }
    }
}

/// What is written of these layouts: gates, orientation, biases.
#[test]
fn the_table_says_what_the_libraries_say() {
    let of = |library, recurrence| {
        let Layout { gates, transposed, biases, .. } = Layout::of(library, recurrence).unwrap();
        (gates, transposed, biases)
    };
    assert_eq!(of(Library::Torch, Recurrence::Lstm), ("ifco", true, Biases::Two));
    assert_eq!(of(Library::Torch, Recurrence::Gru), ("rzh", true, Biases::Two));
    assert_eq!(of(Library::Cudnn, Recurrence::Lstm), ("ifco", true, Biases::Two));
    assert_eq!(of(Library::Cudnn, Recurrence::Gru), ("rzh", true, Biases::Two));
    assert_eq!(of(Library::Onnx, Recurrence::Lstm), ("iofc", true, Biases::Joined));
    assert_eq!(of(Library::Onnx, Recurrence::Gru), ("zrh", true, Biases::Joined));
    assert_eq!(of(Library::Haiku, Recurrence::Lstm), ("icfo", false, Biases::One));
    assert!(Layout::of(Library::Haiku, Recurrence::GruResetBefore).unwrap().z_is_new);
    for library in [Library::Torch, Library::Cudnn] {
        let error = Layout::of(library, Recurrence::GruResetBefore).unwrap_err().to_string();
        assert!(error.contains("before the product"), "{error}");
    }
}

#[test]
fn a_projection_and_no_bias_go_along() {
    let (lstm, onnx) = ([Library::Torch, Library::Onnx]).map(|l| Layout::of(l, Recurrence::Lstm).unwrap()).into();
    let uniform = |shape: [usize; 2], seed| Tensor::<f32>::uniform(shape, -1.0, 1.0, &mut Rng::new(seed));
    let weights = CellWeights {
        kernel: uniform([16, 3], 1),
        recurrent_kernel: uniform([16, 2], 2),
        biases: Vec::new(),
        projection: Some(uniform([2, 4], 3)),
    };
    let there = weights.convert(&lstm, &onnx).unwrap();
    assert!(there.biases.is_empty() && there.projection == weights.projection);
    assert_eq!(there.convert(&onnx, &lstm).unwrap(), weights);
    // Where 1 is added in the step, a bias takes it away.
    let haiku = Layout::of(Library::Haiku, Recurrence::Lstm).unwrap();
    let there = weights.convert(&lstm, &haiku).unwrap();
    assert_eq!(there.biases[0].to_vec(), [[0.0; 8], [-1.0, -1.0, -1.0, -1.0, 0.0, 0.0, 0.0, 0.0]].concat());
    assert_eq!(there.projection.unwrap().shape(), [4, 2]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let gru = |library| Layout::of(library, Recurrence::Gru).unwrap();
    let lstm = |library| Layout::of(library, Recurrence::Lstm).unwrap();
    let zeros = |shape: &[usize]| Tensor::<f32>::zeros(shape);
    let good = CellWeights {
        kernel: zeros(&[12, 3]),
        recurrent_kernel: zeros(&[12, 4]),
        biases: vec![zeros(&[12]), zeros(&[12])],
        projection: None,
    };
    let fails = |weights: &CellWeights<f32>, from: &Layout, to: &Layout, part: &str| {
        let error = weights.convert(from, to).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let (torch, keras) = (gru(Library::Torch), gru(Library::Keras));
    assert!(good.convert(&torch, &keras).is_ok());
    fails(&good, &torch, &lstm(Library::Keras), "cannot be those of an LSTM");
    fails(&CellWeights { kernel: zeros(&[13, 3]), ..good.clone() }, &torch, &keras, "no axis of 3 gates");
    fails(&CellWeights { kernel: zeros(&[12]), ..good.clone() }, &torch, &keras, "is no matrix");
    fails(&CellWeights { recurrent_kernel: zeros(&[12, 3]), ..good.clone() }, &torch, &keras, "should be [12, 4]");
    fails(&CellWeights { biases: vec![zeros(&[12])], ..good.clone() }, &torch, &keras, "has 2 biases, not 1");
    fails(&CellWeights { biases: vec![zeros(&[12]), zeros(&[9])], ..good.clone() }, &torch, &keras, "should be [12]");
    fails(&CellWeights { projection: Some(zeros(&[4, 5])), ..good.clone() }, &torch, &keras, "no axis of 4 units");
    fails(&good, &torch, &Layout { biases: Biases::One, ..keras }, "needs both biases");
    fails(&good, &torch, &Layout { gates: "zr", ..keras }, "are not the gates");
    let mut cell = Gru::new(4).cell::<f32>(2, &mut Rng::new(0));
    let before = cell.weights();
    let error = cell.set_weights_of(Library::Torch, &good).unwrap_err().to_string();
    assert!(error.contains("`kernel` has the shape [3, 12]; the cell needs [2, 12]"), "{error}");
    let bare = CellWeights {
        kernel: zeros(&[2, 12]),
        recurrent_kernel: zeros(&[4, 12]),
        biases: Vec::new(),
        projection: None,
    };
    assert!(cell.set_weights(bare).unwrap_err().to_string().contains("there is no `bias`"));
    assert_eq!(cell.weights(), before);
}

/// Two rows of biases are added, and each has the gradient.
#[test]
fn two_rows_of_biases_are_their_sum() {
    fn check<T: Element, C: Portable<T>>(mut cell: C, two: impl FnOnce(&mut C, Tensor<T>)) {
        let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
        let x = Tensor::<T>::normal([2, 5, FEATURES], 0.0, 1.0, &mut Rng::new(1));
        let width = cell.weights().kernel.shape()[1];
        let rows = Tensor::<T>::normal([2, width], 0.0, 1.0, &mut Rng::new(2));
        let mut one = cell.weights();
        one.biases = vec![Tensor::from_fn([width], |i| rows.at(&[0, i[0]]) + rows.at(&[1, i[0]]))];
        cell.set_weights(one).unwrap();
        let run = |rnn: &Rnn<T, C>| {
            let tape = Tape::new();
            let output = rnn.run(tape.constant(x.clone()), None).output;
            let gradients = output.square().sum_all().backward();
            let all = rnn.params().into_iter().map(|(_, param)| gradients.of(param).unwrap().clone());
            assert!(!rnn.explain().contains("unrolled"), "{}", rnn.explain());
            (output.value(), all.collect::<Vec<_>>())
        };
        let rnn = Rnn::new(cell, options);
        let (output, gradients) = run(&rnn);
        let mut cell = rnn.into_cell();
        two(&mut cell, rows);
        let (both, own) = run(&Rnn::new(cell, options));
        assert_eq!(output, both);
        assert_eq!(gradients[..2], own[..2]);
        assert_eq!(gradients[2], own[2].select(0, 0));
        assert_eq!(gradients[2], own[2].select(0, 1));
    }
    use tapeloop_autograd::{Module as _, Param};
    let rng = &mut Rng::new(0);
    check(Lstm::new(UNITS).cell::<f64>(FEATURES, rng), |cell, rows| cell.bias = Some(Param::new(rows)));
    check(SimpleRnn::new(UNITS).cell::<f32>(FEATURES, rng), |cell, rows| cell.bias = Some(Param::new(rows)));
}
