//! What every node of a body becomes.

use super::super::step::{Id, Source};
use super::super::trace::Untraceable;
use super::{Lowering, Role};
use crate::element::Element;
use crate::ops::form::Kind;

impl<T: Element> Lowering<'_, T> {
    /// Decides what every node becomes, the last first: a consumer may do its inputs' work.
    pub(super) fn assign_roles(&mut self) -> Result<(), Untraceable> {
        let step = self.step;
        let uses = step.uses();
        for id in (0..step.nodes.len()).rev() {
            let node = &step.nodes[id];
            let Some(form) = node.form() else {
                continue;
            };
            if matches!(self.roles[id], Role::Absorbed) {
                continue;
            }
            let name = node.op().map_or("", |op| op.get().name());
            let foreign = |why: &str| Untraceable::new(format!("has {name} {why}, which a program does not hold"));
            if node.shape.rank() != 2 || node.shape[0] != self.batch {
                return Err(foreign(&format!("with a result of shape {}", node.shape)));
            }
            let of = |k: usize| &step.nodes[node.inputs[k]];
            let last_axis = |axis: usize, step: usize| axis == 1 && (step == 1 || node.shape[1] == 1);
            self.roles[id] = match form {
                Kind::Pointwise(_) if node.is_sum() => {
                    if let Some(parts) = self.assembled(id, &uses) {
                        Role::Assembly(parts)
                    } else if let Some((product, init)) = self.accumulated(id, &uses) {
                        self.roles[product] = Role::Absorbed;
                        let [a, factor] = [step.nodes[product].inputs[0], step.nodes[product].inputs[1]];
                        Role::Product { a, factor, init: Some(init) }
                    } else {
                        Role::Call
                    }
                }
                Kind::Pointwise(_) | Kind::Row(_) => Role::Call,
                Kind::Product => Role::Product { a: node.inputs[0], factor: node.inputs[1], init: None },
                Kind::Slice { axis, step, .. } if last_axis(axis, step) => Role::View,
                Kind::Place { axis, start, step, .. } if axis == 1 && (step == 1 || of(0).shape[1] == 1) => {
                    Role::Assembly(vec![(node.inputs[0], start)])
                }
                Kind::Concat { axis: 1 } => {
                    let mut start = 0;
                    let part = |&id: &Id| {
                        let offset = start;
                        start += step.nodes[id].shape[1];
                        (id, offset)
                    };
                    Role::Assembly(node.inputs.iter().map(part).collect())
                }
                Kind::Sum(_) | Kind::SumTo if node.shape == of(0).shape => Role::View,
                Kind::Sum(_) | Kind::SumTo
                    if node.shape[1] == 1 && of(0).shape.rank() == 2 && of(0).shape[0] == self.batch =>
                {
                    Role::Call
                }
                Kind::Broadcast if of(0).shape.rank() <= 2 => Role::View,
                Kind::Reshape if node.shape == of(0).shape => Role::View,
                _ => return Err(foreign(&format!("of shape {} to {}", of(0).shape, node.shape))),
            };
            if let Role::Product { a, factor, .. } = self.roles[id] {
                let (a, b) = (&step.nodes[a], &step.nodes[factor]);
                let constant = matches!(b.source, Source::Fixed(_)) && b.shape.rank() == 2;
                if a.shape.rank() != 2 || a.shape[0] != self.batch || !constant {
                    return Err(foreign(&format!("of shapes {} and {}", a.shape, b.shape)));
                }
            }
        }
        // Views, the first first.
        for id in 0..step.nodes.len() {
            let node = &step.nodes[id];
            if !matches!(self.roles[id], Role::View) {
                continue;
            }
            let mut view = self.views[node.inputs[0]];
            match node.form() {
                Some(Kind::Slice { start, .. }) if !view.single => view.offset += start,
                Some(Kind::Broadcast) => view.single |= self.width(node.inputs[0]) == 1 && node.shape[1] != 1,
                _ => {}
            }
            self.views[id] = view;
        }
        Ok(())
    }

    /// The parts of a sum of rows that are zero but for one part each, if those do not overlap.
    fn assembled(&mut self, id: Id, uses: &[usize]) -> Option<Vec<(Id, usize)>> {
        let step = self.step;
        let mut terms = Vec::new();
        step.terms(id, true, uses, &mut terms);
        let mut parts = Vec::with_capacity(terms.len());
        for &term in &terms {
            match step.nodes[term].form() {
                Some(Kind::Place { axis: 1, start, step: 1, .. }) if uses[term] == 1 => {
                    parts.push((step.nodes[term].inputs[0], start));
                }
                _ => return None,
            }
        }
        let mut ranges: Vec<_> = parts.iter().map(|&(id, start)| (start, start + self.width(id))).collect();
        ranges.sort_unstable();
        if ranges.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return None;
        }
        self.absorb(id, uses, &terms);
        Some(parts)
    }

    /// Marks what a sum is made of, its terms and the sums between.
    fn absorb(&mut self, id: Id, uses: &[usize], terms: &[Id]) {
        for &input in &self.step.nodes[id].inputs {
            self.roles[input] = Role::Absorbed;
            if !terms.contains(&input) && self.step.nodes[input].is_sum() && uses[input] == 1 {
                self.absorb(input, uses, terms);
            }
        }
    }

    /// The product that a sum adds to something of its own width, and that something.
    fn accumulated(&self, id: Id, uses: &[usize]) -> Option<(Id, Id)> {
        let node = &self.step.nodes[id];
        let [a, b] = [node.inputs[0], node.inputs[1]];
        [(b, a), (a, b)].into_iter().find(|&(product, other)| {
            self.step.nodes[product].is_product()
                && uses[product] == 1
                && self.step.nodes[product].shape == node.shape
                && (self.width(other) == node.shape[1] && self.step.nodes[other].shape.rank() > 0)
        })
    }
}
