//! Products and linear algebra.

use tapeloop::{Element, Tape, Var};

use super::{Found, float, front, list};
use crate::arguments::{Arguments, KEYWORD};
use crate::value::{Result, Value};

pub fn call<'t, T: Element>(tape: &'t Tape<T>, name: &str, a: &Arguments<'t, T>) -> Found<'t, T> {
    let y = match name {
        "einsum" => {
            let operands = a.tensors(1, "operands")?;
            let operands = operands.iter().map(|value| float(tape, value)).collect::<Result<Vec<_>>>()?;
            Var::einsum(&a.text(0, "equation", "")?, &operands)
        }
        "matmul" | "mm" | "bmm" | "mv" => {
            float(tape, &a.get(0, "input"))?.matmul(float(tape, &a.get(1, "other mat2 vec"))?)
        }
        "addmm" | "baddbmm" | "addmv" | "addbmm" | "addr" => {
            let (left, right) = (a.var(1, "mat1 batch1 mat vec1")?, a.var(2, "mat2 batch2 vec vec2")?);
            let product = if name == "addr" { left.outer(right) } else { left.matmul(right) };
            let product = if name == "addbmm" { product.sum(&[0], false) } else { product };
            let (beta, alpha) = (a.number(KEYWORD, "beta", 1.0)?, a.number(KEYWORD, "alpha", 1.0)?);
            a.var(0, "input")? * beta + product * alpha
        }
        "vecdot" => (a.var(0, "x input")? * a.var(1, "y other")?).sum(&[a.axis(2, "dim", -1)?], false),
        "dot" | "vdot" => a.var(0, "input")?.dot(a.var(1, "other tensor")?),
        "inner" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            let (p, q) = (x.shape(), y.shape());
            let n = p[p.rank() - 1] as isize;
            let shape: Vec<usize> = p[..p.rank() - 1].iter().chain(&q[..q.rank() - 1]).copied().collect();
            x.reshape(&[-1, n]).matmul(y.reshape(&[-1, n]).t()).reshape_to(shape)
        }
        "tensordot" => {
            let (x, y) = (a.var(0, "a")?, a.var(1, "b other")?);
            let (left, right): (Vec<usize>, Vec<usize>) = match a.get(2, "dims") {
                Value::List(pair) if pair.len() == 2 => {
                    let axes = |value: &Value<'t, T>, rank| -> Result<Vec<usize>> {
                        Ok(value.integers()?.into_iter().map(|axis| front(axis as isize, rank)).collect())
                    };
                    (axes(&pair[0], x.rank())?, axes(&pair[1], y.rank())?)
                }
                Value::None => ((x.rank() - 2..x.rank()).collect(), vec![0, 1]),
                count => {
                    let n = count.integer()? as usize;
                    ((x.rank() - n..x.rank()).collect(), (0..n).collect())
                }
            };
            let rest = |rank: usize, used: &[usize]| (0..rank).filter(|k| !used.contains(k)).collect::<Vec<_>>();
            let (p, q) = (rest(x.rank(), &left), rest(y.rank(), &right));
            let order =
                |axes: &[usize], more: &[usize]| axes.iter().chain(more).map(|&axis| axis as isize).collect::<Vec<_>>();
            let shape: Vec<usize> = p.iter().map(|&k| x.shape()[k]).chain(q.iter().map(|&k| y.shape()[k])).collect();
            let inner: usize = left.iter().map(|&k| x.shape()[k]).product();
            let rows: usize = p.iter().map(|&k| x.shape()[k]).product();
            let cols: usize = q.iter().map(|&k| y.shape()[k]).product();
            let x = x.permute(&order(&p, &left)).reshape_to([rows, inner]);
            x.matmul(y.permute(&order(&right, &q)).reshape_to([inner, cols])).reshape_to(shape)
        }
        "cross" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            // torch.cross without an axis takes the first of length three.
            let first = (x + y).shape().iter().position(|&n| n == 3).ok_or("cross: no axis of length 3")?;
            let default = if a.module == "linalg" { -1 } else { first as isize };
            let axis = a.axis(2, "dim", default)?;
            x.roll(-1, axis) * y.roll(-2, axis) - x.roll(-2, axis) * y.roll(-1, axis)
        }
        "dist" => (a.var(0, "input")? - a.var(1, "other")?).norm(a.number(2, "p", 2.0)?, &[], false),
        "cholesky" => {
            let y = a.var(0, "input A")?.cholesky();
            if a.truth(1, "upper", false)? { y.t() } else { y }
        }
        "cholesky_solve" => {
            let (b, l) = (a.var(0, "B input")?, a.var(1, "L")?);
            let l = if a.truth(2, "upper", false)? { l.t() } else { l };
            l.cholesky_solve(b)
        }
        "cholesky_inverse" => {
            let l = a.var(0, "input L")?;
            let l = if a.truth(1, "upper", false)? { l.t() } else { l };
            l.cholesky_inverse()
        }
        "trace" => a.var(0, "input")?.trace(),
        "cholesky_ex" | "inv_ex" => {
            let x = a.var(0, "input A")?;
            let y = if name == "inv_ex" { x.inverse() } else { x.cholesky() };
            let y = if name == "cholesky_ex" && a.truth(KEYWORD, "upper", false)? { y.t() } else { y };
            let _ = a.truth(KEYWORD, "check_errors", false)?;
            return Ok(Some(list([Value::Var(y), Value::None])));
        }
        "vander" => {
            let (x, n) = (a.var(0, "x")?, a.get(KEYWORD, "N"));
            let n = if n.is_none() { x.dim(-1) as i64 } else { n.integer()? };
            Var::stack((0..n).map(|k| x.powf(k as f64)), -1)
        }
        "inverse" | "inv" => a.var(0, "input A")?.inverse(),
        "det" => a.var(0, "input A")?.det(),
        "logdet" => {
            let x = a.var(0, "input")?;
            x.det().lt(0.0).if_else(f64::NAN, x.log_abs_det())
        }
        "matrix_exp" => a.var(0, "input A")?.matrix_exp(),
        "slogdet" => {
            let x = a.var(0, "input A")?;
            return Ok(Some(list([Value::Var(x.det().sign()), Value::Var(x.log_abs_det())])));
        }
        "qr" => {
            let x = a.var(0, "input A")?;
            match a.get(1, "mode some") {
                Value::None | Value::Truth(true) => {}
                Value::Text(mode) if mode == "reduced" => {}
                other => return Err(format!("qr with {} is not supported", other.describe())),
            }
            let (q, r) = x.qr();
            return Ok(Some(list([Value::Var(q), Value::Var(r)])));
        }
        "outer" | "ger" => a.var(0, "input")?.outer(a.var(1, "vec2")?),
        "linear" => a.var(0, "input")?.linear(a.var(1, "weight")?, a.maybe_var(2, "bias")?),
        "bilinear" => a.var(0, "input1")?.bilinear(a.var(1, "input2")?, a.var(2, "weight")?, a.maybe_var(3, "bias")?),
        "solve" => {
            let (left, right) = (a.var(0, "A")?, a.var(1, "B")?);
            // A right-hand side of the batch's rank is one of vectors.
            let vector = right.rank() == 1
                || (right.rank() + 1 == left.rank() && right.shape()[..] == left.shape()[..left.rank() - 1]);
            match (a.truth(KEYWORD, "left", true)?, vector) {
                (true, true) => left.solve(right.unsqueeze(-1)).squeeze(-1),
                (true, false) => left.solve(right),
                (false, false) => left.t().solve(right.t()).t(),
                (false, true) => return Err("solve from the right with a vector is not supported".into()),
            }
        }
        "solve_triangular" => {
            let (left, right) = (a.var(0, "A")?, a.var(1, "B")?);
            let (upper, unit) = (a.truth(KEYWORD, "upper", false)?, a.truth(KEYWORD, "unitriangular", false)?);
            match a.truth(KEYWORD, "left", true)? {
                true => left.solve_triangular(right, upper, unit),
                false => left.t().solve_triangular(right.t(), !upper, unit).t(),
            }
        }
        "triangular_solve" => {
            let (b, matrix) = (a.var(0, "b input")?, a.var(1, "A")?);
            let (upper, transposed) = (a.truth(2, "upper", true)?, a.truth(3, "transpose", false)?);
            let unit = a.truth(4, "unitriangular", false)?;
            let y = match transposed {
                true => matrix.t().solve_triangular(b, !upper, unit),
                false => matrix.solve_triangular(b, upper, unit),
            };
            return Ok(Some(list([Value::Var(y), Value::Var(matrix)])));
        }
        "chain_matmul" | "multi_dot" => {
            let factors = a.tensors(0, "tensors")?;
            let factors = factors.iter().map(Value::var).collect::<Result<Vec<_>>>()?;
            factors[1..].iter().fold(factors[0], |product, factor| product.matmul(*factor))
        }
        "matrix_power" => {
            let (x, n) = (a.var(0, "A input")?, a.integer(1, "n", 1)?);
            let base = if n < 0 { x.inverse() } else { x };
            match n {
                0 => tape.constant(tapeloop::Tensor::eye(x.dim(-1))).broadcast_to(x.shape()),
                _ => (1..n.abs()).fold(base, |power, _| power.matmul(base)),
            }
        }
        "kron" => {
            let (x, y) = (a.var(0, "input")?, a.var(1, "other")?);
            let rank = x.rank().max(y.rank());
            let full = |z: Var<'t, T>| {
                let lead = vec![1; rank - z.rank()];
                lead.into_iter().chain(z.shape().iter().copied()).collect::<Vec<usize>>()
            };
            let (p, q) = (full(x), full(y));
            let spread = |shape: &[usize], odd: usize| {
                (0..2 * rank).map(|k| if k % 2 == odd { shape[k / 2] } else { 1 }).collect::<Vec<usize>>()
            };
            let product = x.reshape_to(spread(&p, 0)) * y.reshape_to(spread(&q, 1));
            product.reshape_to(p.iter().zip(&q).map(|(p, q)| p * q).collect::<Vec<usize>>())
        }
        _ => return Ok(None),
    };
    Ok(Some(Value::Var(y)))
}
