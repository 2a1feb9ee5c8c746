//! LSTM(128) and GRU(64) on batches of 32 × (10, 1) with a Dense(1): forward, and a whole training step with Adam.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tapeloop::{Gru, LayerConfig, Lstm};
use tapeloop_benches::Workload;

fn recurrent(criterion: &mut Criterion) {
    let layers: [(&str, LayerConfig); 2] = [("LSTM(128)", Lstm::new(128).into()), ("GRU(64)", Gru::new(64).into())];
    for (name, layer) in layers {
        let mut workload = Workload::forecast(layer).expect("a layer with units");
        let mut group = criterion.benchmark_group(name);
        group.bench_function("forward", |bencher| bencher.iter(|| black_box(workload.forward())));
        group.bench_function("training step", |bencher| bencher.iter(|| black_box(workload.step())));
        group.finish();
    }
}

criterion_group!(benches, recurrent);
criterion_main!(benches);
