//! Single operations, forward: elements or multiply-adds per second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tapeloop::prelude::*;

fn elementwise(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ops/elementwise");
    let mut rng = Rng::new(0);
    let (a, b) =
        (Tensor::<f32>::normal([512, 512], 0.0, 1.0, &mut rng), Tensor::normal([512, 512], 0.0, 1.0, &mut rng));
    group.throughput(Throughput::Elements(512 * 512));
    type Op = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;
    let ops: [(&str, Op); 9] = [
        ("add", |a, b| a + b),
        ("mul", |a, b| a * b),
        ("exp", |a, _| a.exp()),
        ("ln", |a, _| a.ln()),
        ("tanh", |a, _| a.tanh()),
        ("sigmoid", |a, _| a.sigmoid()),
        ("sum", |a, _| a.sum_all()),
        ("sum of rows", |a, _| a.sum(&[1], false)),
        ("softmax", |a, _| a.softmax(1)),
    ];
    for (name, op) in ops {
        let mut tape = Tape::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                tape.reset();
                let y = op(tape.constant(a.clone()), tape.constant(b.clone()));
                black_box(y.shape());
            });
        });
    }
    group.finish();
}

fn matmul(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ops/matmul");
    for (n, k, m) in [(32, 128, 512), (32, 256, 1024), (64, 1024, 4096), (512, 512, 512)] {
        let mut rng = Rng::new(0);
        let (a, b) = (Tensor::<f32>::normal([n, k], 0.0, 1.0, &mut rng), Tensor::normal([k, m], 0.0, 1.0, &mut rng));
        group.throughput(Throughput::Elements((n * k * m) as u64));
        let mut tape = Tape::new();
        group.bench_function(format!("{n}x{k}x{m}"), |bencher| {
            bencher.iter(|| {
                tape.reset();
                black_box(tape.constant(a.clone()).matmul(tape.constant(b.clone())).shape());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, elementwise, matmul);
criterion_main!(benches);
