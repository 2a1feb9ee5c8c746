//! Graphs of layers: Keras' numbers, the same as chains where they are chains, and errors that name the node.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value as Json, json};
use tapeloop_autograd::{Module, Path, Rng, Tape, Tensor};
use tapeloop_layers::{
    Add, Concatenate, Dense, Dropout, Embedding, Functional, FunctionalModel, Gru, Lstm, Masked, Masking, Pass,
    Regularizer, Sequential, Subtract, TimeDistributed,
};

fn tensor(json: &Json) -> Tensor<f64> {
    let shape: Vec<usize> = serde_json::from_value(json["shape"].clone()).unwrap();
    Tensor::from_vec(&shape[..], serde_json::from_value::<Vec<f64>>(json["data"].clone()).unwrap())
}

fn close(what: &str, found: &Tensor<f64>, expected: &Tensor<f64>) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    for (found, expected) in found.to_vec().iter().zip(expected.to_vec()) {
        assert!((found - expected).abs() <= 1e-11 * (1.0 + expected.abs()), "{what}: {found}, not {expected}");
    }
}

fn table(name: &str) -> Vec<Json> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Outputs, penalties and gradients of functional models in Keras 3.15 on TensorFlow, in double precision.
#[test]
fn graphs_are_keras() {
    for case in table("functional.json") {
        let name = case["case"].as_str().unwrap();
        let graph: Functional = serde_json::from_value(case["graph"].clone()).unwrap();
        assert_eq!(
            serde_json::from_str::<Functional>(&serde_json::to_string(&graph).unwrap()).unwrap(),
            graph,
            "{name}"
        );
        let mut model = graph.build::<f64>(0).unwrap();
        let mut seen = 0;
        model.visit_mut(&mut Path::default(), &mut |path, param| {
            param.set(tensor(&case["weights"][path.as_str()]));
            seen += 1;
        });
        assert_eq!(seen, case["weights"].as_object().unwrap().len(), "{name}");
        let tape = Tape::new();
        let inputs: Vec<Masked<'_, f64>> =
            case["x"].as_array().unwrap().iter().map(|x| tape.constant(tensor(x)).into()).collect();
        let run = model.forward(&inputs, &mut Pass::training(0));
        let mut losses = run.penalty.into_iter().chain(model.penalty(&tape)).reduce(|a, b| a + b);
        let penalties = losses.map_or(0.0, |losses| losses.item());
        assert!((penalties - case["losses"].as_f64().unwrap()).abs() < 1e-11, "{name}: penalties of {penalties}");
        for (k, output) in run.outputs.iter().enumerate() {
            close(&format!("{name}: output {k}"), &output.value.value(), &tensor(&case["out"][k]));
            let part = (output.value * &tensor(&case["cot"][k])).sum_all();
            losses = Some(losses.map_or(part, |losses| losses + part));
        }
        let loss = losses.unwrap();
        let expected = case["loss"].as_f64().unwrap();
        assert!((loss.item() - expected).abs() <= 1e-11 * (1.0 + expected.abs()), "{name}: a loss of {}", loss.item());
        let gradients = loss.backward();
        model.visit(&mut Path::default(), &mut |path, param| {
            let zeros = param.value().zeros_like();
            let found = gradients.of(param).unwrap_or(&zeros);
            close(&format!("{name}: gradient of {path:?}"), found, &tensor(&case["grad"][path.as_str()]));
        });
    }
}

#[test]
fn a_chain_is_a_sequential() {
    let mut graph = Functional::new();
    let mut node = graph.input("x", [None, Some(3)]);
    let (masking, lstm, dropout) = (Masking::new(0.0), Lstm::new(4).return_sequences(true), Dropout::new(0.5));
    let gru = Gru::new(3).dropout(0.25).activity_regularizer(Regularizer::l2(0.5));
    let chain = Sequential::new([None, Some(3)]).add(masking).add(lstm.clone()).add(dropout).add(gru.clone());
    let chain = chain.add(Dense::new(2)).build::<f32>(5).unwrap();
    node = graph.add(masking, node);
    node = graph.add(lstm, node);
    node = graph.add(dropout, node);
    node = graph.add(gru, node);
    node = graph.add(Dense::new(2), node);
    graph.output("y", node);
    let model = graph.build::<f32>(5).unwrap();
    let names = |module: &dyn Module<f32>| module.params().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&model), names(&chain));
    let x = Tensor::normal([2, 5, 3], 0.0, 1.0, &mut Rng::new(1));
    assert_eq!(model.predict(&[&x]).unwrap()["y"].to_vec(), chain.predict(&x).unwrap().to_vec());
    let mask = Tensor::from_fn([2, 5], |i| i[1] < 3 + i[0]);
    let masked = model.predict_masked(&[(&x, Some(&mask))]).unwrap();
    // `Masking` makes its own mask, whatever counted before.
    assert_eq!(masked[0].to_vec(), chain.predict_masked(&x, &mask).unwrap().to_vec());
    let tape = Tape::new();
    let x = tape.constant(x);
    let one = model.forward(&[x.into()], &mut Pass::training(3));
    let other = chain.forward_masked(x.into(), &mut Pass::training(3));
    assert_eq!(one.outputs["y"].value.value().to_vec(), other.value.value().to_vec());
    assert_eq!(one.penalty.unwrap().item(), other.penalty.unwrap().item());
}

