//! Whose formulas.

use serde::{Deserialize, Serialize};

/// Whose formulas an optimizer follows, where Keras 3 and PyTorch differ. The papers allow both.
///
/// | | Keras | Torch |
/// | --- | --- | --- |
/// | [`Sgd`](crate::Sgd) | the learning rate is inside the velocity | outside of it; dampening |
/// | [`Adam`](crate::Adam), [`AdamW`](crate::AdamW) | ε beside √v | ε beside √v̂, v corrected for its start at 0 |
/// | [`RmsProp`](crate::RmsProp) | √(v + ε) | √v + ε |
/// | steps, for Adam's correction | all steps | those in which the parameter had a gradient |
/// | weight decay | w shrinks by lr·λ·w before the update | λ·w is added to the gradient (not in `AdamW`) |
///
/// It changes formulas, never numbers: defaults stay those of Keras. PyTorch's are ε = 10⁻⁸ everywhere,
/// ρ = 0.99 for RMSprop and λ = 0.01 for AdamW.
///
/// ```
/// use tapeloop_optim::{Adam, Convention};
/// let adam = Adam::<f32>::new(1e-3).convention(Convention::Torch).epsilon(1e-8);
/// assert_eq!(adam.config().convention, Convention::Torch);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// As Keras 3 computes it.
    #[default]
    Keras,
    /// As PyTorch computes it.
    Torch,
}
