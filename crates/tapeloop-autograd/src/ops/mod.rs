//! Operations: one file each. The list below names them all.

mod example;
pub(crate) mod fold;
pub(crate) mod form;
mod matrices;
mod operators;
pub(crate) mod pointwise;
mod rowwise;
mod run;

use std::fmt;
use std::sync::Arc;

use crate::element::Element;
use crate::looping::{Part, Several};
use crate::shape::{Shape, ShapeResult};
use crate::tape::{Backward, Tape, Var};
use crate::tensor::Tensor;

pub use example::{Example, Sample};
pub(crate) use example::{Examples, example};
pub use form::Form;
pub use run::Run;

/// An operation on tensors: its shape rule, its value, its derivative.
///
/// Every built-in operation is one, and so is a user's own:
///
/// ```
/// use tapeloop_autograd::{Backward, Op, Run, Shape, ShapeResult, Tape, Tensor};
///
/// /// y = x³, dy/dx = 3x²
/// #[derive(Debug)]
/// struct Cube;
///
/// impl Op<f64> for Cube {
///     fn name(&self) -> &'static str {
///         "cube"
///     }
///     fn shape(&self, inputs: &[&Shape]) -> ShapeResult {
///         Ok(inputs[0].clone())
///     }
///     fn forward(&self, inputs: &[&Tensor<f64>], _: &mut Run<'_, f64>) -> Tensor<f64> {
///         inputs[0].map(|x| x * x * x)
///     }
///     fn vjp<'t>(&self, back: &mut Backward<'_, 't, f64>) {
///         let x = back.input(0);
///         back.give(0, |g| g * x * x * 3.0);
///     }
/// }
///
/// let tape = Tape::new();
/// let x = tape.leaf(Tensor::from([2.0f64]));
/// let y = tape.custom(Cube, &[x]);
/// assert_eq!(y.sum_all().backward().wrt(x).unwrap().to_vec(), [12.0]);
/// ```
pub trait Op<T: Element>: fmt::Debug + Send + Sync {
    /// The name, as in messages and graphs.
    fn name(&self) -> &'static str;

    /// The shape of the result.
    ///
    /// # Errors
    /// If the operation cannot take inputs of these shapes.
    fn shape(&self, inputs: &[&Shape]) -> ShapeResult;

    /// The result. Inputs may be views with any strides.
    fn forward(&self, inputs: &[&Tensor<T>], run: &mut Run<'_, T>) -> Tensor<T>;

    /// The vector-Jacobian product: gives every input that needs one its cotangent, written in operations.
    fn vjp<'t>(&self, back: &mut Backward<'_, 't, T>);

    /// What a loop needs to know to take the operation into a program, or to do it for many steps at once. An opaque one
    /// is called step by step.
    #[doc(hidden)]
    fn form(&self) -> Form<T> {
        Form::opaque()
    }
}

impl<T: Element> Tape<T> {
    /// Records a user's own operation.
    ///
    /// # Panics
    /// As any operation: with its shape rule if the inputs do not fit.
    #[track_caller]
    pub fn custom<'t>(&'t self, op: impl Op<T> + 'static, inputs: &[Var<'t, T>]) -> Var<'t, T> {
        self.apply(AnyOp::Custom(Arc::new(op)), inputs)
    }
}

impl<T: Element> AnyOp<T> {
    /// The operation itself.
    pub(crate) fn get(&self) -> &dyn Op<T> {
        T::operation(self)
    }
}

impl<T: Element> PartialEq for AnyOp<T> {
    fn eq(&self, other: &Self) -> bool {
        T::equal(self, other)
    }
}

