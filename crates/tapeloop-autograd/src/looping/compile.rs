//! From a composed step to a machine: the program's instructions get addresses, products that continue each other become
//! one, and elementwise neighbours of one width become programs on lanes.

use std::collections::HashMap;

use super::compose::Composed;
use super::lower::{At, Lowered, lower};
use super::step::Source;
use super::trace::Untraceable;
use crate::element::Element;
use crate::kernels::lanes::SLOTS;
use crate::kernels::pack::Mat;
use crate::kernels::program::{Base, Instruction, Place, Side};
use crate::kernels::stream::{Area, Builder, Do, Loc, Machine};
use crate::tensor::Tensor;

/// A machine, and where its doors are.
pub(crate) struct Compiled<T: Element> {
    pub(crate) machine: Machine<T>,
    pub(crate) input: Area,
    pub(crate) output: Area,
    pub(crate) states: Vec<Area>,
}

/// A call of a block.
struct Call {
    block: usize,
    width: usize,
    out_width: usize,
    inputs: Vec<Loc>,
    out: Loc,
    /// Whether it can be called on lanes.
    lanes: bool,
    /// Whether it is a + b.
    sum: bool,
}

impl Call {
    /// Whether it writes something of a row of `width` elements at `loc`.
    fn writes(&self, loc: Loc, width: usize) -> bool {
        let width = if loc.single { 1 } else { width };
        self.out.area == loc.area
            && self.out.offset < loc.offset + width
            && loc.offset < self.out.offset + self.out_width
    }

    /// Whether it writes just that row.
    fn is_at(&self, loc: Loc, width: usize) -> bool {
        self.out == loc && self.out_width == width
    }
}

/// What is done between two products, or a product: its pieces with their factors, what it starts from, what is added to
/// it.
enum Work {
    Calls(Vec<Call>),
    Product { pieces: Vec<(Loc, usize)>, init: Option<Loc>, shift: Option<Loc>, out: Loc, n: usize },
}

struct Compiling<T: Element> {
    builder: Builder<T>,
    fixed: Vec<Tensor<T>>,
    /// The areas of the program's buffers, before and after the step. Fixed values have one when something reads it:
    /// factors are packed.
    buffers: Vec<Option<[Area; 2]>>,
    sequences: usize,
    /// The area of each register's present value.
    registers: HashMap<usize, Area>,
    /// How often an area is read. Of those that outlive the step, once more than one can count.
    reads: HashMap<Area, usize>,
}

/// The machine of a step, for so many threads.
pub(crate) fn compile<T: Element>(composed: Composed<T>, threads: usize) -> Result<Compiled<T>, Untraceable> {
    let (step, fixed, states) = composed.finish();
    let Lowered { program, factors, sequences, states, outputs, own, scratch, .. } = lower(&step, states)?;
    let largest = program.factors.iter().map(|factor| factor.depth() * factor.columns()).max().unwrap_or(0);
    let mut builder = Builder::new(threads, largest);
    let x = step.nodes.iter().find(|node| matches!(node.source, Source::Sequence(_)));
    let input = builder.area(x.map_or(0, |node| node.shape[1]));
    let states: Vec<[Area; 2]> = states.iter().map(|&(_, width)| builder.state(width)).collect();
    let own: Vec<Area> = own.iter().map(|&width| builder.area(width)).collect();
    let mut buffers = vec![Some([input; 2])];
    buffers.extend(fixed.iter().map(|_| None));
    buffers.extend(states.iter().copied().map(Some));
    buffers.extend(own.iter().map(|&area| Some([area; 2])));
    buffers.extend(scratch.iter().map(|&width| Some([builder.area(width); 2])));
    let output = match outputs[0] {
        At::Own(place) => own[place],
        At::State(k, side) => states[k][usize::from(side == Side::After)],
    };
    let kept = states.iter().flatten().chain(&own).map(|&area| (area, usize::MAX / 2));
    let reads = kept.collect();
    let mut compiling = Compiling { builder, fixed, buffers, sequences, registers: HashMap::new(), reads };
    let work = compiling.collect(program.instructions, |factor| factors[factor]);
    for work in shifted(chained(work, &compiling.reads), &compiling.reads) {
        match work {
            Work::Calls(calls) => compiling.group(&calls),
            Work::Product { pieces, init, shift, out, n } => compiling.product(&pieces, [init, shift], out, n),
        }
    }
    let states = states.iter().map(|&[before, _]| before).collect();
    let built = compiling.builder.build();
    let machine = built.map_err(|error| Untraceable::new(format!("cannot have so many threads: {error}")))?;
    Ok(Compiled { machine, input, output, states })
}

