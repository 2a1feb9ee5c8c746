//! Weights under PyTorch's names.

use std::collections::BTreeMap;

use tapeloop_autograd::{Element, Tensor};

use crate::layout::{CellWeights, Layout, Library, Recurrence};
use crate::{Activation, Error, Portable};

/// The weights of a cell under PyTorch's names and in its layout, in its order: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`,
/// `weight_hr`, each with this suffix: `_l0` in the first layer of a module, `_l0_reverse` its way back, none in a cell.
///
/// ```
/// use tapeloop_autograd::Rng;
/// use tapeloop_layers::{Gru, torch};
/// let mut gru = Gru::new(4).layer::<f32>(3, &mut Rng::new(0));
/// let weights = torch::state_dict(gru.cell(), "_l0")?;
/// assert_eq!(weights[0].0, "weight_ih_l0");
/// assert_eq!(weights[0].1.shape(), [12, 3]);
/// torch::load_state_dict(gru.cell_mut(), "_l0", weights)?;
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
///
/// # Errors
/// If PyTorch has no such cell: a GRU whose reset gate acts before the product, or other activations.
pub fn state_dict<T: Element, C: Portable<T> + ?Sized>(
    cell: &C,
    suffix: &str,
) -> Result<Vec<(String, Tensor<T>)>, Error> {
    Ok(named(cell.weights().convert(&cell.layout(), &layout(cell)?)?, suffix))
}

/// Takes weights under PyTorch's names, with this suffix. Where the cell has one bias, it takes the sum of both.
///
/// # Errors
/// As [`state_dict`]; if a name is missing, unknown or there twice, or a shape is wrong. Then nothing has changed.
pub fn load_state_dict<T: Element, C: Portable<T> + ?Sized>(
    cell: &mut C,
    suffix: &str,
    weights: impl IntoIterator<Item = (impl Into<String>, Tensor<T>)>,
) -> Result<(), Error> {
    let own = taken(&[(suffix.into(), &*cell)], weights)?;
    own.into_iter().try_for_each(|weights| cell.set_weights(weights))
}

/// PyTorch's layout of such a cell.
pub(super) fn layout<T: Element, C: Portable<T> + ?Sized>(cell: &C) -> Result<Layout, Error> {
    let recurrence = cell.layout().recurrence;
    let layout = Layout::of(Library::Torch, recurrence)?;
    let [candidate, gates] = cell.activations();
    let known = match recurrence {
        Recurrence::SimpleRnn => matches!(candidate, Activation::Tanh | Activation::Relu),
        _ => candidate == Activation::Tanh && gates == Activation::Sigmoid,
    };
    if known {
        return Ok(layout);
    }
    let own =
        if recurrence == Recurrence::SimpleRnn { candidate.to_string() } else { format!("{candidate} and {gates}") };
    Err(Error::other(format!("PyTorch has no {recurrence:?} with the activation {own}")))
}

/// Weights in PyTorch's layout under its names.
pub(super) fn named<T: Element>(weights: CellWeights<T>, suffix: &str) -> Vec<(String, Tensor<T>)> {
    let CellWeights { kernel, recurrent_kernel, biases, projection } = weights;
    let biases = ["bias_ih", "bias_hh"].into_iter().zip(biases);
    let all = [("weight_ih", kernel), ("weight_hh", recurrent_kernel)].into_iter().chain(biases);
    let all = all.chain(projection.map(|projection| ("weight_hr", projection)));
    all.map(|(name, value)| (format!("{name}{suffix}"), value)).collect()
}

/// For each of these cells, by its suffix, the weights in its own layout.
pub(super) fn taken<T: Element, C: Portable<T> + ?Sized>(
    cells: &[(String, &C)],
    weights: impl IntoIterator<Item = (impl Into<String>, Tensor<T>)>,
) -> Result<Vec<CellWeights<T>>, Error> {
    let mut given = BTreeMap::new();
    for (name, value) in weights {
        let name = name.into();
        if given.contains_key(&name) {
            return Err(Error::other(format!("state dict: `{name}` is there twice")));
        }
        given.insert(name, value);
    }
    let (mut missing, mut wrong, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (suffix, cell) in cells {
        let theirs = layout(*cell)?;
        let mut own = cell.weights().convert(&cell.layout(), &theirs)?;
        let CellWeights { kernel, recurrent_kernel, biases, projection } = &mut own;
        let mut names = ["bias_ih", "bias_hh"].into_iter();
        let places = [("weight_ih", kernel), ("weight_hh", recurrent_kernel)];
        let biases = biases.iter_mut().filter_map(|bias| names.next().map(|name| (name, bias)));
        let projection = projection.as_mut().map(|projection| ("weight_hr", projection));
        for (name, place) in places.into_iter().chain(biases).chain(projection) {
            let name = format!("{name}{suffix}");
            match given.remove(&name) {
                None => missing.push(format!("`{name}`")),
                Some(value) if value.shape() == place.shape() => *place = value,
                Some(value) => {
                    wrong.push(format!("`{name}` has the shape {} and needs {}", value.shape(), place.shape()));
                }
            }
        }
        all.push((own, theirs, cell.layout()));
    }
    let unknown: Vec<String> = given.keys().map(|name| format!("`{name}`")).collect();
    let mut problems = wrong;
    for (what, names) in [("missing", missing), ("unknown", unknown)] {
        if !names.is_empty() {
            problems.push(format!("{what}: {}", names.join(", ")));
        }
    }
    if !problems.is_empty() {
        return Err(Error::other(format!("state dict: {}", problems.join("; "))));
    }
    all.into_iter().map(|(weights, theirs, ours)| weights.convert(&theirs, &ours)).collect()
}
