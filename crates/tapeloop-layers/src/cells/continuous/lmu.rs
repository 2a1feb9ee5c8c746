//! The Legendre memory unit.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::layers::{keeps_shape, positive};
use crate::{Activation, BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The Legendre memory unit (Voelker, Kajić & Eliasmith 2019, NeurIPS): a linear memory holds the last θ steps of a
    /// signal u as coefficients of Legendre polynomials, and a nonlinear state reads it. States: h, m.
    ///
    /// ```text
    /// u = x e_x + h e_h + m e_m
    /// m′ = m Āᵀ + u B̄ᵀ
    /// h′ = tanh(x W_x + h W_h + m′ W_m)
    ///
    /// A_ij = (2i + 1) (−1 for i < j, else (−1)^{i−j+1}),  B_i = (2i + 1) (−1)^i
    /// ```
    ///
    /// Ā and B̄ are A / θ and B / θ, with u held for a step; they are not trained, unless one sets them free.
    Lmu(LmuCell) {
        /// The width of h.
        units,
        /// The number of polynomials. Default 16.
        order: usize = 16,
        /// θ, in steps. Default 64.
        theta: f64 = 64.0,
        /// Of h. Default tanh.
        activation: Activation = Activation::Tanh,
        /// Of e_x and e_h. Default LeCun uniform.
        encoder_initializer: Initializer = Initializer::LecunUniform,
        /// Of e_m. Default zeros.
        memory_encoder_initializer: Initializer = Initializer::Zeros,
        /// Of W_x, W_h and W_m. Default Glorot normal.
        kernel_initializer: Initializer = Initializer::GlorotNormal,
    }
}

/// What [`Lmu`] builds.
#[derive(Clone, Debug)]
pub struct LmuCell<T: Element = f32> {
    /// W_x, (input, units).
    pub kernel: Param<T>,
    /// W_h, (units, units).
    pub recurrent_kernel: Param<T>,
    /// W_m, (order, units).
    pub memory_kernel: Param<T>,
    /// e_x, (input, 1).
    pub encoder: Param<T>,
    /// e_h, (units, 1).
    pub recurrent_encoder: Param<T>,
    /// e_m, (order, 1).
    pub memory_encoder: Param<T>,
    /// Āᵀ, (order, order): not trained.
    pub transition: Param<T>,
    /// B̄ᵀ, (1, order): not trained.
    pub entry: Param<T>,
    /// Of h.
    pub activation: Activation,
}
module!(LmuCell<T> {
    kernel, recurrent_kernel, memory_kernel, encoder, recurrent_encoder, memory_encoder, transition, entry
} rest { activation });

/// Āᵀ and B̄ᵀ: from the exponential of [[A, B], [0, 0]] / θ.
fn memory<T: Element>(order: usize, theta: f64) -> [Param<T>; 2] {
    let generator = Tensor::from_fn([order + 1, order + 1], |at| {
        let (i, j) = (at[0], at[1]);
        let odd = |n: usize| if n.is_multiple_of(2) { 1.0 } else { -1.0 };
        let sign = match () {
            () if i == order => 0.0,
            () if j == order => odd(i),
            () if i < j => -1.0,
            () => -odd(i - j),
        };
        sign * (2 * i + 1) as f64 / theta
    });
    let held = Tape::<f64>::inference().constant(generator).matrix_exp().value();
    let frozen = |value: Tensor<f64>| {
        let mut param = Param::new(value.cast::<T>());
        param.set_trainable(false);
        param
    };
    [
        frozen(Tensor::from_fn([order, order], |at| held.at(&[at[1], at[0]]))),
        frozen(Tensor::from_fn([1, order], |at| held.at(&[at[1], order]))),
    ]
}

impl BuildCell for Lmu {
    type Built<T: Element> = LmuCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<LmuCell<T>, Error> {
        const MOST: usize = 4096;
        let mut fresh = Fresh::new("lmu", input, self.units, rng)?;
        keeps_shape("lmu", "activation", self.activation)?;
        positive("lmu", "order", self.order)?;
        if self.order > MOST {
            return Err(fresh.wrong(format!("order: {} polynomials; there may be {MOST}", self.order)));
        }
        if !(self.theta > 0.0 && self.theta.is_finite()) {
            return Err(fresh.wrong(format!("theta {}: must be positive", self.theta)));
        }
        let (features, units, order) = (fresh.input, self.units, self.order);
        let kernel = fresh.kernel(1, &self.kernel_initializer)?;
        let recurrent_kernel = fresh.recurrent_kernel(1, &self.kernel_initializer)?;
        let [transition, entry] = memory(order, self.theta);
        let encoder = &self.encoder_initializer;
        Ok(LmuCell {
            kernel,
            recurrent_kernel,
            memory_kernel: fresh.weight("kernel_initializer", [order, units], &self.kernel_initializer)?,
            encoder: fresh.weight("encoder_initializer", [features, 1], encoder)?,
            recurrent_encoder: fresh.weight("encoder_initializer", [units, 1], encoder)?,
            memory_encoder: fresh.weight("memory_encoder_initializer", [order, 1], &self.memory_encoder_initializer)?,
            transition,
            entry,
            activation: self.activation,
        })
    }
}

impl<T: Element> Cell<T> for LmuCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![rows(&self.recurrent_kernel), rows(&self.transition)]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (h, m) = (state[0], state[1]);
        let u = x.matmul(&self.encoder) + h.matmul(&self.recurrent_encoder) + m.matmul(&self.memory_encoder);
        let m = m.matmul(&self.transition) + u * &self.entry;
        let z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel) + m.matmul(&self.memory_kernel);
        smallvec![self.activation.apply(z), m]
    }
}
