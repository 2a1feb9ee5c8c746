//! The gated recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::variational::{dropped, product};
use crate::{Activation, Cell, Noise, State, StateShapes, Variational};

/// The gated recurrent unit (Cho et al. 2014), in Keras' layout: the last axis of `kernel` (input, 3·units),
/// `recurrent_kernel` (units, 3·units) and `bias` holds the gates z, r, h. State: h.
///
/// With `reset_after` (cuDNN's form) `bias` is (2, 3·units), row 0 for the input and row 1 for the state;
/// otherwise it is (3·units).
///
/// ```text
/// z = σ(x W_z + h U_z + b_z)
/// r = σ(x Wᵣ + h Uᵣ + bᵣ)
/// ĥ = tanh(x W_h + b_h + r ∘ (h U_h + b′_h))      reset_after
/// ĥ = tanh(x W_h + b_h + (r ∘ h) U_h)             otherwise
/// h′ = z ∘ h + (1 − z) ∘ ĥ
/// ```
#[derive(Clone, Debug)]
pub struct GruCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, 3·units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (2, 3·units) with `reset_after`, else (3·units).
    pub bias: Option<Param<T>>,
    /// Of the candidate: tanh.
    pub activation: Activation,
    /// Of the gates: σ.
    pub recurrent_activation: Activation,
    /// Whether the reset gate acts after the product with the recurrent weights.
    pub reset_after: bool,
    /// What is dropped in training: nothing.
    pub variational: Variational,
}
module!(GruCell<T> { kernel, recurrent_kernel, bias } rest { activation, recurrent_activation, reset_after, variational });

impl<T: Element> Cell<T> for GruCell<T> {
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
        [self.variational.count(3), 0]
    }

    fn draw(&self, tape: &Tape<T>, batch: usize, _: usize, rng: &mut Rng) -> Noise<T> {
        let [input, units] = [self.kernel.value().shape()[0], self.recurrent_kernel.value().shape()[0]];
        self.variational.draw(3, [&[batch, input], &[batch, units]], tape, rng)
    }

    fn noisy_step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>], noise: &[Var<'t, T>]) -> State<'t, T> {
        let (σ, τ) = (self.recurrent_activation, self.activation);
        let h = state[0];
        let drop = self.variational.masks(3, noise);
        let mut a = product(x, drop.input, &self.kernel);
        let (z, ĥ);
        if self.reset_after {
            let mut s = product(h, drop.state, &self.recurrent_kernel);
            if let Some(bias) = &self.bias {
                let bias = x.tape().param(bias);
                a = a + bias.select(0, 0);
                s = s + bias.select(0, 1);
            }
            let ([az, ar, ah], [sz, sr, sh]) = (a.gates(), s.gates());
            z = σ.apply(az + sz);
            let r = σ.apply(ar + sr);
            ĥ = τ.apply(ah + r * sh);
        } else {
            if let Some(bias) = &self.bias {
                a = a + bias;
            }
            let ([az, ar, ah], [uz, ur, uh]) = (a.gates(), x.tape().param(&self.recurrent_kernel).gates());
            let [hz, hr, hh] = [0, 1, 2].map(|k| dropped(h, drop.state, k));
            z = σ.apply(az + hz.matmul(uz));
            let r = σ.apply(ar + hr.matmul(ur));
            ĥ = τ.apply(ah + (r * hh).matmul(uh));
        }
        smallvec![z * h + (1.0 - z) * ĥ]
    }
}
