//! Long short-term memory with a projected output.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::{Cell, LstmCell, Noise, State, StateShapes};

/// Long short-term memory whose h is a projection (Sak et al. 2014), as PyTorch's `proj_size`: fewer recurrent weights for
/// as much memory. States: h (width), c (units).
///
/// ```text
/// i, f, g, o = as in the LSTM, from x and the projected h
/// c′ = f ∘ c + i ∘ g
/// h′ = (o ∘ tanh(c′)) P
/// ```
#[derive(Clone, Debug)]
pub struct ProjectedLstmCell<T: Element = f32> {
    /// What is projected: `kernel` (input, 4·units), `recurrent_kernel` (width, 4·units), `bias`.
    pub lstm: LstmCell<T>,
    /// P, (units, width).
    pub projection: Param<T>,
}
module!(ProjectedLstmCell<T> { lstm, projection });

impl<T: Element> Cell<T> for ProjectedLstmCell<T> {
    fn input_shape(&self) -> Shape {
        self.lstm.input_shape()
    }

    fn state_shapes(&self) -> StateShapes {
        let projection = self.projection.value().shape();
        smallvec![Shape::from([projection[1]]), Shape::from([projection[0]])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let next = self.lstm.noisy_step(x, state, noise);
        smallvec![next[0].matmul(&self.projection), next[1]]
    }

    fn noises(&self) -> [usize; 2] {
        self.lstm.noises()
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, time: usize, rng: &mut Rng) -> Noise<T> {
        // Of the input and of the projected state: the rows of both kernels.
        self.lstm.draw(tape, batch, time, rng)
    }
}
