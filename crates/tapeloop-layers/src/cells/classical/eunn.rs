//! The efficient unitary network.

use std::ops::Range;

use smallvec::smallvec;
use tapeloop_autograd::{Complex, Element, Param, Rng, Shape, Tensor, Var, module};

use super::urnn::modrelu;
use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The efficient unitary network (EUNN; Jing et al. 2017, arXiv:1612.05231): the state is complex, and what takes
    /// it to the next step is a product of layers that turn pairs of units, and a diagonal of phases. State: h, the
    /// real parts and then the imaginary ones, 2·units wide; it is the output, too.
    ///
    /// ```text
    /// layer: aⱼ ← e^(iφⱼ) (cos θⱼ aⱼ − sin θⱼ bⱼ),   bⱼ ← sin θⱼ aⱼ + cos θⱼ bⱼ
    /// h′ = modReLU(diag(e^(iω)) F_L … F₁ h + W x; b),   modReLU(z; b) = relu(|z| + b) z / |z|
    /// ```
    ///
    /// Layers pair neighbours, in turns from the first unit and from the second; `capacity` of them, and with as many
    /// as there are units any unitary matrix can be reached. With `fft` layer l = 0, 1, … pairs units whose numbers
    /// differ in bit l, as a Fourier transform does: there are log₂ units of them. Pairs are in the order of their
    /// first units.
    Eunn(EunnCell) {
        /// The number of complex units, at least 2.
        units,
        /// The number of layers, at most as many as units. Default 2.
        capacity: usize = 2,
        /// Whether layers pair units as a Fourier transform does. Default false.
        fft: bool = false,
        /// Of `kernel`, in each part. Default Glorot uniform.
        kernel_initializer: Initializer = Initializer::GlorotUniform,
        /// Of θ, φ and ω. Default uniform in −π..π.
        angle_initializer: Initializer =
            Initializer::Uniform { low: -std::f64::consts::PI, high: std::f64::consts::PI },
        /// Of b. Default zeros.
        bias_initializer: Initializer = Initializer::Zeros,
    }
}

/// What [`Eunn`] builds.
#[derive(Clone, Debug)]
pub struct EunnCell<T: Element = f32> {
    /// W, (input, 2·units): the real part, the imaginary part.
    pub kernel: Param<T>,
    /// θ of every pair, layer by layer.
    pub angles: Param<T>,
    /// φ of every pair, layer by layer.
    pub phases: Param<T>,
    /// ω, (units).
    pub diagonal: Param<T>,
    /// b, (units).
    pub bias: Param<T>,
    /// The layers.
    pub layers: Turns,
    /// 1 where a unit is in no pair, in even layers and in odd ones.
    pub others: [Tensor<T>; 2],
}
module!(EunnCell<T> { kernel, angles, phases, diagonal, bias } rest { layers, others });

impl BuildCell for Eunn {
    type Built<T: Element> = EunnCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<EunnCell<T>, Error> {
        let mut fresh = Fresh::new("eunn", input, self.units, rng)?;
        let layers = Turns::new(&fresh, self.capacity, self.fft)?;
        let kernel = Initializer::PerGate { gates: 2, initializer: Box::new(self.kernel_initializer.clone()) };
        let (kernel, bias) = (fresh.kernel(2, &kernel)?, fresh.bias(1, &self.bias_initializer)?);
        let mut angles = |count| fresh.weight("angle_initializer", [count], &self.angle_initializer);
        Ok(EunnCell {
            kernel,
            angles: angles(layers.pairs())?,
            phases: angles(layers.pairs())?,
            diagonal: angles(self.units)?,
            bias,
            layers,
            others: layers.others(),
        })
    }
}

