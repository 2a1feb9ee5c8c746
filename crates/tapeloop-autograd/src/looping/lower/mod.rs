//! From a loop's body to its program: where every value lies, what is computed together, in which order.
//!
//! Nodes are sorted by how many products lie on the way to them. On each level elementwise neighbours form one group,
//! and the level's products follow. What stays within a group lies in registers; what crosses lies in scratch rows;
//! next states, outputs and parts of an assembled row are computed where they belong.

mod emit;
mod roles;

use super::step::{Id, Source, Step};
use super::trace::Untraceable;
use crate::element::Element;
use crate::kernels::program::{Base, Place, Program, Side, Slots};

/// Where an output of the body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// In memory of its own, by its place there.
    Own(usize),
    /// It is a state, before or after the step.
    State(usize, Side),
}

/// A body's program, and the memory it asks for. Buffers come in this order: sequences, fixed values, states, own
/// memory of outputs, sums, scratch.
pub(crate) struct Lowered<T> {
    pub(crate) program: Program<T>,
    /// The fixed values that are packed factors.
    pub(crate) factors: Vec<usize>,
    pub(crate) sequences: usize,
    pub(crate) fixed: usize,
    pub(crate) states: Vec<(Slots, usize)>,
    pub(crate) outputs: Vec<At>,
    pub(crate) own: Vec<usize>,
    pub(crate) sums: Vec<usize>,
    pub(crate) scratch: Vec<usize>,
    /// Multiplications of a row in a step.
    pub(crate) work: usize,
}

/// A value that is rows of another one.
#[derive(Clone, Copy)]
struct View {
    base: Id,
    offset: usize,
    single: bool,
}

/// What a node becomes.
enum Role {
    Leaf,
    /// Rows of another value.
    View,
    /// Nothing: another node does its work.
    Absorbed,
    Call,
    /// A product, and what it starts from.
    Product {
        a: Id,
        factor: Id,
        init: Option<Id>,
    },
    /// Parts side by side, zeros between them.
    Assembly(Vec<(Id, usize)>),
}

/// A value that is wanted in a second place.
#[derive(Clone, Copy)]
struct Copy {
    value: Id,
    out: Place,
    /// The assembled row it is part of: there must be all of it when that is read.
    assembly: Option<Id>,
    /// Whether its rows are added up there.
    sum: bool,
}

struct Lowering<'a, T: Element> {
    step: &'a Step<T>,
    batch: usize,
    roles: Vec<Role>,
    views: Vec<View>,
    /// The level a value is computed on, and the one from which it can be read.
    level: Vec<usize>,
    seen: Vec<usize>,
    places: Vec<Option<Place>>,
    copies: Vec<Copy>,
    lowered: Lowered<T>,
}

pub(crate) fn lower<T: Element>(step: &Step<T>, states: usize) -> Result<Lowered<T>, Untraceable> {
    let leaf = |wanted: &dyn Fn(&Source<T>) -> bool| step.nodes.iter().filter(|node| wanted(&node.source)).count();
    let sequences = leaf(&|source| matches!(source, Source::Sequence(_)));
    let fixed = leaf(&|source| matches!(source, Source::Fixed(_)));
    let mut first = step.nodes.iter().filter(|node| matches!(node.source, Source::State(_) | Source::Sequence(_)));
    let batch = first.next().and_then(|node| node.shape.first().copied()).unwrap_or(1);
    let count = step.nodes.len();
    let lowering = Lowering {
        step,
        batch,
        roles: (0..count).map(|_| Role::Leaf).collect(),
        views: (0..count).map(|id| View { base: id, offset: 0, single: false }).collect(),
        level: vec![0; count],
        seen: vec![0; count],
        places: vec![None; count],
        copies: Vec::new(),
        lowered: Lowered {
            program: Program { instructions: Vec::new(), factors: Vec::new(), registers: 0 },
            factors: Vec::new(),
            sequences,
            fixed,
            states: vec![(Slots::Turns, 0); states],
            outputs: Vec::new(),
            own: Vec::new(),
            sums: step.summed.iter().map(|&id| step.nodes[id].shape.last().copied().unwrap_or(1)).collect(),
            scratch: Vec::new(),
            work: 0,
        },
    };
    lowering.run()
}