/// Two inputs, a layer in two places, states from one layer to another, two outputs.
fn translator() -> Functional {
    let mut graph = Functional::new();
    let question = graph.input("question", [None]);
    let answer = graph.input("answer", [None]);
    let embedding = graph.named("words").add(Embedding::new(9, 4).mask_zero(true), question);
    let again = graph.share(embedding, answer);
    let encoder = graph.named("encoder").add(Lstm::new(5).return_state(true), embedding);
    let states = [encoder.output(1), encoder.output(2)];
    let decoder = graph.named("decoder").add_with_states(Lstm::new(5).return_sequences(true), again, &states);
    let scores = graph.add(TimeDistributed::new(Dense::new(9)), decoder);
    graph.output("scores", scores);
    graph.output("thought", encoder);
    graph
}

#[test]
fn a_graph_is_its_json_and_its_text() {
    let graph = translator();
    let text = serde_json::to_string_pretty(&graph).unwrap();
    let again: Functional = serde_json::from_str(&text).unwrap();
    assert_eq!(again, graph);
    let nodes = serde_json::to_value(&graph).unwrap()["nodes"].clone();
    assert_eq!(nodes[1], json!({"name": "embedding", "shares": "words", "inputs": ["answer"]}));
    assert_eq!(nodes[3]["initial_state"], json!(["encoder:1", "encoder:2"]));
    let expected = "question: (None, None)\nanswer: (None, None)\nwords = Embedding(question)\n\
        embedding = as words(answer)\nencoder = Lstm(words)\n\
        decoder = Lstm(embedding) from encoder:1, encoder:2\ntime_distributed = TimeDistributed(decoder)\n\
        Outputs: scores = time_distributed, thought = encoder";
    assert_eq!(graph.to_string(), expected);
    let ids = [Tensor::from([[1.0f32, 2.0, 0.0]]), Tensor::from([[3.0f32, 4.0]])];
    let predict = |graph: &Functional| {
        let model = graph.build::<f32>(3).unwrap();
        model.predict(&[&ids[0], &ids[1]]).unwrap()["scores"].to_vec()
    };
    assert_eq!(predict(&graph), predict(&again));
}

#[test]
fn shared_layers_have_one_set_of_weights() {
    let model = translator().build::<f32>(0).unwrap();
    let names: Vec<String> = model.params().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.iter().filter(|name| name.ends_with("embeddings")).count(), 1, "{names:?}");
    assert_eq!(names.last().unwrap(), "time_distributed.inner.bias");
    let regularized = |shares: bool| {
        let mut graph = Functional::new();
        let x = graph.input("x", [3]);
        let layer = || Dense::new(3).kernel_regularizer(Regularizer::l2(1.0));
        let one = graph.add(layer(), x);
        let two = if shares { graph.share(one, one) } else { graph.add(layer(), one) };
        graph.output("y", two);
        graph.build::<f64>(1).unwrap().penalty(&Tape::new()).unwrap().item()
    };
    assert!(regularized(true) < regularized(false));
}

#[test]
fn masks_travel_by_themselves() {
    let model = translator().build::<f32>(2).unwrap();
    let padded = [Tensor::from([[1.0f32, 2.0, 0.0, 0.0]]), Tensor::from([[3.0f32, 4.0, 0.0]])];
    let short = [Tensor::from([[1.0f32, 2.0]]), Tensor::from([[3.0f32, 4.0]])];
    let tape = Tape::inference();
    let run = |ids: &[Tensor<f32>; 2]| {
        let inputs = ids.clone().map(|ids| tape.constant(ids).into());
        model.forward(&inputs, &mut Pass::inference()).outputs.into_values()
    };
    let (padded, short) = (run(&padded), run(&short));
    assert_eq!(padded[0].mask.unwrap().value().to_vec(), [1.0, 1.0, 0.0]);
    assert_eq!(padded[0].value.slice(1, 0..2).value().to_vec(), short[0].value.value().to_vec());
    assert_eq!(padded[1].value.value().to_vec(), short[1].value.value().to_vec());
    assert!(padded[1].mask.is_none());
}

