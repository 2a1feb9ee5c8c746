//! The gated orthogonal recurrent unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tensor, Var, module};

use super::eunn::Turns;
use super::exp_rnn::modrelu;
use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The gated orthogonal recurrent unit (GORU; Jing et al. 2017, arXiv:1706.02761): a GRU whose candidate reads the
    /// state through an orthogonal matrix, a product of layers that turn pairs of units as in [`Eunn`](crate::Eunn).
    /// State: h.
    ///
    /// ```text
    /// layer: aⱼ ← cos θⱼ aⱼ − sin θⱼ bⱼ,   bⱼ ← sin θⱼ aⱼ + cos θⱼ bⱼ
    /// r = σ(x W_r + h U_r + b_r)
    /// z = σ(x W_z + h U_z + b_z)
    /// ĥ = modReLU(x W_h + r ∘ (F_L … F₁ h); b_h),   modReLU(z; b) = sign(z) relu(|z| + b)
    /// h′ = z ∘ h + (1 − z) ∘ ĥ
    /// ```
    Goru(GoruCell) {
        /// The width of h, at least 2.
        units,
        /// The number of layers, at most as many as units. Default 2.
        capacity: usize = 2,
        /// Whether layers pair units as a Fourier transform does. Default false.
        fft: bool = false,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of θ. Default uniform in −π..π.
        angle_initializer: Initializer =
            Initializer::Uniform { low: -std::f64::consts::PI, high: std::f64::consts::PI },
        /// Of `bias`. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Goru`] builds. The last axis of `kernel` and `bias` holds the parts r, z, h; that of `recurrent_kernel` r, z.
#[derive(Clone, Debug)]
pub struct GoruCell<T: Element = f32> {
    /// Input weights, (input, 3·units).
    pub kernel: Param<T>,
    /// Recurrent weights of the gates, (units, 2·units).
    pub recurrent_kernel: Param<T>,
    /// θ of every pair, layer by layer.
    pub angles: Param<T>,
    /// Bias, (3·units).
    pub bias: Param<T>,
    /// The layers.
    pub layers: Turns,
    /// 1 where a unit is in no pair, in even layers and in odd ones.
    pub others: [Tensor<T>; 2],
}
module!(GoruCell<T> { kernel, recurrent_kernel, angles, bias } rest { layers, others });

impl BuildCell for Goru {
    type Built<T: Element> = GoruCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<GoruCell<T>, Error> {
        let mut fresh = Fresh::new("goru", input, self.units, rng)?;
        let layers = Turns::new(&fresh, self.capacity, self.fft)?;
        Ok(GoruCell {
            kernel: fresh.kernel(3, &self.kernel_initializer)?,
            recurrent_kernel: fresh.recurrent_kernel(2, &self.recurrent_initializer)?,
            angles: fresh.weight("angle_initializer", [layers.pairs()], &self.angle_initializer)?,
            bias: fresh.bias(3, &self.bias_initializer)?,
            layers,
            others: layers.others(),
        })
    }
}

impl<T: Element> Cell<T> for GoruCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let θ = x.tape().param(&self.angles);
        let mut turned = h;
        for layer in 0..self.layers.layers {
            let at = self.layers;
            let θ = θ.slice(-1, at.own(layer));
            let (cos, sin) = (θ.cos(), θ.sin());
            let kept = at.firsts(layer, cos) + at.seconds(layer, cos) + &self.others[layer % 2];
            let (from_second, from_first) = (at.firsts(layer, -sin), at.seconds(layer, sin));
            let [next, before] = [-1, 1].map(|way| turned.roll(at.apart(layer) * way, -1));
            turned = kept * turned + from_second * next + from_first * before;
        }
        let [xr, xz, xh] = x.matmul(&self.kernel).gates();
        let [br, bz, bh] = x.tape().param(&self.bias).gates();
        let [hr, hz] = h.matmul(&self.recurrent_kernel).gates();
        let (r, z) = ((xr + hr + br).sigmoid(), (xz + hz + bz).sigmoid());
        smallvec![z * h + (1.0 - z) * modrelu(xh + r * turned, bh)]
    }
}
