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
    /// scale is 1/√d unless another is given. A query that may look at no key gets zeros, and gives no gradient.
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
        if matches!(mask, AttentionMask::None | AttentionMask::Causal) || scores.dim(-1) == 0 {
            return scores.softmax(-1).matmul(values);
        }
        let blind = scores.max(&[-1], true).eq(f64::NEG_INFINITY);
        let weights = blind.if_else(0.0, blind.if_else(0.0, scores).softmax(-1));
        weights.matmul(values)
    }
}

impl<T: Element> Var<'_, T> {
    /// Rotary position embedding (Su et al. 2021) of (…, time, d): step t turns the pair (xₖ, xₖ₊d/2) by the angle
    /// (t + offset) · base^(−2k/d), so that products of turned vectors know only distances.
    ///
    /// ```
    /// use tapeloop_autograd::{Tape, Tensor};
    /// let tape = Tape::new();
    /// let x = tape.leaf(Tensor::from([[1.0f64, 0.0], [1.0, 0.0]]));
    /// let y = x.rotary(10_000.0, 0).value();
    /// assert_eq!((y.at(&[0, 0]), y.at(&[1, 0]), y.at(&[1, 1])), (1.0, 1f64.cos(), 1f64.sin()));
    /// ```
    ///
    /// # Panics
    /// If there are fewer than two axes, or d is odd.
    #[track_caller]
    pub fn rotary(self, base: f64, offset: usize) -> Self {
        let (time, width) = (self.dim(-2), self.dim(-1));
        assert!(width.is_multiple_of(2), "rotary: the last axis of shape {} has an odd length", self.shape());
        let half = width / 2;
        let angle = |i: &[usize]| (i[0] + offset) as f64 * base.powf(-2.0 * i[1] as f64 / width as f64);
        let cos = Tensor::from_fn([time, half], |i| T::from_f64(angle(i).cos()));
        let sin = Tensor::from_fn([time, half], |i| T::from_f64(angle(i).sin()));
        let (a, b) = (self.slice(-1, 0..half as isize), self.slice(-1, half as isize..));
        Self::concat([a * &cos - b * &sin, a * &sin + b * &cos], -1)
    }
}

pub(crate) fn examples<T: Element>() -> Vec<Example<T>> {
    vec![
        example!([x: normal [2, 3, 4]] => x.rotary(100.0, 2)),
        example!([q: normal [2, 3, 4], k: normal [2, 3, 4], v: normal [2, 3, 2]] => q.attention(k, v, AttentionMask::Causal, None)),
        example!([q: normal [3, 4], k: normal [2, 4], v: normal [2, 2], b: normal [3, 2]] => q.attention(k, v, AttentionMask::Add(b), Some(0.7))),
        example!([q: normal [2, 4], k: normal [2, 4], v: normal [2, 2]] => q.attention(k, v, AttentionMask::Where(&Tensor::from([[true, false], [true, true]])), None)),
    ]
}
