//! A workload, ready to run.

use tapeloop::prelude::*;
use tapeloop::{Error, LayerConfig, Stream, Threads};

use crate::{Kind, MinGruNetwork, Network, Recurrence, Spec};

/// Samples of a stream between two looks at the clock: one takes less than the clock can tell.
const CHUNK: usize = 64;

/// A model on fixed random data, ready to train or to run.
pub struct Workload {
    model: Either,
    /// The model as a stream, and its samples, if it is one.
    stream: Option<(Stream, Vec<f32>)>,
    inputs: Vec<Tensor>,
    /// (batch, time), true within the rows' lengths, where those differ.
    mask: Option<Tensor<bool>>,
    target: Option<Target>,
    optimizer: Adam,
    tape: Tape,
}

enum Either {
    Layers(Model),
    Own(Box<Network>),
    MinGru(Box<MinGruNetwork>),
}

impl Either {
    fn forward<'t>(&self, x: Masked<'t>, pass: &mut Pass) -> Var<'t> {
        match self {
            Self::Layers(model) => model.forward(x, pass),
            Self::Own(network) => network.forward(x.value, pass),
            Self::MinGru(network) => network.forward(x.value, pass),
        }
    }

    fn module(&mut self) -> &mut dyn Module<f32> {
        match self {
            Self::Layers(model) => model,
            Self::Own(network) => &mut **network,
            Self::MinGru(network) => &mut **network,
        }
    }
}

enum Target {
    /// Mean squared error.
    Numbers(Tensor),
    /// Softmax cross-entropy at every step.
    Classes(Tensor<i64>),
}

impl Workload {
    /// The workload of `spec` on `threads`.
    ///
    /// # Errors
    /// If a layer cannot be built.
    pub fn new(spec: &Spec, threads: Threads) -> Result<Self, Error> {
        let mut rng = Rng::new(1);
        let model = match spec.cell {
            Recurrence::Peephole => {
                let network = Network::new(spec.inputs, spec.hidden, spec.outputs, &mut Rng::new(0));
                Either::Own(Box::new(network))
            }
            Recurrence::MinGru => {
                let network = MinGruNetwork::new(spec.inputs, spec.hidden, spec.outputs, &mut Rng::new(0));
                Either::MinGru(Box::new(network))
            }
            Recurrence::Lstm | Recurrence::Gru => Either::Layers(layers(spec).build(0)?),
        };
        let inputs = match spec.vocabulary {
            Some(ids) => vec![Tensor::from_fn([spec.batch, spec.time], |_| rng.below(ids) as f32)],
            None => {
                let count = if spec.kind == Kind::Stream { CHUNK } else { 1 };
                let shape = [spec.batch, spec.time, spec.inputs];
                (0..count).map(|_| Tensor::normal(shape, 0.0, 1.0, &mut rng)).collect()
            }
        };
        let target = (spec.kind == Kind::Training).then(|| match spec.vocabulary {
            Some(ids) => Target::Classes(Tensor::from_fn([spec.batch, spec.time], |_| rng.below(ids) as i64)),
            None => Target::Numbers(Tensor::normal([spec.batch, spec.outputs], 0.0, 1.0, &mut rng)),
        });
        let mask = spec.lengths().map(|lengths| {
            let lengths: Vec<usize> = lengths.collect();
            Tensor::from_fn([spec.batch, spec.time], |i| i[1] < lengths[i[0]])
        });
        let stream = match (&model, spec.kind) {
            (Either::Layers(model), Kind::Stream) => {
                let samples = inputs.iter().flat_map(Tensor::to_vec).collect();
                Some((model.stream_on(threads.count())?, samples))
            }
            _ => None,
        };
        // ε as all runners have it.
        let optimizer = Adam::new(1e-3).epsilon(1e-8);
        Ok(Self { model, stream, inputs, mask, target, optimizer, tape: Tape::with_threads(threads) })
    }

    /// What is timed. Training: forward, loss, backward, Adam; the loss. Otherwise [`forward`](Self::forward).
    pub fn step(&mut self) -> f32 {
        let Self { model, inputs, mask, target, optimizer, tape, .. } = self;
        let Some(target) = target else { return self.forward() };
        let (loss, gradients) = tape.value_and_grad(|tape| {
            let y = model.forward(masked(tape, &inputs[0], mask.as_ref()), &mut Pass::training(0));
            match target {
                Target::Numbers(target) => losses::mse(y, &*target, Reduction::Mean),
                Target::Classes(classes) => losses::cross_entropy(y, classes),
            }
        });
        optimizer.step(model.module(), &gradients);
        loss
    }

