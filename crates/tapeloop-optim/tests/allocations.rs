//! A step allocates at most the first time. Alone in its binary: the allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use tapeloop_autograd::{Gradients, Param, Tape, Tensor, module};
use tapeloop_optim::*;

struct Counting;

thread_local! {
    // Per thread, so that the test harness does not count.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Layer {
    kernel: Param,
    bias: Param,
}
module!(Layer { kernel, bias });

struct Model {
    layers: Vec<Layer>,
}
module!(Model { layers });

fn gradients(model: &Model) -> Gradients {
    Tape::new()
        .value_and_grad(|tape| {
            let sums = model.layers.iter().map(|layer| (tape.param(&layer.kernel) * &layer.bias).sum_all());
            sums.reduce(|a, b| a + b).unwrap()
        })
        .1
}

fn count(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    f();
    ALLOCATIONS.get() - before
}

#[test]
fn the_second_step_allocates_nothing() {
    let groups = || {
        let bias = Rule::new().weight_decay(0.0);
        Groups::new().prefix("layers.1", Rule::new().learning_rate(0.5)).matching(|name| name.ends_with("bias"), bias)
    };
    let optimizers: [Box<dyn Optimizer<f32>>; 5] = [
        Box::new(Sgd::new(0.1).groups(groups())),
        Box::new(Sgd::new(0.1).momentum(0.9).nesterov(true).convention(Convention::Torch).groups(groups())),
        Box::new(Adam::new(0.1).amsgrad(true).groups(groups())),
        Box::new(AdamW::new(0.1).groups(groups())),
        Box::new(RmsProp::new(0.1).momentum(0.9).centered(true).groups(groups())),
    ];
    for mut optimizer in optimizers {
        let layer = || Layer { kernel: Param::new(Tensor::ones([3, 4])), bias: Param::new(Tensor::ones([4])) };
        let mut model = Model { layers: vec![layer(), layer()] };
        let mut first = gradients(&model);
        assert!(count(|| optimizer.step(&mut model, &first)) > 0, "the counter counts");
        let mut second = gradients(&model);
        for gradients in [&mut first, &mut second] {
            let allocations = count(|| {
                clip_by_value(gradients, 10.0);
                clip_by_norm(gradients, 1.0);
                clip_by_global_norm(gradients, 0.5);
                clip_grad_norm(gradients, 0.1, 2.0);
                optimizer.step(&mut model, gradients);
            });
            assert_eq!(allocations, 0);
        }
    }
}
