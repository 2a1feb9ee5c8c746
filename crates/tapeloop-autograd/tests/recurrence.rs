//! Linear recurrences against the formula number by number, in every layout; their ends, and their mistakes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tapeloop_autograd::{Complex, Element, Rng, Tape, Tensor, Threads, Var};

/// hₜ = aₜ hₜ₋₁ + bₜ, one fused multiply-add after the other, whatever the strides.
fn reference<T: Element>(
    b: &Tensor<T>,
    a: &Tensor<T>,
    initial: Option<&Tensor<T>>,
    axis: usize,
    reverse: bool,
) -> Vec<T> {
    let shape = b.shape().to_vec();
    let (a, steps) = (a.broadcast_to(b.shape()), shape[axis]);
    let mut out = vec![T::ZERO; b.size()];
    let strides: Vec<usize> = (0..shape.len()).map(|k| shape[k + 1..].iter().product()).collect();
    for place in 0..b.size() {
        let mut index: Vec<usize> = (0..shape.len()).map(|k| place / strides[k] % shape[k]).collect();
        if index[axis] != 0 {
            continue;
        }
        let mut h: Option<T> = initial.map(|initial| {
            let mut step = shape.clone();
            step.remove(axis);
            let mut at = index.clone();
            at.remove(axis);
            initial.broadcast_to(step).at(&at)
        });
        for k in 0..steps {
            let t = if reverse { steps - 1 - k } else { k };
            index[axis] = t;
            let next = h.map_or(b.at(&index), |h| a.at(&index).mul_add(h, b.at(&index)));
            out[place + t * strides[axis]] = next;
            h = Some(next);
        }
    }
    out
}

fn check<T: Element>(b: &Tensor<T>, a: &Tensor<T>, initial: Option<&Tensor<T>>, axis: isize, what: &str) {
    for (threads, reverse) in [(1, false), (3, false), (1, true), (3, true)] {
        let tape = Tape::inference_with_threads(Threads::new(threads));
        let on = |x: &Tensor<T>| tape.constant(x.clone());
        let h = on(b).linear_recurrence(on(a), initial.map(on), axis, reverse).value();
        let wanted = reference(b, a, initial, axis.rem_euclid(b.rank() as isize) as usize, reverse);
        assert_eq!(h.shape(), b.shape());
        assert!(h.to_vec() == wanted, "{what}, {threads} threads, reverse: {reverse}");
    }
}

fn layouts<T: Element>() {
    let mut rng = Rng::new(0);
    // Narrow and wide, a few and many, short and long; the last are cut into blocks and threads.
    let shapes: [&[usize]; 11] = [
        &[7],
        &[5, 3],
        &[1, 4],
        &[9, 17],
        &[3, 4, 5],
        &[2, 70, 33],
        &[150, 2, 130],
        &[20, 300, 8],
        &[30, 40, 50],
        &[3, 40, 1100],
        &[40, 3000],
    ];
    for shape in shapes {
        let mut normal = |shape: &[usize]| Tensor::<T>::normal(shape, 0.0, 1.0, &mut rng);
        let (b, a) = (normal(shape), normal(shape));
        for axis in 0..shape.len() {
            let mut step = shape.to_vec();
            step.remove(axis);
            let initial = normal(&step);
            let mut single = shape.to_vec();
            single[axis] = 1;
            let what = format!("{shape:?} along {axis}");
            let axis = axis as isize;
            check(&b, &a, None, axis, &what);
            check(&b, &a, Some(&initial), axis, &what);
            check(&b, &normal(&[]), Some(&normal(&[])), axis, &format!("{what}, one number"));
            check(&b, &normal(&single), Some(&initial), axis, &format!("{what}, a factor for every step"));
            check(&b, &normal(&shape[shape.len() - 1..]), None, axis, &format!("{what}, a factor on the last axis"));
            // The cotangent of a sum, and views.
            check(&normal(&single).broadcast_to(shape), &a, Some(&initial), axis, &format!("{what}, one term"));
            let turned: Vec<usize> = shape.iter().rev().copied().collect();
            let order: Vec<isize> = (0..shape.len() as isize).rev().collect();
            let view = normal(&turned).permute(&order);
            check(&view, &a, None, axis, &format!("{what}, permuted terms"));
            check(&b, &view, Some(&initial), axis, &format!("{what}, permuted factors"));
            let mut double = shape.to_vec();
            double[shape.len() - 1] *= 2;
            let part = normal(&double).slice(-1, shape[shape.len() - 1] as isize..);
            check(&part, &part, None, axis, &format!("{what}, parts"));
        }
    }
}

#[test]
fn every_layout_in_both_precisions() {
    layouts::<f32>();
    layouts::<f64>();
}

