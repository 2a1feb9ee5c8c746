//! What the tape itself costs: operations on single numbers, where the arithmetic is nothing. The time is per chain of
//! 10,000 operations; throughput is operations per second, and its inverse the overhead of one.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapeloop::prelude::*;

const OPS: u64 = 10_000;

fn chain<'t>(x: Var<'t>) -> Var<'t> {
    let mut y = x;
    for _ in 0..OPS {
        y = y + x;
    }
    y
}

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tape overhead");
    group.throughput(Throughput::Elements(OPS));
    let one = Tensor::<f32>::scalar(1.0);
    let mut tape = Tape::new();
    group.bench_function("record", |bencher| {
        bencher.iter(|| {
            tape.reset();
            chain(tape.leaf(one.clone())).size()
        });
    });
    let mut tape = Tape::inference();
    group.bench_function("without recording", |bencher| {
        bencher.iter(|| {
            tape.reset();
            chain(tape.leaf(one.clone())).size()
        });
    });
    let mut tape = Tape::new();
    group.bench_function("record and walk back", |bencher| {
        bencher.iter(|| {
            tape.reset();
            let x = tape.leaf(one.clone());
            chain(x).backward().wrt(x).map(Tensor::size)
        });
    });
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
