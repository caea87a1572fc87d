//! Multi-head attention with free widths for queries and keys and for values.
//!
//! Burn's own attention ties all widths to the token width; the paper's fractions
//! (appendix B) need them apart.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Bool, Tensor, s};

#[cfg(feature = "flex")]
use crate::cpu::PartKind;
use crate::shared::dense;
use crate::{AttentionWeighting, ParameterInit, PartCost, Pass};

/// Subtracted from the score of a hidden token: its weight becomes exactly zero.
const HIDDEN_SCORE: f64 = 1e8;

/// The projections of one head.
#[derive(Clone, Debug)]
pub(crate) struct FirstHead {
    pub(crate) query: Tensor<2>,
    pub(crate) query_bias: Tensor<1>,
    pub(crate) key: Tensor<2>,
    pub(crate) value: Tensor<2>,
    pub(crate) output: Tensor<2>,
}

/// Attention without positions.
#[derive(Module, Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    weighting: AttentionWeighting,
}

impl Attention {
    /// Attention for tokens of `width` columns.
    pub fn new(
        width: usize,
        query_key: usize,
        value: usize,
        heads: usize,
        weighting: AttentionWeighting,
        init: &mut ParameterInit,
    ) -> Self {
        Self {
            query: init.linear(width, query_key),
            key: init.linear(width, query_key),
            value: init.linear(width, value),
            output: init.linear(value, width),
            heads,
            weighting,
        }
    }

    /// Attention with given projections: for constructions by hand.
    pub fn from_projections(query: Linear, key: Linear, value: Linear, output: Linear) -> Self {
        Self {
            query,
            key,
            value,
            output,
            heads: 1,
            weighting: AttentionWeighting::Softmax,
        }
    }

    /// Gives the first head other projections; what it had is forgotten.
    ///
    /// With Q and V the widths of a head's queries and values:
    ///
    /// # Shapes
    /// - `query`, `key`: `[D, Q]`; `query_bias`: `[Q]`; `value`: `[D, V]`; `output`: `[V, D]`
    #[must_use]
    pub(crate) fn with_first_head(mut self, head: FirstHead) -> Self {
        let replace = |weight: Param<Tensor<2>>, part: Tensor<2>| {
            let [rows, columns] = part.dims();
            weight.map(|weight| weight.slice_assign([0..rows, 0..columns], part))
        };
        let FirstHead {
            query,
            query_bias,
            key,
            value,
            output,
        } = head;
        self.query.weight = replace(self.query.weight, query);
        self.key.weight = replace(self.key.weight, key);
        self.value.weight = replace(self.value.weight, value);
        self.output.weight = replace(self.output.weight, output);
        let [columns] = query_bias.dims();
        self.query.bias = self
            .query
            .bias
            .map(|bias| bias.map(|bias| bias.slice_assign(s![0..columns], query_bias)));
        self
    }

    /// What the loops for CPU tensors need, where they know this kind of attention.
    #[cfg(feature = "flex")]
    pub(crate) fn cpu_part<'a>(
        &'a self,
        hidden: Option<&'a Tensor<2, Bool>>,
    ) -> Option<PartKind<'a>> {
        (self.weighting == AttentionWeighting::Softmax).then_some(PartKind::Attention {
            layers: [&self.query, &self.key, &self.value, &self.output],
            heads: self.heads,
            hidden: hidden.map(|hidden| (hidden, HIDDEN_SCORE)),
        })
    }

    /// Multiply-adds for `t` tokens that attend to `t_source`.
    pub(crate) fn cost(&self, t: usize, t_source: usize) -> PartCost {
        let dense = |layers: [&Linear; 2]| -> usize {
            let sizes = layers.map(|layer| layer.weight.shape().num_elements());
            sizes.iter().sum()
        };
        let projections =
            t * dense([&self.query, &self.output]) + t_source * dense([&self.key, &self.value]);
        let [query_key, value] = self.head_widths();
        PartCost::inner(projections + t * t_source * self.heads * (query_key + value))
    }

    /// D.
    pub(crate) fn width(&self) -> usize {
        self.query.weight.dims()[0]
    }

    /// Widths of one head's queries and values.
    pub(crate) fn head_widths(&self) -> [usize; 2] {
        [&self.query, &self.value].map(|linear| linear.weight.dims()[1] / self.heads)
    }

    /// Mixes the values of `source` tokens for each of `tokens`; self-attention where both
    /// are the same.
    ///
    /// # Shapes
    /// - `tokens`: `[E, T, D]`; `source`: `[E, T', D]`
    /// - `hidden`: `[E, T']`, true for tokens of `source` that nobody attends to
    /// - returns: `[E, T, D]`
    pub fn forward(
        &self,
        tokens: Tensor<3>,
        source: Tensor<3>,
        hidden: Option<&Tensor<2, Bool>>,
        pass: &mut Pass,
    ) -> Tensor<3> {
        let split = |x: Tensor<3>| {
            let [e, t, columns] = x.dims();
            x.reshape([e, t, self.heads, columns / self.heads])
                .swap_dims(1, 2)
        };
        let q = split(dense(&self.query, tokens));
        let k = split(dense(&self.key, source.clone()));
        let v = split(dense(&self.value, source));
        let [_, _, _, head_width] = q.dims();
        let mut scores = q.matmul(k.transpose()) / (head_width as f64).sqrt();
        if let Some(hidden) = hidden {
            let penalty = hidden.clone().float().cast(scores.dtype());
            let penalty: Tensor<4> = penalty.unsqueeze_dims(&[1, 2]);
            scores = scores - penalty * HIDDEN_SCORE;
        }
        let weights = match self.weighting {
            AttentionWeighting::Softmax => softmax(scores, 3),
            AttentionWeighting::Sigmoid => sigmoid(scores),
        };
        pass.note("attention", &weights);
        let mixed = weights.matmul(v);
        let [e, heads, t, value_width] = mixed.dims();
        let joined = mixed.swap_dims(1, 2).reshape([e, t, heads * value_width]);
        dense(&self.output, joined)
    }
}
