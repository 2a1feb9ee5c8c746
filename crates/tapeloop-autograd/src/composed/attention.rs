//! Scaled dot-product attention (Vaswani et al. 2017).

use crate::element::Element;
use crate::ops::{Example, example};
use crate::tape::Var;
use crate::tensor::Tensor;

/// Which keys a query may look at.
#[derive(Clone, Copy, Debug)]
pub enum AttentionMask<'m, 't, T: Element> {
    /// All of them.
    None,
    /// Those at or before its own place.
    Causal,
    /// Those where the mask, broadcast to (…, queries, keys), is true.
    Where(&'m Tensor<bool>),
    /// All, with this added to their scores.
    Add(Var<'t, T>),
}

impl<'t, T: Element> Var<'t, T> {
    /// softmax(q kᵀ · scale) v, q being this: (…, queries, d), (…, keys, d), (…, keys, e) → (…, queries, e). The
    /// scale is 1/√d unless another is given.
    ///
    /// ```
    /// use tapeloop_autograd::{AttentionMask, Tape, Tensor};
    /// let tape = Tape::new();
    /// let q = tape.leaf(Tensor::from([[0.0f32], [0.0]]));
    /// let v = tape.leaf(Tensor::from([[1.0f32], [3.0]]));
    /// assert_eq!(q.attention(q, v, AttentionMask::Causal, None).value().to_vec(), [1.0, 2.0]);
    /// ```
    ///
    /// # Panics
    /// If the shapes do not fit.
    #[track_caller]
    pub fn attention(self, keys: Self, values: Self, mask: AttentionMask<'_, 't, T>, scale: Option<f64>) -> Self {
        let scale = scale.unwrap_or(1.0 / (self.dim(-1) as f64).sqrt());
        let scores = self.matmul(keys.t()) * scale;
        let scores = match mask {
            AttentionMask::None => scores,
            AttentionMask::Causal => {
                let hidden = Tensor::full([scores.dim(-2), scores.dim(-1)], true).triu(1);
                scores.masked_fill(&hidden, f64::NEG_INFINITY)
            }
            AttentionMask::Where(seen) => scores.masked_fill(&seen.map(|seen| !seen), f64::NEG_INFINITY),
            AttentionMask::Add(bias) => scores + bias,
        };
        scores.softmax(-1).matmul(values)
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([q: normal [2, 3, 4], k: normal [2, 3, 4], v: normal [2, 3, 2]] => q.attention(k, v, AttentionMask::Causal, None)),
        example!([q: normal [3, 4], k: normal [2, 4], v: normal [2, 2], b: normal [3, 2]] => q.attention(k, v, AttentionMask::Add(b), Some(0.7))),
        example!([q: normal [2, 4], k: normal [2, 4], v: normal [2, 2]] => q.attention(k, v, AttentionMask::Where(&Tensor::from([[true, false], [true, true]])), None)),
    ]
}
