//! The efficient unitary network.

use std::ops::Range;

use smallvec::smallvec;
use tapeloop_autograd::{Complex, Element, Param, Rng, Shape, Var, module, s};

use super::urnn::modrelu;
use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The efficient unitary network (EUNN; Jing et al. 2017, arXiv:1612.05231): the state is complex, and what takes it to
    /// the next step is a product of layers that turn pairs of units, and a diagonal of phases. State: h, the real parts
    /// and then the imaginary ones, 2·units wide; it is the output, too.
    ///
    /// ```text
    /// layer: aⱼ ← e^(iφⱼ) (cos θⱼ aⱼ − sin θⱼ bⱼ),   bⱼ ← sin θⱼ aⱼ + cos θⱼ bⱼ
    /// h′ = modReLU(diag(e^(iω)) F_L … F₁ h + W x; b),   modReLU(z; b) = relu(|z| + b) z / |z|
    /// ```
    ///
    /// Layers pair neighbours, in turns from the first unit and from the second; `capacity` of them, and with as many as
    /// there are units any unitary matrix can be reached. With `fft` layer l pairs units whose numbers differ in bit l, as a
    /// Fourier transform does: there are log₂ units of them.
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
}
module!(EunnCell<T> { kernel, angles, phases, diagonal, bias } rest { layers });

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
        let [mut re, mut im] = state[0].gates();
        for layer in 0..self.layers.layers {
            let own = self.layers.own(layer);
            let (θ, φ) = (θ.slice(-1, own.clone()), φ.slice(-1, own));
            let (cos, sin) = (θ.cos(), θ.sin());
            let ([ar, br], [ai, bi]) = (self.layers.split(layer, re), self.layers.split(layer, im));
            let a = Complex::new(cos * ar - sin * br, cos * ai - sin * bi) * Complex::from_polar(one, φ);
            re = self.layers.join(layer, re, [a.re, sin * ar + cos * br]);
            im = self.layers.join(layer, im, [a.im, sin * ai + cos * bi]);
        }
        let h = Complex::new(re, im) * Complex::from_polar(one, parameter(&self.diagonal));
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

    /// The first of the paired units of a layer, and the one behind the last.
    fn paired(self, layer: usize) -> [usize; 2] {
        let first = if self.fft { 0 } else { layer % 2 };
        [first, first + (self.units - first) / 2 * 2]
    }

    /// The first units of a layer's pairs, and the second ones.
    #[track_caller]
    pub(super) fn split<'t, T: Element>(self, layer: usize, h: Var<'t, T>) -> [Var<'t, T>; 2] {
        let [start, end] = self.paired(layer).map(|n| n as isize);
        [h.slice(-1, s(start..end).step(2)), h.slice(-1, s(start + 1..end).step(2))]
    }

    /// The units with new pairs. As of a Fourier transform, first units come before all second ones: so the next bit is
    /// the lowest, and after the last layer all are in their places again.
    #[track_caller]
    pub(super) fn join<'t, T: Element>(self, layer: usize, h: Var<'t, T>, [a, b]: [Var<'t, T>; 2]) -> Var<'t, T> {
        if self.fft {
            return Var::concat([a, b], -1);
        }
        let n = self.units;
        let [start, end] = self.paired(layer);
        let mut joined = a.place(-1, start, 2, n) + b.place(-1, start + 1, 2, n);
        if start > 0 {
            joined = joined + h.slice(-1, 0..start as isize).place(-1, 0, 1, n);
        }
        if end < n {
            joined = joined + h.slice(-1, end as isize..).place(-1, end, 1, n);
        }
        joined
    }
}
