//! The fully connected recurrent network.

use smallvec::smallvec;
use tapeloop_autograd::{Element, Param, Shape, Var, module};

use crate::{Activation, Cell, State, StateShapes};

/// The fully connected recurrent network (Elman 1990), in Keras' layout: `kernel` (input, units),
/// `recurrent_kernel` (units, units), `bias` (units). State: h.
///
/// ```text
/// h′ = tanh(x W + h U + b)
/// ```
#[derive(Clone, Debug)]
pub struct SimpleRnnCell<T: Element = f32> {
    /// Input weights, (input, units).
    pub kernel: Param<T>,
    /// Recurrent weights, (units, units).
    pub recurrent_kernel: Param<T>,
    /// Bias, (units).
    pub bias: Option<Param<T>>,
    /// tanh.
    pub activation: Activation,
}
module!(SimpleRnnCell<T> { kernel, recurrent_kernel, bias } rest { activation });

impl<T: Element> Cell<T> for SimpleRnnCell<T> {
    fn input_size(&self) -> usize {
        self.kernel.value().shape()[0]
    }

    fn state_shapes(&self) -> StateShapes {
        smallvec![Shape::from([self.recurrent_kernel.value().shape()[0]])]
    }

    fn step<'t>(&self, x: Var<'t, T>, state: &[Var<'t, T>]) -> State<'t, T> {
        let h = state[0];
        let mut z = x.matmul(&self.kernel) + h.matmul(&self.recurrent_kernel);
        if let Some(bias) = &self.bias {
            z = z + bias;
        }
        smallvec![self.activation.apply(z)]
    }
}