/// Products that only feed the start of another one become its first pieces; groups that follow each other become one.
fn chained(work: Vec<Work>, reads: &HashMap<Area, usize>) -> Vec<Work> {
    let mut out: Vec<Work> = Vec::new();
    for mut work in work {
        if let Work::Product { pieces, init: Some(start), n, .. } = &mut work
            && reads.get(&start.area) == Some(&1)
        {
            let before = out
                .iter()
                .position(|work| matches!(work, Work::Product { out, n: width, .. } if *out == *start && width == n));
            if let Some(Work::Product { pieces: mut first, init, .. }) = before.map(|before| out.remove(before)) {
                first.append(pieces);
                let Work::Product { shift, out, n, .. } = work else { unreachable!("it is a product") };
                work = Work::Product { pieces: first, init, shift, out, n };
            }
        }
        match (out.last_mut(), work) {
            (Some(Work::Calls(before)), Work::Calls(mut calls)) => before.append(&mut calls),
            (_, work) => out.push(work),
        }
    }
    out
}

/// A sum of a product with what is known before it becomes the product's last addition.
fn shifted(mut work: Vec<Work>, reads: &HashMap<Area, usize>) -> Vec<Work> {
    for at in 0..work.len() {
        let (before, after) = work.split_at_mut(at + 1);
        let Some(Work::Product { shift, out, n, .. }) = before.last_mut() else { continue };
        if reads.get(&out.area) != Some(&1) {
            continue;
        }
        let written = |loc: Loc| {
            after.iter().any(|work| match work {
                Work::Calls(calls) => calls.iter().any(|call| call.writes(loc, *n)),
                Work::Product { out, .. } => out.area == loc.area,
            })
        };
        let other = |call: &Call| match call.inputs[..] {
            [a, b] if call.sum && call.width == *n && (a == *out || b == *out) => {
                let other = if a == *out { b } else { a };
                (!other.single && other != *out && !written(other)).then_some(other)
            }
            _ => None,
        };
        let found = after.iter().enumerate().find_map(|(group, work)| match work {
            Work::Calls(calls) => calls.iter().enumerate().find_map(|(k, call)| Some((group, k, other(call)?))),
            Work::Product { .. } => None,
        });
        if let Some((group, k, other)) = found
            && let Work::Calls(calls) = &mut after[group]
        {
            *shift = Some(other);
            *out = calls.remove(k).out;
        }
    }
    work
}

impl<T: Element> Compiling<T> {
    /// The program's instructions, with places that nothing is written to twice.
    fn collect(&mut self, instructions: Vec<Instruction<T>>, fixed: impl Fn(usize) -> usize) -> Vec<Work> {
        let mut list = Vec::new();
        for instruction in instructions {
            list.push(match instruction {
                Instruction::Product { a, factor, init, out } => {
                    let factor = fixed(factor);
                    let n = self.fixed[factor].shape()[1];
                    let pieces = vec![(self.read(a), factor)];
                    let init = init.map(|init| self.read(init));
                    Work::Product { pieces, init, shift: None, out: self.written(out, n), n }
                }
                Instruction::Group { calls, .. } => {
                    let mut group = Vec::with_capacity(calls.len());
                    for call in calls {
                        let inputs = call.inputs.iter().map(|&input| self.read(input)).collect();
                        let out = self.written(call.out, call.out_width);
                        let block = self.builder.block(call.block);
                        let lanes = self.builder.inputs_on_lanes(block).is_some();
                        let (width, out_width, sum) = (call.width, call.out_width, call.name == "add");
                        group.push(Call { block, width, out_width, inputs, out, lanes, sum });
                    }
                    Work::Calls(group)
                }
            });
        }
        list
    }

