//! How libraries lay out the weights of one cell, and the way from one to another.

use std::fmt;

use tapeloop_autograd::{Element, Shape, Tensor};

use crate::Error;

/// A library whose weights can be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Keras, and what our cells hold.
    Keras,
    /// PyTorch.
    Torch,
    /// ONNX, without its axis of directions: one of W, R, B each.
    Onnx,
    /// cuDNN: the matrices of its linear layers, one below the other.
    Cudnn,
    /// Haiku. Its LSTM has one matrix: the upper rows are `kernel`, the lower ones `recurrent_kernel`.
    Haiku,
}

/// Equations that several libraries have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// The fully connected recurrent network.
    SimpleRnn,
    /// Long short-term memory.
    Lstm,
    /// The gated recurrent unit whose reset gate acts after the product with the recurrent weights.
    Gru,
    /// The gated recurrent unit whose reset gate acts before it.
    GruResetBefore,
}

impl Recurrence {
    /// Our gates, in our order.
    pub(crate) fn gates(self) -> &'static str {
        match self {
            Self::SimpleRnn => "h",
            Self::Lstm => "ifco",
            Self::Gru | Self::GruResetBefore => "zrh",
        }
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SimpleRnn => "a simple RNN",
            Self::Lstm => "an LSTM",
            Self::Gru => "a GRU with the reset gate after the product",
            Self::GruResetBefore => "a GRU with the reset gate before the product",
        })
    }
}

/// How many biases there are, and of which shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    /// One, (gates·units).
    One,
    /// One of two rows, (2, gates·units): of the input, of the state.
    Rows,
    /// Two, (gates·units) each: of the input, of the state.
    Two,
    /// One of twice the length, (2·gates·units): of the input, then of the state.
    Joined,
}

/// How a library lays out the weights of a cell: a row of the [table](Self::TABLE).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Whose it is.
    pub library: Library,
    /// What the cell computes.
    pub recurrence: Recurrence,
    /// The gates along their axis, in our letters: i, f, c, o of an LSTM, z, r, h of a GRU.
    pub gates: &'static str,
    /// Whether a matrix is (gates·units, features) instead of (features, gates·units).
    pub transposed: bool,
    /// Its biases.
    pub biases: Biases,
    /// Whether z says what is new, h′ = (1 − z) ∘ h + z ∘ ĥ, instead of what stays.
    pub z_is_new: bool,
    /// What the step itself adds to the forget gate.
    pub forget: f64,
}

const fn row(library: Library, recurrence: Recurrence, gates: &'static str, biases: Biases) -> Layout {
    let transposed = matches!(library, Library::Torch | Library::Onnx | Library::Cudnn);
    Layout { library, recurrence, gates, transposed, biases, z_is_new: false, forget: 0.0 }
}

impl Layout {
    /// What we know.
    pub const TABLE: &[Self] = &[
        row(Library::Keras, Recurrence::SimpleRnn, "h", Biases::One),
        row(Library::Keras, Recurrence::Lstm, "ifco", Biases::One),
        row(Library::Keras, Recurrence::Gru, "zrh", Biases::Rows),
        row(Library::Keras, Recurrence::GruResetBefore, "zrh", Biases::One),
        row(Library::Torch, Recurrence::SimpleRnn, "h", Biases::Two),
        row(Library::Torch, Recurrence::Lstm, "ifco", Biases::Two),
        row(Library::Torch, Recurrence::Gru, "rzh", Biases::Two),
        row(Library::Onnx, Recurrence::SimpleRnn, "h", Biases::Joined),
        row(Library::Onnx, Recurrence::Lstm, "iofc", Biases::Joined),
        // With linear_before_reset; without it, the other one.
        row(Library::Onnx, Recurrence::Gru, "zrh", Biases::Joined),
        row(Library::Onnx, Recurrence::GruResetBefore, "zrh", Biases::Joined),
        row(Library::Cudnn, Recurrence::SimpleRnn, "h", Biases::Two),
        row(Library::Cudnn, Recurrence::Lstm, "ifco", Biases::Two),
        row(Library::Cudnn, Recurrence::Gru, "rzh", Biases::Two),
        Self { forget: 1.0, ..row(Library::Haiku, Recurrence::Lstm, "icfo", Biases::One) },
        Self { z_is_new: true, ..row(Library::Haiku, Recurrence::GruResetBefore, "zrh", Biases::One) },
    ];

