//! Weights that are blocks on a diagonal: heads that do not see each other.

use smallvec::SmallVec;
use tapeloop_autograd::{Element, Param, Var};

use crate::Error;

/// The width of a block, of which so many make up all units.
pub(crate) fn blocks(cell: &'static str, units: usize, heads: usize) -> Result<usize, Error> {
    if heads == 0 || !units.is_multiple_of(heads) {
        return Err(Error::config(cell, format!("heads: {units} units do not divide into {heads} parts")));
    }
    Ok(units / heads)
}

/// N products with the blocks of `kernel`, (heads, width, N·width): `x` is (batch, heads·width), and so is each of them.
#[track_caller]
pub(crate) fn product<'t, T: Element, const N: usize>(x: Var<'t, T>, kernel: &Param<T>) -> [Var<'t, T>; N] {
    let [heads, width] = [kernel.value().shape()[0], kernel.value().shape()[1]];
    let kernel = x.tape().param(kernel);
    if heads == 1 {
        return x.matmul(kernel.select(0, 0)).gates();
    }
    let mut parts: [SmallVec<[Var<'t, T>; 8]>; N] = std::array::from_fn(|_| SmallVec::new());
    for head in 0..heads {
        let start = (head * width) as isize;
        let own: [Var<'t, T>; N] = x.slice(-1, start..start + width as isize).matmul(kernel.select(0, head)).gates();
        for (parts, own) in parts.iter_mut().zip(own) {
            parts.push(own);
        }
    }
    let mut whole = [x; N];
    for (whole, parts) in whole.iter_mut().zip(parts) {
        *whole = Var::concat(parts, -1);
    }
    whole
}
