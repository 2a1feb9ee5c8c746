//! The cells in operations on matrices, for any library that has these; a list of matrices is a sequence.
//!
//! Step by step and without views into a long tensor: the libraries here pad the gradient of every view to its whole.

use crate::{Cell, Work, lengths};

/// A matrix of a library, on its tape if it has one.
pub trait Matrix: Clone {
    fn product(&self, other: &Self) -> Self;
    /// The other may be a single row, or a single column.
    fn plus(&self, other: &Self) -> Self;
    fn minus(&self, other: &Self) -> Self;
    fn times(&self, other: &Self) -> Self;
    /// a x + b
    fn affine(&self, a: f64, b: f64) -> Self;
    fn sigmoid(&self) -> Self;
    fn tanh(&self) -> Self;
    fn relu(&self) -> Self;
    /// x^−½
    fn root(&self) -> Self;
    /// The mean of every row, a column.
    fn mean(&self) -> Self;
    fn columns(&self, parts: usize) -> Vec<Self>;
    fn row(&self, from: usize, count: usize) -> Self;
    fn below(parts: &[Self]) -> Self;
    fn beside(parts: &[Self]) -> Self;
    /// The mean of all groups of `rows` rows.
    fn mean_of_groups(&self, rows: usize) -> Self;
}

/// i, f, g, o of `z`, and the next h and c.
pub fn lstm<M: Matrix>(z: &M, c: &M) -> (M, M) {
    let gates = z.columns(4);
    let c = gates[1].sigmoid().times(c).plus(&gates[0].sigmoid().times(&gates[2].tanh()));
    (gates[3].sigmoid().times(&c.tanh()), c)
}

/// The next h of what comes from the input and what comes from h, in the order z, r, n.
pub fn gru<M: Matrix>(x: &M, inner: &M, h: &M) -> M {
    let (x, inner) = (x.columns(3), inner.columns(3));
    let z = x[0].plus(&inner[0]).sigmoid();
    let n = x[2].plus(&x[1].plus(&inner[1]).sigmoid().times(&inner[2])).tanh();
    n.plus(&z.times(&h.minus(&n)))
}

/// A network of `work`, its parameters in the order of [`weights`](crate::weights): the outputs of all steps of the last
/// layer, or the last only, through the Dense if there is one. `zeros` makes a state.
///
/// `inputs` are embedded already.
pub fn network<M: Matrix>(work: &Work, parameters: &[M], inputs: Vec<M>, zeros: &M, masks: &[M]) -> Vec<M> {
    let mut rest = parameters;
    let mut next = |count: usize| {
        let (these, others) = rest.split_at(count);
        rest = others;
        these
    };
    if work.vocabulary > 0 {
        next(1);
    }
    let mut xs = inputs;
    let mut last = None;
    for _ in 0..work.layers {
        match work.cell {
            Cell::Lstm => xs = run_lstm(next(3), &xs, zeros, None),
            Cell::Gru => xs = run_gru(next(3), &xs, zeros),
            Cell::Peephole => xs = run_peephole(next(5), &xs, zeros),
            Cell::MinGru => xs = vec![run_min_gru(next(2), &M::below(&xs), work.batch, work.time)],
            Cell::Both => {
                let forward = run_lstm(next(3), &xs, zeros, Some(masks));
                let reversed = |list: &[M]| list.iter().rev().cloned().collect::<Vec<_>>();
                let backward = run_lstm(next(3), &reversed(&xs), zeros, Some(&reversed(masks)));
                last = forward.last().zip(backward.last()).map(|(a, b)| M::beside(&[a.clone(), b.clone()]));
                let pairs = forward.into_iter().zip(backward.into_iter().rev());
                xs = pairs.map(|(a, b)| M::beside(&[a, b])).collect();
            }
        }
    }
    if work.outputs == 0 {
        return xs;
    }
    let dense = next(2);
    let output = |h: &M| h.product(&dense[0]).plus(&dense[1]);
    match (work.cell, work.vocabulary > 0) {
        (Cell::MinGru, _) => vec![output(&xs[0].mean_of_groups(work.batch))],
        (_, true) => xs.iter().map(output).collect(),
        (_, false) => last.iter().chain(xs.last()).take(1).map(output).collect(),
    }
}

