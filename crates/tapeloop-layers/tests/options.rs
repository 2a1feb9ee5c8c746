//! Every option of every recurrent layer, one by one: which engine ran, and that the loop is the tape.
//!
//! The options are the fields that a configuration reads from JSON: one that has no row in the table fails the test.

use serde_json::{Map, Value as Json, json};
use tapeloop_autograd::{Element, Module, Param, Path, Rng, Tape, Tensor, Var};
use tapeloop_layers::layers::Config;
use tapeloop_layers::{
    Activation, Bidirectional, BidirectionalLayer, Cell, LayerConfig, Masked, Merge, Pass, Rnn, StackedCells,
};

const TIME: usize = 5;
const BATCH: usize = 3;

/// What an option is set to, one after the other. An option that is unknown here has no values.
fn values(layer: &str, option: &str) -> Option<Vec<Json>> {
    let rule = || vec![json!({"l1_l2": {"l1": 0.1, "l2": 0.2}})];
    let projection = || vec![json!({"max_norm": {"max_value": 0.5}})];
    let kept = || Activation::ALL.iter().filter(|f| f.keeps_shape()).map(|f| json!(f)).collect::<Vec<_>>();
    Some(match option {
        "units" | "filters" => vec![json!(1), json!(4)],
        "kernel_size" => vec![json!(1), json!(3)],
        "strides" | "dilation_rate" => vec![json!(1), json!(2)],
        "padding" => vec![json!("valid"), json!("same")],
        "data_format" => vec![json!("channels_last"), json!("channels_first")],
        "activation" | "recurrent_activation" => kept(),
        "use_bias" | "unit_forget_bias" | "reset_after" => vec![json!(false), json!(true)],
        "kernel_initializer" | "recurrent_initializer" => vec![json!("he_normal"), json!("zeros")],
        "bias_initializer" => vec![json!("ones"), json!({"normal": {"std": 0.5}})],
        "dropout" | "recurrent_dropout" => vec![json!(0.4), json!(1.0)],
        "implementation" => vec![json!(1), json!(2)],
        "seed" => vec![json!(7)],
        "kernel_regularizer" | "recurrent_regularizer" | "bias_regularizer" | "activity_regularizer" => rule(),
        "kernel_constraint" | "recurrent_constraint" | "bias_constraint" => projection(),
        "return_sequences" | "return_state" | "return_state_sequences" | "go_backwards" | "stateful" => {
            vec![json!(false), json!(true)]
        }
        "zero_output_for_mask" => vec![json!(false), json!(true)],
        "unroll" => vec![json!(true)],
        "checkpoint" => vec![json!({"every": 2}), json!("sqrt")],
        "truncated_bptt" => vec![json!(2), json!(100)],
        // Both directions have the options of the layers; their own are these.
        "forward_layer" | "backward_layer" if layer == "bidirectional" => vec![],
        "merge_mode" if layer == "bidirectional" => {
            [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Ave].map(|merge| json!(merge)).to_vec()
        }
        _ => return None,
    })
}

/// The options that a configuration of this kind reads: what it says it expects instead of one that does not exist.
fn options(base: &Json) -> Vec<String> {
    let mut wrong = base.clone();
    wrong["no such option"] = json!(0);
    let error = serde_json::from_value::<LayerConfig>(wrong).unwrap_err().to_string();
    let (_, list) = error.split_once("expected one of ").unwrap_or_else(|| panic!("{error}"));
    let list = list.split(" at line").next().unwrap();
    list.split(", ").map(|name| name.trim_matches('`').to_string()).collect()
}

/// A kind of layer: its name, a small one of it, and an input's shape behind batch and time.
struct Kind {
    name: &'static str,
    base: Json,
    step: &'static [usize],
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Alone,
    /// Below a cell of another kind.
    Stacked,
    BothWays,
}

