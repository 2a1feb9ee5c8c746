#![forbid(unsafe_code)]
//! rten: inference alone, one LSTM or GRU node and the product of the Dense.
//!
//!     prepacked   the weights are packed when the model is loaded
//!     default     they are not

use std::process::ExitCode;

use rten::{Model, ModelOptions, NodeId, Value, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, Tensor};
use tapeloop_peers_rust::{CHUNK, Job, Lists, Outcome, normal, onnx};

const WAYS: &[&str] = &["prepacked", "default"];
const LISTS: Lists = &[("I1-lstm", WAYS), ("I1-gru", WAYS), ("I2", WAYS), ("I3", WAYS)];

fn main() -> ExitCode {
    Job::main("rten", "0.27.0", LISTS, run)
}

fn run(job: &Job) -> Outcome<()> {
    let work = &job.work;
    let model: Model =
        ModelOptions::with_all_ops().prepack_weights(job.variant == "prepacked").load(onnx::model(work))?;
    let id = |name: &str| -> Outcome<NodeId> { Ok(model.node_id(name)?) };
    let (x, y) = (id("x")?, id("y")?);
    if !job.name.starts_with("I1") {
        // Data is batch first, the node has time first.
        let data = normal(100, work.batch * work.time * work.inputs);
        let input = NdTensor::from_data([work.batch, work.time, work.inputs], data).permuted([1, 0, 2]).to_tensor();
        return job.measure(1, || {
            let [output] = model.run_n(vec![(x, input.view().into())], [y], None)?;
            let output: NdTensor<f32, 4> = output.try_into()?;
            Ok(output[[work.time - 1, 0, 0, 0]])
        });
    }
    let names = onnx::states(work);
    let old = names.iter().map(|name| id(&format!("{name}_old"))).collect::<Outcome<Vec<_>>>()?;
    let mut outputs = vec![y];
    for name in names {
        outputs.push(id(&format!("{name}_new"))?);
    }
    let zeros = || Value::from(Tensor::<f32>::zeros(&[1, 1, work.hidden]));
    let mut states: Vec<Value> = names.iter().map(|_| zeros()).collect();
    let samples = normal(100, CHUNK);
    job.measure(CHUNK, || {
        let mut number = 0.0;
        for &sample in &samples {
            let mut inputs = vec![(x, ValueOrView::from(NdTensor::from_data([1, 1, 1], vec![sample])))];
            inputs.extend(old.iter().copied().zip(states.drain(..).map(ValueOrView::from)));
            let mut results = model.run(inputs, &outputs, None)?.into_iter();
            let output: NdTensor<f32, 2> = results.next().ok_or("there is no output")?.try_into()?;
            number = output[[0, 0]];
            states.extend(results);
        }
        Ok(number)
    })
}