impl<T: Element> Cell<T> for EunnCell<T> {
    fn input_shape(&self) -> Shape {
        rows(&self.kernel)
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([2 * self.bias.value().size()])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let parameter = |param| x.tape().param(param);
        let (θ, φ, one) = (parameter(&self.angles), parameter(&self.phases), x.tape().scalar(1.0));
        let [re, im] = state[0].gates();
        let mut h = Complex::new(re, im);
        for layer in 0..self.layers.layers {
            let (own, at) = (self.layers.own(layer), self.layers);
            let (θ, φ) = (θ.slice(-1, own.clone()), φ.slice(-1, own));
            let (cos, sin, phase) = (θ.cos(), θ.sin(), Complex::from_polar(one, φ));
            let kept = at.firsts(layer, cos * phase.re) + at.seconds(layer, cos) + &self.others[layer % 2];
            let kept = Complex::new(kept, at.firsts(layer, cos * phase.im));
            let [re, im] = [phase.re, phase.im].map(|part| at.firsts(layer, -sin * part));
            let (from_second, from_first) = (Complex::new(re, im), at.seconds(layer, sin));
            let [next, before] =
                [-1, 1].map(|way| at.apart(layer) * way).map(|by| Complex::new(h.re.roll(by, -1), h.im.roll(by, -1)));
            h = kept * h + from_second * next + before * from_first;
        }
        let h = h * Complex::from_polar(one, parameter(&self.diagonal));
        let [re, im] = x.matmul(&self.kernel).gates();
        let h = modrelu(Complex::new(h.re + re, h.im + im), parameter(&self.bias));
        smallvec![Var::concat([h.re, h.im], -1)]
    }
}

/// Layers that turn pairs of units: which pairs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// The number of units.
    pub units: usize,
    /// The number of layers.
    pub layers: usize,
    /// Whether they pair units as a Fourier transform does.
    pub fft: bool,
}

impl Turns {
    pub(super) fn new(fresh: &Fresh<'_>, capacity: usize, fft: bool) -> Result<Self, Error> {
        let units = fresh.units;
        if units < 2 {
            return Err(fresh.wrong("units must be at least 2, to make pairs"));
        }
        if fft && !units.is_power_of_two() {
            return Err(fresh.wrong(format!("fft: {units} units are no power of 2")));
        }
        if !fft && !(1..=units).contains(&capacity) {
            return Err(fresh.wrong(format!("capacity: {capacity} is not in 1..={units}, the number of units")));
        }
        Ok(Self { units, layers: if fft { units.ilog2() as usize } else { capacity }, fft })
    }

    /// The number of pairs of all layers.
    pub(super) fn pairs(self) -> usize {
        self.before(self.layers)
    }

    /// The number of pairs before a layer.
    fn before(self, layer: usize) -> usize {
        let Self { units, fft, .. } = self;
        if fft { layer * units / 2 } else { layer.div_ceil(2) * (units / 2) + layer / 2 * ((units - 1) / 2) }
    }

    /// Which of all pairs a layer's are.
    pub(super) fn own(self, layer: usize) -> Range<isize> {
        self.before(layer) as isize..self.before(layer + 1) as isize
    }

    /// How far the units of a pair are apart.
    pub(super) fn apart(self, layer: usize) -> isize {
        if self.fft { 1 << layer } else { 1 }
    }

    /// A value for each pair, where its first unit is; 0 elsewhere.
    #[track_caller]
    pub(super) fn firsts<'t, T: Element>(self, layer: usize, x: Var<'t, T>) -> Var<'t, T> {
        self.at(layer, x, 0)
    }

    /// A value for each pair, where its second unit is; 0 elsewhere.
    #[track_caller]
    pub(super) fn seconds<'t, T: Element>(self, layer: usize, x: Var<'t, T>) -> Var<'t, T> {
        self.at(layer, x, self.apart(layer) as usize)
    }

    #[track_caller]
    fn at<'t, T: Element>(self, layer: usize, x: Var<'t, T>, behind: usize) -> Var<'t, T> {
        if self.fft {
            let apart = 1 << layer;
            let runs = x.reshape(&[-1, apart as isize]).place(-1, behind, 1, 2 * apart);
            return runs.reshape(&[-1]);
        }
        x.place(-1, layer % 2 + behind, 2, self.units)
    }

    /// 1 where a unit is in no pair, in even layers and in odd ones.
    pub(super) fn others<T: Element>(self) -> [Tensor<T>; 2] {
        [0, 1].map(|start| {
            let pairs = start..start + (self.units - start) / 2 * 2;
            let other = |unit: usize| !self.fft && !pairs.contains(&unit);
            Tensor::from_fn([self.units], |i| T::from_f64(f64::from(other(i[0]))))
        })
    }
}
