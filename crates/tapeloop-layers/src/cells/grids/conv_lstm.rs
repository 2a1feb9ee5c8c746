//! Long short-term memory of a grid.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::convolution::{Sliding, beside};
use crate::{Activation, Cell, Noise, State, StateShapes, Variational};

/// Convolutional long short-term memory (Shi et al. 2015, arXiv:1506.04214, as in Keras without their peepholes): an LSTM
/// with a place of a grid in the place of a row, and a convolution ∗ in that of a product. In Keras' layout: the last axis
/// of `kernel` (window…, input, 4·filters), `recurrent_kernel` (window…, filters, 4·filters) and `bias` (4·filters) holds
/// the gates i, f, c, o. States: h, c.
///
/// ```text
/// i = σ(x ∗ Wᵢ + h ∗ Uᵢ + bᵢ)
/// f = σ(x ∗ W_f + h ∗ U_f + b_f)
/// g = tanh(x ∗ W_c + h ∗ U_c + b_c)
/// o = σ(x ∗ Wₒ + h ∗ Uₒ + bₒ)
/// c′ = f ∘ c + i ∘ g
/// h′ = o ∘ tanh(c′)
/// ```
///
/// The convolution of h keeps the grid: stride 1, no dilation, zeros around it.
#[derive(Clone, Debug)]
pub struct ConvLstmCell<T: Element = f32> {
    /// Input weights, (window…, input, 4·filters).
    pub kernel: Param<T>,
    /// Recurrent weights, (window…, filters, 4·filters).
    pub recurrent_kernel: Param<T>,
    /// Bias, (4·filters).
    pub bias: Option<Param<T>>,
    /// How the window moves over the input, and the grids of input and state.
    pub sliding: Sliding,
    /// Of the candidate and the output: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
    /// What is dropped in training: nothing.
    pub variational: Variational,
}
module!(ConvLstmCell<T> { kernel, recurrent_kernel, bias } rest {
    sliding, activation, recurrent_activation, variational
});

impl<T: Element> Cell<T> for ConvLstmCell<T> {
    fn input_shape(&self) -> Shape {
        self.sliding.input()
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![self.sliding.output(); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noises(&self) -> [usize; 2] {
        [self.variational.count(4), 0]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, _: usize, rng: &mut Rng) -> Noise<T> {
        let [input, state] = [self.sliding.input(), self.sliding.output()].map(|shape| beside(batch, &shape));
        self.variational.draw(4, [&input, &state], tape, rng)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let (h, c) = (state[0], self.sliding.channels_last(state[1]));
        let drop = self.variational.masks(4, noise);
        let z = self.sliding.over_input(x, drop.input, &self.kernel, self.bias.as_ref())
            + self.sliding.over_state(h, drop.state, &self.recurrent_kernel);
        let [i, f, g, o] = z.gates();
        let c = σ.apply(f) * c + σ.apply(i) * τ.apply(g);
        let h = σ.apply(o) * τ.apply(c);
        smallvec![self.sliding.as_wanted(h), self.sliding.as_wanted(c)]
    }
}