    /// Forward without gradients over all inputs, one after the other, as a stream or on a tape that keeps its buffers;
    /// the first number of the last output.
    pub fn forward(&mut self) -> f32 {
        let Self { model, stream, inputs, mask, tape, .. } = self;
        let mut first = 0.0;
        if let Some((stream, samples)) = stream {
            for x in samples.chunks(stream.input_width()) {
                first = stream.step(x)[0];
            }
            return first;
        }
        for x in inputs.iter() {
            tape.reset();
            // Not `Tape::inference`, which has all cores and nothing else.
            first = tape.no_grad(|| {
                let y = model.forward(masked(tape, x, mask.as_ref()), &mut Pass::inference());
                y.value().at(&[0; 3][..y.rank()])
            });
        }
        first
    }

    /// How many steps one call of [`step`](Self::step) makes: the samples of a stream, else 1.
    pub fn steps(&self) -> usize {
        self.inputs.len()
    }
}

fn masked<'t>(tape: &'t Tape, x: &Tensor, mask: Option<&Tensor<bool>>) -> Masked<'t> {
    Masked { mask: mask.map(|mask| tape.mask(mask)), ..tape.constant(x.clone()).into() }
}

/// \[Embedding →\] recurrent layers \[→ Dense\], on the last output or on all of them.
fn layers(spec: &Spec) -> Sequential {
    let mut config = match spec.vocabulary {
        Some(ids) => Sequential::new([spec.time])
            .add(Embedding { embeddings_initializer: within(1), ..Embedding::new(ids, spec.inputs) }),
        None => Sequential::new([spec.time, spec.inputs]),
    };
    let every_step = spec.vocabulary.is_some() || spec.outputs == 0;
    let mut width = spec.inputs;
    for layer in 1..=spec.layers {
        let (kernel_initializer, recurrent_initializer) = (within(width), within(spec.hidden));
        let return_sequences = layer < spec.layers || every_step;
        let layer: LayerConfig = match spec.cell {
            Recurrence::Gru => {
                Gru { kernel_initializer, recurrent_initializer, return_sequences, ..Gru::new(spec.hidden) }.into()
            }
            _ => Lstm { kernel_initializer, recurrent_initializer, return_sequences, ..Lstm::new(spec.hidden) }.into(),
        };
        (config, width) = match spec.bidirectional {
            true => (config.add(Bidirectional::new(layer)), 2 * spec.hidden),
            false => (config.add(layer), spec.hidden),
        };
    }
    if spec.outputs == 0 { config } else { config.add(dense(width, spec.outputs)) }
}

/// A `Dense` on `inputs` features.
pub(crate) fn dense(inputs: usize, outputs: usize) -> Dense {
    Dense { kernel_initializer: within(inputs), ..Dense::new(outputs) }
}

/// Uniform within 1 / √inputs, as all runners have it; a large orthogonal matrix would take minutes.
pub(crate) fn within(inputs: usize) -> Initializer {
    let high = (inputs as f64).sqrt().recip();
    Initializer::Uniform { low: -high, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(name: &str, variant: Option<&str>) -> Workload {
        Workload::new(&Spec::find(name, variant).unwrap().shrunk(), Threads::new(2)).unwrap()
    }

    #[test]
    fn every_workload_runs_twice() {
        let streams = [("I1", Some("lstm-8")), ("I1", Some("gru-8"))];
        for (name, variant) in Spec::NAMES.map(|name| (name, None)).into_iter().chain(streams) {
            let mut workload = small(name, variant);
            // After a whole chunk the states hardly remember where they started.
            workload.inputs.truncate(1);
            if let Some((_, samples)) = &mut workload.stream {
                samples.truncate(1);
            }
            let results = [workload.step(), workload.step()];
            assert!(results.iter().all(|x| x.is_finite()), "{name}: {results:?}");
            match name.starts_with('T') {
                true => assert!(results[1] < results[0], "{name}: {results:?} are losses on the same data"),
                // A stream goes on where it was; a sequence starts anew.
                false => assert_eq!(results[0] == results[1], name != "I1", "{name}: {results:?}"),
            }
        }
    }

    #[test]
    fn losses_fall() {
        for name in ["T1", "T2"] {
            let mut workload = Workload::new(&Spec::find(name, None).unwrap(), Threads::new(2)).unwrap();
            let losses: Vec<f32> = (0..5).map(|_| workload.step()).collect();
            assert!(losses.is_sorted_by(|before, after| before > after), "{name}: {losses:?}");
        }
    }
}
