//! Layers that make one value of several: `Add` and its like, `Concatenate`, `Dot`.

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};
use tapeloop_autograd::{Element, Rng, Var, module};

use super::Config;
use crate::Error;
use crate::layer::{Axes, Layer, Masked, Outputs, Pass, with_batch};

/// Element by element, with Keras' broadcasting: of values with fewer axes than others, those that are missing lie
/// behind the batch.
macro_rules! elementwise {
    ($($(#[$doc:meta])* $config:ident $name:literal [$least:literal, $most:expr] $merged:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $config {}

        impl $config {
            /// The layer, which has no settings.
            #[allow(clippy::should_implement_trait, reason = "Keras' name")]
            pub fn new() -> Self {
                Self {}
            }
        }

        merging!($config {} $name);

        impl<T: Element> Merges<T> for $config {
            fn shape(&self, inputs: &[Axes]) -> Result<Axes, Error> {
                number($name, inputs.len(), $least, $most)?;
                broadcast($name, inputs)
            }

            #[track_caller]
            fn value<'t>(&self, inputs: &[Masked<'t, T>]) -> Var<'t, T> {
                let rank = inputs.iter().map(|x| x.value.rank()).max().unwrap_or_default();
                let mut parts: SmallVec<[Part<'t, T>; 4]> = SmallVec::new();
                for x in inputs {
                    parts.push(Part::of(x, rank));
                }
                let merged: fn(&[Part<'t, T>]) -> Var<'t, T> = $merged;
                merged(&parts)
            }

            /// A step counts if it does in one of the inputs; there is no mask if one of them has none. As in Keras.
            #[track_caller]
            fn mask<'t>(&self, inputs: &[Masked<'t, T>], _: Var<'t, T>) -> Option<Var<'t, T>> {
                let mut mask = inputs[0].mask?;
                for x in &inputs[1..] {
                    mask = mask.maximum(x.mask?);
                }
                Some(mask)
            }

            fn is_masked(&self, masked: &[bool]) -> bool {
                masked.iter().all(|&masked| masked)
            }
        }
    )*};
}

/// What these layers have in common: they merge, and are their own configuration.
macro_rules! merging {
    ($config:ident { $($field:ident),* } $name:literal) => {
        impl Config for $config {
            fn build<T: Element>(&self, _: &[Option<usize>], _: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
                Ok(Box::new(*self))
            }
        }

        module!($config for T {} rest { $($field),* });

        impl<T: Element> Layer<T> for $config {
            #[track_caller]
            fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
                Merges::value(self, &[x.into()])
            }

            #[track_caller]
            fn forward_all<'t>(&self, inputs: &[Masked<'t, T>], states: &[Var<'t, T>], _: &mut Pass) -> Outputs<'t, T> {
                assert!(states.is_empty() && !inputs.is_empty(), "{}: it takes values and no states", $name);
                let value = Merges::value(self, inputs);
                smallvec![Masked { mask: Merges::mask(self, inputs, value), ..value.into() }]
            }

            fn output_shape(&self, _: &[Option<usize>]) -> Result<Axes, Error> {
                Err(Error::config($name, "merges several inputs, which only a graph has"))
            }

            fn output_shapes(&self, inputs: &[Axes], states: &[Axes]) -> Result<Vec<Axes>, Error> {
                match states {
                    [] => Ok(vec![Merges::<T>::shape(self, inputs)?]),
                    _ => Err(Error::config($name, "takes no initial states: it carries none")),
                }
            }

            fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
                Merges::<T>::is_masked(self, masked)
            }

            /// Lengths that a configuration leaves open are known now.
            fn check_all(&self, inputs: &[Masked<'_, T>]) -> Result<(), Error> {
                let known = |x: &Masked<'_, T>| x.value.shape()[1..].iter().map(|&n| Some(n)).collect::<Axes>();
                let axes: SmallVec<[Axes; 4]> = inputs.iter().map(known).collect();
                Merges::<T>::shape(self, &axes)?;
                let ranks: SmallVec<[usize; 4]> = inputs.iter().map(|x| x.value.rank()).collect();
                let masked = inputs.iter().all(|x| x.mask.is_some());
                match Merges::<T>::is_masked(self, &[true]) && masked && ranks.iter().any(|rank| *rank != ranks[0]) {
                    true => Err(Error::config($name, "masks of inputs with more and with fewer axes are of different axes")),
                    false => Ok(()),
                }
            }
        }
    };
}

/// A value to merge with others, with as many axes as they have, and its mask in the same form.
#[derive(Clone, Copy)]
struct Part<'t, T: Element> {
    value: Var<'t, T>,
    counts: Option<Var<'t, T>>,
}