/// A penalty on the way to several outputs is in the loss once.
#[test]
fn penalties_are_collected_once() {
    let mut graph = Functional::new();
    let x = graph.input("x", [4]);
    let first = graph.add(Dense::new(4).activity_regularizer(Regularizer::l2(1.0)), x);
    let [a, b] = [0, 1].map(|_| graph.add(Dense::new(4), first));
    let sum = graph.add(Add::new(), [a, b]);
    graph.output("sum", sum);
    graph.output("first", first);
    graph.output("a", a);
    let model = graph.build::<f64>(0).unwrap();
    let tape = Tape::new();
    let x = tape.constant(Tensor::normal([3, 4], 0.0, 1.0, &mut Rng::new(2)));
    let brought = tape.constant(Tensor::scalar(0.5));
    let run = model.forward(&[Masked { penalty: Some(brought), ..x.into() }], &mut Pass::inference());
    let own = run.outputs["first"].value.square().sum_all().item() / 3.0;
    assert!((run.penalty.unwrap().item() - own - 0.5).abs() < 1e-12);
    assert!(run.outputs.iter().all(|output| output.penalty.is_none()));
}

#[test]
fn the_summary_says_what_is_connected_and_where_a_mask_arrives() {
    let model = translator().build::<f32>(0).unwrap();
    let text = model.summary().to_string();
    let row = |name: &str| {
        let line = text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}\n{text}"));
        line.split('│').map(|cell| cell.trim().to_string()).collect::<Vec<_>>()
    };
    assert!(text.contains("Connected to") && text.contains("Mask"), "{text}");
    assert_eq!(row("question (Input)")[1..6], ["question (Input)", "(None, None)", "0", "-", ""]);
    assert_eq!(row("words (Embedding)")[3..6], ["36", "question", "begins"]);
    assert_eq!(row("embedding (as words)")[3..6], ["0", "answer", "begins"]);
    assert_eq!(row("encoder (Lstm)")[2..6], ["(None, 5), (None, 5), (None, 5)", "200", "words", "ends"]);
    assert_eq!(row("decoder (Lstm)")[4..6], ["embedding, encoder:1, encoder:2", "goes on"]);
    assert_eq!(row("(TimeDistributed)")[2..6], ["(None, None, 9)", "54", "decoder", "goes on"]);
    assert!(text.ends_with("Outputs: scores = time_distributed, thought = encoder"), "{text}");
    assert_eq!(model.summary().param_count(), model.param_count());
    let widths: Vec<usize> = text.lines().take(5).map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
}

fn refused(json: Json) -> String {
    match serde_json::from_value::<Functional>(json.clone()) {
        Err(error) => error.to_string(),
        Ok(graph) => match graph.build::<f32>(0) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{json} was built"),
        },
    }
}

