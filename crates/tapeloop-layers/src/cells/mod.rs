//! The cells. One file each, in a folder for each family; the list below names them all.

pub(crate) mod blocks;
pub(crate) mod config;
mod wiring;

pub use config::BuildCell;
pub use wiring::Wiring;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape};

use crate::{Cell, Error, Padding, Rules};
use crate::{ConvGru1d, ConvGru2d, ConvGru3d, ConvLstm1d, ConvLstm2d, ConvLstm3d, Gru, Lstm, SimpleRnn};

/// A row of the [`ZOO`]: what tests, benches and documentation know of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The name of its file.
    pub name: &'static str,
    /// The folder it is in.
    pub family: &'static str,
    /// Where its equations come from.
    pub source: &'static str,
    /// Its configuration with this many units, for inputs of this shape where the number of features is `input`.
    pub example: fn(input: usize, units: usize) -> (CellConfig, Shape),
}

impl Row {
    /// The cell of its [example](Self::example), with fresh weights.
    ///
    /// # Panics
    /// If there can be no such cell.
    #[track_caller]
    pub fn build<T: Element>(&self, input: usize, units: usize, rng: &mut Rng) -> Box<dyn Cell<T>> {
        let (config, shape) = (self.example)(input, units);
        match config.boxed(&shape, rng) {
            Ok(cell) => cell,
            Err(error) => panic!("{error}"),
        }
    }
}

/// An example of a cell: of a constructor, where inputs are rows of features; or with a shape of its own.
trait Example {
    fn of(self, input: usize, units: usize) -> (CellConfig, Shape);
}

impl<C: Into<CellConfig>, F: FnOnce(usize) -> C> Example for F {
    fn of(self, input: usize, units: usize) -> (CellConfig, Shape) {
        (self(units).into(), Shape::from([input]))
    }
}

/// With as many units as there are features.
struct Square<F>(F);

impl<C: Into<CellConfig>, F: FnOnce(usize) -> C> Example for Square<F> {
    fn of(self, input: usize, _: usize) -> (CellConfig, Shape) {
        ((self.0)(input).into(), Shape::from([input]))
    }
}

/// With so many features more than there are, or times as many.
struct Wide<F>(fn(usize) -> usize, F);

impl<C: Into<CellConfig>, F: FnOnce(usize) -> C> Example for Wide<F> {
    fn of(self, input: usize, units: usize) -> (CellConfig, Shape) {
        ((self.1)(units).into(), Shape::from([(self.0)(input)]))
    }
}

/// On lines of this length.
struct Line<F>(usize, F);

impl<C: Into<CellConfig>, F: FnOnce(usize) -> C> Example for Line<F> {
    fn of(self, input: usize, units: usize) -> (CellConfig, Shape) {
        (self.1(units).into(), Shape::from([self.0, input]))
    }
}

/// Spiking neurons whose derivatives are true: graded spikes, and a threshold that their potentials do not reach.
fn smooth_lif(units: usize) -> Lif {
    let spikes = Lif::new(units).graded(true).surrogate(Surrogate::Arctan { slope: 0.1 }).threshold(20.0);
    spikes.recurrent(true).recurrent_initializer(crate::Initializer::Orthogonal { gain: 0.05 })
}

macro_rules! zoo {
    ($($family:ident { $($name:ident: $($config:ident)+ = $example:expr, $source:literal;)* })*) => {
        $(
            mod $family {
                $(
                    mod $name;
                    pub use $name::*;
                )*
            }
            pub use $family::*;
        )*

        /// Every cell, with its source.
        pub const ZOO: &[Row] = &[$($(Row {
            name: stringify!($name),
            family: stringify!($family),
            source: $source,
            example: |input, units| Example::of($example, input, units),
        },)*)*];

        /// The configuration of any cell, as JSON holds it.
        ///
        /// ```
        /// use tapeloop_layers::{CellConfig, Zoneout, Lstm};
        /// let json = serde_json::to_string(&CellConfig::from(Zoneout::new(Lstm::new(3), 0.1))).unwrap();
        /// assert!(json.starts_with(r#"{"cell":"zoneout","#), "{json}");
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "cell", rename_all = "snake_case")]
        pub enum CellConfig {
            $($($(
                #[doc = concat!("[`", stringify!($config), "`]")]
                $config($config),
            )+)*)*
        }

        impl CellConfig {
            /// The kind of cell, in a type's spelling.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($($(Self::$config(_) => stringify!($config),)+)*)*
                }
            }

            /// The cell for a step's input of this shape, with fresh weights.
            ///
            /// # Errors
            /// If a setting makes no sense, or the cell cannot take such an input.
            pub fn boxed<T: Element>(&self, input: &Shape, rng: &mut Rng) -> Result<Box<dyn Cell<T>>, Error> {
                match self {
                    $($($(Self::$config(config) => Ok(Box::new(config.cell_for(input, rng)?)),)+)*)*
                }
            }

            /// What the weights of the cell keep to.
            pub fn rules(&self) -> Rules {
                match self {
                    $($($(Self::$config(config) => config.rules(),)+)*)*
                }
            }
        }

        $($($(
            impl From<$config> for CellConfig {
                fn from(config: $config) -> Self {
                    Self::$config(config)
                }
            }
        )+)*)*
    };
}

