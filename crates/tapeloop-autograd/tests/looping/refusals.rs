//! Steps that are no loops, and mistakes in steps.

use smallvec::smallvec;
use tapeloop_autograd::{Backward, Loop, Op, Run, Shape, ShapeResult, Tape, Tensor};

#[test]
fn a_step_that_reads_values_says_so() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 1]));
    let start = tape.constant(Tensor::zeros([1, 1]));
    let ran = Loop::new().run(x, &[start], |x, s| {
        let h = if s[0].item() > 1.0 { x } else { x + s[0] };
        (smallvec![h], h)
    });
    let reason = ran.unwrap_err().to_string();
    assert!(reason.contains("reads a value") && reason.contains("refusals.rs"), "{reason}");
}

/// y = x², whose derivative looks at x.
#[derive(Debug)]
struct Peeking;

impl Op<f64> for Peeking {
    fn name(&self) -> &'static str {
        "peeking"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<f64>], _: &mut Run<'_, f64>) -> Tensor<f64> {
        inputs[0].map(|x| x * x)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, f64>) {
        let x = back.input(0).value();
        back.give(0, |g| g * &x * 2.0);
    }
}

/// Where nothing is recorded, nobody asks for the derivative.
#[test]
fn a_derivative_that_reads_values_says_so() {
    let looped = Loop::new();
    let run = |tape: &Tape<f64>| {
        let x = tape.leaf(Tensor::ones([3, 1, 1]));
        let start = tape.constant(Tensor::zeros([1, 1]));
        let ran = looped.run(x, &[start], |x, s| {
            let h = x.tape().custom(Peeking, &[x + s[0]]);
            (smallvec![h], h)
        });
        ran.map(|ran| ran.output.value().to_vec())
    };
    assert_eq!(run(&Tape::inference()).unwrap(), [1.0, 4.0, 25.0]);
    let reason = run(&Tape::new()).unwrap_err().to_string();
    assert!(reason.contains("a derivative that reads a value") && reason.contains("refusals.rs"), "{reason}");
    let how = looped.explain();
    assert!(
        how.contains("unrolled, since the step has a derivative") && how.contains("since the step has peeking"),
        "{how}"
    );
}

#[test]
fn a_step_that_turns_recording_off_says_so() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 1]));
    let start = tape.constant(Tensor::zeros([1, 1]));
    let ran = Loop::new().run(x, &[start], |x, s| {
        let h = x.tape().no_grad(|| x + s[0]) * 2.0;
        (smallvec![h], h)
    });
    let reason = ran.unwrap_err().to_string();
    assert!(reason.contains("turns recording off") && reason.contains("refusals.rs"), "{reason}");
}

#[test]
fn a_mistake_in_a_step_is_reported_as_everywhere() {
    let tape = Tape::<f64>::new();
    let x = tape.constant(Tensor::ones([3, 1, 2]));
    let start = tape.constant(Tensor::zeros([1, 3]));
    let run = || Loop::new().run(x, &[start], |x, s| (smallvec![x + s[0]], x)).map(|ran| ran.output.value());
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().starts_with("add: cannot combine shapes [1, 2] and [1, 3]"));
}