impl<T: Element> Lowering<'_, T> {
    fn run(mut self) -> Result<Lowered<T>, Untraceable> {
        self.assign_roles()?;
        self.place_leaves()?;
        self.place_roots();
        self.place_parts();
        self.find_levels();
        self.sink();
        self.place_scratch();
        self.emit();
        Ok(self.lowered)
    }

    fn width(&self, id: Id) -> usize {
        self.step.nodes[id].shape.last().copied().unwrap_or(1)
    }

    fn place_leaves(&mut self) -> Result<(), Untraceable> {
        for (id, node) in self.step.nodes.iter().enumerate() {
            let rowed = node.shape.rank() == 2 && node.shape[0] == self.batch;
            let foreign =
                || Err(Untraceable::new(format!("has a value of shape {}, which a program does not hold", node.shape)));
            let index = match node.source {
                Source::Sequence(k) if rowed => k,
                Source::Fixed(_) if node.shape.rank() > 2 => return foreign(),
                Source::Fixed(k) => self.lowered.sequences + k,
                Source::State(k) if rowed => {
                    self.lowered.states[k].1 = node.shape[1];
                    self.lowered.sequences + self.lowered.fixed + k
                }
                Source::Sequence(_) | Source::State(_) => return foreign(),
                _ => continue,
            };
            self.places[id] = Some(Place { base: Base::Buffer(index, Side::Before), offset: 0, single: false });
        }
        Ok(())
    }

    fn state_buffer(&self, k: usize) -> usize {
        self.lowered.sequences + self.lowered.fixed + k
    }

    /// Gives a value its place, or a copy there if it has one already.
    fn settle(&mut self, id: Id, place: Place, assembly: Option<Id>) {
        let computed = !matches!(self.roles[id], Role::Leaf | Role::View);
        if computed && self.places[id].is_none() {
            self.places[id] = Some(place);
        } else {
            self.copies.push(Copy { value: id, out: place, assembly, sum: false });
        }
    }

    /// Next states and outputs.
    fn place_roots(&mut self) {
        let in_buffer = |index, side| Place { base: Base::Buffer(index, side), offset: 0, single: false };
        for (k, &id) in self.step.next.iter().enumerate() {
            self.settle(id, in_buffer(self.state_buffer(k), Side::After), None);
        }
        let own = self.lowered.sequences + self.lowered.fixed + self.lowered.states.len();
        for &id in &self.step.outputs {
            let at = match self.step.nodes[id].source {
                Source::State(k) => At::State(k, Side::Before),
                _ => match self.step.next.iter().position(|&next| next == id) {
                    Some(k) => At::State(k, Side::After),
                    None => At::Own(self.lowered.own.len()),
                },
            };
            match at {
                At::State(k, _) => self.lowered.states[k].0 = Slots::States,
                At::Own(place) => {
                    self.lowered.own.push(self.width(id));
                    self.settle(id, in_buffer(own + place, Side::Before), None);
                }
            }
            self.lowered.outputs.push(at);
        }
        for (k, &id) in self.step.summed.iter().enumerate() {
            let out = in_buffer(own + self.lowered.own.len() + k, Side::Before);
            self.copies.push(Copy { value: id, out, assembly: None, sum: true });
        }
    }

    fn scratch(&mut self, width: usize) -> Place {
        let Lowered { sequences, fixed, states, own, sums, .. } = &self.lowered;
        let before = sequences + fixed + states.len() + own.len() + sums.len();
        self.lowered.scratch.push(width);
        let index = before + self.lowered.scratch.len() - 1;
        Place { base: Base::Buffer(index, Side::Before), offset: 0, single: false }
    }

    /// Assembled rows get a place, and their parts theirs within it.
    fn place_parts(&mut self) {
        for id in (0..self.step.nodes.len()).rev() {
            let Role::Assembly(parts) = &self.roles[id] else {
                continue;
            };
            let parts = parts.clone();
            let place = match self.places[id] {
                Some(place) => place,
                None => self.scratch(self.width(id)),
            };
            self.places[id] = Some(place);
            for (part, offset) in parts {
                self.settle(part, Place { offset: place.offset + offset, ..place }, Some(id));
            }
        }
    }

    fn find_levels(&mut self) {
        for id in 0..self.step.nodes.len() {
            let see = |ids: &[Id]| ids.iter().map(|&id| self.seen[id]).max().unwrap_or(0);
            let (level, seen) = match &self.roles[id] {
                Role::Leaf | Role::Absorbed => (0, 0),
                Role::View | Role::Call => {
                    let level = see(&self.step.nodes[id].inputs);
                    (level, level)
                }
                Role::Product { a, init, .. } => {
                    let level = see(&[*a]).max(init.map_or(0, |init| self.seen[init]));
                    (level, level + 1)
                }
                Role::Assembly(parts) => {
                    let level = parts.iter().map(|&(part, _)| self.seen[part]).max().unwrap_or(0);
                    (level, level)
                }
            };
            (self.level[id], self.seen[id]) = (level, seen);
        }
    }

    /// What is computed earlier than anybody reads it is computed there: in the reader's group, it need not be stored.
    fn sink(&mut self) {
        let count = self.step.nodes.len();
        let mut reader = vec![usize::MAX; count];
        for id in (0..count).rev() {
            let copied = self.copies.iter().any(|copy| self.views[copy.value].base == id);
            let free = matches!(self.roles[id], Role::Call) && self.places[id].is_none() && !copied;
            if free && reader[id] != usize::MAX {
                (self.level[id], self.seen[id]) = (reader[id], reader[id]);
            }
            let level = self.level[id];
            let mut read = |id: Id| {
                let base = self.views[id].base;
                reader[base] = reader[base].min(level);
            };
            match &self.roles[id] {
                Role::Call => self.step.nodes[id].inputs.iter().for_each(|&input| read(input)),
                Role::Product { a, init, .. } => [Some(*a), *init].into_iter().flatten().for_each(read),
                Role::Assembly(parts) => parts.iter().for_each(|&(part, _)| read(part)),
                Role::Leaf | Role::View | Role::Absorbed => {}
            }
        }
    }

    /// A copy is made where its value can be read first, or the row it is part of.
    fn level_of(&self, copy: &Copy) -> usize {
        copy.assembly.map_or(self.seen[copy.value], |row| self.level[row])
    }

    /// Results of products, and values that another level or a product reads, lie in scratch rows.
    fn place_scratch(&mut self) {
        let mut crosses = vec![false; self.step.nodes.len()];
        for (id, node) in self.step.nodes.iter().enumerate() {
            match &self.roles[id] {
                Role::Call => {
                    for &input in &node.inputs {
                        let base = self.views[input].base;
                        crosses[base] |= self.level[base] != self.level[id];
                    }
                }
                Role::Product { a, init, .. } => {
                    [Some(*a), *init].into_iter().flatten().for_each(|id| crosses[self.views[id].base] = true);
                }
                _ => {}
            }
        }
        for copy in &self.copies {
            let base = self.views[copy.value].base;
            crosses[base] |= self.level[base] != self.level_of(copy);
        }
        for (id, crosses) in crosses.into_iter().enumerate() {
            let product = matches!(self.roles[id], Role::Product { .. });
            if self.places[id].is_none() && (product || (crosses && matches!(self.roles[id], Role::Call))) {
                self.places[id] = Some(self.scratch(self.width(id)));
            }
        }
    }

    /// Where a value lies, as an operand of rows of this width.
    fn operand(&self, id: Id, width: usize) -> Place {
        let View { base, offset, single } = self.views[id];
        let place = self.places[base].expect("an operand is placed before it is read");
        let single = place.single || single || (width != 1 && self.width(id) == 1);
        Place { offset: place.offset + offset, single, ..place }
    }
}
