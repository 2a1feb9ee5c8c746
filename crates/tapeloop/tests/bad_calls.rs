//! Calls that make no sense, or only just do: every row of `cases/malformed/bad_calls.json`.
//!
//! A mistake in a program panics at the program's own line, with the shapes and the rule. What is decided outside is an
//! error. What has an answer is that answer, which the documentation states. What cannot be written is a program in
//! `src/lib.rs` that must not compile.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value as Json;
use tapeloop::losses::cross_entropy;
use tapeloop::optim::{Adam, AdamConfig, Optimizer, Sgd};
use tapeloop::{
    Cell, Conv, Embedding, Gru, LayerConfig, Lstm, Masked, Masking, Param, Rng, Rnn, Sequential, Tape, Tensor, Var, s,
};

/// What must come of a call.
enum Must {
    /// A panic at a line of this file, with all of this in its message.
    Panic(&'static [&'static str], Call),
    /// An error with all of this in its message, and no panic.
    Error(&'static [&'static str], fn() -> Result<(), String>),
    /// The documented answer, which the call checks.
    Answer(Call),
    /// The compiler's refusal of the program of this name in `src/lib.rs`.
    NotCompile,
}

type Call = fn();

use Must::{Answer, Error, NotCompile, Panic};

type T = Tensor<f64>;

fn ones(shape: &[usize]) -> T {
    T::ones(shape)
}

