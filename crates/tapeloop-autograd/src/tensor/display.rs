//! Tensors as text, the way NumPy prints arrays.

use std::any::Any;
use std::fmt;
use std::num::ParseFloatError;
use std::str::FromStr;

use super::Tensor;
use crate::element::{Element, Item};

/// More elements than this are abbreviated to the first and last [`EDGE`] along each axis.
const THRESHOLD: usize = 1000;
const EDGE: usize = 3;
/// Longer lines are broken between elements.
const LINE: usize = 75;
/// Decimals at most.
const DECIMALS: usize = 8;

impl<T: Item> fmt::Display for Tensor<T> {
    /// As NumPy's `print`: nested brackets, decimal points below each other, at most 8 decimals, one form with or without
    /// exponents for all. `{:.3}` sets the number of decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.size() == 0 {
            return f.write_str("[]");
        }
        let shorten = self.size() > THRESHOLD;
        let mut shown = Vec::new();
        self.visit_shown(shorten, &mut |x| shown.push(x));
        let mut words = words(shown, f.precision(), self.rank() == 0);
        let width = words.iter().map(String::len).max().unwrap_or(0);
        words.iter_mut().for_each(|word| *word = format!("{word:>width$}"));
        f.write_str(&brackets(&self.shape, 1, LINE, shorten, &mut words.into_iter()))
    }
}

/// The places of an axis that are shown, `None` for those left out.
fn shown(n: usize, shorten: bool) -> impl Iterator<Item = Option<usize>> {
    let cut = shorten && n > 2 * EDGE;
    let (head, tail) = if cut { (EDGE, n - EDGE) } else { (n, n) };
    (0..head).map(Some).chain(cut.then_some(None)).chain((tail..n).map(Some))
}

impl<T: Item> Tensor<T> {
    fn visit_shown(&self, shorten: bool, visit: &mut impl FnMut(T)) {
        match self.shape.first() {
            None => visit(self.item()),
            Some(&n) => shown(n, shorten).flatten().for_each(|i| self.select(0, i).visit_shown(shorten, visit)),
        }
    }
}

/// The words of a tensor of this shape in brackets, lines beginning at `indent` and not longer than `width`.
fn brackets(
    shape: &[usize],
    indent: usize,
    width: usize,
    shorten: bool,
    words: &mut impl Iterator<Item = String>,
) -> String {
    let Some((&n, inner)) = shape.split_first() else {
        return words.next().unwrap_or_default();
    };
    let (mut text, mut column) = ("[".to_string(), indent);
    for (k, place) in shown(n, shorten).enumerate() {
        let part = match place {
            Some(_) => brackets(inner, indent + 1, width - 1, shorten, words),
            None => "...".to_string(),
        };
        let next_line = if inner.is_empty() {
            // A bracket may follow.
            let full = column + part.len() > width - 1 && column > indent;
            if k > 0 && !full {
                text.push(' ');
            }
            usize::from(full)
        } else if k > 0 {
            inner.len()
        } else {
            0
        };
        if next_line > 0 {
            text.truncate(text.trim_end_matches(' ').len());
            text += &"\n".repeat(next_line);
            text += &" ".repeat(indent);
            column = indent;
        }
        text += &part;
        column += part.len() + 1;
    }
    text.push(']');
    text
}

/// Every element as text, still of different widths.
fn words<T: Item>(x: Vec<T>, decimals: Option<usize>, scalar: bool) -> Vec<String> {
    let any: &dyn Any = &x;
    if let Some(x) = any.downcast_ref::<Vec<f32>>() {
        return floats(x, decimals, scalar);
    }
    if let Some(x) = any.downcast_ref::<Vec<f64>>() {
        return floats(x, decimals, scalar);
    }
    if let Some(x) = any.downcast_ref::<Vec<bool>>() {
        let word = |&x: &bool| if x { "True" } else { "False" };
        // As wide as if one were false.
        let width = if scalar { 0 } else { "False".len() };
        return x.iter().map(|x| format!("{:>width$}", word(x))).collect();
    }
    x.iter().map(T::to_string).collect()
}

/// A finite number: what is before the point, behind it, and the exponent with its sign.
struct Parts {
    whole: String,
    fraction: String,
    exponent: String,
}

