//! States after every step: against the steps one after the other, all derivatives, with checkpoints.

use tapeloop_autograd::{Checkpoint, Loop, Rng, Shape, Tape, Tensor, Var};

use crate::networks::{Network, interpreted, networks};

/// How a loop is run.
#[derive(Clone, Copy, Debug)]
struct How {
    last: bool,
    backwards: bool,
}

/// Output, last states, states of every step; first gradients, and gradients of their norm.
fn everything(network: &Network<f64>, looped: Option<&Loop<f64>>, how: How) -> Vec<Tensor<f64>> {
    const TIME: usize = 5;
    let mut rng = Rng::new(3);
    let tape = Tape::new();
    let shape = |lead: &[usize], rest: &[usize]| lead.iter().chain(rest).copied().collect::<Shape>();
    let x = tape.leaf(Tensor::normal(shape(&[TIME, 3], &network.input), 0.0, 1.0, &mut rng));
    let states = network.states.iter();
    let start: Vec<_> = states.map(|state| tape.leaf(Tensor::normal(shape(&[3], state), 0.0, 1.0, &mut rng))).collect();
    let step = |x, s: &[_]| (network.step)(&network.params, x, s);
    let ran: Vec<Var<'_, f64>> = match looped {
        Some(looped) => {
            let mut over = looped.over(&[x]).states();
            over = if how.last { over.last() } else { over };
            over = if how.backwards { over.backwards() } else { over };
            let ran = over.run(&start, |x, s| (network.step)(&network.params, x[0], s));
            let ran = ran.unwrap_or_else(|error| panic!("{}: {error}", network.name));
            [ran.output].into_iter().chain(ran.state).chain(ran.states).collect()
        }
        None => {
            let (mut state, mut outputs) = (start.clone(), Vec::new());
            let mut all = vec![Vec::new(); state.len()];
            for turn in 0..TIME {
                let t = if how.backwards { TIME - 1 - turn } else { turn };
                let (next, output) = step(x.select(0, t), &state);
                state = next.to_vec();
                outputs.push(output);
                all.iter_mut().zip(&state).for_each(|(all, state)| all.push(*state));
            }
            let end = outputs[TIME - 1];
            if how.backwards {
                outputs.reverse();
                all.iter_mut().for_each(|all| all.reverse());
            }
            let output = if how.last { end } else { Var::stack(outputs, 0) };
            [output].into_iter().chain(state).chain(all.into_iter().map(|all| Var::stack(all, 0))).collect()
        }
    };
    let weighed = ran.iter().map(|x| (*x * &Tensor::normal(x.shape(), 0.0, 1.0, &mut rng)).sum_all());
    let loss = weighed.collect::<Vec<_>>().into_iter().reduce(|a, b| a + b).unwrap();
    let leaves: Vec<_> = [x].into_iter().chain(start).chain(network.params.iter().map(|p| tape.param(p))).collect();
    let mut all: Vec<_> = ran.iter().map(|x| x.value()).collect();
    let first = loss.backward();
    let of = |gradients: &tapeloop_autograd::Gradients<f64>| -> Vec<_> {
        leaves.iter().map(|&x| gradients.wrt(x).cloned().unwrap_or_else(|| Tensor::zeros(x.shape()))).collect()
    };
    all.extend(of(&first));
    let recorded = tape.grad(&[(loss, tape.scalar(1.0))], &leaves);
    all.extend(of(&recorded.iter().map(|g| g.square().sum_all()).reduce(|a, b| a + b).unwrap().backward()));
    all
}

#[test]
fn are_those_of_the_steps() {
    for network in networks().into_iter().chain(interpreted()) {
        for checkpoint in [None, Some(Checkpoint::every(2)), Some(Checkpoint::every(1))] {
            let looped = match checkpoint {
                None => Loop::new(),
                Some(checkpoint) => Loop::new().checkpoint(checkpoint),
            };
            for (last, backwards) in [(false, false), (true, false), (false, true), (true, true)] {
                let how = How { last, backwards };
                let (a, b) = (everything(&network, Some(&looped), how), everything(&network, None, how));
                crate::close(&format!("{} {how:?} {checkpoint:?}", network.name), &a, &b, 1e-12);
            }
            let text = looped.explain();
            assert!(text.contains("\n  derivative:") && !text.contains("unrolled"), "{}: {text}", network.name);
        }
    }
}

/// A state that the step hands on, exchanges or sets is seen after the step, not before it.
#[test]
fn of_a_step_that_computes_nothing() {
    let (looped, tape) = (Loop::new(), Tape::new());
    let x = tape.constant(Tensor::from([[[1.0f64]], [[2.0]], [[4.0]]]));
    let start = [10.0, 20.0, 30.0, 40.0].map(|x| tape.constant(Tensor::from([[x]])));
    let over = looped.over(&[x]).states();
    let ran = over.run(&start, |x, s| (smallvec::smallvec![s[1], s[0], x[0], s[3]], s[2])).unwrap();
    let values: Vec<_> = ran.states.iter().map(|x| x.value().to_vec()).collect();
    assert_eq!(values, [[20.0, 10.0, 20.0], [10.0, 20.0, 10.0], [1.0, 2.0, 4.0], [40.0, 40.0, 40.0]]);
    assert_eq!(ran.output.value().to_vec(), [30.0, 1.0, 2.0]);
}
