//! Instructions, level by level: a group of elementwise operations, then the products.

use smallvec::SmallVec;

use super::super::step::{Id, Source};
use super::super::without::{self, without};
use super::{Copy, Lowering, Role};
use crate::element::Element;
use crate::kernels::block::{AddRows, Block, Same, Total, Zero};
use crate::kernels::panel::Panels;
use crate::kernels::program::{Base, Call, Instruction, Place};
use crate::ops::form::Kind;

/// Elements that a register of a group holds, about.
const BLOCK: usize = 2048;

impl<T: Element> Lowering<'_, T> {
    pub(super) fn emit(&mut self) {
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