/// One step.
fn select<'t>([re, im]: [Var<'t, f64>; 2], axis: usize, t: usize) -> Complex<'t, f64> {
    Complex::new(re.select(axis as isize, t), im.select(axis as isize, t))
}

#[test]
fn complex_is_its_formula() {
    let mut rng = Rng::new(1);
    let shapes: [&[usize]; 6] = [&[6], &[5, 3], &[4, 20], &[3, 7, 2], &[2, 9, 130], &[30, 1300]];
    for shape in shapes {
        for axis in 0..shape.len() {
            let mut step = shape.to_vec();
            step.remove(axis);
            let mut pair = |shape: &[usize]| [0, 1].map(|_| Tensor::<f64>::normal(shape, 0.0, 0.5, &mut rng));
            let (b, a, initial) = (pair(shape), pair(&shape[shape.len() - 1..]), pair(&step));
            for reverse in [false, true] {
                let tape = Tape::inference_with_threads(Threads::new(2));
                let complex =
                    |[re, im]: &[Tensor<f64>; 2]| Complex::new(tape.constant(re.clone()), tape.constant(im.clone()));
                let (b, a, initial) = (complex(&b), complex(&a), complex(&initial));
                let h = b.linear_recurrence(a, Some(initial), axis as isize, reverse);
                // Step by step in the operations of `Complex`.
                let factors = [a.re, a.im].map(|a| a.broadcast_to(shape));
                let mut wanted = initial;
                for k in 0..shape[axis] {
                    let t = if reverse { shape[axis] - 1 - k } else { k };
                    wanted = select(factors, axis, t) * wanted + select([b.re, b.im], axis, t);
                    let given = select([h.re, h.im], axis, t);
                    for (given, wanted) in [(given.re, wanted.re), (given.im, wanted.im)] {
                        let scale = wanted.abs().max(&[], false).item().max(1.0);
                        // Roundings of a few operations a step.
                        let bound = 4.0 * f64::EPSILON * (k + 1) as f64 * scale;
                        let error = (given - wanted).abs().max(&[], false).item();
                        assert!(error <= bound, "{shape:?} along {axis}, step {t}: {error:e}");
                    }
                }
            }
        }
    }
}

#[test]
fn running_sums_and_powers() {
    let tape = Tape::<f64>::inference();
    let x = tape.constant(Tensor::from_fn([3, 50], |i| (i[0] * 50 + i[1]) as f64));
    assert_eq!(x.linear_recurrence(1.0, None, 1, false).value(), x.cumsum(1).value());
    assert_eq!(x.linear_recurrence(1.0, None, 0, false).value(), x.cumsum(0).value());
    assert_eq!(x.linear_recurrence(0.0, None, 1, false).value(), x.value());
    let powers = tape.full([4], 0.0).linear_recurrence(2.0, Some(tape.scalar(1.0)), 0, true);
    assert_eq!(powers.value().to_vec(), [16.0, 8.0, 4.0, 2.0]);
}

#[test]
fn nothing_and_one_step() {
    let tape = Tape::<f32>::new();
    for (shape, axis) in [([0, 3], 0), ([3, 0], 0), ([0, 3], 1), ([3, 0], 1)] {
        let (b, a) = (tape.leaf(Tensor::zeros(shape)), tape.leaf(Tensor::zeros(shape)));
        let decay = tape.leaf(Tensor::scalar(0.5));
        let initial = tape.leaf(Tensor::ones([shape[1 - axis]]));
        let h = b.linear_recurrence(a, Some(initial), axis as isize, false);
        let other = b.linear_recurrence(decay, Some(initial), axis as isize, true);
        assert_eq!((h.shape(), other.shape()), (shape.into(), shape.into()));
        let gradients = (h.sum_all() + other.sum_all()).backward();
        assert_eq!(gradients.wrt(b).unwrap().shape(), shape);
        assert_eq!(gradients.wrt(a).unwrap().shape(), shape);
        assert_eq!(gradients.wrt(decay).unwrap().item(), 0.0);
        assert_eq!(gradients.wrt(initial).unwrap().to_vec(), vec![0.0; shape[1 - axis]]);
    }
    let (b, a) = (tape.leaf(Tensor::from([[3.0f32], [4.0]])), tape.leaf(Tensor::from([[0.5f32], [2.0]])));
    let initial = tape.leaf(Tensor::from([10.0f32, 20.0]));
    let h = b.linear_recurrence(a, Some(initial), 1, false);
    assert_eq!(h.value().to_vec(), [8.0, 44.0]);
    let gradients = h.sum_all().backward();
    assert_eq!(gradients.wrt(a).unwrap().to_vec(), [10.0, 20.0]);
    assert_eq!(gradients.wrt(initial).unwrap().to_vec(), [0.5, 2.0]);
    // A state of no features.
    let nothing = tape.leaf(Tensor::zeros([2, 0]));
    let z = Complex::new(nothing, nothing).linear_recurrence(Complex::new(nothing, nothing), None, 0, false);
    assert_eq!(z.im.shape(), [2, 0]);
}