fn lstm(units: usize) -> Rnn<f64, impl Cell<f64>> {
    Lstm::new(units).layer(3, &mut Rng::new(0))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

const CALLS: &[(&str, &[Must])] = &[
    (
        "matmul_inner",
        &[Panic(&["matmul", "[3, 4]", "[5, 2]"], || {
            let tape = Tape::new();
            _ = tape.leaf(ones(&[3, 4])).matmul(tape.leaf(ones(&[5, 2])));
        })],
    ),
    (
        "add_not_broadcastable",
        &[Panic(&["add", "[3, 4]", "[2, 4]"], || {
            let tape = Tape::new();
            _ = tape.leaf(ones(&[3, 4])) + tape.leaf(ones(&[2, 4]));
        })],
    ),
    (
        "reshape_count",
        &[
            Panic(&["reshape", "[12]", "5", "-1"], || _ = Tape::new().leaf(ones(&[12])).reshape(&[5, -1])),
            Panic(&["reshape", "[12]", "5", "-1"], || _ = ones(&[12]).reshape(&[5, -1])),
        ],
    ),
    (
        "reshape_two_minus_ones",
        &[
            Panic(&["reshape", "[12]", "-1, -1"], || _ = Tape::new().leaf(ones(&[12])).reshape(&[-1, -1])),
            Panic(&["reshape", "[12]", "-1, -1"], || _ = ones(&[12]).reshape(&[-1, -1])),
        ],
    ),
    (
        "reshape_empty_minus_one",
        &[
            Panic(&["reshape", "[0, 3]", "0, -1"], || _ = Tape::new().leaf(ones(&[0, 3])).reshape(&[0, -1])),
            Panic(&["reshape", "[0, 3]", "0, -1"], || _ = ones(&[0, 3]).reshape(&[0, -1])),
        ],
    ),
    ("axis_past_end", &[Panic(&["sum", "[2, 3]", "axis 2"], || _ = Tape::new().leaf(ones(&[2, 3])).sum(&[2], false))]),
    (
        "axis_negative_past_end",
        &[Panic(&["sum", "[2, 3]", "axis -3"], || _ = Tape::new().leaf(ones(&[2, 3])).sum(&[-3], false))],
    ),
    (
        "axis_duplicate",
        &[Panic(&["sum", "[2, 3]", "axis -2", "twice"], || _ = Tape::new().leaf(ones(&[2, 3])).sum(&[0, -2], false))],
    ),
    (
        "permute_repeat",
        &[
            Panic(&["permute", "[2, 3, 4]", "[0, 0, 1]"], || {
                _ = Tape::new().leaf(ones(&[2, 3, 4])).permute(&[0, 0, 1]);
            }),
            Panic(&["permute", "[2, 3, 4]", "[0, 0, 1]"], || _ = ones(&[2, 3, 4]).permute(&[0, 0, 1])),
        ],
    ),
    (
        "concat_mismatch",
        &[Panic(&["concat", "[2, 3]", "[2, 4]"], || {
            let tape = Tape::new();
            _ = Var::concat([tape.leaf(ones(&[2, 3])), tape.leaf(ones(&[2, 4]))], 0);
        })],
    ),
    (
        "concat_nothing",
        &[Panic(&["concat", "at least one"], || {
            _ = Var::<f64>::concat([], 0);
        })],
    ),
    (
        "shape_overflow",
        &[
            Panic(&["[8589934592, 8589934592]", "address range"], || _ = T::zeros([1 << 33, 1 << 33])),
            Error(&["[8589934592, 8589934592]", "address range"], || {
                T::try_from_vec([1 << 33, 1 << 33], vec![]).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "shape_too_big",
        &[
            Panic(&["[1125899906842624]", "no memory"], || _ = Tensor::<f32>::zeros([1 << 50])),
            Panic(&["[1125899906842624]", "no memory"], || _ = Tensor::<f32>::from_fn([1 << 50], |_| 0.0)),
            Panic(&["[1048576, 1073741824]", "no memory"], || _ = Tape::<f32>::new().full([1 << 20, 1 << 30], 0.0)),
            Error(&["lstm", "no memory"], || {
                let json = r#"{"input_shape": [5, 4], "layers": [{"layer": "lstm", "units": 1099511627776}]}"#;
                serde_json::from_str::<Sequential>(json).map_err(text)?.build::<f32>(0).map(drop).map_err(text)
            }),
        ],
    ),
    ("negative_size", &[NotCompile]),
    (
        "gather_out_of_range",
        &[Panic(&["gather", "index 4", "[4]"], || {
            _ = Tape::new().leaf(ones(&[4])).gather(0, &Tensor::from([4i64]));
        })],
    ),
    (
        "gather_negative",
        &[Panic(&["gather", "index -1", "[4]"], || {
            _ = Tape::new().leaf(ones(&[4])).gather(0, &Tensor::from([-1i64]));
        })],
    ),
    (
        "embedding_out_of_range",
        &[
            Panic(&["embedding", "5", "[5, 2]"], || {
                let layer = Embedding::new(5, 2).layer::<f64>(&mut Rng::new(0));
                _ = layer.look_up(&Tape::new(), &Tensor::from([5i64]));
            }),
            Error(&["embedding", "0..5", "5"], || {
                let model = Sequential::new([1]).add(Embedding::new(5, 2)).build::<f64>(0).map_err(text)?;
                model.predict(&T::from([[5.0]])).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "embedding_negative",
        &[
            Panic(&["embedding", "-1", "[5, 2]"], || {
                let layer = Embedding::new(5, 2).layer::<f64>(&mut Rng::new(0));
                _ = layer.look_up(&Tape::new(), &Tensor::from([-1i64]));
            }),
            Error(&["embedding", "0..5", "-1"], || {
                let model = Sequential::new([1]).add(Embedding::new(5, 2)).build::<f64>(0).map_err(text)?;
                model.predict(&T::from([[-1.0]])).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "max_of_empty",
        &[
            Panic(&["max", "[0, 3]"], || _ = Tape::new().leaf(ones(&[0, 3])).max(&[0], false)),
            Panic(&["argmax", "[0, 3]"], || _ = ones(&[0, 3]).argmax(0, false)),
        ],
    ),
    (
        "mean_of_empty",
        &[Answer(|| {
            let tape = Tape::new();
            assert!(tape.leaf(ones(&[0])).mean_all().item().is_nan());
            assert!(tape.leaf(ones(&[2, 0])).mean(&[1], false).value().to_vec().iter().all(|x| x.is_nan()));
        })],
    ),
    (
        "lstm_wrong_features",
        &[
            Panic(&["rnn", "[2, 7, 4]", "3 features"], || {
                let tape = Tape::new();
                _ = lstm(5).run(tape.constant(ones(&[2, 7, 4])), None);
            }),
            Error(&["3", "[2, 7, 4]"], || {
                let model = Sequential::new([None, Some(3)]).add(Lstm::new(5)).build::<f64>(0).map_err(text)?;
                model.predict(&ones(&[2, 7, 4])).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "lstm_2d_input",
        &[
            Panic(&["rnn", "[7, 3]", "(batch, time, 3 features)"], || {
                let tape = Tape::new();
                _ = lstm(5).run(tape.constant(ones(&[7, 3])), None);
            }),
            Error(&["lstm", "(time, features)"], || {
                Sequential::new([3]).add(Lstm::new(5)).build::<f64>(0).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "lstm_zero_steps",
        &[Answer(|| {
            // As `Rnn` says: any length of time, 0 included. Empty sequences, zeros as the last output, states as they were.
            let tape = Tape::new();
            let x = tape.leaf(ones(&[2, 0, 3]));
            let start = [tape.leaf(T::full([2, 5], 0.5)), tape.leaf(T::full([2, 5], 0.25))];
            let run = lstm(5).run(x, Some(&start));
            assert_eq!(run.output.value().to_vec(), [0.0; 10]);
            let state: Vec<_> = run.state.iter().map(|x| x.value().to_vec()).collect();
            assert_eq!(state, [[0.5; 10], [0.25; 10]]);
            let all =
                Lstm::new(5).return_sequences(true).return_state_sequences(true).layer::<f64>(3, &mut Rng::new(0));
            let run = all.run(x, Some(&start));
            assert_eq!(run.output.shape(), [2, 0, 5]);
            assert!(run.states.len() == 2 && run.states.iter().all(|states| states.shape() == [2, 0, 5]));
        })],
    ),
    (
        "lstm_batch_0",
        &[Answer(|| {
            let tape = Tape::new();
            let run = lstm(5).run(tape.leaf(ones(&[0, 7, 3])), None);
            assert!(run.output.shape() == [0, 5] && run.state.iter().all(|state| state.shape() == [0, 5]));
            let all = Lstm::new(5).return_sequences(true).layer::<f64>(3, &mut Rng::new(0));
            assert_eq!(all.run(tape.leaf(ones(&[0, 7, 3])), None).output.shape(), [0, 7, 5]);
        })],
    ),
    (
        "lstm_hidden_0",
        &[
            Panic(&["lstm", "units must be at least 1"], || _ = Lstm::new(0).layer::<f64>(3, &mut Rng::new(0))),
            Error(&["lstm", "units must be at least 1"], || {
                Sequential::new([7, 3]).add(Lstm::new(0)).build::<f64>(0).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "lstm_negative_units",
        &[
            NotCompile,
            Error(&["-2"], || {
                serde_json::from_str::<LayerConfig>(r#"{"layer": "lstm", "units": -2}"#).map(drop).map_err(text)
            }),
            Error(&["-2"], || serde_json::from_str::<Lstm>(r#"{"units": -2}"#).map(drop).map_err(text)),
        ],
    ),
    (
        "lstm_dropout_range",
        &[
            Panic(&["lstm", "dropout", "1.5", "0..=1"], || {
                _ = Lstm::new(4).dropout(1.5).layer::<f64>(3, &mut Rng::new(0));
            }),
            Error(&["lstm", "dropout", "1.5", "0..=1"], || {
                Sequential::new([7, 3]).add(Lstm::new(4).dropout(1.5)).build::<f64>(0).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "lstm_state_shape",
        &[Panic(&["state 0", "[2, 4]", "batch 2", "[5]"], || {
            let tape = Tape::new();
            let start = [tape.leaf(ones(&[2, 4])), tape.leaf(ones(&[2, 5]))];
            _ = lstm(5).run(tape.constant(ones(&[2, 7, 3])), Some(&start));
        })],
    ),
    (
        "lstm_state_count",
        &[Panic(&["2 states", "1 were given"], || {
            let tape = Tape::new();
            _ = lstm(5).run(tape.constant(ones(&[2, 7, 3])), Some(&[tape.leaf(ones(&[2, 5]))]));
        })],
    ),
    (
        "lstm_state_batch",
        &[Panic(&["state 0", "[3, 5]", "batch 2"], || {
            let tape = Tape::new();
            let gru = Gru::new(5).layer::<f64>(3, &mut Rng::new(0));
            _ = gru.run(tape.constant(ones(&[2, 7, 3])), Some(&[tape.leaf(ones(&[3, 5]))]));
        })],
    ),
    (
        "mask_shape",
        &[
            Panic(&["mask", "[2, 7, 3]", "[2, 6]"], || {
                let tape = Tape::new();
                _ = Masked::new(tape.constant(ones(&[2, 7, 3])), &Tensor::full([2, 6], true));
            }),
            Panic(&["mask", "[2, 6]", "batch 2", "time 7"], || {
                let tape = Tape::new();
                let x = tape.constant(ones(&[2, 7, 3]));
                _ = lstm(5).run(Masked { mask: Some(tape.constant(ones(&[2, 6]))), ..x.into() }, None);
            }),
        ],
    ),
    (
        "stateful_batch_change",
        &[
            Panic(&["[2, 5]", "batch 3"], || {
                let layer = Lstm::new(5).stateful(true).layer::<f64>(3, &mut Rng::new(0));
                let tape = Tape::new();
                _ = layer.run(tape.constant(ones(&[2, 7, 3])), None);
                _ = layer.run(tape.constant(ones(&[3, 7, 3])), None);
            }),
            Error(&["batches of 2", "a batch of 3", "reset_state"], || {
                let model = Sequential::new([7, 3]).add(Lstm::new(5).stateful(true)).build::<f64>(0).map_err(text)?;
                model.predict(&ones(&[2, 7, 3])).map_err(text)?;
                model.predict(&ones(&[3, 7, 3])).map(drop).map_err(text)
            }),
        ],
    ),
    (
        "packed_zero_length",
        &[Answer(|| {
            // A row without steps: its state is the one it started from, its output 0.
            let tape = Tape::new();
            let x = tape.constant(ones(&[2, 4, 3]));
            let start = [tape.leaf(T::full([2, 5], 0.5)), tape.leaf(T::full([2, 5], 0.25))];
            let run = lstm(5).run(Masked::with_lengths(x, &[4, 0]), Some(&start));
            assert_eq!(run.output.value().select(0, 1).to_vec(), [0.0; 5]);
            assert_eq!(run.state[0].value().select(0, 1).to_vec(), [0.5; 5]);
            assert_eq!(run.state[1].value().select(0, 1).to_vec(), [0.25; 5]);
        })],
    ),
    (
        "packed_length_too_long",
        &[Panic(&["[2, 4, 3]", "[5, 2]"], || {
            let tape = Tape::new();
            _ = Masked::with_lengths(tape.constant(ones(&[2, 4, 3])), &[5, 2]);
        })],
    ),
    (
        "backward_twice",
        &[Answer(|| {
            // The tape stays until it is reset.
            let tape = Tape::new();
            let x = tape.leaf(T::from([2.0, 3.0]));
            let y = (x * x).sum_all();
            let once = y.backward().wrt(x).unwrap().to_vec();
            assert!(once == [4.0, 6.0] && y.backward().wrt(x).unwrap().to_vec() == once);
        })],
    ),
    (
        "backward_non_scalar",
        &[Panic(&["backward", "[3]", "no scalar"], || {
            let tape = Tape::new();
            _ = (tape.leaf(ones(&[3])) * 2.0).backward();
        })],
    ),
    (
        "inplace_on_saved",
        &[
            // A value on the tape cannot be changed; a parameter and a tensor can, and the tape keeps what it has read.
            NotCompile,
            Answer(|| {
                let (mut w, mut t) = (Param::new(T::from([0.0, 1.0])), T::from([2.0]));
                let tape = Tape::new();
                let x = tape.leaf(t.clone());
                let loss = tape.param(&w).exp().sum_all() + x.exp().sum_all();
                w.value_mut().fill(7.0);
                t.as_mut_slice().fill(7.0);
                let gradients = loss.backward();
                assert_eq!(gradients.of(&w).unwrap().to_vec(), [1.0, 1f64.exp()]);
                assert_eq!(gradients.wrt(x).unwrap().to_vec(), [2f64.exp()]);
            }),
        ],
    ),
    (
        "grad_of_unused",
        &[Answer(|| {
            let tape = Tape::new();
            let (x, u) = (tape.leaf(ones(&[3])), tape.leaf(ones(&[2])));
            assert!(x.sum_all().backward().wrt(u).is_none());
            assert_eq!(tape.grad(&[(x.sum_all(), tape.scalar(1.0))], &[u])[0].value().to_vec(), [0.0, 0.0]);
        })],
    ),
    ("dtype_mix", &[NotCompile]),
    (
        "log_negative",
        &[Answer(|| {
            assert!(Tape::new().leaf(T::from([-1.0])).ln().item().is_nan());
            assert!(Tape::new().leaf(Tensor::from([-1.0f32])).ln().item().is_nan());
        })],
    ),
    (
        "conv_kernel_too_big",
        &[
            Panic(&["conv", "[1, 1, 3]", "[1, 1, 5]"], || {
                let tape = Tape::new();
                _ = tape.leaf(ones(&[1, 1, 3])).conv(tape.leaf(ones(&[1, 1, 5])), None, &Conv::new());
            }),
            Panic(&["conv", "[1, 3, 1]", "[5, 1, 1]"], || {
                let tape = Tape::new();
                _ = tape.leaf(ones(&[1, 3, 1])).conv_last(tape.leaf(ones(&[5, 1, 1])), None, &Conv::new());
            }),
        ],
    ),
    (
        "cross_entropy_class_range",
        &[Panic(&["cross_entropy", "3"], || {
            let tape = Tape::new();
            _ = cross_entropy(tape.leaf(ones(&[1, 3])), &Tensor::from([3i64]));
        })],
    ),
    (
        "optimizer_lr_negative",
        &[
            Panic(&["learning_rate is -0.1", "at least 0"], || _ = Adam::<f64>::new(-0.1)),
            Panic(&["learning_rate is -0.1", "at least 0"], || {
                Optimizer::<f64>::set_learning_rate(&mut Adam::<f64>::new(0.1), -0.1);
            }),
            Error(&["learning_rate is -0.1", "at least 0"], || {
                AdamConfig { learning_rate: -0.1, ..AdamConfig::default() }.validate().map_err(text)
            }),
        ],
    ),
    (
        "optimizer_no_params",
        &[Answer(|| {
            // A step of a module without parameters does nothing.
            let (mut masking, x) = (Masking::new(0.0), Param::new(ones(&[1])));
            let (_, gradients) = Tape::new().value_and_grad(|tape| tape.param(&x).sum_all());
            let mut optimizer = Sgd::<f64>::new(0.1);
            optimizer.step(&mut masking, &gradients);
            assert_eq!(optimizer.iterations(), 1);
        })],
    ),
    (
        "einsum_bad_subscript",
        &[Panic(&["einsum", "`ij,jk->il`", "[2, 3]", "[3, 4]", "l"], || {
            let tape = Tape::new();
            _ = Var::einsum("ij,jk->il", &[tape.leaf(ones(&[2, 3])), tape.leaf(ones(&[3, 4]))]);
        })],
    ),
    ("slice_step_zero", &[Panic(&["slice", "step"], || _ = ones(&[4]).slice(0, s(0..).step(0)))]),
];

thread_local! {
    /// File and message of this thread's last panic.
    static LAST: RefCell<(String, String)> = const { RefCell::new((String::new(), String::new())) };
}

/// What came of a call: nothing, or the file and the message of a panic.
fn panics(call: impl FnOnce()) -> Option<(String, String)> {
    catch_unwind(AssertUnwindSafe(call)).err().map(|_| LAST.take())
}

fn lacks<'a>(message: &str, parts: &[&'a str]) -> Option<&'a str> {
    parts.iter().copied().find(|part| !message.contains(part))
}

fn outcome(id: &str, must: &Must) -> Result<(), String> {
    match must {
        Panic(parts, call) => {
            let (file, message) = panics(call).ok_or("it does not panic")?;
            if !file.ends_with("bad_calls.rs") {
                return Err(format!("it panics in {file}: {message}"));
            }
            lacks(&message, parts).map_or(Ok(()), |part| Err(format!("no {part:?} in the panic: {message}")))
        }
        Error(parts, call) => {
            let mut result = Ok(());
            if let Some((file, message)) = panics(|| result = call()) {
                return Err(format!("it panics in {file}: {message}"));
            }
            let message = result.err().ok_or("there is no error")?;
            lacks(&message, parts).map_or(Ok(()), |part| Err(format!("no {part:?} in the error: {message}")))
        }
        Answer(call) => panics(call).map_or(Ok(()), |(file, message)| Err(format!("in {file}: {message}"))),
        NotCompile => match include_str!("../src/lib.rs").contains(&format!("    struct {};", camel(id))) {
            true => Ok(()),
            false => Err("src/lib.rs has no such program".into()),
        },
    }
}

/// `dtype_mix` as `DtypeMix`.
fn camel(id: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    id.split('_').map(word).collect()
}

#[test]
fn every_bad_call_is_answered() {
    std::panic::set_hook(Box::new(|info| {
        let file = info.location().map(|location| location.file().to_string()).unwrap_or_default();
        LAST.set((file, info.payload_as_str().unwrap_or_default().to_string()));
    }));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/malformed/bad_calls.json");
    let listed: Vec<Json> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let listed: BTreeSet<&str> = listed.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let own: BTreeSet<&str> = CALLS.iter().map(|(id, _)| *id).collect();
    let mut failures: Vec<String> =
        listed.symmetric_difference(&own).map(|id| format!("{id}: only in one of both lists")).collect();
    for (id, musts) in CALLS {
        assert!(!musts.is_empty());
        for (k, must) in musts.iter().enumerate() {
            failures.extend(outcome(id, must).err().map(|problem| format!("{id}, {k}: {problem}")));
        }
    }
    drop(std::panic::take_hook());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{} bad calls", listed.len());
}
