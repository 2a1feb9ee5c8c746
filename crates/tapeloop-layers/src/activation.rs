//! Activations by name: what configurations hold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Var};

use crate::Error;

macro_rules! activations {
    ($($(#[$doc:meta])* $variant:ident $name:literal => $x:ident $apply:expr;)*) => {
        /// An elementwise or row-wise function, named as in Keras.
        ///
        /// ```
        /// use tapeloop_layers::Activation;
        /// assert_eq!("hard_sigmoid".parse::<Activation>().unwrap(), Activation::HardSigmoid);
        /// assert!("sigmoide".parse::<Activation>().unwrap_err().to_string().contains("sigmoid"));
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Activation {
            $($(#[$doc])* $variant,)*
        }

        impl Activation {
            /// Every activation.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The function of `x`. Those of a whole row take the last axis.
            #[track_caller]
            pub fn apply<T: Element>(self, x: Var<'_, T>) -> Var<'_, T> {
                match self {
                    $(Self::$variant => { let $x = x; $apply })*
                }
            }
        }
    };
}

activations! {
    /// x
    #[default]
    Linear "linear" => x x;
    /// x for x > 0, else e^x − 1, per unit of a scale of 1
    Celu "celu" => x x.celu(1.0);
    /// x for x > 0, else eˣ − 1
    Elu "elu" => x x.elu(1.0);
    /// eˣ
    Exponential "exponential" => x x.exp();
    /// x Φ(x), Φ the normal distribution
    Gelu "gelu" => x x.gelu();
    /// The tanh approximation of `gelu`
    GeluTanh "gelu_tanh" => x x.gelu_tanh();
    /// a σ(b), a and b the halves of the last axis
    Glu "glu" => x x.glu(-1);
    /// x where |x| > ½, else 0
    HardShrink "hard_shrink" => x x.hard_shrink(0.5);
    /// relu6(x + 3) / 6
    HardSigmoid "hard_sigmoid" => x x.hard_sigmoid();
    /// x · hard_sigmoid(x); also called hard swish
    #[serde(alias = "hard_swish")]
    HardSilu "hard_silu" => x x.hard_silu();
    /// x between −1 and 1
    HardTanh "hard_tanh" => x x.hard_tanh();
    /// x for x > 0, else 0.2 x
    LeakyRelu "leaky_relu" => x x.leaky_relu(0.2);
    /// ln σ(x)
    LogSigmoid "log_sigmoid" => x x.log_sigmoid();
    /// ln softmax(x), along the last axis
    LogSoftmax "log_softmax" => x x.log_softmax(-1);
    /// x tanh(ln(1 + eˣ))
    Mish "mish" => x x.mish();
    /// max(x, 0)
    Relu "relu" => x x.relu();
    /// min(max(x, 0), 6)
    Relu6 "relu6" => x x.relu6();
    /// The self-normalising elu
    Selu "selu" => x x.selu();
    /// 1 / (1 + e⁻ˣ)
    Sigmoid "sigmoid" => x x.sigmoid();
    /// x σ(x); also called swish
    #[serde(alias = "swish")]
    Silu "silu" => x x.silu();
    /// x moved towards 0 by ½
    SoftShrink "soft_shrink" => x x.soft_shrink(0.5);
    /// e^xᵢ / Σ e^xⱼ, along the last axis
    Softmax "softmax" => x x.softmax(-1);
    /// ln(1 + eˣ)
    Softplus "softplus" => x x.softplus();
    /// x / (1 + |x|)
    Softsign "softsign" => x x.softsign();
    /// 0 below −1, x above 1, ¼ (x + 1)² between
    SparsePlus "sparse_plus" => x x.sparse_plus();
    /// 0 below −1, 1 above 1, ½ (x + 1) between
    SparseSigmoid "sparse_sigmoid" => x x.sparse_sigmoid();
    /// The nearest point of the probability simplex, along the last axis
    Sparsemax "sparsemax" => x x.sparsemax(-1);
    /// ½ (x + √(x² + 4))
    Squareplus "squareplus" => x x.squareplus(4.0);
    /// tanh x
    Tanh "tanh" => x x.tanh();
    /// x − tanh x
    TanhShrink "tanh_shrink" => x x.tanh_shrink();
}

impl Activation {
    /// Whether it takes the last axis as a whole: it needs one.
    pub fn is_row_wise(self) -> bool {
        matches!(self, Self::Glu | Self::LogSoftmax | Self::Softmax | Self::Sparsemax)
    }

    /// Whether the result has the shape of the argument: all but `glu`, which halves the last axis.
    pub fn keeps_shape(self) -> bool {
        self != Self::Glu
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let synonym = match name {
            "swish" => "silu",
            "hard_swish" => "hard_silu",
            other => other,
        };
        Self::ALL.iter().copied().find(|activation| activation.name() == synonym).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|activation| activation.name()).collect();
            Error::config("activation", format!("`{name}` is not known; there are {}", names.join(", ")))
        })
    }
}