#[test]
fn what_is_not_finite_goes_where_the_formula_takes_it() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let tape = Tape::new();
    let same = |x: Tensor<f32>, wanted: &[f32]| {
        let x = x.to_vec();
        let equal = x.iter().zip(wanted).all(|(x, wanted)| x == wanted || (x.is_nan() && wanted.is_nan()));
        assert!(x.len() == wanted.len() && equal, "{x:?} is not {wanted:?}");
    };
    // Other lanes and earlier steps know nothing of it; without an initial state, nobody reads the first factor.
    let b = tape.leaf(Tensor::from([[1.0, 1.0, nan, 1.0, 1.0], [1.0, inf, 1.0, 1.0, 1.0]]));
    let a = tape.leaf(Tensor::from([[nan, 2.0, 2.0, 2.0, 2.0], [nan, 1.0, 1.0, -1.0, 0.0]]));
    let h = b.linear_recurrence(a, None, 1, false);
    same(h.value(), &[1.0, 3.0, nan, nan, nan, 1.0, inf, inf, -inf, nan]);
    // Growth overflows and stays where it is; zeros never do.
    let grown =
        tape.full([2, 200], 0.0).linear_recurrence(2.0, Some(tape.constant(Tensor::from([0.0f32, 1.0]))), 1, false);
    assert!(grown.value().select(0, 0).to_vec().iter().all(|&x| x == 0.0));
    assert_eq!(grown.value().at(&[1, 199]), inf);
    // The first factor's cotangent is 0. Behind it 0 · NaN and 0 · ∞ are NaN, as in the products it is made of.
    let gradients = h.slice(1, 0..2).sum_all().backward();
    same(gradients.wrt(a).unwrap().clone(), &[0.0, 1.0, 0.0, nan, nan, 0.0, 1.0, nan, nan, nan]);
    same(gradients.wrt(b).unwrap().clone(), &[3.0, 1.0, 0.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn gradients_are_those_of_the_steps() {
    // The same sequence step by step on the tape, in the operations it is made of.
    let mut rng = Rng::new(2);
    let mut normal = |shape: &[usize]| Tensor::<f64>::normal(shape, 0.0, 0.7, &mut rng);
    let (batch, time, features) = (3, 40, 20);
    let (x, decay, h0) = (normal(&[batch, time, features]), normal(&[features]), normal(&[batch, features]));
    let weights = normal(&[batch, time, features]);
    for reverse in [false, true] {
        let tape = Tape::new();
        let [b, a, initial] = [&x, &decay, &h0].map(|x| tape.leaf(x.clone()));
        let whole = b.linear_recurrence(a, Some(initial), 1, reverse);
        let mut h = initial;
        let mut steps = vec![h; time];
        for k in 0..time {
            let t = if reverse { time - 1 - k } else { k };
            h = a * h + b.select(1, t);
            steps[t] = h;
        }
        let steps = Var::stack(steps, 1);
        let [own, other] = [whole, steps].map(|h| (h * &weights).sum_all().backward());
        for input in [b, a, initial] {
            let (own, other) = (own.wrt(input).unwrap(), other.wrt(input).unwrap());
            let scale = other.to_vec().iter().fold(0.0f64, |max, x| max.max(x.abs()));
            for (own, other) in own.to_vec().iter().zip(other.to_vec()) {
                assert!((own - other).abs() <= 1e-13 * scale, "{own} is not {other}");
            }
        }
    }
}

#[test]
fn mistakes_are_named_at_their_line() {
    let message = |f: &dyn Fn(&Tape)| {
        let tape = Tape::new();
        let panic = catch_unwind(AssertUnwindSafe(|| f(&tape))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let text = message(&|tape| {
        tape.full([2, 3, 4], 0.0).linear_recurrence(tape.full([3, 3], 0.0), None, 1, false);
    });
    assert!(text.contains("linear_recurrence: cannot combine shapes [2, 3, 4] and [3, 3]"), "{text}");
    assert!(text.contains("a must broadcast to b"), "{text}");
    let text = message(&|tape| {
        tape.full([2, 3, 4], 0.0).linear_recurrence(0.5, Some(tape.full([2, 3], 0.0)), 1, false);
    });
    assert!(text.contains("[2, 1, 3]") && text.contains("one step of b along axis 1"), "{text}");
    let text = message(&|tape| {
        tape.full([2, 3], 0.0).linear_recurrence(0.5, None, 2, false);
    });
    assert!(text.contains("axis 2 is out of range"), "{text}");
    let text = message(&|tape| {
        tape.full([], 0.0).linear_recurrence(0.5, None, 0, false);
    });
    assert!(text.contains("axis 0 is out of range"), "{text}");
}