/// Writes the modules, the enum with its dispatch, and the table that tests, docs and benches read.
macro_rules! ops {
    (
        differentiable { $( $(#[$doc:meta])* $group:ident { $($file:ident::$op:ident),* $(,)? } )* }
        flat { $( $(#[$flat_doc:meta])* $flat_group:ident { $($flat_file:ident::$flat_op:ident),* $(,)? } )* }
    ) => {
        $( $(#[$doc])* pub(crate) mod $group { $( pub(crate) mod $file; )* } )*
        $( $(#[$flat_doc])* pub(crate) mod $flat_group { $( pub(crate) mod $flat_file; )* } )*

        /// Any operation. Built-in ones lie inside the node: recording them touches no heap.
        #[derive(Clone, Debug)]
        pub(crate) enum AnyOp<T: Element> {
            $($( $op($group::$file::$op), )*)*
            $($( $flat_op($flat_group::$flat_file::$flat_op), )*)*
            Custom(Arc<dyn Op<T>>),
            /// A loop: its results are the nodes after it.
            Loop(Arc<dyn Several<T>>),
            /// A result of the loop before it.
            Part(Part),
        }

        impl<T: Element> AnyOp<T> {
            /// The operation, for [`Compiled::operation`](crate::compiled::Compiled::operation) alone.
            pub(crate) fn operation(&self) -> &dyn Op<T> {
                match self {
                    $($( Self::$op(op) => op, )*)*
                    $($( Self::$flat_op(op) => op, )*)*
                    Self::Custom(op) => &**op,
                    Self::Loop(several) => &**several,
                    Self::Part(part) => part,
                }
            }

            /// Whether they are the same operation, for [`Compiled::equal`](crate::compiled::Compiled::equal) alone.
            pub(crate) fn equal(&self, other: &Self) -> bool {
                match (self, other) {
                    $($( (Self::$op(a), Self::$op(b)) => a == b, )*)*
                    $($( (Self::$flat_op(a), Self::$flat_op(b)) => a == b, )*)*
                    (Self::Custom(a), Self::Custom(b)) => Arc::ptr_eq(a, b),
                    _ => false,
                }
            }

            /// Whether it is not in the list of operations without a derivative.
            pub(crate) fn differentiable(&self) -> bool {
                match self {
                    $($( Self::$flat_op(_) => false, )*)*
                    _ => true,
                }
            }
        }

        $($( impl<T: Element> From<$group::$file::$op> for AnyOp<T> {
            fn from(op: $group::$file::$op) -> Self {
                Self::$op(op)
            }
        } )*)*
        $($( impl<T: Element> From<$flat_group::$flat_file::$flat_op> for AnyOp<T> {
            fn from(op: $flat_group::$flat_file::$flat_op) -> Self {
                Self::$flat_op(op)
            }
        } )*)*

        /// Every operation with its examples, in the order of the list; then what is composed of them.
        pub fn catalogue<T: Element>() -> Vec<Entry<T>> {
            let mut entries = vec![
                $($( Entry {
                    group: stringify!($group),
                    file: stringify!($file),
                    differentiable: true,
                    examples: <$group::$file::$op as Examples>::examples::<T>(),
                }, )*)*
                $($( Entry {
                    group: stringify!($flat_group),
                    file: stringify!($flat_file),
                    differentiable: false,
                    examples: <$flat_group::$flat_file::$flat_op as Examples>::examples::<T>(),
                }, )*)*
            ];
            entries.extend(crate::composed::catalogue());
            entries
        }
    };
}

/// A row of the [`catalogue`].
#[derive(Clone, Debug)]
pub struct Entry<T: Element> {
    /// The folder of its file.
    pub group: &'static str,
    /// The name of its file.
    pub file: &'static str,
    /// Whether it has a derivative that is not zero everywhere.
    pub differentiable: bool,
    /// Calls that show it, and that tests check.
    pub examples: Vec<Example<T>>,
}

ops! {
    differentiable {
        /// Elementwise arithmetic, with broadcasting.
        arithmetic {
            add::Add, affine::Affine, atan2::Atan2, div::Div, fmod::Fmod, hypot::Hypot, if_else::IfElse,
            logaddexp::Logaddexp, maximum::Maximum, minimum::Minimum, mul::Mul, pow::Pow, powf::Powf,
            remainder::Remainder, square::Square, sub::Sub, xlogy::Xlogy,
        }
        /// Elementwise functions.
        function {
            abs::Abs, acos::Acos, acosh::Acosh, asin::Asin, asinh::Asinh, atan::Atan, atanh::Atanh, cos::Cos,
            cosh::Cosh, erf::Erf, erfc::Erfc, exp::Exp, exp2::Exp2, exp_m1::ExpM1, lgamma::Lgamma, ln::Ln,
            ln_1p::Ln1p, log10::Log10, log2::Log2, polygamma::Polygamma, root::Root, rsqrt::Rsqrt,
            sigmoid::Sigmoid, sigmoid_vjp::SigmoidVjp, sin::Sin, sinh::Sinh, sqrt::Sqrt, tan::Tan, tanh::Tanh,
            tanh_vjp::TanhVjp,
        }
        /// Activations that have a kink or a parameter; smooth ones are composed of functions.
        activation {
            clamp::Clamp, elu::Elu, hard_sigmoid::HardSigmoid, leaky_relu::LeakyRelu, relu::Relu,
            softplus::Softplus,
        }
        /// Reductions.
        reduce { extreme::Extreme, logsumexp::Logsumexp, sum::Sum, sum_to::SumTo }
        /// Functions of whole rows.
        row { cumsum::Cumsum, log_softmax::LogSoftmax, softmax::Softmax, sparsemax::Sparsemax }
        /// Recurrences along an axis.
        recurrence {
            complex_linear_recurrence::ComplexLinearRecurrence, linear_recurrence::LinearRecurrence,
        }
        /// Other shapes of the same elements.
        shape {
            broadcast_to::BroadcastTo, concat::Concat, diagonal::Diagonal, diagonal_place::DiagonalPlace,
            flip::Flip, overlap_add::OverlapAdd, patches::Patches, patches_add::PatchesAdd, permute::Permute, place::Place, reshape::Reshape,
            slice::Slice, triangle::Triangle, unfold::Unfold,
        }
        /// Elements chosen by their indices.
        index {
            gather::Gather, index_place::IndexPlace, index_select::IndexSelect, scatter_place::ScatterPlace,
        }
        /// Fourier transforms.
        spectral { fft::Fft }
        /// Losses whose derivative differs from that of their formula at its ends.
        loss { binary_cross_entropy::BinaryCrossEntropy }
        /// Linear algebra.
        linalg {
            cholesky::Cholesky, det::Det, log_abs_det::LogAbsDet, matmul::Matmul, matrix_exp::MatrixExp,
            orthonormal::Orthonormal, solve::Solve, solve_triangular::SolveTriangular,
        }
    }
    flat {
        /// Elementwise functions that are constant almost everywhere.
        step {
            ceil::Ceil, compare::Compare, floor::Floor, inside::Inside, round::Round, sign::Sign, trunc::Trunc,
        }
    }
}
