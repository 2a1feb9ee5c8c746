//! The cells. One file each, in a folder for each family; the list below names them all.

pub(crate) mod blocks;
pub(crate) mod config;
mod wiring;

pub use config::BuildCell;
pub use wiring::Wiring;

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Rng, Shape};

use crate::compiled;
use crate::{Activation, Cell, Error, Initializer, Padding, Rules};
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
    spikes.recurrent(true).recurrent_initializer(Initializer::Orthogonal { gain: 0.05 })
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
                compiled::cell(self, input, rng)
            }

            pub(crate) fn build_here<T: Element>(
                &self,
                input: &Shape,
                rng: &mut Rng,
            ) -> Result<Box<dyn Cell<T>>, Error> {
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

// Where a cell normalizes, its example has an ε so large that differences over 10⁻³ are those of a smooth function.
zoo! {
    classical {
        antisymmetric_rnn: AntisymmetricRnn = AntisymmetricRnn::new, "Chang et al. 2019, arXiv:1902.09689";
        brc: Brc = Brc::new, "Vecoven et al. 2021, arXiv:2006.05252";
        cayley_rnn: CayleyRnn = CayleyRnn::new, "Helfrich et al. 2018, arXiv:1707.09520";
        clockwork_rnn: ClockworkRnn = ClockworkRnn::new, "Koutník et al. 2014, arXiv:1402.3511";
        co_rnn: CoRnn = CoRnn::new, "Rusch & Mishra 2021, arXiv:2010.00951";
        eunn: Eunn = |units: usize| Eunn::new(units.max(2)), "Jing et al. 2017, arXiv:1612.05231";
        exp_rnn: ExpRnn = ExpRnn::new, "Lezcano-Casado & Martínez-Rubio 2019, arXiv:1901.08428";
        fast_grnn: FastGrnn = FastGrnn::new, "Kusupati et al. 2018, arXiv:1901.02358";
        fast_rnn: FastRnn = FastRnn::new, "Kusupati et al. 2018, arXiv:1901.02358";
        goru: Goru = |units: usize| Goru::new(units.max(2)), "Jing et al. 2017, arXiv:1706.02761";
        ind_rnn: IndRnn = |units| IndRnn::new(units).activation(Activation::Tanh), "Li et al. 2018, arXiv:1803.04831";
        intersection_rnn: IntersectionRnn = IntersectionRnn::new, "Collins et al. 2016, arXiv:1611.09913";
        // Away from where relu has no derivative.
        irnn: Irnn = |units| Irnn::new(units).kernel_initializer(Initializer::GlorotUniform)
            .bias_initializer(Initializer::Constant { value: 3.0 }), "Le et al. 2015, arXiv:1504.00941";
        jordan_rnn: JordanRnn = JordanRnn::new, "Jordan 1986";
        lem: Lem = Lem::new, "Rusch et al. 2022, arXiv:2110.04744";
        light_ru: LightRu = LightRu::new, "Ye et al. 2024";
        lipschitz_rnn: LipschitzRnn = LipschitzRnn::new, "Erichson et al. 2021, arXiv:2006.12070";
        mi_ru: MiRu = MiRu::new, "Zyarah & Kudithipudi 2025, arXiv:2512.17299";
        nbrc: Nbrc = Nbrc::new, "Vecoven et al. 2021, arXiv:2006.05252";
        np_rnn: NpRnn = |units| NpRnn::new(units).bias_initializer(Initializer::Constant { value: 3.0 }),
            "Talathi & Vartak 2015, arXiv:1511.03771";
        rhn: Rhn = Rhn::new, "Zilly et al. 2016, arXiv:1607.03474";
        scrn: Scrn = Scrn::new, "Mikolov et al. 2014, arXiv:1412.7753";
        sgrn: Sgrn = Sgrn::new, "Zu & Wei 2020";
        layer_norm_simple_rnn: LayerNormSimpleRnn = |units| LayerNormSimpleRnn::new(units).epsilon(1.0),
            "Ba et al. 2016, arXiv:1607.06450";
        simple_rnn: SimpleRnn = SimpleRnn::new, "Elman 1990";
        star: Star = Star::new, "Turkoglu et al. 2019, arXiv:1911.11033";
        ugrnn: Ugrnn = Ugrnn::new, "Collins et al. 2016, arXiv:1611.09913";
        unicornn: Unicornn = Unicornn::new, "Rusch & Mishra 2021, arXiv:2103.05487";
        urnn: Urnn = Urnn::new, "Arjovsky et al. 2016, arXiv:1511.06464";
    }
    lstms {
        atr: Atr = Atr::new, "Zhang et al. 2018, arXiv:1810.12546";
        capped_lstm: CappedLstm = CappedLstm::new, "Melis et al. 2017, arXiv:1707.05589";
        cfn: Cfn = Cfn::new, "Laurent & von Brecht 2016, arXiv:1612.06212";
        cifg_lstm: CifgLstm = CifgLstm::new, "Greff et al. 2015, arXiv:1503.04069";
        fast_weights: FastWeights = |units| FastWeights::new(units).activation(Activation::Tanh).rate(0.1).epsilon(10.0),
            "Ba et al. 2016, arXiv:1610.06258";
        hyper_lstm: HyperLstm = |units| HyperLstm::new(units).hyper_units(3).embedding(2).epsilon(1.0),
            "Ha et al. 2016, arXiv:1609.09106";
        janet: Janet = Janet::new, "van der Westhuizen & Lasenby 2018, arXiv:1804.04849";
        layer_norm_lstm: LayerNormLstm = |units| LayerNormLstm::new(units).epsilon(1.0),
            "Ba et al. 2016, arXiv:1607.06450";
        lstm: Lstm = Lstm::new, "Hochreiter & Schmidhuber 1997; forget gate by Gers et al. 2000";
        projected_lstm: ProjectedLstm = |units| ProjectedLstm::new(2 * units).width(units), "Sak et al. 2014, arXiv:1402.1128";
        lstm1997: Lstm1997 = Lstm1997::new, "Hochreiter & Schmidhuber 1997";
        mass_conserving_lstm: MassConservingLstm = Wide(|input| input + 1, MassConservingLstm::new),
            "Hoedt et al. 2021, arXiv:2101.05186";
        memory_controller_lstm: MemoryControllerLstm = MemoryControllerLstm::new, "RecurrentLayers.jl, MCLSTM";
        mogrifier_lstm: MogrifierLstm = MogrifierLstm::new, "Melis et al. 2020, arXiv:1909.01792";
        multiplicative_lstm: MultiplicativeLstm = MultiplicativeLstm::new, "Krause et al. 2016, arXiv:1609.07959";
        nas: Nas = |units| {
            // Away from the kinks of relu.
            let small = Initializer::Uniform { low: -0.2, high: 0.2 };
            Nas::new(units).kernel_initializer(small).bias_initializer(Initializer::Constant { value: 0.5 })
        }, "Zoph & Le 2016, arXiv:1611.01578";
        nested_lstm: NestedLstm = NestedLstm::new, "Moniz & Krueger 2018, arXiv:1801.10308";
        on_lstm: OnLstm = |units| OnLstm::new(units).chunk(if units % 2 == 0 { 2 } else { 1 }),
            "Shen et al. 2019, arXiv:1810.09536";
        peephole_lstm: PeepholeLstm = PeepholeLstm::new, "Gers & Schmidhuber 2000";
        phased_lstm: PhasedLstm =
            Wide(|input| input + 1, |units| PhasedLstm::new(units).periods([50.0, 100.0]).open_ratio(0.9)),
            "Neil et al. 2016, arXiv:1610.09513";
        ran: Ran = Ran::new, "Lee et al. 2017, arXiv:1705.07393";
        recurrent_dropout_lstm: RecurrentDropoutLstm = RecurrentDropoutLstm::new,
            "Semeniuta et al. 2016, arXiv:1603.05118";
        ur_lstm: UrLstm = UrLstm::new, "Gu et al. 2020, arXiv:1910.09890";
        wmc_lstm: WmcLstm = WmcLstm::new, "Landi et al. 2021, arXiv:2109.00020";
        time_aware_lstm: TimeAwareLstm = Wide(|input| input + 1, TimeAwareLstm::new), "Baytas et al. 2017, KDD";
    }
    grus {
        gru: Gru = Gru::new, "Cho et al. 2014, arXiv:1406.1078; reset after the product as in cuDNN";
        layer_norm_gru: LayerNormGru = |units| LayerNormGru::new(units).epsilon(1.0),
            "Ba et al. 2016, arXiv:1607.06450";
        mgu: Mgu = Mgu::new, "Zhou et al. 2016, arXiv:1603.09420";
        recurrent_dropout_gru: RecurrentDropoutGru = RecurrentDropoutGru::new,
            "Semeniuta et al. 2016, arXiv:1603.05118";
        gru_d: GruD = Wide(|input| 3 * input, GruD::new), "Che et al. 2018, arXiv:1606.01865";
        gru_ode: GruOde = GruOde::new, "De Brouwer et al. 2019, arXiv:1905.12374";
        li_gru: LiGru = LiGru::new, "Ravanelli et al. 2018, arXiv:1803.10225";
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
        min_gru: MinGru = MinGru::new, "Feng et al. 2024, arXiv:2410.01201";
        min_lstm: MinLstm = MinLstm::new, "Feng et al. 2024, arXiv:2410.01201";
        qrnn: Qrnn = Qrnn::new, "Bradbury et al. 2017, arXiv:1611.01576";
        rg_lru: RgLru = Square(RgLru::new), "De et al. 2024, arXiv:2402.19427";
        slstm: Slstm = |units| Slstm::new(units).kernel_initializer(Initializer::Normal { mean: 0.0, std: 0.1 }),
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
        dilated: Dilated = |units| Dilated::new(Lstm::new(units), 2), "Chang et al. 2017, arXiv:1710.02224";
        dropped: Dropped = |units| Dropped::new(Gru::new(units)).input(0.2).states([0.1]),
            "Gal & Ghahramani 2016, arXiv:1512.05287";
        highway: Highway = Square(|units| Highway::new(Gru::new(units))), "Srivastava et al. 2015, arXiv:1505.00387";
        residual: Residual = Square(|units| Residual::new(Gru::new(units))), "He et al. 2015, arXiv:1512.03385";
        restarted: Restarted = Wide(|input| input + 1, |units| Restarted::new(Lstm::new(units))), "states of 0 where a segment starts";
        stacked: Stacked = |units| Stacked::new([Lstm::new(units).into(), Gru::new(units).into()]),
            "Graves et al. 2013, arXiv:1303.5778";
        weight_dropped: WeightDropped = |units| WeightDropped::new(Lstm::new(units), 0.5),
            "Merity et al. 2017, arXiv:1708.02182";
        zoneout: Zoneout = |units| Zoneout::new(Lstm::new(units), 0.1), "Krueger et al. 2016, arXiv:1606.01305";
    }
}