fn kinds() -> Vec<Kind> {
    let lstm = json!({"layer": "lstm", "units": 3});
    let gru = json!({"layer": "gru", "units": 3});
    let kind = |name, base: &Json, step, how| Kind { name, base: base.clone(), step, how };
    vec![
        kind("lstm", &lstm, &[2], How::Alone),
        kind("gru", &gru, &[2], How::Alone),
        kind("simple_rnn", &json!({"layer": "simple_rnn", "units": 3}), &[2], How::Alone),
        kind("conv_lstm2d", &json!({"layer": "conv_lstm2d", "filters": 2, "kernel_size": 2}), &[3, 4, 3], How::Alone),
        kind("conv_gru1d", &json!({"layer": "conv_gru1d", "filters": 2, "kernel_size": 2}), &[5, 3], How::Alone),
        kind("lstm in a stack", &lstm, &[2], How::Stacked),
        kind("gru in a stack", &gru, &[2], How::Stacked),
        kind("lstm both ways", &lstm, &[2], How::BothWays),
        kind("gru both ways", &gru, &[2], How::BothWays),
    ]
}

type AnyRnn<T> = Rnn<T, Box<dyn Cell<T>>>;
type BothWays<T> = BidirectionalLayer<T, Box<dyn Cell<T>>, Box<dyn Cell<T>>>;

/// A layer with its noise and its rules, as it is called.
enum Built<T: Element> {
    One(Box<AnyRnn<T>>),
    Both(Box<BothWays<T>>),
}

impl<T: Element> Built<T> {
    fn new(kind: &Kind, config: &Json) -> Self {
        let axes: Vec<Option<usize>> = [None].into_iter().chain(kind.step.iter().map(|&n| Some(n))).collect();
        let rng = &mut Rng::new(3);
        let config: LayerConfig = serde_json::from_value(config.clone()).unwrap_or_else(|e| panic!("{config}: {e}"));
        let mut built = match (kind.how, config) {
            (How::BothWays, config) => {
                let both = match config {
                    LayerConfig::Bidirectional(both) => both,
                    one => Bidirectional::new(one),
                };
                Self::Both(Box::new(both.try_layer_on(&axes, rng).unwrap()))
            }
            (how, config) => {
                let rnn = config.recurrent(&axes, rng).unwrap();
                Self::One(Box::new(match how {
                    How::Stacked => {
                        let options = rnn.options();
                        let width = rnn.cell().output_shape().size();
                        let above = tapeloop_layers::SimpleRnn::new(2).dropout(0.3).cell(width, rng);
                        let cells: Vec<Box<dyn Cell<T>>> = vec![rnn.into_cell(), Box::new(above)];
                        Rnn::new(Box::new(StackedCells::new(cells)), options)
                    }
                    _ => rnn,
                }))
            }
        };
        // Biases of zero would hide much.
        let mut rng = Rng::new(8);
        let mut jitter = |path: &Path, param: &mut Param<T>| {
            if !path.as_str().ends_with("bias") {
                return;
            }
            param.value_mut().iter_mut().for_each(|x| *x += T::from_f64(0.2 * rng.normal()));
        };
        match &mut built {
            Self::One(rnn) => rnn.visit_mut(&mut Path::default(), &mut jitter),
            Self::Both(both) => both.visit_mut(&mut Path::default(), &mut jitter),
        }
        built
    }

    fn layer(&self) -> &dyn tapeloop_layers::Layer<T> {
        match self {
            Self::One(rnn) => &**rnn,
            Self::Both(both) => &**both,
        }
    }

    /// All it returns, and what rules of its outputs add to the loss.
    fn run<'t>(
        &self,
        x: Masked<'t, T>,
        initial: Option<&[Var<'t, T>]>,
        pass: &mut Pass,
    ) -> (Vec<Var<'t, T>>, Option<Var<'t, T>>) {
        match self {
            Self::One(rnn) => {
                let run = rnn.run_in(x, initial, pass);
                ([run.output].into_iter().chain(run.state).chain(run.states).collect(), run.penalty)
            }
            Self::Both(both) => {
                let run = both.run_in(x, initial, pass);
                (run.outputs.into_iter().chain(run.state).chain(run.states).collect(), run.penalty)
            }
        }
    }

