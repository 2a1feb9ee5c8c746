//! A plan in text.

use std::fmt::Write;

use super::body::Body;
use super::inside::Inside;
use super::interpret::Interpreted;
use super::plan::Plan;
use super::step::{Id, Source, Step};
use crate::element::Element;
use crate::kernels::program::{Base, Instruction, Place, Side};

impl<T: Element> Plan<T> {
    /// What is computed before the loop, the body's instructions, what is computed after it; of a loop that was trained,
    /// its derivatives too.
    pub(crate) fn explain(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, "");
        text
    }

    fn write(&self, text: &mut String, indent: &str) {
        let rolled = self.rolled(self.is_trained());
        let list = |step: &Step<T>, ids: &[Id]| ids.iter().map(|&id| describe(step, id)).collect::<Vec<_>>();
        let (mut before, mut after) = (list(&self.step, &self.once), list(&rolled.step, &rolled.after));
        before.extend(list(&rolled.step, &rolled.before));
        after.extend(list(&self.step, &self.late));
        let _ = writeln!(text, "{indent}before: {}", before.join(", "));
        match &rolled.body {
            Inside::Compiled(body) => body.write(rolled.saved, text, indent),
            Inside::Interpreted(body) => body.write(rolled.saved, text, indent),
        }
        let _ = writeln!(text, "{indent}after: {}", after.join(", "));
        if let Some(Err(why)) = self.trained() {
            let _ = writeln!(text, "{indent}on a tape that records unrolled, since {why}");
        }
        if self.is_trained() {
            for plan in rolled.known_derivatives().iter().flat_map(|derivative| derivative.plans()) {
                let _ = writeln!(text, "{indent}derivative:");
                match plan {
                    Some(plan) => plan.write(text, &format!("{indent}  ")),
                    None => text.push_str("  unrolled\n"),
                }
            }
        }
    }
}

fn describe<T: Element>(step: &Step<T>, id: Id) -> String {
    let node = &step.nodes[id];
    let name = match &node.source {
        Source::Op(op) => op.get().name(),
        Source::Sequence(_) => "sequence",
        Source::State(_) => "state",
        Source::Fixed(_) | Source::Constant(_) => "fixed",
    };
    format!("{name} {}", node.shape)
}

impl<T: Element> Interpreted<T> {
    fn write(&self, saved: usize, text: &mut String, indent: &str) {
        let Self { step, why, .. } = self;
        let leaves = |is: fn(&Source<T>) -> bool| step.nodes.iter().filter(|node| is(&node.source)).count();
        let _ = writeln!(
            text,
            "{indent}loop: {} sequences, {} states, {} fixed values, {} outputs of which {saved} saved",
            leaves(|source| matches!(source, Source::Sequence(_))),
            step.next.len(),
            leaves(|source| matches!(source, Source::Fixed(_))),
            step.outputs.len(),
        );
        let _ = writeln!(text, "{indent}  interpreted, operation by operation, since the step {}:", why.reason());
        let name = |&id: &Id| match step.nodes[id].source {
            Source::Sequence(k) => format!("x{k}"),
            Source::State(k) => format!("state{k}"),
            Source::Fixed(k) => format!("fixed{k}"),
            Source::Constant(_) => "constant".into(),
            Source::Op(_) => format!("v{id}"),
        };
        for (id, node) in step.nodes.iter().enumerate().filter(|(_, node)| node.op().is_some()) {
            let inputs: Vec<_> = node.inputs.iter().map(name).collect();
            let op = node.op().map_or("", |op| op.get().name());
            let _ = writeln!(text, "{indent}    v{id} = {op}({})  {}", inputs.join(", "), node.shape);
        }
        let next: Vec<_> = step.next.iter().enumerate().map(|(k, id)| format!("state{k}′ = {}", name(id))).collect();
        let _ = writeln!(text, "{indent}    {}", next.join(", "));
    }
}

impl<T: Element> Body<T> {
    fn write(&self, saved: usize, text: &mut String, indent: &str) {
        let lowered = &self.lowered;
        let _ = writeln!(
            text,
            "{indent}loop: {} sequences, {} states, {} fixed values, {} outputs of which {} saved, {} multiplications a row",
            lowered.sequences,
            lowered.states.len(),
            lowered.fixed,
            lowered.outputs.len(),
            saved,
            lowered.work,
        );
        for instruction in &lowered.program.instructions {
            match instruction {
                Instruction::Product { a, factor, init, out } => {
                    let panels = &lowered.program.factors[*factor];
                    let init = init.map(|init| format!("{} + ", self.place(init))).unwrap_or_default();
                    let (a, out) = (self.place(*a), self.place(*out));
                    let _ = writeln!(
                        text,
                        "{indent}  {out} = {init}{a} · factor {factor} ({} × {})",
                        panels.depth(),
                        panels.columns(),
                    );
                }
                Instruction::Group { calls, rows, .. } => {
                    let _ = writeln!(text, "{indent}  {rows} rows at a time:");
                    for call in calls {
                        let inputs: Vec<_> = call.inputs.iter().map(|&input| self.place(input)).collect();
                        let _ = writeln!(
                            text,
                            "{indent}    {} = {}({})  [{}]",
                            self.place(call.out),
                            call.name,
                            inputs.join(", "),
                            call.width,
                        );
                    }
                }
            }
        }
    }

    /// Where a value lies: `x0`, `fixed1`, `state0′` (the next one), `out2`, `rows0` (scratch), `r64` (a register).
    fn place(&self, place: Place) -> String {
        let lowered = &self.lowered;
        let name = match place.base {
            Base::Register { start, .. } => format!("r{start}"),
            Base::Buffer(index, side) => {
                let mut index = index;
                let kinds = [
                    ("x", lowered.sequences),
                    ("fixed", lowered.fixed),
                    ("state", lowered.states.len()),
                    ("out", lowered.own.len()),
                    ("sum", lowered.sums.len()),
                    ("rows", lowered.scratch.len()),
                ];
                let mut name = String::new();
                for (kind, count) in kinds {
                    if index < count {
                        let next = if kind == "state" && side == Side::After { "′" } else { "" };
                        name = format!("{kind}{index}{next}");
                        break;
                    }
                    index -= count;
                }
                name
            }
        };
        let offset = if place.offset > 0 { format!("[{}..]", place.offset) } else { String::new() };
        let single = if place.single { "*" } else { "" };
        format!("{name}{offset}{single}")
    }
}
