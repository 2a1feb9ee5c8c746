//! Finding the first operation that produced NaN or infinity.

use std::fmt;
use std::panic::Location;

use super::{State, Tape, Var};
use crate::element::Element;
use crate::ops::AnyOp;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Whether a value was made on the way forward or on the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// By the operation itself.
    Forward,
    /// By the operation's derivative.
    Backward,
}

/// The first operation that made NaN or infinity out of finite numbers.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// The operation's name.
    pub op: &'static str,
    /// Whether it was the operation or its derivative.
    pub phase: Phase,
    /// The line that called the operation.
    pub at: &'static Location<'static>,
    /// The shapes of what went in.
    pub inputs: Vec<Shape>,
    /// How many elements are NaN.
    pub nans: usize,
    /// How many elements are infinite.
    pub infinities: usize,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.phase {
            Phase::Forward => "",
            Phase::Backward => "the derivative of ",
        };
        write!(
            f,
            "{who}{} at {} made {} NaN and {} infinite elements out of finite inputs of shapes {:?}",
            self.op, self.at, self.nans, self.infinities, self.inputs
        )
    }
}

impl<T: Element> Tape<T> {
    /// Watches every result from now on. Costs one pass over each result.
    ///
    /// ```
    /// use tapeloop_autograd::{Phase, Tape, Tensor};
    /// let tape = Tape::new();
    /// tape.watch_anomalies(true);
    /// let x = tape.leaf(Tensor::from([0.0f32, 1.0]));
    /// x.sqrt().sum_all().backward();
    /// let anomaly = tape.anomaly().unwrap();
    /// assert_eq!((anomaly.op, anomaly.phase, anomaly.infinities), ("sqrt", Phase::Backward, 1));
    /// assert!(anomaly.at.file().ends_with(".rs"));
    /// ```
    pub fn watch_anomalies(&self, watch: bool) {
        self.state.borrow_mut().watching = watch;
    }

    /// Whether it watches every result.
    pub(crate) fn watches_anomalies(&self) -> bool {
        self.state.borrow().watching
    }

    /// The first anomaly since the last reset, if the tape watches.
    pub fn anomaly(&self) -> Option<Anomaly> {
        self.state.borrow().anomaly.clone()
    }
}

impl<T: Element> State<T> {
    #[cold]
    pub(super) fn watch(
        &mut self,
        op: &AnyOp<T>,
        inputs: &[Var<'_, T>],
        value: &Tensor<T>,
        at: &'static Location<'static>,
    ) {
        let inputs = || inputs.iter().map(|input| &self.nodes[input.index as usize].value);
        if self.anomaly.is_some() || value.all_finite() || !inputs().all(Tensor::all_finite) {
            return;
        }
        let (mut nans, mut infinities) = (0, 0);
        value.for_each(|x| {
            nans += usize::from(x.is_nan());
            infinities += usize::from(!x.is_nan() && !x.is_finite());
        });
        let inputs = inputs().map(|value| value.shape().clone()).collect();
        let (op, phase, at) = match self.site {
            Some(site) => (site.op, Phase::Backward, site.at),
            None => (op.get().name(), Phase::Forward, at),
        };
        self.anomaly = Some(Anomaly { op, phase, at, inputs, nans, infinities });
    }
}