    fn state_shapes(&self) -> Vec<Vec<usize>> {
        let of = |rnn: &AnyRnn<T>| -> Vec<Vec<usize>> {
            rnn.cell().state_shapes().iter().map(|shape| shape.to_vec()).collect()
        };
        match self {
            Self::One(rnn) => of(rnn),
            Self::Both(both) => [of(both.forward_layer()), of(both.backward_layer())].concat(),
        }
    }

    fn explain(&self) -> Vec<String> {
        match self {
            Self::One(rnn) => vec![rnn.explain()],
            Self::Both(both) => vec![both.forward_layer().explain(), both.backward_layer().explain()],
        }
    }
}

fn normal<T: Element>(shape: &[usize], seed: u64) -> Tensor<T> {
    Tensor::normal(shape, 0.0, 1.0, &mut Rng::new(seed))
}

/// Rows of five, three and no steps.
fn mask() -> Tensor<bool> {
    Tensor::from_fn([BATCH, TIME], |i| i[1] < [5, 3, 0][i[0]])
}

/// Two calls in a training pass, the second from states of its own where the layer carries none: all they return, then
/// the gradients of inputs, states and weights.
fn everything<T: Element>(layer: &Built<T>, step: &[usize], masked: bool) -> [Vec<Tensor<T>>; 2] {
    let (tape, mut pass) = (Tape::new(), Pass::training(5));
    let (mut leaves, mut all, mut loss): (Vec<Var<'_, T>>, Vec<Var<'_, T>>, _) = (vec![], vec![], tape.scalar(0.0));
    let carried = match layer {
        Built::One(rnn) => rnn.options().stateful,
        Built::Both(both) => both.forward_layer().options().stateful,
    };
    for call in 0..2 {
        let x = tape.leaf(normal(&[&[BATCH, TIME], step].concat(), 20 + call));
        leaves.push(x);
        let x = if masked { Masked::new(x, &mask()) } else { x.into() };
        let given: Vec<_> = match call == 1 && !carried {
            true => {
                layer.state_shapes().iter().zip(30..).map(|(s, k)| normal(&[&[BATCH], &s[..]].concat(), k)).collect()
            }
            false => vec![],
        };
        let given: Vec<Var<'_, T>> = given.into_iter().map(|state: Tensor<T>| tape.leaf(state)).collect();
        leaves.extend(&given);
        let (returned, penalty) = layer.run(x, (!given.is_empty()).then_some(&given), &mut pass);
        for (k, x) in (40..).zip(&returned) {
            loss = loss + (*x * &normal(&x.shape(), k)).sum_all();
        }
        loss = penalty.into_iter().fold(loss, |loss, penalty| loss + penalty);
        all.extend(returned);
    }
    loss = layer.layer().penalty(&tape).into_iter().fold(loss, |loss, penalty| loss + penalty);
    let gradients = loss.backward();
    let zeros = |x: &Tensor<T>| Tensor::zeros(x.shape());
    let mut derived: Vec<Tensor<T>> =
        leaves.iter().map(|&x| gradients.wrt(x).cloned().unwrap_or_else(|| zeros(&x.value()))).collect();
    layer.layer().visit(&mut Path::default(), &mut |_, param| {
        derived.push(gradients.of(param).cloned().unwrap_or_else(|| zeros(param.value())));
    });
    [all.into_iter().map(Var::value).collect(), derived]
}

/// The largest difference by the largest number beside it: of the same tensor, or a ten-thousandth of the group's.
fn distance<T: Element>(a: &[Tensor<T>], b: &[Tensor<T>]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = |x: &Tensor<T>| x.to_vec().iter().fold(0.0f64, |m, x| m.max(x.to_f64().abs()));
    let group = b.iter().map(largest).fold(0.0, f64::max);
    let mut worst = 0.0f64;
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.shape(), b.shape());
        let scale = largest(b).max(1e-4 * group);
        for (a, b) in a.to_vec().iter().zip(b.to_vec()) {
            let off = (a.to_f64() - b.to_f64()).abs();
            if off.is_nan() {
                return off;
            }
            worst = if off > 0.0 { worst.max(off / scale) } else { worst };
        }
    }
    worst
}