impl<'t, T: Element> Part<'t, T> {
    #[track_caller]
    fn of(x: &Masked<'t, T>, rank: usize) -> Self {
        // With fewer axes than others, a mask is of another axis than theirs.
        let mut counts = x.mask.filter(|_| x.value.rank() == rank);
        while let Some(mask) = counts.filter(|mask| mask.rank() < rank) {
            counts = Some(mask.unsqueeze(-1));
        }
        Self { value: behind_the_batch(x.value, rank), counts }
    }
}

#[track_caller]
fn folded<'t, T: Element>(parts: &[Part<'t, T>], pair: fn(Var<'t, T>, Var<'t, T>) -> Var<'t, T>) -> Var<'t, T> {
    let mut result = parts[0].value;
    for part in &parts[1..] {
        result = pair(result, part.value);
    }
    result
}

#[track_caller]
fn product<'t, T: Element>(parts: &[Part<'t, T>]) -> Var<'t, T> {
    let (mut result, mut any): (Option<Var<'t, T>>, Option<Var<'t, T>>) = (None, None);
    for Part { value, counts } in parts {
        let factor = if let Some(counts) = counts { counts.if_else(*value, 1.0) } else { *value };
        result = Some(if let Some(result) = result { result * factor } else { factor });
        any = match (any, counts) {
            (Some(any), Some(counts)) => Some(any.maximum(*counts)),
            (any, counts) => any.or(*counts),
        };
    }
    let result = result.unwrap_or(parts[0].value);
    match any.filter(|_| parts.iter().all(|part| part.counts.is_some())) {
        Some(any) => any.if_else(result, 0.0),
        None => result,
    }
}

#[track_caller]
fn extreme<'t, T: Element>(parts: &[Part<'t, T>], pair: fn(Var<'t, T>, Var<'t, T>) -> Var<'t, T>) -> Var<'t, T> {
    let Part { value: mut result, mut counts } = parts[0];
    for part in &parts[1..] {
        let mut value = part.value;
        // Where one does not count it is the other, whose largest with itself it is.
        if let Some(own) = part.counts {
            value = own.if_else(value, result);
        }
        if let Some(so_far) = counts {
            result = so_far.if_else(result, value);
        }
        counts = match (counts, part.counts) {
            (Some(so_far), Some(own)) => Some(so_far.maximum(own)),
            _ => None,
        };
        result = pair(result, value);
    }
    result
}

/// What one of these layers does.
trait Merges<T: Element> {
    /// The shape of the result, without the batch.
    fn shape(&self, inputs: &[Axes]) -> Result<Axes, Error>;

    fn value<'t>(&self, inputs: &[Masked<'t, T>]) -> Var<'t, T>;

    /// The mask of the result, `value`.
    fn mask<'t>(&self, inputs: &[Masked<'t, T>], value: Var<'t, T>) -> Option<Var<'t, T>>;

    /// Whether there is one.
    fn is_masked(&self, masked: &[bool]) -> bool;
}

elementwise! {
    /// y = x₁ + x₂ + …: Keras' `Add()`.
    ///
    /// ```
    /// use tapeloop_autograd::Tensor;
    /// use tapeloop_layers::{Add, Dense, Functional};
    /// let mut graph = Functional::new();
    /// let x = graph.input("x", [4]);
    /// let h = graph.add(Dense::new(4), x);
    /// let y = graph.add(Add::new(), [x, h]);
    /// graph.output("y", y);
    /// assert_eq!(graph.build::<f32>(0)?.predict(&[&Tensor::ones([2, 4])])?[0].shape(), [2, 4]);
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    Add "add" [1, None] |parts| folded(parts, |a, b| a + b);
    /// y = x₁ − x₂: Keras' `Subtract()`, of exactly two.
    Subtract "subtract" [2, Some(2)] |parts| folded(parts, |a, b| a - b);
    /// y = x₁ · x₂ · …, element by element: Keras' `Multiply()`. A step of an input that does not count is a factor of 1; one
    /// that counts in none is 0.
    Multiply "multiply" [1, None] product;
    /// y = (x₁ + … + xₙ) / n: Keras' `Average()`.
    Average "average" [1, None] |parts| folded(parts, |a, b| a + b) / parts.len() as f64;
    /// The largest, element by element: Keras' `Maximum()`. A step of an input that does not count is left out.
    Maximum "maximum" [1, None] |parts| extreme(parts, |a, b| a.maximum(b));
    /// The smallest, element by element: Keras' `Minimum()`. A step of an input that does not count is left out.
    Minimum "minimum" [1, None] |parts| extreme(parts, |a, b| a.minimum(b));
}

