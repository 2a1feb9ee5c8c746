//! Steps to test loops with: programs, and bodies that are interpreted.

use smallvec::smallvec;
use tapeloop_autograd::{Backward, Conv, Element, Op, Param, Returned, Rng, Run, Shape, ShapeResult, Tensor, Var};

type Step<T> = for<'t> fn(&[Param<T>], Var<'t, T>, &[Var<'t, T>]) -> Returned<'t, T>;

/// A recurrent network to test with: its parameters, and its step.
pub struct Network<T: Element> {
    pub name: &'static str,
    pub params: Vec<Param<T>>,
    /// Without the batch.
    pub input: Vec<usize>,
    pub states: Vec<Vec<usize>>,
    pub step: Step<T>,
}

pub const INPUT: usize = 3;
pub const UNITS: usize = 5;

fn lstm<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]) + s[0].matmul(&p[1]) + &p[2];
    let [i, f, g, o] = z.gates();
    let c = f.sigmoid() * s[1] + i.sigmoid() * g.tanh();
    let h = o.sigmoid() * c.tanh();
    (smallvec![h, c], h)
}

fn gru<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let b = x.tape().param(&p[2]);
    let a = x.matmul(&p[0]) + b.select(0, 0);
    let u = s[0].matmul(&p[1]) + b.select(0, 1);
    let ([az, ar, ah], [uz, ur, uh]) = (a.gates(), u.gates());
    let z = (az + uz).sigmoid();
    let n = (ah + (ar + ur).sigmoid() * uh).tanh();
    let h = z * s[0] + (1.0 - z) * n;
    (smallvec![h], h)
}

/// The reset gate before the product, and an output that is a projection.
fn projected<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let r = (x.matmul(&p[0]) + s[0].matmul(&p[1])).sigmoid();
    let h = (x.matmul(&p[2]) + (r * s[0]).matmul(&p[3]) + &p[4]).tanh();
    (smallvec![h], h.matmul(&p[5]).softmax(-1) + x)
}

/// Layer normalisation within the step, and a peephole.
fn normalized<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]) + s[0].matmul(&p[1]);
    let [i, g] = z.gates();
    let gamma = Some(x.tape().param(&p[2]));
    let beta = Some(x.tape().param(&p[3]));
    let i = (i + s[1] * &p[3]).layer_norm(&[-1], gamma, beta, 1e-3).sigmoid();
    let c = (1.0 - i) * s[1] + i * g.layer_norm(&[-1], gamma, None, 1e-3).tanh();
    let h = c.layer_norm(&[-1], None, beta, 1e-3).tanh() * i;
    (smallvec![h, c], h)
}

/// States that change places, one that is the input, a step that reads what it had, and a concatenated product.
fn odd<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let both = Var::concat([s[0], s[1]], 1);
    let a = both.matmul(&p[0]).tanh();
    let mean = (s[0] * s[1]).mean(&[-1], true);
    (smallvec![s[1] * mean + a, s[0], x, s[3] * 0.5 + s[2].sum(&[-1], true)], s[0] * s[3])
}

/// Nothing but elementwise operations: no product in the loop.
fn linear<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let z = x.matmul(&p[0]).sigmoid();
    let h = (1.0 - z) * s[0] + z * x.matmul(&p[1]);
    (smallvec![h], h)
}

pub fn networks<T: Element>() -> Vec<Network<T>> {
    let mut rng = Rng::new(7);
    let mut param = |shape: &[usize]| Param::new(Tensor::<T>::normal(shape, 0.0, 0.4, &mut rng));
    let (n, m) = (INPUT, UNITS);
    let row = |widths: &[usize]| widths.iter().map(|&n| vec![n]).collect::<Vec<_>>();
    vec![
        Network {
            name: "lstm",
            params: vec![param(&[n, 4 * m]), param(&[m, 4 * m]), param(&[4 * m])],
            input: vec![n],
            states: row(&[m, m]),
            step: lstm,
        },
        Network {
            name: "gru",
            params: vec![param(&[n, 3 * m]), param(&[m, 3 * m]), param(&[2, 3 * m])],
            input: vec![n],
            states: row(&[m]),
            step: gru,
        },
        Network {
            name: "projected",
            params: vec![param(&[n, m]), param(&[m, m]), param(&[n, m]), param(&[m, m]), param(&[m]), param(&[m, n])],
            input: vec![n],
            states: row(&[m]),
            step: projected,
        },
        Network {
            name: "normalized",
            params: vec![param(&[n, 2 * m]), param(&[m, 2 * m]), param(&[m]), param(&[m])],
            input: vec![n],
            states: row(&[m, m]),
            step: normalized,
        },
        Network {
            name: "odd",
            params: vec![param(&[2 * m, m])],
            input: vec![n],
            states: row(&[m, m, n, m]),
            step: odd,
        },
        Network {
            name: "linear",
            params: vec![param(&[n, m]), param(&[n, m])],
            input: vec![n],
            states: row(&[m]),
            step: linear,
        },
    ]
}

