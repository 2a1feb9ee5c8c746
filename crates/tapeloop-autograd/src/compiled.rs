//! What is compiled once for each element type, in this crate. Generic code is compiled again in every crate that
//! calls it: every program would compile all operations, their kernels and the loop engine.

#![allow(private_interfaces, reason = "the trait is sealed: only this crate calls its functions")]

use std::sync::Arc;

use smallvec::SmallVec;

use crate::element::Element;
use crate::looping::{self, Composed, Plan, Ran, Segments, Source, Step, Untraceable, Want};
use crate::ops::{AnyOp, Op};
use crate::tape::{Gradients, Tape, Var};
use crate::tensor::Tensor;

/// The doors to generic code. Each only passes on: what it stands for is documented there.
pub trait Compiled: Sized {
    fn operation(any: &AnyOp<Self>) -> &dyn Op<Self>
    where
        Self: Element;
    fn equal(a: &AnyOp<Self>, b: &AnyOp<Self>) -> bool
    where
        Self: Element;
    #[track_caller]
    fn record<'t>(tape: &'t Tape<Self>, op: AnyOp<Self>, inputs: &[Var<'t, Self>]) -> Var<'t, Self>
    where
        Self: Element;
    fn backward(tape: &Tape<Self>, roots: &[(Var<'_, Self>, &Tensor<Self>)]) -> Gradients<Self>
    where
        Self: Element;
    fn grad<'t>(
        tape: &'t Tape<Self>,
        roots: &[(Var<'t, Self>, Var<'t, Self>)],
        wrt: &[Var<'t, Self>],
    ) -> SmallVec<[Var<'t, Self>; 4]>
    where
        Self: Element;
    fn plan(step: &Step<Self>, want: Want, reverse: bool) -> Arc<Plan<Self>>
    where
        Self: Element;
    fn run<'t>(
        plan: &Plan<Self>,
        tape: &'t Tape<Self>,
        extent: (usize, usize),
        initial: &[Var<'t, Self>],
        leaf: &mut dyn FnMut(&Source<Self>) -> Var<'t, Self>,
    ) -> Ran<'t, Self>
    where
        Self: Element;
    fn run_segments<'t>(
        segments: &Arc<Segments<Self>>,
        tape: &'t Tape<Self>,
        inputs: &[Var<'t, Self>],
    ) -> Ran<'t, Self>
    where
        Self: Element;
    fn explain(plan: &Plan<Self>) -> String
    where
        Self: Element;
    fn compose(composed: &mut Composed<Self>, plan: &Plan<Self>, looped: bool, fixed: &[Tensor<Self>])
    where
        Self: Element;
    fn compile(composed: Composed<Self>, threads: usize) -> Result<looping::Compiled<Self>, Untraceable>
    where
        Self: Element;
}

macro_rules! compiled {
    ($($t:ident)*) => {$(
        impl Compiled for $t {
            fn operation(any: &AnyOp<$t>) -> &dyn Op<$t> {
                any.operation()
            }
            fn equal(a: &AnyOp<$t>, b: &AnyOp<$t>) -> bool {
                a.equal(b)
            }
            #[track_caller]
            fn record<'t>(
                tape: &'t Tape<$t>,
                op: AnyOp<$t>,
                inputs: &[Var<'t, $t>],
            ) -> Var<'t, $t> {
                tape.record(op, inputs)
            }
            fn backward(tape: &Tape<$t>, roots: &[(Var<'_, $t>, &Tensor<$t>)]) -> Gradients<$t> {
                tape.walk(roots)
            }
            fn grad<'t>(
                tape: &'t Tape<$t>,
                roots: &[(Var<'t, $t>, Var<'t, $t>)],
                wrt: &[Var<'t, $t>],
            ) -> SmallVec<[Var<'t, $t>; 4]> {
                tape.recorded_walk(roots, wrt)
            }
            fn plan(step: &Step<$t>, want: Want, reverse: bool) -> Arc<Plan<$t>> {
                Arc::new(Plan::new(step, want, reverse))
            }
            fn run<'t>(
                plan: &Plan<$t>,
                tape: &'t Tape<$t>,
                extent: (usize, usize),
                initial: &[Var<'t, $t>],
                leaf: &mut dyn FnMut(&Source<$t>) -> Var<'t, $t>,
            ) -> Ran<'t, $t> {
                plan.run(tape, extent, initial, leaf)
            }
            fn run_segments<'t>(
                segments: &Arc<Segments<$t>>,
                tape: &'t Tape<$t>,
                inputs: &[Var<'t, $t>],
            ) -> Ran<'t, $t> {
                segments.run(tape, inputs)
            }
            fn explain(plan: &Plan<$t>) -> String {
                plan.explain()
            }
            fn compose(composed: &mut Composed<$t>, plan: &Plan<$t>, looped: bool, fixed: &[Tensor<$t>]) {
                composed.then(plan, looped, fixed);
            }
            fn compile(composed: Composed<$t>, threads: usize) -> Result<looping::Compiled<$t>, Untraceable> {
                looping::compile(composed, threads)
            }
        }
    )*};
}
compiled! { f32 f64 }
