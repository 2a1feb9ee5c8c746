//! Linear algebra made of products and solves.

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::{Operand, Var};
use crate::tensor::Tensor;

impl<'t, T: Element> Var<'t, T> {
    /// A⁻¹, for the matrices of the last two axes. Where A is singular, the result is not finite.
    /// [`solve`](Self::solve) is faster and more accurate than a product with it.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[2.0f32, 0.0], [0.0, 4.0]]));
    /// assert_eq!(a.inverse().value().to_vec(), [0.5, 0.0, 0.0, 0.25]);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn inverse(self) -> Self {
        self.solve(&Tensor::<T>::eye(self.dim(-1)))
    }

    /// Q with min(m, n) orthonormal columns and R upper triangular (or trapezoidal) with A = Q R, for the m × n
    /// matrices of the last two axes. Signs are those of Householder's method as LAPACK writes it. The derivative
    /// needs the first min(m, n) columns to be linearly independent.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[3.0f64, 1.0], [4.0, 2.0], [0.0, 2.0]]));
    /// let (q, r) = a.qr();
    /// let error = (q.matmul(r) - a).abs().max(&[], false).item();
    /// assert!(error < 1e-14 && r.value().at(&[1, 0]) == 0.0);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn qr(self) -> (Self, Self) {
        // Of a wide matrix Q is that of its first square.
        let (m, n) = (self.dim(-2), self.dim(-1));
        let q = if m < n { self.slice(-1, 0..m as isize).orthonormal() } else { self.orthonormal() };
        (q, q.t().matmul(self).triu(0))
    }

    /// X with A X = B, this being the Cholesky factor L of A = L Lᵀ. Only its lower triangle counts.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[4.0f32, 0.0], [0.0, 16.0]]));
    /// let b = Tensor::from([[4.0f32], [32.0]]);
    /// assert_eq!(a.cholesky().cholesky_solve(&b).value().to_vec(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square, B has another number of rows, or leading axes do not broadcast.
    #[track_caller]
    pub fn cholesky_solve(self, b: impl Operand<'t, T>) -> Self {
        let y = self.solve_triangular(b, false, false);
        self.t().solve_triangular(y, true, false)
    }

    /// A⁻¹, this being the Cholesky factor L of A = L Lᵀ. Only its lower triangle counts.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[4.0f32, 0.0], [0.0, 16.0]]));
    /// assert_eq!(a.cholesky().cholesky_inverse().value().to_vec(), [0.25, 0.0, 0.0, 0.0625]);
    /// ```
    ///
    /// # Panics
    /// If the matrices are not square.
    #[track_caller]
    pub fn cholesky_inverse(self) -> Self {
        let inverse = self.solve_triangular(&Tensor::<T>::eye(self.dim(-1)), false, false);
        inverse.t().matmul(inverse)
    }

    /// Σ aᵢ bᵢ of two vectors.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(a.dot(a).item(), 5.0);
    /// ```
    ///
    /// # Panics
    /// If they are not vectors of one length.
    #[track_caller]
    pub fn dot(self, other: impl Operand<'t, T>) -> Self {
        let other = other.on(self.tape());
        assert!(
            self.rank() == 1 && self.shape() == other.shape(),
            "dot: shapes {} and {} are no two vectors of one length",
            self.shape(),
            other.shape()
        );
        (self * other).sum_all()
    }

    /// The matrix aᵢ bⱼ of two vectors.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([1.0f32, 2.0]));
    /// assert_eq!(a.outer(a).value().to_vec(), [1.0, 2.0, 2.0, 4.0]);
    /// ```
    ///
    /// # Panics
    /// If they are no vectors.
    #[track_caller]
    pub fn outer(self, other: impl Operand<'t, T>) -> Self {
        let other = other.on(self.tape());
        assert!(
            self.rank() == 1 && other.rank() == 1,
            "outer: shapes {} and {} are no two vectors",
            self.shape(),
            other.shape()
        );
        self.unsqueeze(1) * other.unsqueeze(0)
    }

    /// x Wᵀ + b, with PyTorch's layout of the weight, (out, in).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f32, 2.0]]));
    /// let w = tape.leaf(Tensor::from([[1.0f32, 1.0], [0.0, 3.0]]));
    /// assert_eq!(x.linear(w, None).value().to_vec(), [3.0, 6.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn linear(self, weight: impl Operand<'t, T>, bias: Option<Self>) -> Self {
        let weight = weight.on(self.tape());
        let y = self.matmul(if weight.rank() > 1 { weight.t() } else { weight });
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    }

    /// yₖ = aᵀ Wₖ b + cₖ, with W (out, in a, in b).
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// let a = tape.leaf(Tensor::from([[1.0f32, 2.0]]));
    /// let w = tape.leaf(Tensor::from([[[0.0f32, 1.0], [0.0, 0.0]]]));
    /// assert_eq!(a.bilinear(a, w, None).value().to_vec(), [2.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn bilinear(self, other: Self, weight: impl Operand<'t, T>, bias: Option<Self>) -> Self {
        let y = Self::einsum("...i,oij,...j->...o", &[self, weight.on(self.tape()), other]);
        match bias {
            Some(bias) => y + bias,
            None => y,
        }
    }

    /// Σ aᵢᵢ, for the matrices of the last two axes.
    ///
    /// ```
    /// # use tapeloop_autograd::{Tape, Tensor};
    /// # let tape = Tape::new();
    /// assert_eq!(tape.leaf(Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])).trace().item(), 5.0);
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes.
    #[track_caller]
    pub fn trace(self) -> Self {
        self.diagonal(0, -2, -1).sum(&[-1], false)
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([a: normal [3, 3]] => (a * 0.2 + &Tensor::eye(3)).inverse()),
        example!([a: normal [4, 3]] => (a * 0.2 + &Tensor::eye(4).slice(1, 0..3)).qr().1),
        example!([a: normal [2, 4]] => (a * 0.2 + &Tensor::eye(4).slice(0, 0..2)).qr().1),
        example!([a: normal [2, 2, 3]] => (a * 0.2 + &Tensor::eye(3).slice(0, 0..2)).qr().0),
        example!([a: positive [3, 3], b: normal [3, 2]] => a.cholesky_solve(b)),
        example!([a: positive [2, 3, 3]] => a.cholesky_inverse()),
        example!([a: normal [4], b: normal [4]] => a.dot(b)),
        example!([a: normal [4], b: normal [2]] => a.outer(b)),
        example!([x: normal [2, 3], w: normal [4, 3], b: normal [4]] => x.linear(w, Some(b))),
        example!([x: normal [2, 3], y: normal [2, 2], w: normal [4, 3, 2], b: normal [4]] => x.bilinear(y, w, Some(b))),
        example!([a: normal [2, 3, 3]] => a.trace()),
    ]
}
