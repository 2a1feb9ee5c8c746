//! Sums of products in Einstein's notation, two factors at a time.

use smallvec::SmallVec;

use crate::element::Element;
use crate::ops::{Example, example};
use crate::shape::Shape;
use crate::tape::Var;

/// A letter, or an axis of the ellipsis: those count from the last one, beyond all letters.
type Label = u32;
type Labels = SmallVec<[Label; 8]>;

const ELLIPSIS: Label = 1 << 24;

/// A factor, or a product so far, with a label for every axis.
#[derive(Clone)]
struct Labelled<'t, T: Element> {
    var: Var<'t, T>,
    labels: Labels,
}

impl<'t, T: Element> Var<'t, T> {
    /// A sum of products, written with one letter for each axis: letters that the result lacks are summed over.
    /// `...` stands for any further axes, which broadcast; a letter twice on one factor takes its diagonal. Without
    /// `->` the result has every letter that occurs once, in alphabetical order.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor, Var};
    /// let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]));
    /// assert_eq!(Var::einsum("ij,kj->ik", &[a, a]).value().to_vec(), [5.0, 11.0, 11.0, 25.0]);
    /// assert_eq!(Var::einsum("ii", &[a]).item(), 5.0);
    /// ```
    ///
    /// # Panics
    /// If the equation does not read so, does not fit the shapes, or a letter has two lengths.
    #[track_caller]
    pub fn einsum(equation: &str, factors: &[Self]) -> Self {
        let [first, ..] = factors else { panic!("einsum: `{equation}` of nothing") };
        let _line = first.tape().called();
        let shapes: Vec<Shape> = factors.iter().map(|factor| factor.shape()).collect();
        let plan = match parse(equation, &shapes) {
            Ok(plan) => plan,
            Err(rule) => {
                let shapes: Vec<_> = shapes.iter().map(ToString::to_string).collect();
                panic!("einsum: `{equation}` of {}: {rule}", shapes.join(", "))
            }
        };
        let mut terms: SmallVec<[Labelled<'t, T>; 4]> = factors
            .iter()
            .zip(plan.factors)
            .map(|(&var, labels)| Labelled { var, labels }.with_diagonals())
            .collect();
        let mut product = terms.remove(0);
        while !terms.is_empty() {
            let next = terms.remove(0);
            let later: Labels = terms.iter().flat_map(|term| term.labels.iter()).chain(&plan.result).copied().collect();
            product = product.times(next, &later);
        }
        product.without(|label| !plan.result.contains(&label)).ordered(&plan.result).var
    }
}

struct Plan {
    factors: Vec<Labels>,
    result: Labels,
}

/// The labels of every axis, or what is wrong.
fn parse(equation: &str, shapes: &[Shape]) -> Result<Plan, String> {
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != shapes.len() || shapes.is_empty() {
        return Err(format!("it names {} factors, {} were given", terms.len(), shapes.len()));
    }
    let mut dots = 0;
    let mut factors = Vec::new();
    for (term, shape) in terms.iter().zip(shapes) {
        let letters = term.replace("...", "").chars().count();
        let further = shape.rank().checked_sub(letters).filter(|&n| n == 0 || term.contains("..."));
        let Some(further) = further else {
            return Err(format!("`{term}` does not name every axis of {shape}"));
        };
        dots = dots.max(further);
        factors.push(labels(term, further)?);
    }
    let result = match right {
        Some(right) => labels(right, dots)?,
        None => {
            let count = |label| factors.iter().flatten().filter(|&&l| l == label).count();
            let mut once: Labels = factors.iter().flatten().copied().filter(|&l| l < ELLIPSIS && count(l) == 1).collect();
            once.sort_unstable();
            ellipsis(dots).chain(once).collect()
        }
    };
    let mut lengths = std::collections::HashMap::<Label, usize>::new();
    for (labels, shape) in factors.iter().zip(shapes) {
        for (&label, &n) in labels.iter().zip(shape.iter()) {
            let known = lengths.entry(label).or_insert(n);
            if *known != n && *known != 1 && n != 1 {
                let name = char::from_u32(label).map_or("...".into(), |c| c.to_string());
                return Err(format!("`{name}` is {known} long on one factor and {n} on another"));
            }
            *known = (*known).max(n);
        }
    }
    for (k, &label) in result.iter().enumerate() {
        if !lengths.contains_key(&label) && label < ELLIPSIS {
            return Err("the result has a letter that no factor has".into());
        }
        if result[..k].contains(&label) {
            return Err("the result has a letter twice".into());
        }
    }
    Ok(Plan { factors, result })
}

fn ellipsis(n: usize) -> impl Iterator<Item = Label> {
    (0..n as Label).rev().map(|k| ELLIPSIS + k)
}

fn labels(term: &str, dots: usize) -> Result<Labels, String> {
    let mut labels = Labels::new();
    let mut rest = term;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            if after.contains("...") {
                return Err(format!("`{term}` has more than one ellipsis"));
            }
            labels.extend(ellipsis(dots));
            rest = after;
        } else if c.is_alphabetic() {
            labels.push(c as Label);
            rest = &rest[c.len_utf8()..];
        } else {
            return Err(format!("`{c}` is no letter"));
        }
    }
    Ok(labels)
}