zoo! {
    classical {
        simple_rnn: SimpleRnn = SimpleRnn::new, "Elman 1990";
    }
    lstms {
        lstm: Lstm = Lstm::new, "Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 2000";
        time_aware_lstm: TimeAwareLstm = Wide(|input| input + 1, TimeAwareLstm::new), "Baytas et al. 2017, KDD";
    }
    grus {
        gru: Gru = Gru::new, "Cho et al. 2014, arXiv:1406.1078; reset after the product as in cuDNN";
        gru_d: GruD = Wide(|input| 3 * input, GruD::new), "Che et al. 2018, arXiv:1606.01865";
        gru_ode: GruOde = GruOde::new, "De Brouwer et al. 2019, arXiv:1905.12374";
        ligru: LiGru = LiGru::new, "Ravanelli et al. 2018, arXiv:1803.10225";
        mgu: Mgu = Mgu::new, "Zhou et al. 2016, arXiv:1603.09420";
        minimal_rnn: MinimalRnn = MinimalRnn::new, "Chen 2017, arXiv:1711.06788";
        mutant: Mutant = Mutant::new, "Jozefowicz, Zaremba & Sutskever 2015, ICML";
        ode_rnn: OdeRnn = Wide(|input| input + 1, OdeRnn::new), "Rubanova et al. 2019, arXiv:1907.03907";
        simple_mgu: SimpleMgu = SimpleMgu::new, "Heck & Salem 2017, arXiv:1701.03452";
        typed_gru: TypedGru = TypedGru::new, "Balduzzi & Ghifary 2016, arXiv:1602.02218";
        typed_lstm: TypedLstm = TypedLstm::new, "Balduzzi & Ghifary 2016, arXiv:1602.02218";
        typed_rnn: TypedRnn = TypedRnn::new, "Balduzzi & Ghifary 2016, arXiv:1602.02218";
    }
    continuous {
        cfc: Cfc = Cfc::new, "Hasani et al. 2022, arXiv:2106.13898";
        esn: Esn = Esn::new, "Jaeger 2001";
        lif: Lif = smooth_lif,
            "Neftci, Mostafa & Zenke 2019, arXiv:1901.09948";
        lmu: Lmu = Lmu::new, "Voelker, Kajić & Eliasmith 2019, NeurIPS";
        ltc: Ltc = Ltc::new, "Hasani et al. 2021, arXiv:2006.04439";
    }
    linear {
        lru: Lru = Lru::new, "Orvieto et al. 2023, arXiv:2303.06349";
        mingru: MinGru = MinGru::new, "Feng et al. 2024, arXiv:2410.01201";
        minlstm: MinLstm = MinLstm::new, "Feng et al. 2024, arXiv:2410.01201";
        qrnn: Qrnn = Qrnn::new, "Bradbury et al. 2017, arXiv:1611.01576";
        rg_lru: RgLru = Square(RgLru::new), "De et al. 2024, arXiv:2402.19427";
        slstm: Slstm = |units| Slstm::new(units).kernel_initializer(crate::Initializer::Normal { mean: 0.0, std: 0.1 }),
            "Beck et al. 2024, arXiv:2405.04517";
        sru: Sru = Sru::new, "Lei et al. 2018, arXiv:1709.02755";
    }
    grids {
        conv_gru: ConvGru1d ConvGru2d ConvGru3d = Line(3, |units| ConvGru1d::new(units, 2)),
            "Ballas et al. 2016, arXiv:1511.06432";
        conv_lstm: ConvLstm1d ConvLstm2d ConvLstm3d = Line(3, |units| ConvLstm1d::new(units, 3).padding(Padding::Same)),
            "Shi et al. 2015, arXiv:1506.04214";
    }
    wrappers {
        dropped: Dropped = |units| Dropped::new(Gru::new(units)).input(0.2).states([0.1]),
            "Gal & Ghahramani 2016, arXiv:1512.05287";
        highway: Highway = Square(|units| Highway::new(Gru::new(units))), "Srivastava et al. 2015, arXiv:1505.00387";
        residual: Residual = Square(|units| Residual::new(Gru::new(units))), "He et al. 2015, arXiv:1512.03385";
        stacked: Stacked = |units| Stacked::new([Lstm::new(units).into(), Gru::new(units).into()]),
            "Graves et al. 2013, arXiv:1303.5778";
        weight_dropped: WeightDropped = |units| WeightDropped::new(Lstm::new(units), 0.5),
            "Merity et al. 2017, arXiv:1708.02182";
        zoneout: Zoneout = |units| Zoneout::new(Lstm::new(units), 0.1), "Krueger et al. 2016, arXiv:1606.01305";
    }
}