    fn read(&mut self, place: Place) -> Loc {
        let area = match place.base {
            Base::Register { start, .. } => self.registers[&start],
            Base::Buffer(index, side) => {
                let areas = match self.buffers[index] {
                    Some(areas) => areas,
                    None => {
                        let area = self.builder.constant(self.fixed[index - self.sequences].to_vec());
                        *self.buffers[index].insert([area; 2])
                    }
                };
                areas[usize::from(side == Side::After)]
            }
        };
        *self.reads.entry(area).or_default() += 1;
        Loc { area, offset: place.offset, single: place.single }
    }

    fn written(&mut self, place: Place, width: usize) -> Loc {
        match place.base {
            Base::Register { start, .. } => {
                // Registers are used again; here every value has a place of its own.
                let area = self.builder.area(width);
                self.registers.insert(start, area);
                Loc::all(area)
            }
            Base::Buffer(index, side) => {
                let areas = self.buffers[index].expect("no program writes to a fixed value");
                Loc { area: areas[usize::from(side == Side::After)], offset: place.offset, single: false }
            }
        }
    }

    fn product(&mut self, pieces: &[(Loc, usize)], [init, shift]: [Option<Loc>; 2], out: Loc, n: usize) {
        let Self { builder, fixed, .. } = self;
        let mut mats = Vec::with_capacity(pieces.len());
        for &(a, factor) in pieces {
            let b = &fixed[factor];
            let mat = Mat { data: b.storage(), row_stride: b.strides()[0], col_stride: b.strides()[1] };
            mats.push((a, b.shape()[0], mat));
        }
        if out.offset == 0 && builder.width(out.area) == n {
            return builder.product(&mats, init, shift, out.area);
        }
        // A part of a row: products write whole vectors.
        let area = builder.area(n);
        builder.product(&mats, init, shift, area);
        let same = builder.block(Box::new(crate::kernels::block::Same));
        builder.call(same, n, &[Loc::all(area)], out, n);
    }

    /// Calls, in an order in which those of one width follow each other.
    fn group(&mut self, calls: &[Call]) {
        let mut left: Vec<usize> = (0..calls.len()).collect();
        while let Some(&first) = left.first() {
            let Call { block, width, out_width, inputs, out, lanes, .. } = &calls[first];
            if !lanes {
                self.builder.call(*block, *width, inputs, *out, *out_width);
                left.remove(0);
                continue;
            }
            let mut members: Vec<usize> = Vec::new();
            for &id in &left {
                let call = &calls[id];
                let known = |&loc: &Loc| {
                    let mut writers = left.iter().filter(|&&other| calls[other].writes(loc, call.width));
                    writers.all(|other| members.contains(other) && calls[*other].is_at(loc, call.width))
                };
                if call.lanes && call.width == *width && call.inputs.iter().all(known) {
                    members.push(id);
                }
            }
            left.retain(|id| !members.contains(id));
            let members: Vec<&Call> = members.iter().map(|&id| &calls[id]).collect();
            for program in Segment::new(&members, &self.reads, &self.builder).programs() {
                self.builder.lanes(*width, program);
            }
        }
    }
}

/// Instructions, about, after which a program ends with the next root. Each goes on to the next one by a call that is
/// its last act: without optimisation the stack grows.
const LONGEST: usize = 32;

/// Where an input of a member comes from.
#[derive(Clone, Copy)]
enum Input {
    Member(usize),
    Memory(Loc),
}

/// Calls on the same lanes. A member that one other member needs, and nobody else, is computed where it is needed, and
/// stays on the stack; the others are roots, which are written.
struct Segment<'a> {
    members: &'a [&'a Call],
    inputs: Vec<Vec<Input>>,
    root: Vec<bool>,
}

