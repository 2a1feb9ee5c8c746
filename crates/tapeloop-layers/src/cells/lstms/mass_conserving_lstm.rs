//! The mass-conserving LSTM.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Rng, Shape, Var, module};

use crate::cells::config::{Fresh, config, rows};
use crate::{BuildCell, Cell, Error, Initializer, State, StateShapes};

config! {
    /// The mass-conserving LSTM (Hoedt et al. 2021, arXiv:2101.05186): what comes in as mass is stored or goes out, and
    /// none is made or lost. The first `masses` features of the input are masses x, which should not be negative; the
    /// others, a, only steer the gates. States: h, which is not read, and c.
    ///
    /// ```text
    /// a′ = (a, c / ‖c‖₁), where an empty c stays 0
    /// iₖ = softmax(a′ Wᵢₖ + bᵢₖ), for every mass k
    /// o = σ(a′ Wₒ + bₒ)
    /// R = softmax(a′ W_R + b_R), (units, units), each row for itself
    /// m = c R + Σₖ xₖ iₖ
    /// h′ = o ∘ m
    /// c′ = (1 − o) ∘ m
    /// ```
    ///
    /// so that Σ h′ + Σ c′ = Σ c + Σ x. Without `gated_redistribution` R does not depend on a′: it is softmax(b_R), and
    /// a fresh b_R the identity. A fresh bₒ is −3, as in the authors' code: a new cell keeps.
    ///
    /// ```
    /// use tapeloop_layers::{MassConservingLstm, Recurrent, Sequential};
    /// // One mass and two features that steer.
    /// let model = Sequential::new([None, Some(3)]).add(Recurrent::new(MassConservingLstm::new(8))).build::<f32>(0)?;
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    MassConservingLstm(MassConservingLstmCell) {
        /// The width of h and c.
        units,
        /// The number of masses: the first features of the input. Default 1.
        masses: usize = 1,
        /// Whether the gates decide at every step how the stored mass is redistributed. Default true.
        gated_redistribution: bool = true,
        /// Of Wᵢ, Wₒ and W_R. Default orthogonal.
        kernel_initializer: Initializer = Initializer::Orthogonal { gain: 1.0 },
    }
}

/// What [`MassConservingLstm`] builds.
#[derive(Clone, Debug)]
pub struct MassConservingLstmCell<T: Element = f32> {
    /// Wᵢ, (a′, masses·units).
    pub input_kernel: Param<T>,
    /// bᵢ, (masses·units).
    pub input_bias: Param<T>,
    /// Wₒ, (a′, units).
    pub output_kernel: Param<T>,
    /// bₒ, (units).
    pub output_bias: Param<T>,
    /// W_R, (a′, units·units): one row of R after the other.
    pub redistribution_kernel: Option<Param<T>>,
    /// b_R, (units·units).
    pub redistribution_bias: Param<T>,
}
module!(MassConservingLstmCell<T> {
    input_kernel, input_bias, output_kernel, output_bias, redistribution_kernel, redistribution_bias
});

impl<T: Element> MassConservingLstmCell<T> {
    fn units(&self) -> usize {
        self.output_bias.value().size()
    }

    fn masses(&self) -> usize {
        self.input_bias.value().size() / self.units()
    }
}

impl BuildCell for MassConservingLstm {
    type Built<T: Element> = MassConservingLstmCell<T>;

    fn cell_for<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<MassConservingLstmCell<T>, Error> {
        let mut fresh = Fresh::new("mass_conserving_lstm", input, self.units, rng)?;
        let (units, masses) = (self.units, self.masses);
        if masses == 0 || masses > fresh.input {
            return Err(fresh.wrong(format!("masses: {masses} of {} features", fresh.input)));
        }
        let seen = (fresh.input - masses).saturating_add(units);
        let (all, from) = (units.saturating_mul(units), &self.kernel_initializer);
        let redistribution_kernel = match self.gated_redistribution {
            true => Some(fresh.weight("kernel_initializer", [seen, all], from)?),
            false => None,
        };
        let spread = if self.gated_redistribution { Initializer::Zeros } else { Initializer::Identity { gain: 1.0 } };
        let bias: Param<T> = fresh.weight("redistribution_bias", [units, units], &spread)?;
        Ok(MassConservingLstmCell {
            input_kernel: fresh.weight("kernel_initializer", [seen, masses.saturating_mul(units)], from)?,
            input_bias: fresh.weight("input_bias", [masses * units], &Initializer::Zeros)?,
            output_kernel: fresh.weight("kernel_initializer", [seen, units], from)?,
            output_bias: fresh.weight("output_bias", [units], &Initializer::Constant { value: -3.0 })?,
            redistribution_kernel,
            redistribution_bias: Param::new(bias.value().reshape(&[-1])),
        })
    }
}

impl<T: Element> Cell<T> for MassConservingLstmCell<T> {
    fn input_shape(&self) -> Shape {
        Shape::from([rows(&self.output_kernel)[0] - self.units() + self.masses()])
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([self.units()]); 2]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let (c, masses, units) = (state[1], self.masses() as isize, self.units() as isize);
        let total = c.abs().sum(&[-1], true);
        let share = c / total.eq(0.0).if_else(1.0, total);
        let a = Var::concat([x.slice(-1, masses..), share], -1);
        let i = a.matmul(&self.input_kernel) + &self.input_bias;
        let o = (a.matmul(&self.output_kernel) + &self.output_bias).sigmoid();
        let mut m = match &self.redistribution_kernel {
            Some(kernel) => {
                let r = (a.matmul(kernel) + &self.redistribution_bias).reshape(&[-1, units, units]).softmax(-1);
                c.unsqueeze(1).matmul(r).squeeze(1)
            }
            None => c.matmul(x.tape().param(&self.redistribution_bias).reshape(&[units, units]).softmax(-1)),
        };
        for k in 0..masses {
            m = m + x.slice(-1, k..k + 1) * i.slice(-1, k * units..(k + 1) * units).softmax(-1);
        }
        smallvec![o * m, (1.0 - o) * m]
    }
}
