//! After the first, a training step of a whole model allocates nothing: layers, loss, penalties, backward pass, clipping,
//! optimizer, constraints; nor does a forecast on a tape that is kept, nor a sample of a stream.
//! Alone in its binary: the allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tapeloop::Threads;
use tapeloop::kernels::dispatch::{Isa, isa};
use tapeloop::prelude::*;
use tapeloop::torch;

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

/// Samples of a stream, from the first one on, and taking its states and giving them back.
fn stream() {
    for threads in [1, 2] {
        let config = Sequential::new([None, Some(3)])
            .add(Dense::new(5).activation(Activation::Relu))
            .add(Lstm::new(200).return_sequences(true))
            .add(LayerNorm::new())
            .add(Gru::new(21).return_sequences(true).reset_after(false))
            .add(SimpleRnn::new(8))
            .add(Dense::new(2).activation(Activation::Softmax));
        let model = config.build::<f32>(1).expect("a model that fits together");
        let mut stream = model.stream_on(threads).expect("a model that can be streamed");
        let state: Vec<Vec<f32>> = stream.state().map(<[f32]>::to_vec).collect();
        // A new thread is not yet where it waits: it may still be giving itself a name.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for sample in 0..1000u16 {
            let y = stream.step(&[f32::from(sample % 7) - 3.0, 0.5, 1.0]);
            assert!(y.iter().all(|y| y.is_finite()));
            if sample == 500 {
                assert!(stream.state().all(|state| state.iter().all(|x| x.is_finite())));
                stream.reset();
            }
        }
        let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("allocations of 1000 samples on {threads} threads: {count}");
        assert_eq!(count, 0, "a sample must not allocate");
        stream.set_state(&state).expect("its own states");
    }
}

fn main() {
    stream();
    if isa() == Isa::Portable {
        // Products are then matrixmultiply's, which allocates for each.
        println!("no fused multiply-add: nothing to count");
        return;
    }
    let config = Sequential::new([40, 3])
        .add(Masking::new(0.0))
        .add(Bidirectional::new(Gru::new(8).return_sequences(true).kernel_constraint(Constraint::max_norm(1.0))))
        .add(Lstm::new(16).return_sequences(true).recurrent_regularizer(Regularizer::orthogonal(0.1, Vectors::Rows)))
        .add(LayerNorm::new().activity_regularizer(Regularizer::l2(1e-3)).gamma_constraint(Constraint::NonNeg))
        .add(Dropout::new(0.1))
        .add(Gru::new(8).return_sequences(true).reset_after(false))
        .add(torch::Lstm::new(6).proj_size(4).num_layers(2).bidirectional(true).dropout(0.1).batch_first(true))
        .add(SimpleRnn::new(8).go_backwards(true).checkpoint(tapeloop::Checkpoint::sqrt()))
        .add(Dense::new(2).activation(Activation::Tanh));
    let mut model = config.build::<f32>(1).expect("a model that fits together");
    let mut rng = Rng::new(2);
    let mut x = Tensor::normal([8, 40, 3], 0.0, 1.0, &mut rng);
    // The rows are of different lengths.
    let steps = x.as_mut_slice().chunks_mut(3).enumerate();
    steps.filter(|(k, _)| k % 40 > 30 + k / 40).for_each(|(_, step)| step.fill(0.0));
    let y = Tensor::normal([8, 2], 0.0, 1.0, &mut rng);
    let (mut optimizer, mut tape) = (Adam::new(1e-3), Tape::new());
    let mut counts = [0; 6];
    for count in &mut counts {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let (loss, mut gradients) = tape.value_and_grad(|tape| {
            let forecast = model.forward_masked(tape.constant(x.clone()).into(), &mut Pass::training(0));
            let loss = losses::mse(forecast.value, &y, Reduction::Mean);
            loss + forecast.penalty.expect("a penalty of outputs") + model.penalty(tape).expect("a penalty of weights")
        });
        clip_by_global_norm(&mut gradients, 1.0);
        optimizer.step(&mut model, &gradients);
        model.constrain();
        drop(gradients);
        assert!(loss.is_finite());
        *count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    println!("allocations per step: {counts:?}");
    assert!(counts[0] > 0, "the counter counts");
    assert_eq!(counts[1..], [0; 5], "a step after the first must not allocate");

    let mut tape = Tape::inference_with_threads(Threads::new(2));
    let mut counts = [0; 6];
    for count in &mut counts {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let forecast = model.predict_on(&mut tape, &x).expect("an input that suits");
        assert!(forecast.as_slice().is_some_and(|y| y.iter().all(|y| y.is_finite())));
        drop(forecast);
        *count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    }
    println!("allocations per forecast: {counts:?}");
    assert_eq!(counts[1..], [0; 5], "a forecast after the first must not allocate");
    // Between forecasts the tape holds no parameter: changing one copies nothing.
    let mut zero = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        model.visit_mut(&mut tapeloop::Path::default(), &mut |_, param| param.value_mut().fill(0.0));
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    assert_eq!(zero(), zero(), "the first change makes names only, as the second");
}