/// Values side by side along an axis: Keras' `Concatenate(axis)`. The axis counts with the batch, which is axis 0; −1 is
/// the last.
///
/// Along time masks lie side by side as well, and all steps count of what has none. Along another axis a step counts if it
/// does in one of the inputs; so all do where an input has no mask. As in Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Concatenate {
    /// The axis, counted with the batch. Default −1.
    pub axis: isize,
}

impl Default for Concatenate {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

impl Concatenate {
    /// Side by side along this axis, counted with the batch.
    pub fn new(axis: isize) -> Self {
        Self { axis }
    }
}

merging!(Concatenate { axis } "concatenate");

impl<T: Element> Merges<T> for Concatenate {
    fn shape(&self, inputs: &[Axes]) -> Result<Axes, Error> {
        number("concatenate", inputs.len(), 1, None)?;
        let mut result = inputs[0].clone();
        let axis = behind("concatenate", "axis", self.axis, result.len())?;
        let fits = |one: Option<usize>, other: Option<usize>| one == other || one.is_none() || other.is_none();
        for input in &inputs[1..] {
            let mut pairs = result.iter().zip(input).enumerate();
            if input.len() != result.len() || !pairs.all(|(k, (&one, &other))| k == axis || fits(one, other)) {
                let all = listed(inputs);
                let problem = format!("inputs may differ along axis {} alone, got {all}", self.axis);
                return Err(Error::config("concatenate", problem));
            }
            for (k, (one, &other)) in result.iter_mut().zip(input).enumerate() {
                *one = match (k == axis, *one, other) {
                    (true, Some(one), Some(other)) => Some(one.saturating_add(other)),
                    (true, _, _) => None,
                    (false, one, other) => one.or(other),
                };
            }
        }
        Ok(result)
    }

    #[track_caller]
    fn value<'t>(&self, inputs: &[Masked<'t, T>]) -> Var<'t, T> {
        Var::concat(inputs.iter().map(|x| x.value), self.axis)
    }

    #[track_caller]
    fn mask<'t>(&self, inputs: &[Masked<'t, T>], value: Var<'t, T>) -> Option<Var<'t, T>> {
        if inputs.iter().all(|x| x.mask.is_none()) {
            return None;
        }
        let mut masks: SmallVec<[Var<'t, T>; 4]> = SmallVec::new();
        for x in inputs {
            masks.push(match x.mask {
                Some(mask) => mask,
                None => x.value.tape().full(&x.value.shape()[..2], 1.0),
            });
        }
        if self.axis == 1 || self.axis == 1 - value.rank() as isize {
            return Some(Var::concat(masks, 1));
        }
        let mut mask = masks[0];
        for other in &masks[1..] {
            mask = mask.maximum(*other);
        }
        Some(mask)
    }

    fn is_masked(&self, masked: &[bool]) -> bool {
        masked.contains(&true)
    }
}

/// One axis of both inputs, or one of each; counted with the batch, −1 is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DotAxes {
    /// The same of both.
    Both(isize),
    /// One of the first input, one of the second.
    Each([isize; 2]),
}

impl From<isize> for DotAxes {
    fn from(axis: isize) -> Self {
        Self::Both(axis)
    }
}

impl From<[isize; 2]> for DotAxes {
    fn from(axes: [isize; 2]) -> Self {
        Self::Each(axes)
    }
}

/// Sums of products along an axis of each of two inputs: Keras' `Dot(axes, normalize)`. (batch, a…, n, b…) and
/// (batch, c…, n, d…) become (batch, a…, b…, c…, d…), two vectors (batch, 1). It has no mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dot {
    /// The axes that are summed over.
    pub axes: DotAxes,
    /// Divides both inputs by their lengths along these axes beforehand: the result is their cosine. Default false.
    #[serde(default)]
    pub normalize: bool,
}

impl Dot {
    /// Products along these axes, counted with the batch.
    pub fn new(axes: impl Into<DotAxes>) -> Self {
        Self { axes: axes.into(), normalize: false }
    }

    /// Whether the result is the cosine.
    pub fn normalize(self, normalize: bool) -> Self {
        Self { normalize, ..self }
    }

    /// Both axes, counted behind the batch.
    fn places(self, ranks: [usize; 2]) -> Result<[usize; 2], Error> {
        let [a, b] = match self.axes {
            DotAxes::Both(axis) => [axis, axis],
            DotAxes::Each(axes) => axes,
        };
        Ok([behind("dot", "axes", a, ranks[0])?, behind("dot", "axes", b, ranks[1])?])
    }
}

merging!(Dot { axes, normalize } "dot");

