//! What a chain and a graph of layers have in common: the layers, by their names.

use tapeloop_autograd::{Element, Module, Param, Path, Rng, Tape, Var};

use crate::initializer::has_memory_for_row;
use crate::layer::{Axes, Layer};
use crate::layers::Config;
use crate::rules::add;
use crate::{Error, LayerConfig};

/// A layer in its place.
pub(super) struct Named<T: Element> {
    pub(super) name: String,
    pub(super) layer: Box<dyn Layer<T>>,
}

impl<T: Element> Named<T> {
    /// Elements of trainable parameters, and of frozen ones.
    pub(super) fn counts(&self) -> [usize; 2] {
        let mut counts = [0, 0];
        self.layer.visit(&mut Path::default(), &mut |_, param| {
            counts[usize::from(!param.trainable())] += param.value().size();
        });
        counts
    }
}

/// Layers with their weights, in order.
pub(super) struct Built<T: Element>(pub(super) Vec<Named<T>>);

impl<T: Element> Built<T> {
    /// One more layer for inputs of these axes.
    ///
    /// # Errors
    /// If it cannot be built as it is configured.
    pub(super) fn push(
        &mut self,
        name: String,
        config: &LayerConfig,
        input: &[Option<usize>],
        rng: &Rng,
    ) -> Result<&Named<T>, Error> {
        // A stream for each layer: another layer in front does not change its weights' sizes into others'.
        let mut own = rng.fork(self.0.len() as u64);
        let layer = config.build::<T>(input, &mut own).map_err(|error| error.in_layer(&name))?;
        Ok(self.0.push_mut(Named { name, layer }))
    }

    /// The penalty of all weights.
    #[track_caller]
    pub(super) fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        let mut sum = None;
        for named in &self.0 {
            sum = add(sum, named.layer.penalty(tape));
        }
        sum
    }

    pub(super) fn constrain(&mut self) {
        self.0.iter_mut().for_each(|named| named.layer.constrain());
    }

    pub(super) fn reset_state(&self) {
        self.0.iter().for_each(|named| named.layer.reset_state());
    }
}

/// Whether the layer's output can be held for one row.
///
/// # Errors
/// If it has more elements than any memory.
pub(super) fn can_be_held<T: Element>(name: &str, output: &Axes) -> Result<(), Error> {
    has_memory_for_row(output, size_of::<T>()).map_err(|problem| Error::config(name, problem))
}

impl<T: Element> Module<T> for Built<T> {
    fn visit<'a>(&'a self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a Param<T>)) {
        for Named { name, layer } in &self.0 {
            path.enter(name, |path| layer.visit(path, visitor));
        }
    }
    fn visit_mut<'a>(&'a mut self, path: &mut Path, visitor: &mut dyn FnMut(&Path, &'a mut Param<T>)) {
        for Named { name, layer } in &mut self.0 {
            path.enter(name, |path| layer.visit_mut(path, visitor));
        }
    }
}
