//! After the first, a training step allocates nothing: not the tape, not the operations, not the backward pass.
//! Alone in its binary: the allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use smallvec::smallvec;
use tapeloop_autograd::kernels::dispatch::{Isa, isa};
use tapeloop_autograd::{Checkpoint, Complex, Loop, Param, Rng, Tape, Tensor, Threads};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Linear recurrences over the input, an LSTM by hand over 40 steps, a dense layer, a loss: forward, backward, update.
fn main() {
    if isa() == Isa::Portable {
        // Products are then matrixmultiply's, which allocates for each.
        println!("no fused multiply-add: nothing to count");
        return;
    }
    for threads in [1, 2] {
        let mut rng = Rng::new(0);
        let (batch, time, features, units) = (16, 40, 3, 24);
        let mut normal = |shape: &[usize]| Tensor::<f32>::normal(shape, 0.0, 0.3, &mut rng);
        let x = normal(&[batch, time, features]);
        let target = normal(&[batch, 1]);
        let (h0, c0) = (Tensor::<f32>::zeros([batch, units]), Tensor::<f32>::zeros([batch, units]));
        let shapes: [&[usize]; 6] =
            [&[features, 4 * units], &[units, 4 * units], &[4 * units], &[units, 1], &[1], &[features]];
        let mut params = shapes.map(|shape| Param::new(normal(shape)));
        let mut tape = Tape::with_threads(Threads::new(threads));
        let mut counts = [0; 6];
        for count in &mut counts {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            {
                let [kernel, recurrent, bias, dense, shift, decay] = &params;
                let (loss, gradients) = tape.value_and_grad(|tape| {
                    let x = tape.constant(x.clone());
                    let decay = tape.param(decay);
                    let x = x.linear_recurrence(decay, None, 1, false);
                    let (z, a, initial) = (Complex::new(x, x), Complex::new(x, decay), Complex::new(decay, decay));
                    let x = z.linear_recurrence(a, Some(initial), 1, true).abs2();
                    let (mut h, mut c) = (tape.constant(h0.clone()), tape.constant(c0.clone()));
                    for t in 0..time {
                        let z = x.select(1, t).matmul(kernel) + h.matmul(recurrent) + bias;
                        let [i, f, g, o] = z.gates();
                        c = f.sigmoid() * c + i.sigmoid() * g.tanh();
                        h = o.sigmoid() * c.tanh();
                    }
                    let normed = h.layer_norm(&[-1], None, None, 1e-3);
                    (normed.matmul(dense) + shift - &target).square().mean_all()
                });
                assert!(loss.is_finite());
                for param in &mut params {
                    let gradient = gradients.of(param).expect("every parameter is used").as_slice();
                    let gradient = gradient.expect("gradients are dense").iter();
                    param.value_mut().iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.01 * g);
                }
            }
            *count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        }
        assert!(counts[0] > 0, "the counter counts");
        println!("allocations per step with {threads} threads: {counts:?}");
        assert_eq!(counts[1..], [0; 5], "a step after the first must not allocate");
        for looped in [Loop::new(), Loop::new().checkpoint(Checkpoint::every(4))] {
            interpreted(&looped, threads);
        }
    }
}

/// A loop whose body is interpreted, with states of three axes.
fn interpreted(looped: &Loop<f32>, threads: usize) {
    let mut rng = Rng::new(0);
    let (batch, time, channels, length) = (8, 12, 6, 5);
    let mut normal = |shape: &[usize]| Tensor::<f32>::normal(shape, 0.0, 0.3, &mut rng);
    let x = normal(&[time, batch, length, channels]);
    let start = Tensor::<f32>::zeros([batch, length, channels]);
    let params = [&[channels, 2 * channels][..], &[channels, 2 * channels], &[2 * channels]]
        .map(|shape| Param::new(normal(shape)));
    let mut tape = Tape::with_threads(Threads::new(threads));
    let mut counts = [0; 6];
    for count in &mut counts {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let (loss, _) = tape.value_and_grad(|tape| {
            let start = [tape.constant(start.clone())];
            let ran = looped.run(tape.constant(x.clone()), &start, |x, s| {
                let z = x.matmul(&params[0]) + s[0].cumsum(1).matmul(&params[1]) + &params[2];
                let [i, g] = z.gates();
                let h = i.softmax(1) * g.tanh() + s[0].flip(&[1]) * 0.5;
                (smallvec![h], h)
            });
            ran.expect("it can be traced").output.square().mean_all()
        });
        assert!(loss.is_finite());
        *count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    println!("allocations per step of an interpreted loop with {threads} threads: {counts:?}");
    assert!(looped.explain().contains("interpreted"));
    assert_eq!(counts[1..], [0; 5], "a step after the first must not allocate");
}
