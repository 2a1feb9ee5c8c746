//! Gated recurrent unit of a grid.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::convolution::{Sliding, beside};
use crate::{Activation, Cell, Noise, State, StateShapes, Variational};

/// Convolutional gated recurrent unit (Ballas et al. 2016, arXiv:1511.06432): a GRU with a place of a grid in the place of a
/// row, and a convolution ∗ in that of a product. In the layout of Keras' GRU: the last axis of `kernel` (window…, input,
/// 3·filters), `recurrent_kernel` (window…, filters, 3·filters) and `bias` (3·filters) holds the gates z, r, h. State: h.
///
/// ```text
/// z = σ(x ∗ W_z + h ∗ U_z + b_z)
/// r = σ(x ∗ Wᵣ + h ∗ Uᵣ + bᵣ)
/// ĥ = tanh(x ∗ W_h + (r ∘ h) ∗ U_h + b_h)
/// h′ = z ∘ h + (1 − z) ∘ ĥ
/// ```
///
/// z is 1 − z of the paper. The convolutions of h keep the grid: stride 1, no dilation, zeros around it.
#[derive(Clone, Debug)]
pub struct ConvGruCell<T: Element = f32> {
    /// Input weights, (window…, input, 3·filters).
    pub kernel: Param<T>,
    /// Recurrent weights, (window…, filters, 3·filters).
    pub recurrent_kernel: Param<T>,
    /// Bias, (3·filters).
    pub bias: Option<Param<T>>,
    /// How the window moves over the input, and the grids of input and state.
    pub sliding: Sliding,
    /// Of the candidate: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
    /// What is dropped in training: nothing.
    pub variational: Variational,
}
module!(ConvGruCell<T> { kernel, recurrent_kernel, bias } rest {
    sliding, activation, recurrent_activation, variational
});

impl<T: Element> Cell<T> for ConvGruCell<T> {
    fn input_shape(&self) -> Shape {
        self.sliding.input()
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![self.sliding.output()]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        self.noisy_step(x, state, &[])
    }

    fn noises(&self) -> [usize; 2] {
        [self.variational.count(3), 0]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, _: usize, rng: &mut Rng) -> Noise<T> {
        let [input, state] = [self.sliding.input(), self.sliding.output()].map(|shape| beside(batch, &shape));
        self.variational.draw(3, [&input, &state], tape, rng)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let drop = self.variational.masks(3, noise);
        let a = self.sliding.over_input(x, drop.input, &self.kernel, self.bias.as_ref());
        let [az, ar, ah] = a.gates();
        // The gates' part of the weights, and the candidate's.
        let filters = ah.dim(-1) as isize;
        let u = x.tape().param(&self.recurrent_kernel);
        let (gates, candidate) = (u.slice(-1, ..2 * filters), u.slice(-1, 2 * filters..));
        let (of_gates, of_candidate) = drop.state.split_at(drop.state.len().min(2));
        let [uz, ur] = self.sliding.over_state(state[0], of_gates, gates).gates();
        let h = self.sliding.channels_last(state[0]);
        let z = σ.apply(az + uz);
        let r = self.sliding.as_wanted(σ.apply(ar + ur));
        let ĥ = τ.apply(ah + self.sliding.over_state(r * state[0], of_candidate, candidate));
        smallvec![self.sliding.as_wanted(z * h + (1.0 - z) * ĥ)]
    }
}
