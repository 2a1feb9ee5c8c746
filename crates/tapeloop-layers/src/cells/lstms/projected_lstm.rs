//! Long short-term memory with a projected output.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Tape, Var, module};

use crate::cells::config::{Fresh, config};
use crate::layers::positive;
use crate::{Activation, BuildCell, Cell, Error, Initializer, LstmCell, Noise, State, StateShapes, Variational};

config! {
    /// Long short-term memory whose h is a projection (Sak et al. 2014, arXiv:1402.1128), as PyTorch's `proj_size`: fewer
    /// recurrent weights for as much memory. States: h (width), c (units).
    ///
    /// ```text
    /// i, f, g, o = as in the LSTM, from x and the projected h
    /// c′ = f ∘ c + i ∘ g
    /// h′ = (o ∘ tanh(c′)) P
    /// ```
    ProjectedLstm(ProjectedLstmCell) {
        /// The width of c.
        units,
        /// The width of h, which must be given.
        width: usize = 0,
        /// Of `kernel`. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `recurrent_kernel`. Default orthogonal.
        recurrent_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
        /// Of `projection`. Default Glorot uniform.
        projection_initializer: Initializer = Initializer::GlorotUniform,
        /// Of `bias`, but for the forget gate's part, which starts at 1. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

impl BuildCell for ProjectedLstm {
    type Built<T: Element> = ProjectedLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<ProjectedLstmCell<T>, Error> {
        positive("projected_lstm", "width", self.width)?;
        let units = self.units;
        let mut fresh = Fresh::new("projected_lstm", input, units, rng)?;
        let kernel = fresh.kernel(4, &self.kernel_initializer)?;
        let recurrent = [self.width, units.saturating_mul(4)];
        let recurrent_kernel = fresh.weight("recurrent_initializer", recurrent, &self.recurrent_initializer)?;
        let projection = fresh.weight("projection_initializer", [units, self.width], &self.projection_initializer)?;
        let mut bias = fresh.bias(4, &self.bias_initializer)?;
        bias.value_mut()[units..2 * units].fill(T::ONE);
        let (activation, recurrent_activation) = (Activation::Tanh, Activation::Sigmoid);
        let (bias, variational) = (Some(bias), Variational::default());
        let lstm = LstmCell { kernel, recurrent_kernel, bias, activation, recurrent_activation, variational };
        Ok(ProjectedLstmCell { lstm, projection })
    }
}

/// What [`ProjectedLstm`] and a projected [`torch::Lstm`](crate::torch::Lstm) build.
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