impl<T: Element> Merges<T> for Dot {
    fn shape(&self, inputs: &[Axes]) -> Result<Axes, Error> {
        number("dot", inputs.len(), 2, Some(2))?;
        let [x, y] = [&inputs[0], &inputs[1]];
        let [a, b] = self.places([x.len(), y.len()])?;
        match (x[a], y[b]) {
            (Some(n), Some(m)) if n != m => {
                return Err(Error::config("dot", format!("axes of {n} and {m} have no product: {}", listed(inputs))));
            }
            _ => {}
        }
        let others = |axes: &Axes, place: usize| {
            let others = axes.iter().enumerate().filter(|(k, _)| *k != place).map(|(_, &n)| n);
            others.collect::<Axes>()
        };
        let result = [others(x, a), others(y, b)].concat();
        Ok(if result.is_empty() { vec![Some(1)] } else { result })
    }

    #[track_caller]
    fn value<'t>(&self, inputs: &[Masked<'t, T>]) -> Var<'t, T> {
        let [x, y] = inputs else { panic!("dot: it takes two values, got {}", inputs.len()) };
        let ranks = [x.value.rank() - 1, y.value.rank() - 1];
        let [a, b] = match self.places(ranks) {
            Ok(places) => places.map(|place| place as isize + 1),
            Err(error) => panic!("{error}"),
        };
        let (mut x, mut y) = (x.value, y.value);
        if self.normalize {
            x = x * x.square().sum(&[a], true).maximum(1e-12).rsqrt();
            y = y * y.square().sum(&[b], true).maximum(1e-12).rsqrt();
        }
        let (x, y) = (x.move_axis(a, -1), y.move_axis(b, 1));
        let (left, right) = (x.shape(), y.shape());
        let (batch, n) = (left[0], right[1]);
        let (rows, columns) = (&left[1..left.rank() - 1], &right[2..]);
        let flat = [batch, rows.iter().product(), n];
        let product = x.reshape_to(flat).matmul(y.reshape_to([batch, n, columns.iter().product()]));
        let mut shape: SmallVec<[usize; 6]> = smallvec![batch];
        shape.extend(rows.iter().chain(columns).copied());
        if shape.len() == 1 {
            shape.push(1);
        }
        product.reshape_to(&shape[..])
    }

    fn mask<'t>(&self, _: &[Masked<'t, T>], _: Var<'t, T>) -> Option<Var<'t, T>> {
        None
    }

    fn is_masked(&self, _: &[bool]) -> bool {
        false
    }
}

/// The rule for the number of inputs.
fn number(layer: &str, got: usize, least: usize, most: Option<usize>) -> Result<(), Error> {
    if got >= least && most.is_none_or(|most| got <= most) {
        return Ok(());
    }
    let least = if most == Some(least) { format!("exactly {least}") } else { format!("at least {least}") };
    Err(Error::config(layer, format!("takes {least} inputs, got {got}")))
}

/// Where an axis that counts with the batch lies behind it.
fn behind(layer: &str, setting: &str, axis: isize, rank: usize) -> Result<usize, Error> {
    let from_start = if axis < 0 { axis.checked_add_unsigned(rank + 1) } else { Some(axis) };
    match from_start.and_then(|axis| usize::try_from(axis).ok()) {
        Some(0) => {
            Err(Error::config(layer, format!("{setting}: axis {axis} is the batch, whose rows stay by themselves")))
        }
        Some(place) if place <= rank => Ok(place - 1),
        _ => Err(Error::config(layer, format!("{setting}: there is no axis {axis} of {}", rank + 1))),
    }
}

/// Shapes in a message.
fn listed(inputs: &[Axes]) -> String {
    inputs.iter().map(|axes| with_batch(axes)).collect::<Vec<_>>().join(" and ")
}

/// The shape of all of them together.
fn broadcast(layer: &str, inputs: &[Axes]) -> Result<Axes, Error> {
    let rank = inputs.iter().map(Vec::len).max().unwrap_or_default();
    let mut result: Axes = vec![Some(1); rank];
    for input in inputs {
        for (one, &other) in result[rank - input.len()..].iter_mut().zip(input) {
            *one = match (*one, other) {
                (Some(1), other) => other,
                (one, Some(1)) => one,
                (None, other) => other,
                (one, None) => one,
                (Some(n), Some(m)) if n == m => Some(n),
                _ => {
                    return Err(Error::config(
                        layer,
                        format!("inputs of shapes {} do not go together", listed(inputs)),
                    ));
                }
            };
        }
    }
    Ok(result)
}

/// A value with axes of length 1 behind the batch, so that it has `rank` of them.
#[track_caller]
fn behind_the_batch<T: Element>(x: Var<'_, T>, rank: usize) -> Var<'_, T> {
    let mut x = x;
    while x.rank() < rank {
        x = x.unsqueeze(1);
    }
    x
}