    /// That of a library, if it has such a cell.
    ///
    /// ```
    /// use tapeloop_layers::{Layout, Library, Recurrence};
    /// assert_eq!(Layout::of(Library::Onnx, Recurrence::Lstm)?.gates, "iofc");
    /// assert!(Layout::of(Library::Torch, Recurrence::GruResetBefore).is_err());
    /// # Ok::<(), tapeloop_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// If it has none.
    pub fn of(library: Library, recurrence: Recurrence) -> Result<Self, Error> {
        let found = Self::TABLE.iter().find(|row| row.library == library && row.recurrence == recurrence);
        found.copied().ok_or_else(|| Error::other(format!("{library:?} has no weights of {recurrence}")))
    }
}

/// The weights of one cell and one direction, in some [layout](Layout).
///
/// ```
/// use tapeloop_autograd::Rng;
/// use tapeloop_layers::{CellWeights, Layout, Library, Lstm, Portable, Recurrence};
/// let cell = Lstm::new(4).cell::<f32>(3, &mut Rng::new(0));
/// let onnx = cell.weights().convert(&cell.layout(), &Layout::of(Library::Onnx, Recurrence::Lstm)?)?;
/// assert_eq!(onnx.kernel.shape(), [16, 3]);
/// assert_eq!(onnx.biases[0].shape(), [32]);
/// # Ok::<(), tapeloop_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CellWeights<T: Element = f32> {
    /// Of the input: (features, gates·units), or its transpose.
    pub kernel: Tensor<T>,
    /// Of the state: (width of h, gates·units), or its transpose.
    pub recurrent_kernel: Tensor<T>,
    /// As many as [`Biases`] says, or none.
    pub biases: Vec<Tensor<T>>,
    /// Of an output that is projected: (units, width of h), or its transpose.
    pub projection: Option<Tensor<T>>,
}

impl<T: Element> CellWeights<T> {
    /// The same cell in another layout. Numbers are moved, or change their sign; they are added only where one bias takes the
    /// place of two, and where a library adds to the forget gate. Where two take the place of one, the second is 0.
    ///
    /// # Errors
    /// If the layouts are of different equations, or a shape does not suit the first.
    pub fn convert(&self, from: &Layout, to: &Layout) -> Result<Self, Error> {
        if from.recurrence != to.recurrence {
            return Err(Error::other(format!("weights of {} cannot be those of {}", from.recurrence, to.recurrence)));
        }
        self.check(from)?;
        let order: Vec<usize> = to.gates.chars().filter_map(|gate| from.gates.find(gate)).collect();
        if order.len() != from.gates.len() || order.len() != to.gates.len() {
            return Err(Error::other(format!("the gates {} are not the gates {}", from.gates, to.gates)));
        }
        let negated = (from.z_is_new != to.z_is_new).then(|| to.gates.find('z')).flatten();
        let moved = |matrix: &Tensor<T>| sorted(matrix, &order, negated);
        let matrix = |matrix: &Tensor<T>| turned(&moved(&turned(matrix, from.transposed)), to.transposed);
        let projection = self.projection.as_ref();
        Ok(Self {
            kernel: matrix(&self.kernel),
            recurrent_kernel: matrix(&self.recurrent_kernel),
            biases: self.rows(from, to, moved)?.map_or_else(Vec::new, |rows| to.biases.of_rows(&rows)),
            projection: projection.map(|p| turned(p, from.transposed != to.transposed)),
        })
    }

    /// The biases of the other layout, as rows.
    fn rows(
        &self,
        from: &Layout,
        to: &Layout,
        moved: impl Fn(&Tensor<T>) -> Tensor<T>,
    ) -> Result<Option<Tensor<T>>, Error> {
        let width = self.width(from) as isize;
        let forget = from.forget - to.forget;
        let mut rows = match &self.biases[..] {
            [] if forget == 0.0 => return Ok(None),
            [] => Tensor::zeros([1, width as usize]),
            [bias] => moved(&bias.reshape(&[-1, width])),
            [input, state, ..] => {
                let both = [input, state];
                moved(&Tensor::from_fn([2, width as usize], |i| both[i[0]].at(&i[1..])))
            }
        };
        let two = rows.shape()[0] == 2;
        if two && to.biases == Biases::One {
            if to.recurrence == Recurrence::Gru {
                let problem = "a GRU with the reset gate after the product needs both biases of its candidate";
                return Err(Error::other(problem));
            }
            rows = Tensor::from_fn([1, width as usize], |i| rows.at(&[0, i[1]]) + rows.at(&[1, i[1]]));
        }
        if let Some(at) = to.gates.find('f').filter(|_| forget != 0.0) {
            let units = width as usize / to.gates.len();
            let own = |i: &[usize]| i[0] == 0 && i[1] / units == at;
            let more = |i: &[usize]| if own(i) { T::from_f64(forget) } else { T::ZERO };
            rows = Tensor::from_fn(rows.shape(), |i| rows.at(i) + more(i));
        }
        if !two && to.biases != Biases::One {
            rows = Tensor::from_fn([2, width as usize], |i| if i[0] == 0 { rows.at(&[0, i[1]]) } else { T::ZERO });
        }
        Ok(Some(rows))
    }

