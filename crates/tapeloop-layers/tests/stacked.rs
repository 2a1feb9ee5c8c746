//! Cells one above the other: against layers one behind the other, and the loop against the tape.

use tapeloop_autograd::{Module, Path, Rng, Shape, Tape, Tensor, Var, module};
use tapeloop_layers::{
    Cell, Gru, Lstm, Masked, Noise, Pass, Rnn, RnnOptions, SimpleRnn, StackedCells, State, StateShapes,
};

type Cells = Vec<Box<dyn Cell<f64>>>;

/// h′ = h + x, in training h′ = h + x ∘ m + n with an m that is held and an n of every step.
struct Noisy {
    width: usize,
}
module!(Noisy for T {} rest { width });

impl Cell<f64> for Noisy {
    fn input_shape(&self) -> Shape {
        Shape::from([self.width])
    }
    fn state_shapes(&self) -> StateShapes {
        [self.input_shape()].into_iter().collect()
    }
    fn step<'t>(&self, x: Var<'t, f64>, state: &[Var<'t, f64>]) -> State<'t, f64> {
        [state[0] + x].into_iter().collect()
    }
    fn noises(&self) -> [usize; 2] {
        [1, 1]
    }
    fn draw(&self, _: &Tape<f64>, batch: usize, time: usize, rng: &mut Rng) -> Noise<f64> {
        let width = self.width;
        let mut normal = |shape: &[usize]| Tensor::normal(shape, 0.0, 1.0, rng);
        Noise {
            held: [normal(&[batch, width])].into_iter().collect(),
            each: [normal(&[batch, time, width])].into_iter().collect(),
        }
    }
    fn noisy_step<'t>(&self, x: Var<'t, f64>, state: &[Var<'t, f64>], noise: &[Var<'t, f64>]) -> State<'t, f64> {
        [state[0] + x * noise[0] + noise[1]].into_iter().collect()
    }
}

fn cells() -> Cells {
    let rng = &mut Rng::new(3);
    vec![
        Box::new(Lstm::new(4).dropout(0.3).recurrent_dropout(0.4).cell(3, rng)),
        Box::new(Noisy { width: 4 }),
        Box::new(SimpleRnn::new(2).cell(4, rng)),
        Box::new(Gru::new(5).dropout(0.5).cell(2, rng)),
    ]
}

fn x() -> Tensor<f64> {
    Tensor::normal([3, 6, 3], 0.0, 1.0, &mut Rng::new(4))
}

#[test]
fn a_stack_is_its_cells_one_behind_the_other() {
    let options = RnnOptions { return_sequences: true, ..RnnOptions::default() };
    let tape = Tape::new();
    // With the noise of each cell as well.
    for training in [false, true] {
        let stacked = Rnn::new(StackedCells::new(cells()), options);
        let (mut one, mut other) = (Rng::new(9), Rng::new(9));
        let none = Noise::none();
        let noise = if training { stacked.cell().draw(&tape, 3, 6, &mut one) } else { none.clone() };
        let run = stacked.run_with(tape.constant(x()), None, &noise);
        let (mut value, mut states) = (tape.constant(x()), Vec::new());
        for cell in cells() {
            let rnn = Rnn::new(cell, options);
            let noise = if training { rnn.cell().draw(&tape, 3, 6, &mut other) } else { none.clone() };
            let run = rnn.run_with(value, None, &noise);
            value = run.output;
            states.extend(run.state);
        }
        let near = |a: &Var<'_, f64>, b: &Var<'_, f64>| {
            let difference = (*a - *b).abs().value().to_vec().into_iter().fold(0.0, f64::max);
            assert!(difference <= 1e-12, "{difference}");
        };
        near(&run.output, &value);
        assert_eq!(run.state.len(), states.len());
        run.state.iter().zip(&states).for_each(|(a, b)| near(a, b));
    }
}

#[test]
fn the_loop_equals_the_tape() {
    let trained = |unroll: bool| {
        let options = RnnOptions { return_sequences: true, unroll, ..RnnOptions::default() };
        let rnn = Rnn::new(StackedCells::new(cells()), options);
        let tape = Tape::new();
        let input = tape.leaf(x());
        let masked = Masked::with_lengths(input, &[6, 2, 0]);
        let output = rnn.run_in(masked, None, &mut Pass::training(1)).output;
        let gradients = (output * output).sum_all().backward();
        let mut all = vec![output.value(), gradients.wrt(input).unwrap().clone()];
        rnn.visit(&mut Path::default(), &mut |_, param| all.push(gradients.of(param).unwrap().clone()));
        (all, rnn.explain())
    };
    let ((looped, how), (unrolled, _)) = (trained(false), trained(true));
    assert!(!how.contains("unrolled") && !how.contains("interpreted"), "{how}");
    for (ours, theirs) in looped.iter().zip(&unrolled) {
        let scale = theirs.to_vec().iter().fold(0.0f64, |max, x| max.max(x.abs()));
        for (a, b) in ours.to_vec().iter().zip(theirs.to_vec()) {
            assert!((a - b).abs() <= 1e-12 * scale, "{a} and {b}");
        }
    }
}

#[test]
#[should_panic(expected = "stacked: cell 0 puts out [4], and the one above it needs [3]")]
fn cells_that_do_not_fit_are_a_mistake() {
    let rng = &mut Rng::new(0);
    StackedCells::<f64>::new(vec![Box::new(Lstm::new(4).cell(3, rng)), Box::new(Gru::new(2).cell(3, rng))]);
}

#[test]
#[should_panic(expected = "stacked: there must be at least one cell")]
fn no_cells_are_a_mistake() {
    StackedCells::<f64>::new(Vec::new());
}
