//! Long short-term memory.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::cell::one_row;
use crate::variational::product;
use crate::{Activation, Cell, Noise, State, StateShapes, Variational};

/// Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000), in
/// Keras' layout: the last axis of `kernel` (input, 4·units), `recurrent_kernel` (units, 4·units) and
/// `bias` (4·units) holds the gates i, f, c, o. States: h, c.
///
/// ```text
/// i = σ(x Wᵢ + h Uᵢ + bᵢ)
/// f = σ(x W_f + h U_f + b_f)
/// g = tanh(x W_c + h U_c + b_c)
/// o = σ(x Wₒ + h Uₒ + bₒ)
/// c′ = f ∘ c + i ∘ g
/// h′ = o ∘ tanh(c′)
/// ```
#[derive(Clone, Debug)]
pub struct LstmCell<T: Element = f32> {
    /// Input weights, (input, 4·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 4·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·units); or (2, 4·units), of which both rows are added: PyTorch's two biases.
    pub bias: Option<Param<T>>,
    /// Of the candidate and the output: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
    /// What is dropped in training: nothing.
    pub variational: Variational,
}
module!(LstmCell<T> { kernel, recurrent_kernel, bias } rest { activation, recurrent_activation, variational });

impl<T: Element> Cell<T> for LstmCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([self.kernel.value().shape()[0]])
    }

    fn state_shapes(&self) -> StateShapes {
        let units = self.recurrent_kernel.value().shape()[0];
        smallvec![Shape::from([units]); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let (h, c) = (state[0], state[1]);
        let drop = self.variational.masks(4, noise);
        let mut z = product(x, drop.input, &self.kernel) + product(h, drop.state, &self.recurrent_kernel);
        if let Some(bias) = &self.bias {
            z = z + one_row(x.tape(), bias);
        }
        let [i, f, g, o] = z.gates();
        let c = σ.apply(f) * c + σ.apply(i) * τ.apply(g);
        let h = σ.apply(o) * τ.apply(c);
        smallvec![h, c]
    }

    fn noises(&self) -> [usize; 2] {
        [self.variational.count(4), 0]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, _: usize, rng: &mut Rng) -> Noise<T> {
        let [input, units] = [self.kernel.value().shape()[0], self.recurrent_kernel.value().shape()[0]];
        self.variational.draw(4, [&[batch, input], &[batch, units]], tape, rng)
    }
}