impl<'a> Segment<'a> {
    fn new<T: Element>(members: &'a [&'a Call], reads: &HashMap<Area, usize>, builder: &Builder<T>) -> Self {
        let mut uses = vec![0; members.len()];
        let mut inputs = Vec::with_capacity(members.len());
        for call in members {
            let mut own = Vec::with_capacity(call.inputs.len());
            for &loc in &call.inputs {
                own.push(match members.iter().position(|member| member.is_at(loc, call.width)) {
                    Some(member) => {
                        uses[member] += 1;
                        Input::Member(member)
                    }
                    None => Input::Memory(loc),
                });
            }
            inputs.push(own);
        }
        let root = |(k, call): (usize, &&Call)| {
            let whole = call.out.offset == 0 && builder.width(call.out.area) == call.out_width;
            !whole || uses[k] != 1 || reads.get(&call.out.area) != Some(&1)
        };
        let root = members.iter().enumerate().map(root).collect();
        let mut segment = Self { members, inputs, root };
        // What would need too many values at once, or calls in a row, is written, and read again.
        for member in 0..members.len() {
            while segment.slots(member) > SLOTS || segment.size(member) > LONGEST {
                let inner = segment.inputs[member].iter().filter_map(|input| match *input {
                    Input::Member(inner) if !segment.root[inner] => Some(inner),
                    _ => None,
                });
                let Some(largest) = inner.max_by_key(|&inner| segment.slots(inner)) else {
                    break;
                };
                segment.root[largest] = true;
            }
        }
        segment
    }

    /// Values on the stack while a member is computed, in whichever order.
    fn slots(&self, member: usize) -> usize {
        let of = |input: &Input| match *input {
            Input::Member(inner) if !self.root[inner] => self.slots(inner),
            _ => 1,
        };
        let inputs = &self.inputs[member];
        inputs.iter().map(of).max().map_or(1, |largest| largest + inputs.len() - 1)
    }

    /// Calls that leave a member's value on the stack.
    fn size(&self, member: usize) -> usize {
        let of = |input: &Input| match *input {
            Input::Member(inner) if !self.root[inner] => self.size(inner),
            _ => 0,
        };
        1 + self.inputs[member].iter().map(of).sum::<usize>()
    }

    /// The roots, one after the other.
    fn programs(&self) -> Vec<Vec<Do>> {
        let mut programs = Vec::new();
        let mut program = Vec::new();
        let roots: Vec<usize> = (0..self.members.len()).filter(|&member| self.root[member]).collect();
        let mut top = None;
        for (k, &root) in roots.iter().enumerate() {
            self.compute(root, &mut top, &mut program);
            let out = self.members[root].out;
            // What the next root begins with stays.
            let ends = program.len() >= LONGEST;
            let stays = !ends && roots.get(k + 1).is_some_and(|&next| self.begins_with(next, root));
            program.push(if stays { Do::Keep(out) } else { Do::Store(out) });
            top = stays.then_some(root);
            if ends {
                programs.push(std::mem::take(&mut program));
            }
        }
        if !program.is_empty() {
            programs.push(program);
        }
        programs
    }

    /// Whether the first value that `member` needs, in one order or the other, is that of `root`.
    fn begins_with(&self, member: usize, root: usize) -> bool {
        match &self.inputs[member][..] {
            [a, b] => self.starts(*a, root) || self.starts(*b, root),
            [a, ..] => self.starts(*a, root),
            [] => false,
        }
    }

    fn starts(&self, input: Input, root: usize) -> bool {
        match input {
            Input::Member(inner) => inner == root || (!self.root[inner] && self.begins_with(inner, root)),
            Input::Memory(_) => false,
        }
    }

    /// Appends what leaves a member's value on the stack. `top` is the root whose value lies there already.
    fn compute(&self, member: usize, top: &mut Option<usize>, program: &mut Vec<Do>) {
        let inputs = &self.inputs[member];
        let swapped = match (&inputs[..], *top) {
            ([a, b], Some(root)) => !self.starts(*a, root) && self.starts(*b, root),
            _ => false,
        };
        let mut push = |input: Input, program: &mut Vec<Do>| match input {
            Input::Member(inner) if *top == Some(inner) => *top = None,
            Input::Member(inner) if self.root[inner] => program.push(Do::Load(self.members[inner].out)),
            Input::Member(inner) => self.compute(inner, top, program),
            Input::Memory(loc) => program.push(Do::Load(loc)),
        };
        if swapped {
            inputs.iter().rev().for_each(|&input| push(input, program));
            program.push(Do::Swap);
        } else {
            inputs.iter().for_each(|&input| push(input, program));
        }
        program.push(Do::Call(self.members[member].block));
    }
}
