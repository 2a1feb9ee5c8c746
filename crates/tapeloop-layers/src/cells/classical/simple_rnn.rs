//! The fully connected recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::cell::one_row;
use crate::variational::product;
use crate::{Activation, Cell, Noise, State, StateShapes, Variational};

/// The fully connected recurrent network (Elman 1990), in Keras' layout: `kernel` (input, units),
/// `recurrent_kernel` (units, units), `bias` (units). State: h.
///
/// ```text
/// h′ = tanh(x W + h U + b)
/// ```
#[derive(Clone, Debug)]
pub struct SimpleRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units); or (2, units), of which both rows are added: PyTorch's two biases.
    pub bias: Option<Param<T>>,
    /// tanh.
    pub activation: Activation,
    /// What is dropped in training: nothing.
    pub variational: Variational,
}
module!(SimpleRnnCell<T> { kernel, recurrent_kernel, bias } rest { activation, variational });

impl<T: Element> Cell<T> for SimpleRnnCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([self.recurrent_kernel.value().shape()[0]])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noises(&self) -> [usize; 2] {
        [self.variational.count(1), 0]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, _: usize, rng: &mut Rng) -> Noise<T> {
        let [input, units] = [self.kernel.value().shape()[0], self.recurrent_kernel.value().shape()[0]];
        self.variational.draw(1, [&[batch, input], &[batch, units]], tape, rng)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let drop = self.variational.masks(1, noise);
        let mut z = product(x, drop.input, &self.kernel) + product(h, drop.state, &self.recurrent_kernel);
        if let Some(bias) = &self.bias {
            z = z + one_row(x.tape(), bias);
        }
        smallvec![self.activation.apply(z)]
    }
}