/// The configuration with an option set, and with whatever makes it matter.
fn with(base: &Json, option: &str, value: &Json) -> Json {
    let mut config = base.as_object().unwrap().clone();
    let mut also = |name: &str, value: Json| _ = config.entry(name).or_insert(value);
    match option {
        // What goes along time, and what is drawn.
        "zero_output_for_mask" | "go_backwards" => also("return_sequences", json!(true)),
        "implementation" | "seed" => also("dropout", json!(0.4)),
        // It would grow beyond all numbers if it fed back.
        "activation" | "recurrent_activation" if value == "exponential" => {
            also("recurrent_initializer", json!("zeros"))
        }
        // x − tanh x loses what x has where x is small, in either engine.
        "activation" | "recurrent_activation" if value == "tanh_shrink" => also("bias_initializer", json!("ones")),
        "activity_regularizer" if base["layer"] != "bidirectional" => also("return_state", json!(true)),
        _ => {}
    }
    config.insert(option.into(), value.clone());
    Json::Object(config)
}

fn unrolled(config: &Json) -> Json {
    let mut config = config.clone();
    match config.get_mut("forward_layer") {
        Some(layer) => layer["unroll"] = json!(true),
        None => config["unroll"] = json!(true),
    }
    config
}

fn check<T: Element>(kind: &Kind, config: &Json, tolerance: f64) {
    let loops = config["unroll"] != json!(true);
    for masked in [false, true] {
        let what = format!("{}, {config}, masked {masked}", kind.name);
        let (looped, steps) = (Built::<T>::new(kind, config), Built::<T>::new(kind, &unrolled(config)));
        let [a, b] = [&looped, &steps].map(|layer| everything(layer, kind.step, masked));
        for how in looped.explain() {
            if loops {
                assert!(how.contains("\nloop: ") && how.contains("derivative:"), "{what}: {how}");
                assert!(!how.contains("unrolled") && !how.contains("no loop"), "{what}: {how}");
            } else {
                assert_eq!(how, "unrolled, since the step is to be unrolled\n", "{what}");
            }
        }
        for how in steps.explain() {
            assert_eq!(how, "unrolled, since the step is to be unrolled\n", "{what}");
        }
        for (part, (a, b)) in ["values", "gradients"].iter().zip(a.iter().zip(&b)) {
            let off = distance(a, b);
            assert!(off <= tolerance, "{what}: {part} differ by {off:.2e}");
        }
    }
}

fn each(check: impl Fn(&Kind, &Json)) {
    for kind in kinds() {
        let layer = kind.base["layer"].as_str().unwrap();
        for option in options(&kind.base) {
            let values =
                values(layer, &option).unwrap_or_else(|| panic!("{option} of {layer} has no row in the table"));
            assert!(!values.is_empty(), "{option} of {layer}");
            for value in values {
                check(&kind, &with(&kind.base, &option, &value));
            }
        }
    }
    let mut both = Map::new();
    both.insert("layer".into(), json!("bidirectional"));
    both.insert("forward_layer".into(), json!({"layer": "lstm", "units": 3, "return_sequences": true}));
    let kind = Kind { name: "bidirectional", base: Json::Object(both), step: &[2], how: How::BothWays };
    for option in options(&kind.base) {
        let values = values("bidirectional", &option);
        for value in values.unwrap_or_else(|| panic!("{option} of bidirectional has no row in the table")) {
            check(&kind, &with(&kind.base, &option, &value));
        }
    }
}

#[test]
fn every_option_is_a_loop_equal_to_the_tape_in_double_precision() {
    each(|kind, config| check::<f64>(kind, config, 1e-12));
}

#[test]
fn every_option_is_a_loop_equal_to_the_tape_in_single_precision() {
    each(|kind, config| check::<f32>(kind, config, 1e-5));
}