/// A convolution in the place of each product, (batch, channels, height, width), with a projection behind it.
fn convolution<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let bias = x.tape().param(&p[2]);
    let z =
        x.conv(&p[0], Some(bias), &Conv::new().padding(&[1])) + s[0].conv(&p[1], None, &Conv::new().padding(&[1, 0]));
    let [i, g] = [0, 1].map(|k| z.slice(1, 2 * k..2 * k + 2));
    let h = i.sigmoid() * g.tanh() + (1.0 - i.sigmoid()) * s[0];
    (smallvec![h], h.conv(&p[3], None, &Conv::new()))
}

/// States with three axes, functions of rows along each of them, an operation that sees the whole batch.
fn volume<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let a = (x * 0.3 + s[0]).softmax(1).cumsum(2);
    let h = (a.swap_axes(1, 2).matmul(&p[0]).swap_axes(1, 2) + s[1].mean(&[0], true)).tanh();
    (smallvec![h, s[0].flip(&[2])], h.max(&[2], true) * s[1])
}

/// Rows, but for operations that are no lines of a program; what needs no state among them.
fn chosen<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let late = x.cumsum(-1).matmul(&p[0]);
    let picked = s[0].index_select(1, &Tensor::from([4i64, 0, 0, 2, 1]));
    let rows = x.dim(0);
    let index = Tensor::from_vec([rows, 5], (0..5 * rows as i64).map(|k| (k * 3 + 1) % 5).collect());
    let gathered = (x.matmul(&p[0])).gather(1, &index);
    let h = (picked.matmul(&p[1]) + late - gathered).tanh();
    (smallvec![h], (h * gathered).gather(1, &index).matmul(&p[1]).flip(&[1]))
}

/// A matrix for each row, a system of equations and a factorisation with it.
fn matrices<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let eye = x.tape().constant(Tensor::eye(3)) * 4.0;
    let gram = s[0].matmul(s[0].t()) + eye;
    let next = gram.solve(s[0].matmul(&p[0]) + x.unsqueeze(-1)).tanh();
    (smallvec![next], gram.cholesky().matmul(next) + gram.det().reshape(&[-1, 1, 1]) * 1e-3)
}

/// y = x³, an operation of somebody else's.
#[derive(Debug)]
struct Cube;

impl<T: Element> Op<T> for Cube {
    fn name(&self) -> &'static str {
        "cube"
    }
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
        Ok(inputs[0].clone())
    }
    fn forward(&self, inputs: &[&Tensor<T>], _: &mut Run<'_, T>) -> Tensor<T> {
        inputs[0].map(|x| x * x * x)
    }
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>) {
        let x = back.input(0);
        back.give(0, |g| g * x * x * 3.0);
    }
}

fn custom<'t, T: Element>(p: &[Param<T>], x: Var<'t, T>, s: &[Var<'t, T>]) -> Returned<'t, T> {
    let h = x.tape().custom(Cube, &[(x.matmul(&p[0]) + s[0].matmul(&p[1])).tanh()]);
    (smallvec![h], h)
}

/// What no program holds.
pub fn interpreted<T: Element>() -> Vec<Network<T>> {
    let mut rng = Rng::new(8);
    let mut param = |shape: &[usize]| Param::new(Tensor::<T>::normal(shape, 0.0, 0.4, &mut rng));
    vec![
        Network {
            name: "convolution",
            params: vec![param(&[4, 3, 3, 3]), param(&[4, 2, 3, 1]), param(&[4]), param(&[1, 2, 2, 2])],
            input: vec![3, 4, 3],
            states: vec![vec![2, 4, 3]],
            step: convolution,
        },
        Network {
            name: "volume",
            params: vec![param(&[2, 2])],
            input: vec![2, 3],
            states: vec![vec![2, 3]; 2],
            step: volume,
        },
        Network {
            name: "chosen",
            params: vec![param(&[INPUT, UNITS]), param(&[UNITS, UNITS])],
            input: vec![INPUT],
            states: vec![vec![UNITS]],
            step: chosen,
        },
        Network {
            name: "matrices",
            params: vec![param(&[2, 2])],
            input: vec![INPUT],
            states: vec![vec![3, 2]],
            step: matrices,
        },
        Network {
            name: "custom",
            params: vec![param(&[INPUT, UNITS]), param(&[UNITS, UNITS])],
            input: vec![INPUT],
            states: vec![vec![UNITS]],
            step: custom,
        },
    ]
}