/// Where a mask is 0 the states stay.
fn run_lstm<M: Matrix>(weights: &[M], xs: &[M], zeros: &M, masks: Option<&[M]>) -> Vec<M> {
    let (mut h, mut c) = (zeros.clone(), zeros.clone());
    let mut all = Vec::with_capacity(xs.len());
    for (t, x) in xs.iter().enumerate() {
        let z = x.product(&weights[0]).plus(&h.product(&weights[1])).plus(&weights[2]);
        let (new_h, new_c) = lstm(&z, &c);
        (h, c) = match masks {
            Some(masks) => (h.plus(&new_h.minus(&h).times(&masks[t])), c.plus(&new_c.minus(&c).times(&masks[t]))),
            None => (new_h, new_c),
        };
        all.push(h.clone());
    }
    all
}

fn run_gru<M: Matrix>(weights: &[M], xs: &[M], zeros: &M) -> Vec<M> {
    let (inner, outer) = (weights[2].row(0, 1), weights[2].row(1, 1));
    let mut h = zeros.clone();
    let mut all = Vec::with_capacity(xs.len());
    for x in xs {
        h = gru(&x.product(&weights[0]).plus(&inner), &h.product(&weights[1]).plus(&outer), &h);
        all.push(h.clone());
    }
    all
}

fn run_peephole<M: Matrix>(weights: &[M], xs: &[M], zeros: &M) -> Vec<M> {
    let rows = |matrix: &M, count: usize| (0..count).map(|row| matrix.row(row, 1)).collect::<Vec<_>>();
    let (peepholes, scales, shifts) = (rows(&weights[2], 3), rows(&weights[3], 5), rows(&weights[4], 5));
    let norm = |k: usize, v: &M| {
        let v = v.minus(&v.mean());
        v.times(&v.times(&v).mean().affine(1.0, 1e-5).root()).times(&scales[k]).plus(&shifts[k])
    };
    let (mut h, mut c) = (zeros.clone(), zeros.clone());
    let mut all = Vec::with_capacity(xs.len());
    for x in xs {
        let gates = x.product(&weights[0]).plus(&h.product(&weights[1])).columns(4);
        let i = norm(0, &gates[0].plus(&c.times(&peepholes[0]))).sigmoid();
        let f = norm(1, &gates[1].plus(&c.times(&peepholes[1]))).sigmoid();
        c = f.times(&c).plus(&i.times(&norm(2, &gates[2]).tanh()));
        let o = norm(3, &gates[3].plus(&c.times(&peepholes[2]))).sigmoid();
        h = o.times(&norm(4, &c).tanh());
        all.push(h.clone());
    }
    all
}

/// h' = (1 − z) h + z g(v) of all steps, one below the other, reaching back 1, 2, 4, … steps.
fn run_min_gru<M: Matrix>(weights: &[M], xs: &M, batch: usize, all: usize) -> M {
    let parts = xs.product(&weights[0]).plus(&weights[1]).columns(2);
    let z = parts[0].sigmoid();
    // v + ½ where v is positive, else σ(v): relu v + min(σ(v), ½).
    let g = parts[1].relu().plus(&parts[1].sigmoid().affine(-1.0, 0.5).relu().affine(-1.0, 0.5));
    let (mut a, mut b) = (z.affine(-1.0, 1.0), z.times(&g));
    let mut reach = 1;
    while reach < all {
        let (early, late) = (reach * batch, (all - reach) * batch);
        let moved = b.row(early, late).plus(&a.row(early, late).times(&b.row(0, late)));
        b = M::below(&[b.row(0, early), moved]);
        let kept = a.row(early, late).times(&a.row(0, late));
        a = M::below(&[a.row(0, early), kept]);
        reach *= 2;
    }
    b
}

/// T9: for each step a column of 1 where a sequence is that long, else 0.
pub fn masks(work: &Work) -> Vec<Vec<f32>> {
    let lengths = lengths(work);
    (0..work.time).map(|t| lengths.iter().map(|&length| f32::from(u8::from(t < length))).collect()).collect()
}
