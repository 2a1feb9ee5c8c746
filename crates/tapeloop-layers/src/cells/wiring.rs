//! Which neurons of a liquid network see which: neural circuit policies.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::Rng;

/// Synapses of a layer of neurons: all of them, or those of a neural circuit policy (Lechner et al. 2020).
///
/// A policy has three kinds of neurons. Inputs reach inter neurons, these reach command neurons, which see each other and
/// reach the motor neurons, whose states are the output. Neurons are counted motor neurons first, then command, then inter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wiring {
    /// Every neuron sees every input and every neuron; all of them are motor neurons.
    #[default]
    Full,
    /// A policy by its number of outputs and how sparse it is: of the other neurons 0.4 are command neurons.
    Auto {
        /// The number of motor neurons.
        motors: usize,
        /// The share of synapses that are missing between two kinds, 0.1..=0.9.
        sparsity: f64,
    },
    /// A policy by its numbers.
    Policy {
        /// The number of motor neurons.
        motors: usize,
        /// The number of command neurons.
        commands: usize,
        /// How many inter neurons an input reaches.
        sensory_fanout: usize,
        /// How many command neurons an inter neuron reaches.
        inter_fanout: usize,
        /// How many synapses command neurons have between each other.
        recurrent_commands: usize,
        /// How many command neurons reach a motor neuron.
        motor_fanin: usize,
    },
}

/// Synapses: 1 or −1 as the second neuron is excited or not, 0 where there is none.
pub(crate) struct Synapses {
    /// From inputs, (inputs, units).
    pub(crate) sensory: Vec<f64>,
    /// From neurons, (units, units).
    pub(crate) own: Vec<f64>,
    /// The number of motor neurons.
    pub(crate) motors: usize,
}

impl Wiring {
    /// Half of all synapses for so many outputs.
    pub fn auto(motors: usize) -> Self {
        Self::Auto { motors, sparsity: 0.5 }
    }

    /// Draws the synapses of so many neurons.
    ///
    /// # Errors
    /// If there are too few neurons.
    pub(crate) fn draw(&self, inputs: usize, units: usize, rng: &mut Rng) -> Result<Synapses, String> {
        if inputs.max(units).checked_mul(units).is_none_or(|n| n > isize::MAX as usize / 64) {
            return Err(format!("there is no memory for the synapses of {units} neurons"));
        }
        match *self {
            Self::Full => {
                let mut all = |n: usize| (0..n).map(|_| sign(rng)).collect();
                Ok(Synapses { sensory: all(inputs * units), own: all(units * units), motors: units })
            }
            Self::Auto { motors, sparsity } => {
                if !(0.1..=0.9).contains(&sparsity) {
                    return Err(format!("sparsity {sparsity}: must be in 0.1..=0.9"));
                }
                if motors == 0 || motors + 2 > units {
                    return Err(format!("motors {motors}: of {units} neurons, two must be others"));
                }
                let part = |n: usize, share: f64| ((n as f64 * share) as usize).max(1);
                let commands = part(units - motors, 0.4);
                let (inters, density) = (units - motors - commands, 1.0 - sparsity);
                Self::Policy {
                    motors,
                    commands,
                    sensory_fanout: part(inters, density),
                    inter_fanout: part(commands, density),
                    recurrent_commands: part(2 * commands, density),
                    motor_fanin: part(commands, density),
                }
                .draw(inputs, units, rng)
            }
            Self::Policy { motors, commands, sensory_fanout, inter_fanout, recurrent_commands, motor_fanin } => {
                let rest = motors.checked_add(commands).and_then(|n| units.checked_sub(n)).filter(|&n| n > 0);
                let Some(inters) = rest.filter(|_| motors > 0 && commands > 0) else {
                    return Err(format!(
                        "{motors} motor and {commands} command neurons of {units}: each kind needs one"
                    ));
                };
                for (setting, fan, most) in [
                    ("sensory_fanout", sensory_fanout, inters),
                    ("inter_fanout", inter_fanout, commands),
                    ("motor_fanin", motor_fanin, commands),
                    ("recurrent_commands", recurrent_commands, commands.saturating_mul(commands)),
                ] {
                    if fan > most {
                        return Err(format!("{setting} {fan}: there are only {most}"));
                    }
                }
                let mut sensory = vec![0.0; inputs * units];
                let mut own = vec![0.0; units * units];
                let (command, inter) = (motors, motors + commands);
                fan_out(&mut sensory, units, (0, inputs), (inter, inters), sensory_fanout, rng);
                fan_out(&mut own, units, (inter, inters), (command, commands), inter_fanout, rng);
                for _ in 0..recurrent_commands {
                    let (from, to) = (command + rng.below(commands), command + rng.below(commands));
                    own[from * units + to] = sign(rng);
                }
                // A motor neuron chooses whom it sees, so both go the other way round.
                let mut motor = vec![0.0; units * units];
                fan_out(&mut motor, units, (0, motors), (command, commands), motor_fanin, rng);
                for from in command..inter {
                    for to in 0..motors {
                        own[from * units + to] = motor[to * units + from];
                    }
                }
                Ok(Synapses { sensory, own, motors })
            }
        }
    }
}

fn sign(rng: &mut Rng) -> f64 {
    if rng.below(2) == 0 { -1.0 } else { 1.0 }
}

/// Synapses from each of `from` to so many of `to`, both (first, count); where one of `to` is not reached, from as many as
/// reach the others in the mean.
fn fan_out(synapses: &mut [f64], width: usize, from: (usize, usize), to: (usize, usize), fan: usize, rng: &mut Rng) {
    for source in from.0..from.0 + from.1 {
        for target in rng.permutation(to.1).into_iter().take(fan) {
            synapses[source * width + to.0 + target] = sign(rng);
        }
    }
    let mean = (from.1 * fan / to.1).clamp(1, from.1.max(1));
    for target in to.0..to.0 + to.1 {
        if (from.0..from.0 + from.1).all(|source| synapses[source * width + target] == 0.0) {
            for source in rng.permutation(from.1).into_iter().take(mean) {
                synapses[(from.0 + source) * width + target] = sign(rng);
            }
        }
    }
}
