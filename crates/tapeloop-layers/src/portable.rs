//! Cells that other libraries have, too.

use tapeloop_autograd::{Element, Param, Path, Tensor};

use crate::layout::{Biases, CellWeights, Layout, Library, Recurrence};
use crate::{Activation, Cell, Error, GruCell, LstmCell, ProjectedLstmCell, SimpleRnnCell};

/// A cell whose weights other libraries hold in layouts of their own. Its parameters are named `kernel`,
/// `recurrent_kernel`, `bias` and `projection`.
///
/// ```
/// use tapeloop_autograd::Rng;
/// use tapeloop_layers::{Gru, Library, Portable};
/// let there = Gru::new(4).layer::<f32>(3, &mut Rng::new(0));
/// let mut here = Gru::new(4).layer::<f32>(3, &mut Rng::new(1));
/// here.cell_mut().set_weights_of(Library::Cudnn, &there.cell().weights_for(Library::Cudnn)?)?;
/// assert_eq!(here.cell().weights(), there.cell().weights());
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
pub trait Portable<T: Element>: Cell<T> {
    /// The layout of its own weights.
    fn layout(&self) -> Layout;

    /// What it applies to the candidate, and to the gates, if there are any.
    fn activations(&self) -> [Activation; 2];

    /// Its weights, in its own layout.
    ///
    /// # Panics
    /// If it has no `kernel` and `recurrent_kernel`.
    #[track_caller]
    fn weights(&self) -> CellWeights<T> {
        self.weights_by(&mut |param| param.value().clone())
    }

    /// As [`weights`](Self::weights), of what `value` gives for each parameter: its gradient, say.
    ///
    /// # Panics
    /// As `weights`.
    #[track_caller]
    fn weights_by(&self, value: &mut dyn FnMut(&Param<T>) -> Tensor<T>) -> CellWeights<T> {
        let mut found = [const { None }; 4];
        self.visit(&mut Path::default(), &mut |path, param| {
            if let Some(place) = place(path) {
                found[place] = Some(value(param));
            }
        });
        let [Some(kernel), Some(recurrent_kernel), bias, projection] = found else {
            panic!("portable: the cell has no `kernel` and `recurrent_kernel`");
        };
        CellWeights { kernel, recurrent_kernel, biases: bias.into_iter().collect(), projection }
    }

    /// Takes weights in its own layout.
    ///
    /// # Errors
    /// If one is missing, there is one too many, or one has another shape; then nothing has changed.
    fn set_weights(&mut self, weights: CellWeights<T>) -> Result<(), Error> {
        let own = self.weights();
        let CellWeights { kernel, recurrent_kernel, biases, projection } = weights;
        if biases.len() > 1 {
            return Err(Error::other("the cell takes one `bias`, not two"));
        }
        let bias = biases.into_iter().next();
        let mut new = [Some(kernel), Some(recurrent_kernel), bias, projection];
        let old = [Some(own.kernel), Some(own.recurrent_kernel), own.biases.into_iter().next(), own.projection];
        for ((new, old), name) in new.iter().zip(&old).zip(NAMES) {
            match (new, old) {
                (Some(new), Some(old)) if new.shape() != old.shape() => {
                    let (given, needed) = (new.shape(), old.shape());
                    return Err(Error::other(format!("`{name}` has the shape {given}; the cell needs {needed}")));
                }
                (None, Some(_)) => return Err(Error::other(format!("there is no `{name}`; the cell has one"))),
                (Some(_), None) => return Err(Error::other(format!("the cell has no `{name}`"))),
                _ => {}
            }
        }
        self.visit_mut(&mut Path::default(), &mut |path, param| {
            if let Some(value) = place(path).and_then(|place| new[place].take()) {
                param.set(value);
            }
        });
        Ok(())
    }

    /// Its weights as a library lays them out.
    ///
    /// # Errors
    /// If the library has no such cell.
    fn weights_for(&self, library: Library) -> Result<CellWeights<T>, Error> {
        let own = self.layout();
        self.weights().convert(&own, &Layout::of(library, own.recurrence)?)
    }

    /// Takes weights as a library lays them out.
    ///
    /// # Errors
    /// If the library has no such cell, or a weight does not suit; then nothing has changed.
    fn set_weights_of(&mut self, library: Library, weights: &CellWeights<T>) -> Result<(), Error> {
        let own = self.layout();
        self.set_weights(weights.convert(&Layout::of(library, own.recurrence)?, &own)?)
    }
}

const NAMES: [&str; 4] = ["kernel", "recurrent_kernel", "bias", "projection"];

fn place(path: &Path) -> Option<usize> {
    let last = path.as_str().rsplit('.').next();
    NAMES.iter().position(|name| Some(*name) == last)
}

/// Our own layout, which is Keras', with one bias or with two rows of them.
fn ours<T: Element>(recurrence: Recurrence, bias: Option<&Param<T>>) -> Layout {
    let biases = match bias {
        Some(bias) if bias.value().rank() == 1 => Biases::One,
        Some(_) => Biases::Rows,
        None if recurrence == Recurrence::Gru => Biases::Rows,
        None => Biases::One,
    };
    let gates = recurrence.gates();
    Layout { library: Library::Keras, recurrence, gates, transposed: false, biases, z_is_new: false, forget: 0.0 }
}

impl<T: Element> Portable<T> for SimpleRnnCell<T> {
    fn layout(&self) -> Layout {
        ours(Recurrence::SimpleRnn, self.bias.as_ref())
    }
    fn activations(&self) -> [Activation; 2] {
        [self.activation, Activation::Sigmoid]
    }
}

impl<T: Element> Portable<T> for LstmCell<T> {
    fn layout(&self) -> Layout {
        ours(Recurrence::Lstm, self.bias.as_ref())
    }
    fn activations(&self) -> [Activation; 2] {
        [self.activation, self.recurrent_activation]
    }
}

impl<T: Element> Portable<T> for ProjectedLstmCell<T> {
    fn layout(&self) -> Layout {
        self.lstm.layout()
    }
    fn activations(&self) -> [Activation; 2] {
        self.lstm.activations()
    }
}

impl<T: Element> Portable<T> for GruCell<T> {
    fn layout(&self) -> Layout {
        let recurrence = if self.reset_after { Recurrence::Gru } else { Recurrence::GruResetBefore };
        ours(recurrence, self.bias.as_ref())
    }
    fn activations(&self) -> [Activation; 2] {
        [self.activation, self.recurrent_activation]
    }
}

impl<T: Element, C: Portable<T> + ?Sized> Portable<T> for Box<C> {
    fn layout(&self) -> Layout {
        (**self).layout()
    }
    fn activations(&self) -> [Activation; 2] {
        (**self).activations()
    }
}