#[test]
fn what_is_wrong_in_a_graph_names_the_node() {
    let dense = json!({"layer": "dense", "units": 2});
    let node = |name: &str, inputs: Json| json!({"name": name, "layer": dense, "inputs": inputs});
    let x = json!([{"name": "x", "shape": [3]}]);
    let out = |from: &str| json!([{"name": "y", "from": from}]);
    for (graph, parts) in [
        (json!({"inputs": [], "nodes": [], "outputs": []}), ["at least one input", "one output"]),
        (json!({"inputs": x, "nodes": [], "outputs": []}), ["at least one input", "one output"]),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["z"]))], "outputs": out("a")}),
            ["a: there is nothing of the name `z`", ""],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["a"]))], "outputs": out("a")}),
            ["a: takes its own output", "no cycles"],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["b"])), node("b", json!(["a"]))], "outputs": out("b")}),
            ["a: takes `b`, which comes only after it", "no cycles"],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x"])), node("a", json!(["a"]))], "outputs": out("a")}),
            ["two of the name `a`", ""],
        ),
        (json!({"inputs": x, "nodes": [node("x", json!(["x"]))], "outputs": out("x")}), ["two of the name `x`", ""]),
        (json!({"inputs": x, "nodes": [node("a.b", json!(["x"]))], "outputs": out("a.b")}), ["`a.b` is no name", ""]),
        (json!({"inputs": x, "nodes": [node("", json!(["x"]))], "outputs": out("")}), ["`` is no name", ""]),
        (json!({"inputs": x, "nodes": [node("a", json!([]))], "outputs": out("a")}), ["a: is applied to nothing", ""]),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x", "x"]))], "outputs": out("a")}),
            ["a: takes one input, got 2", ""],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x:1"]))], "outputs": out("a")}),
            ["a: `x` has no output 1", "only 1"],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x:one"]))], "outputs": out("a")}),
            ["a: `x:one` is no name", "`name:output`"],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x"]))], "outputs": out("b")}),
            ["the output `y`: there is nothing of the name `b`", ""],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x"])), node("b", json!(["x"]))], "outputs": out("b")}),
            ["the node `a` leads to no output", ""],
        ),
        (
            json!({"inputs": [{"name": "x", "shape": [3]}, {"name": "z", "shape": [3]}],
                "nodes": [node("a", json!(["x"]))], "outputs": out("a")}),
            ["the input `z` leads to no output", ""],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x"]))],
                "outputs": [{"name": "y", "from": "a"}, {"name": "y", "from": "x"}]}),
            ["the output `y`", "there twice"],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "a", "inputs": ["x"]}], "outputs": out("a")}),
            ["a: needs either `layer` or `shares`", ""],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "a", "shares": "b", "inputs": ["x"]}], "outputs": out("a")}),
            ["a: shares the layer of `b`", ""],
        ),
        (
            json!({"inputs": x, "nodes": [node("a", json!(["x"])), {"name": "b", "shares": "a", "inputs": ["a"]}],
                "outputs": out("b")}),
            ["b (dense): needs 3 features, got 2", ""],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "a", "layer": dense, "inputs": ["x"], "initial_state": ["x"]}],
                "outputs": out("a")}),
            ["a: takes no initial states", ""],
        ),
        (
            json!({"inputs": [{"name": "x", "shape": [5, 3]}, {"name": "h", "shape": [2]}],
                "nodes": [{"name": "a", "layer": {"layer": "lstm", "units": 2}, "inputs": ["x"],
                    "initial_state": ["h"]}],
                "outputs": out("a")}),
            ["a (rnn): it carries 2 states, got 1", ""],
        ),
        (
            json!({"inputs": [{"name": "x", "shape": [5, 3]}, {"name": "h", "shape": [4]}],
                "nodes": [{"name": "a", "layer": {"layer": "gru", "units": 2}, "inputs": ["x"],
                    "initial_state": ["h"]}],
                "outputs": out("a")}),
            ["a (rnn): initial state 0 is (None, 2), got (None, 4)", ""],
        ),
        (
            json!({"inputs": [{"name": "x", "shape": [3]}, {"name": "z", "shape": [2]}],
                "nodes": [{"name": "s", "layer": {"layer": "add"}, "inputs": ["x", "z"]}], "outputs": out("s")}),
            ["s (add): inputs of shapes (None, 3) and (None, 2) do not go together", ""],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "s", "layer": {"layer": "subtract"}, "inputs": ["x"]}],
                "outputs": out("s")}),
            ["s (subtract)", "exactly 2 inputs, got 1"],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "s", "layer": {"layer": "concatenate", "axis": 0},
                "inputs": ["x", "x"]}], "outputs": out("s")}),
            ["s (concatenate): axis", "is the batch"],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "s", "layer": {"layer": "dot", "axes": [1, 3]},
                "inputs": ["x", "x"]}], "outputs": out("s")}),
            ["s (dot): axes", "no axis 3 of 2"],
        ),
        (
            json!({"inputs": x, "nodes": [{"name": "a", "layer": dense, "input": ["x"]}], "outputs": out("a")}),
            ["unknown field `input`", ""],
        ),
        (json!({"inputs": x, "nodes": [], "outputs": [], "name": "m"}), ["unknown field `name`", ""]),
        (
            json!({"inputs": x, "nodes": [{"name": "r", "layer": {"layer": "repeat_vector", "n": 1u64 << 62},
                "inputs": ["x"]}], "outputs": out("r")}),
            ["r: there is no memory for an output", "4611686018427387904"],
        ),
    ] {
        let error = refused(graph.clone());
        assert!(parts.iter().all(|part| error.contains(part)), "{graph}\n{error}");
    }
}