    /// The length of the gates' axis.
    fn width(&self, layout: &Layout) -> usize {
        self.kernel.shape()[usize::from(!layout.transposed)]
    }

    /// Whether the shapes suit each other and the layout.
    fn check(&self, layout: &Layout) -> Result<(), Error> {
        let wrong = |name: &str, shape: &Shape, needs: String| {
            let library = layout.library;
            Err(Error::other(format!("{library:?}'s weights of {}: `{name}` {shape} {needs}", layout.recurrence)))
        };
        let matrices = [Some(("kernel", &self.kernel)), Some(("recurrent_kernel", &self.recurrent_kernel))];
        let projection = self.projection.as_ref().map(|projection| ("projection", projection));
        for (name, matrix) in matrices.into_iter().flatten().chain(projection) {
            if matrix.rank() != 2 {
                return wrong(name, matrix.shape(), "is no matrix".into());
            }
        }
        let (gates, width) = (layout.gates.len(), self.width(layout));
        if !width.is_multiple_of(gates) {
            return wrong("kernel", self.kernel.shape(), format!("has no axis of {gates} gates"));
        }
        // As in our layout.
        let ours = |matrix: &Tensor<T>| turned_shape(matrix.shape(), layout.transposed);
        let (units, mut h) = (width / gates, width / gates);
        if let Some(projection) = &self.projection {
            let shape = ours(projection);
            if shape[0] != units {
                return wrong("projection", projection.shape(), format!("has no axis of {units} units"));
            }
            h = shape[1];
        }
        if ours(&self.recurrent_kernel) != [h, width] {
            let needed = turned_shape(&Shape::from([h, width]), layout.transposed);
            return wrong("recurrent_kernel", self.recurrent_kernel.shape(), format!("should be {needed:?}"));
        }
        let (count, shape) = layout.biases.shape(width);
        if !self.biases.is_empty() && self.biases.len() != count {
            let library = layout.library;
            return Err(Error::other(format!("{library:?} has {count} biases, not {}", self.biases.len())));
        }
        match self.biases.iter().find(|bias| *bias.shape() != shape) {
            Some(bias) => wrong("bias", bias.shape(), format!("should be {shape}")),
            None => Ok(()),
        }
    }
}

impl Biases {
    /// How many, and the shape of each.
    fn shape(self, width: usize) -> (usize, Shape) {
        match self {
            Self::One => (1, [width].into()),
            Self::Rows => (1, [2, width].into()),
            Self::Two => (2, [width].into()),
            Self::Joined => (1, [2 * width].into()),
        }
    }

    /// Rows, as many as there are of them here, as this form holds them.
    fn of_rows<T: Element>(self, rows: &Tensor<T>) -> Vec<Tensor<T>> {
        match self {
            Self::One | Self::Joined => vec![rows.reshape(&[-1])],
            Self::Rows => vec![rows.clone()],
            Self::Two => [0, 1].map(|k| rows.select(0, k).contiguous()).into(),
        }
    }
}

/// A matrix, or its transpose.
fn turned<T: Element>(matrix: &Tensor<T>, transposed: bool) -> Tensor<T> {
    if transposed { matrix.t().contiguous() } else { matrix.clone() }
}

fn turned_shape(shape: &Shape, transposed: bool) -> [usize; 2] {
    if transposed { [shape[1], shape[0]] } else { [shape[0], shape[1]] }
}

/// (rows, gates·units) with the gate `order[k]` at place k, and one of the places with the opposite sign.
fn sorted<T: Element>(matrix: &Tensor<T>, order: &[usize], negated: Option<usize>) -> Tensor<T> {
    if negated.is_none() && order.is_sorted() {
        return matrix.clone();
    }
    let [rows, width] = turned_shape(matrix.shape(), false);
    let (units, values) = (width / order.len(), matrix.to_vec());
    Tensor::from_fn([rows, width], |i| {
        let place = i[1] / units;
        let value = values[i[0] * width + order[place] * units + i[1] % units];
        if negated == Some(place) { -value } else { value }
    })
}
