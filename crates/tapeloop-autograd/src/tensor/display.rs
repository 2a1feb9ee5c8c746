//! Tensors as text, laid out like NumPy's.

use std::fmt;

use super::Tensor;
use crate::element::Item;

/// More elements than this are abbreviated to the first and last [`EDGE`] along each axis.
const THRESHOLD: usize = 1000;
const EDGE: usize = 3;

impl<T: Item> fmt::Display for Tensor<T> {
    /// Nested brackets with aligned columns; `{:.3}` sets the number of decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shorten = self.size() > THRESHOLD;
        let mut cells = Vec::new();
        self.cells(shorten, &mut |x| cells.push(text(x, f.precision())));
        let width = cells.iter().map(String::len).max().unwrap_or(0);
        let mut cells = cells.into_iter();
        self.brackets(f, 1, shorten, width, &mut cells)
    }
}

/// A number at full precision with trailing zeros removed, as `1.` and `0.25`.
fn text<T: Item>(x: T, precision: Option<usize>) -> String {
    let plain = match precision {
        Some(digits) => format!("{x:.digits$}"),
        None => format!("{x}"),
    };
    let float = T::NAME.starts_with("float");
    if float && precision.is_none() && plain.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        format!("{plain}.")
    } else {
        plain
    }
}

fn shown(n: usize, shorten: bool) -> impl Iterator<Item = Option<usize>> {
    let cut = shorten && n > 2 * EDGE;
    let (head, tail) = if cut { (EDGE, n - EDGE) } else { (n, n) };
    (0..head).map(Some).chain(cut.then_some(None)).chain((tail..n).map(Some))
}

impl<T: Item> Tensor<T> {
    fn cells(&self, shorten: bool, visit: &mut impl FnMut(T)) {
        match self.shape.first() {
            None => visit(self.item()),
            Some(&n) => {
                shown(n, shorten).flatten().for_each(|i| self.select(0, i).cells(shorten, visit));
            }
        }
    }

    fn brackets(
        &self,
        f: &mut fmt::Formatter<'_>,
        depth: usize,
        shorten: bool,
        width: usize,
        cells: &mut impl Iterator<Item = String>,
    ) -> fmt::Result {
        let Some(&n) = self.shape.first() else {
            return write!(f, "{:>width$}", cells.next().unwrap_or_default());
        };
        write!(f, "[")?;
        for (k, index) in shown(n, shorten).enumerate() {
            if k > 0 {
                if self.rank() == 1 {
                    write!(f, " ")?;
                } else {
                    write!(f, "{}{}", "\n".repeat(self.rank() - 1), " ".repeat(depth))?;
                }
            }
            match index {
                Some(i) => self.select(0, i).brackets(f, depth + 1, shorten, width, cells)?,
                None => write!(f, "...")?,
            }
        }
        write!(f, "]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_numpy() {
        assert_eq!(Tensor::from([[1.0f32, 2.5], [-3.0, 4.0]]).to_string(), "[[ 1. 2.5]\n [-3.  4.]]");
        assert_eq!(Tensor::from([true, false]).to_string(), "[ true false]");
        assert_eq!(Tensor::scalar(3i64).to_string(), "3");
        assert_eq!(Tensor::<f32>::zeros([0]).to_string(), "[]");
        assert_eq!(format!("{:.2}", Tensor::from([0.5f64, 1.0])), "[0.50 1.00]");
        assert_eq!(Tensor::<f32>::zeros([2, 1, 2]).to_string(), "[[[0. 0.]]\n\n [[0. 0.]]]");
        assert_eq!(Tensor::<f32>::arange(0.0, 2000.0, 1.0).to_string(), "[   0.    1.    2. ... 1997. 1998. 1999.]");
    }
}
