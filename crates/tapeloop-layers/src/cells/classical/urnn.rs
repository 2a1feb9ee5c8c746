//! The unitary evolution network.

use smallvec::smallvec;
use tapeloop_autograd::{Complex, Element, Param, Rng, Shape, Tensor, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The unitary evolution network (uRNN; Arjovsky et al. 2016, arXiv:1511.06464): the state is complex, and what
    /// takes it to the next step is unitary, a product of phases, Fourier transforms, reflections and a permutation
    /// with few weights. State: h, the real parts and then the imaginary ones, 2·units wide; it is the output, too.
    ///
    /// ```text
    /// U = D₃ R₂ F⁻¹ D₂ Π R₁ F D₁
    /// D = diag(e^(iφ)),   R = I − 2 v v* / ‖v‖²
    /// h′ = modReLU(U h + W x; b),   modReLU(z; b) = relu(|z| + b) z / |z|
    /// ```
    ///
    /// Π is drawn once, from `permutation_seed`, and is no weight. The paper also learns the state before the first
    /// step; here it is 0, as for any cell.
    Urnn(UrnnCell) {
        /// The number of complex units.
        units,
        /// What Π is drawn from. Default 0.
        permutation_seed: u64 = 0,
        /// Of `kernel`, in each part. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of φ. Default uniform in −π..π.
        phase_initializer: Initializer =
            Initializer::Uniform { low: -std::f64::consts::PI, high: std::f64::consts::PI },
        /// Of v. Default uniform in −1..1.
        reflection_initializer: Initializer = Initializer::Uniform { low: -1.0, high: 1.0 },
        /// Of b. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Urnn`] builds.
#[derive(Clone, Debug)]
pub struct UrnnCell<T: Element = f32> {
    /// W, (input, 2·units): the real part, the imaginary part.
    pub kernel: Param<T>,
    /// φ of D₁, D₂, D₃: (3, units).
    pub phases: Param<T>,
    /// v of R₁ and of R₂, each a real part and an imaginary one: (4, units).
    pub reflections: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// Π: which element comes where.
    pub permutation: Tensor<i64>,
}
module!(UrnnCell<T> { kernel, phases, reflections, bias } rest { permutation });

impl BuildCell for Urnn {
    type Built<T: Element> = UrnnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<UrnnCell<T>, Error> {
        let units = self.units;
        let mut fresh = Fresh::new("urnn", input, units, rng)?;
        let kernel = Initializer::PerGate { gates: 2, initializer: Box::new(self.kernel_initializer.clone()) };
        let (kernel, bias) = (fresh.kernel(2, &kernel)?, fresh.bias(1, &self.bias_initializer)?);
        let order = Rng::new(self.permutation_seed).permutation(units);
        Ok(UrnnCell {
            kernel,
            phases: fresh.weight("phase_initializer", [3, units], &self.phase_initializer)?,
            reflections: fresh.weight("reflection_initializer", [4, units], &self.reflection_initializer)?,
            bias,
            permutation: Tensor::from_vec([units], order.into_iter().map(|at| at as i64).collect()),
        })
    }
}

impl<T: Element> Cell<T> for UrnnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([2 * self.bias.value().size()])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (φ, v) = (x.tape().param(&self.phases), x.tape().param(&self.reflections));
        let one = x.tape().scalar(1.0);
        let turn = |h, k| h * Complex::from_polar(one, φ.select(0, k));
        let v = |k: usize| Complex::new(v.select(0, 2 * k), v.select(0, 2 * k + 1));
        let [re, im] = state[0].gates();
        let h = reflected(turn(Complex::new(re, im), 0).fft(-1), v(0));
        let permuted = |x: Var<'t, T>| x.index_select(-1, &self.permutation);
        let h = turn(Complex::new(permuted(h.re), permuted(h.im)), 1).ifft(-1);
        let h = turn(reflected(h, v(1)), 2);
        let [re, im] = x.matmul(&self.kernel).gates();
        let z = Complex::new(h.re + re, h.im + im);
        let h = modrelu(z, x.tape().param(&self.bias));
        smallvec![Var::concat([h.re, h.im], -1)]
    }
}

/// h − 2 v (v* h) / ‖v‖²
#[track_caller]
fn reflected<'t, T: Element>(h: Complex<'t, T>, v: Complex<'t, T>) -> Complex<'t, T> {
    let along = v.conj() * h;
    let scale = 2.0 / v.abs2().sum(&[-1], true);
    let share = v * Complex::new(scale * along.re.sum(&[-1], true), scale * along.im.sum(&[-1], true));
    Complex::new(h.re - share.re, h.im - share.im)
}

/// relu(|z| + b) z / |z|, and 0 where z is.
#[track_caller]
pub(super) fn modrelu<'t, T: Element>(z: Complex<'t, T>, b: Var<'t, T>) -> Complex<'t, T> {
    let length = z.abs();
    let scale = (length + b).relu() / length.gt(0.0).if_else(length, 1.0);
    Complex::new(scale * z.re, scale * z.im)
}