impl<T: Element> Labelled<'_, T> {
    /// Every label once: of a repeated one, the diagonal.
    #[track_caller]
    fn with_diagonals(mut self) -> Self {
        loop {
            let repeated = (0..self.labels.len())
                .find_map(|j| self.labels[..j].iter().position(|&l| l == self.labels[j]).map(|i| (i, j)));
            let Some((i, j)) = repeated else { return self };
            let label = self.labels[i];
            self.var = self.var.diagonal(0, i as isize, j as isize);
            self.labels.remove(j);
            self.labels.remove(i);
            self.labels.push(label);
        }
    }

    /// The sum over the axes that `gone` says.
    #[track_caller]
    fn without(mut self, gone: impl Fn(Label) -> bool) -> Self {
        let axes: SmallVec<[isize; 8]> =
            (0..self.labels.len()).filter(|&axis| gone(self.labels[axis])).map(|axis| axis as isize).collect();
        if !axes.is_empty() {
            self.var = self.var.sum(&axes, false);
            self.labels.retain(|label| !gone(*label));
        }
        self
    }

    /// The axes in the order of `labels`; those it lacks have length 1.
    #[track_caller]
    fn ordered(self, labels: &[Label]) -> Self {
        let present: SmallVec<[isize; 8]> = labels
            .iter()
            .filter_map(|label| self.labels.iter().position(|l| l == label).map(|axis| axis as isize))
            .collect();
        let arranged = if present.iter().copied().eq(0..present.len() as isize) {
            self.var
        } else {
            self.var.permute(&present)
        };
        let shape: Shape = labels.iter().map(|&label| self.length(label)).collect();
        let var = if arranged.shape() == shape { arranged } else { arranged.reshape_to(shape) };
        Self { var, labels: labels.into() }
    }

    fn length(&self, label: Label) -> usize {
        self.labels.iter().position(|&l| l == label).map_or(1, |axis| self.var.shape()[axis])
    }

    /// The product, summed over what only these two have: `later` names what is still needed.
    #[track_caller]
    fn times(self, other: Self, later: &[Label]) -> Self {
        let left = self.clone().without(|l| !later.contains(&l) && !other.labels.contains(&l));
        let right = other.without(|l| !later.contains(&l) && !self.labels.contains(&l));
        let both = |l: &&Label| right.labels.contains(l);
        // An axis of length 1 that broadcasts is no axis to contract.
        let contracts = |l: &&Label| both(l) && !later.contains(l) && left.length(**l) == right.length(**l);
        let contracted: Labels = left.labels.iter().filter(contracts).copied().collect();
        let shared: Labels = left.labels.iter().filter(|l| both(l) && !contracted.contains(l)).copied().collect();
        let only_left: Labels = left.labels.iter().filter(|l| !both(l)).copied().collect();
        let only_right: Labels = right.labels.iter().filter(|l| !left.labels.contains(l)).copied().collect();
        if contracted.is_empty() {
            let all: Labels = shared.iter().chain(&only_left).chain(&only_right).copied().collect();
            let var = left.ordered(&all).var * right.ordered(&all).var;
            return Self { var, labels: all }.without(|l| !later.contains(&l));
        }
        let size = |term: &Self, labels: &Labels| labels.iter().map(|&l| term.length(l)).product::<usize>();
        let (n, k, m) = (size(&left, &only_left), size(&left, &contracted), size(&right, &only_right));
        let lengths = |term: &Self| shared.iter().map(|&l| term.length(l)).collect::<Shape>();
        let (left_shape, right_shape) = (lengths(&left), lengths(&right));
        let wide: Shape =
            (0..shared.len()).map(|axis| left_shape[axis].max(right_shape[axis])).chain(only_left.iter().map(|&l| left.length(l))).chain(only_right.iter().map(|&l| right.length(l))).collect();
        let order = |parts: [&Labels; 3]| parts.into_iter().flatten().copied().collect::<Labels>();
        let a = left.ordered(&order([&shared, &only_left, &contracted])).var.reshape_to(left_shape.with_matrix(n, k));
        let b = right.ordered(&order([&shared, &contracted, &only_right])).var.reshape_to(right_shape.with_matrix(k, m));
        let labels = order([&shared, &only_left, &only_right]);
        Self { var: a.matmul(b).reshape_to(wide), labels }.without(|l| !later.contains(&l))
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([a: normal [2, 3, 4], b: normal [2, 4, 2]] => Var::einsum("bij,bjk->bik", &[a, b])),
        example!([a: normal [2, 3], b: normal [3, 4], c: normal [4, 2]] => Var::einsum("ij, jk, kl -> il", &[a, b, c])),
        example!([a: normal [3, 3], b: normal [4]] => Var::einsum("ii,j->j", &[a, b])),
        example!([a: normal [2, 1, 3], b: normal [5, 3, 4]] => Var::einsum("...j,...jk->...k", &[a, b])),
        example!([a: normal [2, 3], b: normal [2, 3]] => Var::einsum("ij,ij", &[a, b])),
        example!([a: normal [2, 3]] => Var::einsum("ij->ji", &[a])),
        example!([a: normal [2, 3], b: normal [4, 5]] => Var::einsum("ij,kl->k", &[a, b])),
    ]
}
