//! A model of one recurrent node as a file of ONNX: protocol buffers, of which a few fields are enough.

use crate::{Array, Cell, Work, weights};

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }
}

const FLOAT: u64 = 1;
const INT64: u64 = 7;

/// TensorProto: dims 1, data_type 2, name 8, raw_data 9.
fn tensor(name: &str, dims: &[usize], kind: u64, raw: &[u8]) -> Message {
    let message = dims.iter().fold(Message::default(), |message, &dim| message.number(1, dim as u64));
    message.number(2, kind).text(8, name).bytes(9, raw)
}

fn floats(name: &str, dims: &[usize], data: &[f32]) -> Message {
    assert_eq!(dims.iter().product::<usize>(), data.len());
    tensor(name, dims, FLOAT, &data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())
}

/// ValueInfoProto: name 1, type 2; its tensor type 1: element type 1, shape 2; a dimension 1: value 1.
fn value(name: &str, dims: &[usize]) -> Message {
    let shape =
        dims.iter().fold(Message::default(), |shape, &dim| shape.message(1, Message::default().number(1, dim as u64)));
    let tensor = Message::default().number(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// NodeProto: input 1, output 2, op_type 4, attribute 5; an integer attribute: name 1, i 3, type 20.
fn node(kind: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, u64)]) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, name| message.text(1, name));
    let message = outputs.iter().fold(message, |message, name| message.text(2, name)).text(4, kind);
    attributes.iter().fold(message, |message, (name, value)| {
        message.message(5, Message::default().text(1, name).number(3, *value).number(20, 2))
    })
}

/// The names of a stream's states.
pub fn states(work: &Work) -> &'static [&'static str] {
    if work.cell == Cell::Gru { &["h"] } else { &["h", "c"] }
}

/// The model: `x` (time, batch, inputs) to `y`. With a Dense, `h_old` and `c_old` come in and `h_new` and `c_new` go out.
pub fn model(work: &Work) -> Vec<u8> {
    let all = weights(work);
    let gates = work.cell.gates();
    // An LSTM's gates are i o f g there; a GRU's are z r n as here.
    let order: &[usize] = if work.cell == Cell::Gru { &[0, 1, 2] } else { &[0, 3, 1, 2] };
    let turned = |array: &Array| order.iter().flat_map(|&gate| array.gate(gate, gates).transposed().data).collect();
    let row = |array: &Array, row: usize| {
        Array::new(1, array.columns, array.data[row * array.columns..][..array.columns].to_vec())
    };
    let (kernel, recurrent): (Vec<f32>, Vec<f32>) = (turned(&all[0]), turned(&all[1]));
    let mut bias: Vec<f32> = turned(&row(&all[2], 0));
    bias.extend(if work.cell == Cell::Gru { turned(&row(&all[2], 1)) } else { vec![0.0; bias.len()] });
    let columns = gates * work.hidden;
    let mut graph = Message::default();
    let mut attributes = vec![("hidden_size", work.hidden as u64)];
    if work.cell == Cell::Gru {
        attributes.push(("linear_before_reset", 1));
    }
    let kind = if work.cell == Cell::Gru { "GRU" } else { "LSTM" };
    // GraphProto: node 1, name 2, initializer 5, input 11, output 12.
    let initializers = [
        floats("W", &[1, columns, work.inputs], &kernel),
        floats("R", &[1, columns, work.hidden], &recurrent),
        floats("B", &[1, 2 * columns], &bias),
    ];
    let wide = [1, work.batch, work.hidden];
    if work.outputs > 0 {
        let (old, new): (Vec<String>, Vec<String>) =
            states(work).iter().map(|name| (format!("{name}_old"), format!("{name}_new"))).unzip();
        let mut inputs = vec!["x", "W", "R", "B", ""];
        inputs.extend(old.iter().map(String::as_str));
        let mut outputs = vec![""];
        outputs.extend(new.iter().map(String::as_str));
        let flat: Vec<u8> = [work.batch as i64, work.hidden as i64].iter().flat_map(|n| n.to_le_bytes()).collect();
        graph = graph
            .message(1, node(kind, &inputs, &outputs, &attributes))
            .message(1, node("Reshape", &["h_new", "flat"], &["last"], &[]))
            .message(1, node("Gemm", &["last", "kernel", "bias"], &["y"], &[]))
            .text(2, "workload")
            .message(5, tensor("flat", &[2], INT64, &flat))
            .message(5, floats("kernel", &[work.hidden, work.outputs], &all[3].data))
            .message(5, floats("bias", &[work.outputs], &all[4].data))
            .message(12, value("y", &[work.batch, work.outputs]));
        for (old, new) in old.iter().zip(&new) {
            graph = graph.message(11, value(old, &wide)).message(12, value(new, &wide));
        }
    } else {
        graph = graph
            .message(1, node(kind, &["x", "W", "R", "B"], &["y"], &attributes))
            .text(2, "workload")
            .message(12, value("y", &[work.time, 1, work.batch, work.hidden]));
    }
    graph = graph.message(11, value("x", &[work.time, work.batch, work.inputs]));
    graph = initializers.into_iter().fold(graph, |graph, tensor| graph.message(5, tensor));
    // ModelProto: ir_version 1, graph 7, opset_import 8; its version 2.
    Message::default().number(1, 10).message(7, graph).message(8, Message::default().text(1, "").number(2, 17)).0
}
