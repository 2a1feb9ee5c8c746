//! What a backward pass returns.

use std::sync::{Arc, Mutex, PoisonError};

use super::pool::Pool;
use super::{Param, ParamId, Var};
use crate::element::Element;
use crate::tensor::Tensor;

/// Gradients of leaves and parameters. They outlive the tape; their memory goes back to it when dropped.
#[derive(Debug)]
pub struct Gradients<T: Element = f32> {
    entries: Vec<Entry<T>>,
    home: Home<T>,
    /// Which recording of its tape they belong to.
    recording: u64,
}

#[derive(Debug)]
pub(super) struct Entry<T: Element> {
    pub(super) leaf: u32,
    pub(super) param: Option<ParamId>,
    pub(super) gradient: Tensor<T>,
}

impl<T: Element> Gradients<T> {
    pub(super) fn new(mut entries: Vec<Entry<T>>, home: Home<T>, recording: u64) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.param, entry.leaf));
        Self { entries, home, recording }
    }

    /// The gradient of a parameter; `None` if nothing the backward pass started from depends on it.
    pub fn of(&self, param: &Param<T>) -> Option<&Tensor<T>> {
        self.by_id(param.id())
    }

    /// The gradient of the parameter of this identity.
    pub fn by_id(&self, id: ParamId) -> Option<&Tensor<T>> {
        let found = self.entries.binary_search_by_key(&Some(id), |entry| entry.param).ok()?;
        Some(&self.entries[found].gradient)
    }

    /// The gradient of a leaf; `None` if nothing the backward pass started from depends on it.
    /// Intermediate values have none here: use [`Tape::grad`](super::Tape::grad).
    ///
    /// # Panics
    /// If the leaf is of another tape, or was recorded after a reset.
    #[track_caller]
    pub fn wrt(&self, leaf: Var<'_, T>) -> Option<&Tensor<T>> {
        let same = {
            let state = leaf.tape.state.borrow();
            Arc::ptr_eq(&self.home.0, &state.home.0) && self.recording == state.recordings
        };
        assert!(same, "wrt: the leaf is not of the recording that these gradients belong to");
        self.entries.iter().find(|entry| entry.leaf == leaf.index).map(|entry| &entry.gradient)
    }

    /// Every parameter's gradient.
    pub fn params(&self) -> impl Iterator<Item = (ParamId, &Tensor<T>)> {
        self.entries.iter().filter_map(|entry| Some((entry.param?, &entry.gradient)))
    }

    /// Every parameter's gradient, for writing: clipping, scaling, noise.
    pub fn params_mut(&mut self) -> impl Iterator<Item = (ParamId, &mut [T])> {
        self.entries.iter_mut().filter_map(|entry| Some((entry.param?, entry.gradient.as_mut_slice())))
    }

    /// Adds the parameters' gradients of another backward pass, as when a batch is computed in parts.
    pub fn accumulate(&mut self, other: &Self) {
        for theirs in other.entries.iter().filter(|entry| entry.param.is_some()) {
            match self.entries.binary_search_by_key(&theirs.param, |entry| entry.param) {
                Ok(found) => {
                    let sum = self.entries[found].gradient.as_mut_slice();
                    sum.iter_mut().zip(theirs.gradient.to_vec()).for_each(|(sum, x)| *sum += x);
                }
                Err(place) => {
                    let gradient = Tensor::from_vec(theirs.gradient.shape(), theirs.gradient.to_vec());
                    self.entries.insert(place, Entry { leaf: u32::MAX, param: theirs.param, gradient });
                }
            }
        }
    }

    /// Multiplies every parameter's gradient.
    pub fn scale(&mut self, factor: T) {
        for (_, gradient) in self.params_mut() {
            gradient.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

impl<T: Element> Drop for Gradients<T> {
    fn drop(&mut self) {
        let entries = std::mem::take(&mut self.entries);
        if entries.capacity() > 0 {
            self.home.0.lock().unwrap_or_else(PoisonError::into_inner).push(entries);
        }
    }
}

/// Where dropped gradients wait for the tape they came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Home<T: Element>(Arc<Mutex<Vec<Vec<Entry<T>>>>>);

impl<T: Element> Home<T> {
    /// Hands the buffers of dropped gradients to the pool. The emptied lists stay for [`list`](Self::list).
    pub(super) fn collect(&self, pool: &mut Pool<T>) {
        for entries in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            entries.drain(..).for_each(|entry| pool.give(entry.gradient));
        }
    }

    /// An empty list, with the capacity of an earlier one if there was one.
    pub(super) fn list(&self, pool: &mut Pool<T>) -> Vec<Entry<T>> {
        self.collect(pool);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}