fn difference() -> FunctionalModel {
    let mut graph = Functional::new();
    let a = graph.input("a", [None, Some(2)]);
    let b = graph.input("b", [None, Some(2)]);
    let change = graph.add(Subtract::new(), [a, b]);
    let all = graph.add(Concatenate::new(1), [a, change]);
    graph.output("change", change);
    graph.output("all", all);
    graph.build(0).unwrap()
}

#[test]
fn wrong_inputs_are_errors() {
    let model = difference();
    let zeros = |batch: usize, time: usize, width: usize| Tensor::<f32>::zeros([batch, time, width]);
    let fine = zeros(2, 3, 2);
    assert_eq!(model.predict(&[&fine, &fine]).unwrap()["all"].shape(), [2, 6, 2]);
    // A length of 1 stands for any.
    assert_eq!(model.predict(&[&fine, &zeros(2, 1, 2)]).unwrap()["change"].shape(), [2, 3, 2]);
    let too_few = model.predict(&[&fine]).unwrap_err();
    assert!(too_few.is_input() && too_few.to_string().contains("2 inputs (a, b)"), "{too_few}");
    for (b, part) in [
        (zeros(2, 3, 1), "b expects an input of shape (None, None, 2)"),
        (zeros(1, 3, 2), "b expects a batch of 2, as `a`"),
        (zeros(2, 4, 2), "subtract: inputs of shapes (None, 3, 2) and (None, 4, 2)"),
    ] {
        let error = model.predict(&[&fine, &b]).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let mask = Tensor::from_vec([2, 4], vec![true; 8]);
    let error = model.predict_masked(&[(&fine, Some(&mask)), (&fine, None)]).unwrap_err();
    assert!(error.to_string().contains("a expects a mask of shape [2, 3]"), "{error}");
    for (given, part) in [(&["a"][..], "`b` is not given"), (&["a", "a"], "given twice"), (&["a", "c"], "no input `c`")]
    {
        let error = model.in_order(given.iter().map(|&name| (name, ()))).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let panics = catch_unwind(AssertUnwindSafe(|| model.predict(&[&fine, &fine]).unwrap()["al"].rank()));
    assert!(panics.unwrap_err().downcast_ref::<String>().unwrap().contains("there are change, all"));
}

#[test]
fn a_forecast_on_a_kept_tape_is_the_forecast() {
    let model = translator().build::<f32>(1).unwrap();
    let mut tape = Tape::inference();
    for k in [1, 2, 1] {
        let ids = [3 + k, 2].map(|time| Tensor::from_fn([k, time], |i| ((3 * i[0] + i[1] + k) % 9) as f32));
        let kept = model.predict_on(&mut tape, &[&ids[0], &ids[1]]).unwrap();
        assert_eq!(kept[0].to_vec(), model.predict(&[&ids[0], &ids[1]]).unwrap()[0].to_vec());
        assert!(model.predict_on(&mut tape, &[&ids[0], &Tensor::full([k, 2], 9.0)]).unwrap_err().is_input());
    }
}

#[test]
fn a_graph_trains() {
    let mut model = difference_of_pasts().build::<f32>(4).unwrap();
    let mut rng = Rng::new(1);
    let inputs = [0, 1].map(|_| Tensor::normal([8, 5, 2], 0.0, 1.0, &mut rng));
    let target = Tensor::normal([8, 1], 0.0, 1.0, &mut rng);
    let mut tape = Tape::new();
    let mut losses = Vec::new();
    for step in 0..60 {
        let (loss, gradients) = tape.value_and_grad(|tape| {
            let inputs = [0, 1].map(|k| tape.constant(inputs[k].clone()).into());
            let run = model.forward(&inputs, &mut Pass::training(step));
            (run.outputs[0].value - &target).square().mean_all()
        });
        losses.push(loss);
        model.visit_mut(&mut Path::default(), &mut |_, param| {
            let gradient = gradients.of(param).unwrap().to_vec();
            param.value_mut().iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.1 * g);
        });
    }
    assert!(losses[59] < 0.7 * losses[0], "{losses:?}");
}

fn difference_of_pasts() -> Functional {
    let mut graph = Functional::new();
    let [a, b] = ["a", "b"].map(|name| graph.input(name, [None, Some(2)]));
    let one = graph.add(Gru::new(6), a);
    let other = graph.share(one, b);
    let change = graph.add(Subtract::new(), [one, other]);
    let y = graph.add(Dense::new(1), change);
    graph.output("y", y);
    graph
}
