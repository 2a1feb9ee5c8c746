//! LSTM(128) and GRU(64) on batches of 32 × (10, 1) with a Dense(1): forward, and a whole training step with Adam.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tapeloop::Threads;
use tapeloop_benches::{Spec, Workload};

fn recurrent(criterion: &mut Criterion) {
    for (name, workload) in [("LSTM(128)", "T1"), ("GRU(64)", "T2")] {
        let spec = Spec::find(workload, None).expect("a workload");
        let mut workload = Workload::new(&spec, Threads::shared()).expect("layers with units");
        let mut group = criterion.benchmark_group(name);
        group.bench_function("forward", |bencher| bencher.iter(|| black_box(workload.forward())));
        group.bench_function("training step", |bencher| bencher.iter(|| black_box(workload.step())));
        group.finish();
    }
}

criterion_group!(benches, recurrent);
criterion_main!(benches);
