//! From a loop's body to its program: where every value lies, what is computed together, in which order.
//!
//! Nodes are sorted by how many products lie on the way to them. On each level elementwise neighbours form one group,
//! and the level's products follow. What stays within a group lies in registers; what crosses lies in scratch rows;
//! next states, outputs and parts of an assembled row are computed where they belong.

use smallvec::SmallVec;

use super::step::{Id, Source, Step};
use super::trace::Untraceable;
use super::without::{self, without};
use crate::element::Element;
use crate::kernels::block::{AddRows, Block, Same, Total, Zero};
use crate::kernels::panel::Panels;
use crate::kernels::program::{Base, Call, Instruction, Place, Program, Side, Slots};
use crate::ops::form::Kind;

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

/// Elements that a register of a group holds, about.
const BLOCK: usize = 2048;

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

    /// Decides what every node becomes, the last first: a consumer may do its inputs' work.
    fn assign_roles(&mut self) -> Result<(), Untraceable> {
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
            let foreign = |why: &str| Untraceable::new(format!("has {name} {why}, which loops do not know yet"));
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

    fn place_leaves(&mut self) -> Result<(), Untraceable> {
        for (id, node) in self.step.nodes.iter().enumerate() {
            let rowed = node.shape.rank() == 2 && node.shape[0] == self.batch;
            let foreign =
                || Err(Untraceable::new(format!("has a value of shape {}, which loops do not know yet", node.shape)));
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

    fn emit(&mut self) {
        let levels = self.level.iter().chain(&self.seen).max().map_or(0, |&last| last + 1);
        for level in 0..levels {
            self.emit_group(level);
            for id in 0..self.step.nodes.len() {
                let Role::Product { a, factor, init } = self.roles[id] else {
                    continue;
                };
                if self.level[id] != level {
                    continue;
                }
                let Source::Fixed(fixed) = self.step.nodes[factor].source else {
                    unreachable!("checked with the roles")
                };
                let [k, n] = [self.step.nodes[factor].shape[0], self.step.nodes[factor].shape[1]];
                let known = self.lowered.factors.iter().position(|&known| known == fixed);
                let factor = known.unwrap_or_else(|| {
                    self.lowered.factors.push(fixed);
                    self.lowered.program.factors.push(Panels::new::<T>(k, n));
                    self.lowered.factors.len() - 1
                });
                self.lowered.work += k * n;
                let (a, init) = (self.operand(a, k), init.map(|init| self.operand(init, n)));
                let out = self.places[id].expect("products have a place");
                self.lowered.program.instructions.push(Instruction::Product { a, factor, init, out });
            }
        }
    }

    /// The elementwise operations of a level, and the copies that can be made there.
    fn emit_group(&mut self, level: usize) {
        let step = self.step;
        let at_level = |id: &Id| self.level[*id] == level;
        let members: Vec<Id> = (0..step.nodes.len())
            .filter(at_level)
            .filter(|&id| matches!(self.roles[id], Role::Call | Role::Assembly(_)))
            .collect();
        let copies: Vec<Copy> = self.copies.iter().filter(|copy| self.level_of(copy) == level).copied().collect();
        if members.is_empty() && copies.is_empty() {
            return;
        }
        let widest =
            |id: &Id| step.nodes[*id].inputs.iter().map(|&input| self.width(input)).chain([self.width(*id)]).max();
        let calls = members.iter().filter(|&&id| matches!(self.roles[id], Role::Call));
        let copied = copies.iter().filter(|copy| !copy.sum).map(|copy| self.width(copy.value));
        let width = calls.filter_map(widest).chain(copied).max();
        let mut rows = (BLOCK / width.unwrap_or(1).max(1)).max(1);
        if without(without::Part::Fusion) {
            rows = self.batch;
        }
        let sums = copies.iter().any(|copy| copy.sum);
        if sums {
            rows = 1 << rows.ilog2();
        }
        // The member after which a register is free again.
        let mut last = vec![0; step.nodes.len()];
        for (turn, &id) in members.iter().enumerate() {
            step.nodes[id].inputs.iter().for_each(|&input| last[self.views[input].base] = turn);
        }
        for copy in &copies {
            let end =
                copy.assembly.map_or(usize::MAX, |row| members.iter().position(|&id| id == row).unwrap_or(usize::MAX));
            let last = &mut last[self.views[copy.value].base];
            *last = end.max(*last);
        }
        let mut registers = Registers::default();
        let mut calls = Vec::new();
        for (turn, &id) in members.iter().enumerate() {
            let node = &step.nodes[id];
            if let Role::Assembly(parts) = &self.roles[id] {
                // Whatever the parts leave is zero.
                let covered: usize = parts.iter().map(|&(part, _)| self.width(part)).sum();
                if covered < self.width(id) {
                    let out = self.places[id].expect("assembled rows have a place");
                    self.zero_gaps(id, parts, out, &mut calls);
                }
                calls.extend(copies.iter().filter(|copy| copy.assembly == Some(id)).map(|copy| self.copy(copy)));
                registers.release(turn);
                continue;
            }
            let own = self.width(id);
            let (block, width): (_, usize) = match node.form() {
                Some(Kind::Pointwise(block) | Kind::Row(block)) => (block, own),
                _ => (Box::new(Total), self.width(node.inputs[0])),
            };
            let inputs = node.inputs.iter().map(|&input| self.operand(input, width)).collect();
            let mut held = None;
            let out = self.places[id].unwrap_or_else(|| {
                let start = registers.take(rows * own);
                held = Some((start, last[id]));
                Place { base: Base::Register { start, stride: own }, offset: 0, single: false }
            });
            self.places[id] = Some(out);
            let name = node.op().map_or("", |op| op.get().name());
            calls.push(Call { block, name, width, out_width: own, inputs, out });
            if let Some((start, until)) = held {
                registers.hold(start, rows * own, until);
            }
            registers.release(turn);
        }
        calls.extend(copies.iter().filter(|copy| copy.assembly.is_none()).map(|copy| self.copy(copy)));
        self.lowered.program.registers = self.lowered.program.registers.max(registers.length);
        if !calls.is_empty() {
            self.lowered.program.instructions.push(Instruction::Group { calls, rows, sums });
        }
    }

    fn copy(&self, copy: &Copy) -> Call<T> {
        let width = self.width(copy.value);
        let inputs = SmallVec::from_slice(&[self.operand(copy.value, width)]);
        let (block, name): (Box<dyn Block<T>>, _) =
            if copy.sum { (Box::new(AddRows), "sum") } else { (Box::new(Same), "copy") };
        Call { block, name, width, out_width: width, inputs, out: copy.out }
    }

    fn zero_gaps(&self, id: Id, parts: &[(Id, usize)], out: Place, calls: &mut Vec<Call<T>>) {
        let mut ranges: Vec<_> = parts.iter().map(|&(part, start)| (start, start + self.width(part))).collect();
        ranges.push((self.width(id), self.width(id)));
        ranges.sort_unstable();
        let mut end = 0;
        for (start, stop) in ranges {
            if start > end {
                let width = start - end;
                let out = Place { offset: out.offset + end, ..out };
                calls.push(Call {
                    block: Box::new(Zero),
                    name: "zero",
                    width,
                    out_width: width,
                    inputs: SmallVec::new(),
                    out,
                });
            }
            end = stop;
        }
    }
}

/// Registers of a group by their place: freed after their last reader, taken again by values of the same size.
#[derive(Default)]
struct Registers {
    length: usize,
    free: Vec<(usize, usize)>,
    held: Vec<(usize, usize, usize)>,
}

impl Registers {
    fn take(&mut self, size: usize) -> usize {
        match self.free.iter().position(|&(_, free)| free == size) {
            Some(found) => self.free.swap_remove(found).0,
            None => {
                self.length += size.next_multiple_of(16);
                self.length - size.next_multiple_of(16)
            }
        }
    }

    fn hold(&mut self, start: usize, size: usize, until: usize) {
        self.held.push((start, size, until));
    }

    /// Frees what nobody reads after this turn.
    fn release(&mut self, turn: usize) {
        let free = &mut self.free;
        self.held.retain(|&(start, size, until)| {
            let keep = until > turn;
            if !keep {
                free.push((start, size));
            }
            keep
        });
    }
}