impl Parts {
    /// The fewest digits that tell the number from others of its type, but not more decimals than `most`; or exactly
    /// that many if `fixed`.
    fn of<T: Element + fmt::LowerExp + FromStr<Err = ParseFloatError>>(
        x: T,
        scientific: bool,
        most: usize,
        fixed: bool,
    ) -> Self {
        let text = |decimals: Option<usize>| match (scientific, decimals) {
            (true, None) => format!("{x:e}"),
            (true, Some(n)) => format!("{x:.n$e}"),
            (false, None) => format!("{x}"),
            (false, Some(n)) => format!("{x:.n$}"),
        };
        let split = |text: &str| {
            let (number, exponent) = text.split_once('e').unwrap_or((text, ""));
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            let exponent = exponent.parse().map(|e: i32| format!("{e:+03}")).unwrap_or_default();
            Self { whole: whole.into(), fraction: fraction.into(), exponent }
        };
        let parts = split(&text(None));
        if !fixed && parts.fraction.len() <= most {
            // Of two shortest ones at equal distance the even one, if it is no other number.
            let even = text(Some(parts.fraction.len()));
            return if even.parse() == Ok(x) { split(&even) } else { parts };
        }
        let parts = split(&text(Some(most)));
        let kept = if fixed { parts.fraction.len() } else { parts.fraction.trim_end_matches('0').len() };
        Self { fraction: parts.fraction[..kept].into(), ..parts }
    }
}

fn floats<T: Element + fmt::LowerExp + FromStr<Err = ParseFloatError>>(
    x: &[T],
    decimals: Option<usize>,
    scalar: bool,
) -> Vec<String> {
    let sizes = || x.iter().filter(|&&x| x.is_finite() && x != T::ZERO).map(|x| x.abs());
    let largest = sizes().fold(T::ZERO, T::maximum);
    let smallest = sizes().fold(T::INFINITY, T::minimum);
    // Of single precision 6 digits are sure; more in front of the point would look like knowledge (NumPy 2.3 and later).
    let high = match (T::NAME == f32::NAME, scalar) {
        (true, _) => 1e6,
        (false, true) => 1e16,
        (false, false) => 1e8,
    };
    // NumPy compares a single number in double precision, an array's in its own.
    let scientific = if scalar {
        decimals.is_none() && (smallest.to_f64() < 1e-4 || largest.to_f64() >= high)
    } else {
        let wide = largest / smallest > T::from_f64(1e3);
        wide || smallest < T::from_f64(1e-4) || largest >= T::from_f64(high)
    };
    // A single number keeps all its digits.
    let most = decimals.unwrap_or(if scalar { usize::from(u8::MAX) } else { DECIMALS });
    let all = |most, fixed| -> Vec<Option<Parts>> {
        x.iter().map(|&x| x.is_finite().then(|| Parts::of(x, scientific, most, fixed))).collect()
    };
    let longest =
        |parts: &[Option<Parts>], length: fn(&Parts) -> usize| parts.iter().flatten().map(length).max().unwrap_or(0);
    let mut parts = all(most, decimals.is_some());
    let fraction_width = longest(&parts, |parts| parts.fraction.len());
    if scientific && !scalar {
        // Exponents stand below each other: every number gets as many true digits as the longest needs.
        parts = all(fraction_width, true);
    }
    let exponent_width = longest(&parts, |parts| parts.exponent.len());
    let word = |(x, parts): (&T, &Option<Parts>)| {
        let Some(Parts { whole, fraction, exponent }) = parts else {
            return if x.is_nan() { "nan".to_string() } else { x.to_string() };
        };
        let point = match (scalar, fraction.is_empty()) {
            (true, true) if scientific || decimals.is_some() => "",
            (true, true) => ".0",
            _ => ".",
        };
        if scientific {
            let digits = exponent_width - 1;
            let (sign, power) = exponent.split_at(1);
            format!("{whole}{point}{fraction}e{sign}{power:0>digits$}")
        } else {
            format!("{whole}{point}{fraction:<fraction_width$}")
        }
    };
    x.iter().zip(&parts).map(word).collect()
}
