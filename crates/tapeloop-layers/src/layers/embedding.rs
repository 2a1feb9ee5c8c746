//! Vectors for ids.

use serde::{Deserialize, Serialize};
use tapeloop_autograd::{Element, Param, Rng, StreamBuilder, Tape, Tensor, Var, module};

use super::{Config, positive, rule_setters};
use crate::layer::{Axes, Layer, Masked, Pass};
use crate::{Constraint, Error, Initializer, Regularizer, Rules};

/// The configuration of an embedding: Keras' `Embedding(input_dim, output_dim)` with its defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Embedding {
    /// The number of ids: they are 0..`input_dim`.
    pub input_dim: usize,
    /// The width of a vector.
    pub output_dim: usize,
    /// Of the table. Default uniform in −0.05..0.05.
    pub embeddings_initializer: Initializer,
    /// Penalty of the table. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings_regularizer: Option<Regularizer>,
    /// Penalty of the output, divided by the batch. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_regularizer: Option<Regularizer>,
    /// What the table is projected to. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embeddings_constraint: Option<Constraint>,
    /// Whether id 0 is padding: steps with it do not count for the layers behind. Default false.
    pub mask_zero: bool,
}

impl Default for Embedding {
    fn default() -> Self {
        Self {
            input_dim: 0,
            output_dim: 0,
            embeddings_initializer: Initializer::RANDOM_UNIFORM,
            embeddings_regularizer: None,
            activity_regularizer: None,
            embeddings_constraint: None,
            mask_zero: false,
        }
    }
}

impl Embedding {
    /// Vectors of width `output_dim` for the ids 0..`input_dim`.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Self { input_dim, output_dim, ..Self::default() }
    }

    /// What the table starts from.
    pub fn embeddings_initializer(self, embeddings_initializer: Initializer) -> Self {
        Self { embeddings_initializer, ..self }
    }

    /// Whether id 0 is padding.
    pub fn mask_zero(self, mask_zero: bool) -> Self {
        Self { mask_zero, ..self }
    }

    rule_setters! {
        embeddings: embeddings_regularizer, embeddings_constraint;
    }

    /// A layer with fresh weights.
    ///
    /// # Panics
    /// Where [`try_layer`](Self::try_layer) returns an error.
    #[track_caller]
    pub fn layer<T: Element>(&self, rng: &mut Rng) -> EmbeddingLayer<T> {
        match self.try_layer(rng) {
            Ok(layer) => layer,
            Err(error) => panic!("{error}"),
        }
    }

    /// A layer with fresh weights.
    ///
    /// # Errors
    /// If the initializer, the regularizer or the constraint does not suit the table.
    pub fn try_layer<T: Element>(&self, rng: &mut Rng) -> Result<EmbeddingLayer<T>, Error> {
        let shape = [self.input_dim, self.output_dim];
        let embeddings = self.embeddings_initializer.weight("embedding", "embeddings_initializer", shape, rng)?;
        let rules = Rules::new()
            .regularizer("embeddings", self.embeddings_regularizer)
            .activity(self.activity_regularizer)
            .constraint("embeddings", self.embeddings_constraint.clone());
        let layer = EmbeddingLayer { embeddings, mask_zero: self.mask_zero, rules };
        layer.rules.check("embedding", &layer)?;
        Ok(layer)
    }
}

impl Config for Embedding {
    fn build<T: Element>(&self, input: &[Option<usize>], rng: &mut Rng) -> Result<Box<dyn Layer<T>>, Error> {
        positive("embedding", "input_dim", self.input_dim)?;
        positive("embedding", "output_dim", self.output_dim)?;
        let layer = self.try_layer(rng)?;
        layer.rules.check_outputs("embedding", 2 + input.len())?;
        Ok(Box::new(layer))
    }
}

/// Rows of a table, by id: (…) → (…, width). As a layer of a model it takes ids as numbers, as Keras does.
///
/// ```
/// use tapeloop_autograd::{Rng, Tape, Tensor};
/// use tapeloop_layers::Embedding;
/// let embedding = Embedding::new(10, 4).layer::<f32>(&mut Rng::new(0));
/// let tape = Tape::new();
/// assert_eq!(embedding.look_up(&tape, &Tensor::from([[1i64, 2, 3]])).shape(), [1, 3, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddingLayer<T: Element = f32> {
    /// The table, (ids, width).
    pub embeddings: Param<T>,
    /// Whether id 0 is padding.
    pub mask_zero: bool,
    /// What the table and outputs keep to.
    pub rules: Rules,
}
module!(EmbeddingLayer<T> { embeddings } rest { mask_zero, rules });

impl<T: Element> EmbeddingLayer<T> {
    /// The vectors of `ids`, which are on no tape: an id has no gradient.
    ///
    /// # Panics
    /// If an id is not in the table.
    #[track_caller]
    pub fn look_up<'t>(&self, tape: &'t Tape<T>, ids: &Tensor<i64>) -> Var<'t, T> {
        tape.param(&self.embeddings).embedding(ids, None)
    }
}

impl<T: Element> Layer<T> for EmbeddingLayer<T> {
    #[track_caller]
    fn forward<'t>(&self, x: Var<'t, T>, _: &mut Pass) -> Var<'t, T> {
        if let Err(error) = self.check(x) {
            panic!("{error}");
        }
        self.look_up(x.tape(), &x.value().map(|id| id.to_f64() as i64))
    }

    /// With `mask_zero` a step counts if it did before and its id is not 0.
    #[track_caller]
    fn forward_masked<'t>(&self, x: Masked<'t, T>, pass: &mut Pass) -> Masked<'t, T> {
        let mut mask = x.mask;
        if self.mask_zero {
            let own = x.value.ne(0.0);
            mask = Some(if let Some(before) = mask { before * own } else { own });
        }
        let value = self.forward(x.value, pass);
        Masked { value, mask, ..x }.and(self.rules.of_outputs(&[value]))
    }

    #[track_caller]
    fn penalty<'t>(&self, tape: &'t Tape<T>) -> Option<Var<'t, T>> {
        self.rules.penalty(self, tape)
    }

    fn constrain(&mut self) {
        let rules = std::mem::take(&mut self.rules);
        rules.constrain(self);
        self.rules = rules;
    }

    fn output_mask(&self, _: usize, masked: &[bool]) -> bool {
        self.mask_zero || masked[0]
    }

    fn output_shape(&self, input: &[Option<usize>]) -> Result<Axes, Error> {
        let width = self.embeddings.value().shape()[1];
        Ok(input.iter().copied().chain([Some(width)]).collect())
    }

    fn check(&self, x: Var<'_, T>) -> Result<(), Error> {
        let rows = self.embeddings.value().shape()[0];
        let valid = |id: f64| id.fract() == 0.0 && id >= 0.0 && id < rows as f64;
        match x.value().contiguous().as_slice().unwrap_or_default().iter().map(|id| id.to_f64()).find(|&id| !valid(id))
        {
            Some(id) => Err(Error::input(format!("ids that are whole numbers in 0..{rows}"), id.to_string())),
            None => Ok(()),
        }
    }

    fn stream(&self, _: &mut StreamBuilder<T>) -> Result<(), Error> {
        Err(Error::config("embedding", "it cannot be streamed: streams know no ids, look the vectors up beforehand"))
    }
}
