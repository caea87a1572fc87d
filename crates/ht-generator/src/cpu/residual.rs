//! A part of a block with its norm and its residual, in both norm orders, forward and back.

use std::sync::Arc;

use super::attention::{Attended, Attention};
use super::feed_forward::FeedForward;
use super::products::{Accum, CpuTensor, DenseGradient, tensor, values};
use super::rows::{Norm, RowStatistics, add_row, add_to_first, first_of_each, spread_to_first};
use crate::NormOrder;

/// What the tokens pass through.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// With what is subtracted from the scores of hidden tokens, `[E, T]`.
    Attention(Box<Attention>, Option<Arc<[f32]>>),
    /// Token by token.
    FeedForward(Box<FeedForward>),
}

/// What a part keeps for the way back.
#[derive(Debug)]
enum PartSeen {
    Attention(Box<Attended>),
    /// `[E T, inner]`: the activated values.
    FeedForward(Vec<f32>),
}

/// A part, its norm, and their order.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    pub(super) part: Part,
    pub(super) order: NormOrder,
    /// `[D]`: scale of the norm.
    pub(super) scale: CpuTensor,
    /// `[D]`: shift of the norm.
    pub(super) shift: CpuTensor,
    pub(super) epsilon: f32,
    /// E.
    pub(super) episodes: usize,
    /// T, and R: how many tokens of an episode, from the first, come out.
    pub(super) tokens: [usize; 2],
}

/// What the way back needs, besides what went in.
#[derive(Debug)]
pub(super) struct Seen {
    tokens: CpuTensor,
    part: PartSeen,
    /// What the norm returned (pre, `[E T, D]`) or was given (post, `[E R, D]`).
    at_norm: Vec<f32>,
    statistics: RowStatistics,
}

/// Gradients of everything that a part has.
pub(super) struct ResidualGradient {
    /// `[E T, D]`, one after another.
    pub(super) tokens: Vec<f32>,
    pub(super) scale: CpuTensor,
    pub(super) shift: CpuTensor,
    pub(super) layers: Vec<DenseGradient>,
}

impl Residual {
    /// # Shapes
    /// - `tokens`: `[E, T, D]`; returns `[E R, D]`
    pub(super) fn forward(&self, tokens: CpuTensor) -> (Vec<f32>, Seen) {
        let norm = self.norm();
        // The residual connection: the part adds itself to it.
        let kept = first_of_each(values(&tokens), self.episodes, self.tokens);
        let mut sum = add_row(&kept, self.part.last_bias());
        let (out, part, at_norm, statistics) = match self.order {
            NormOrder::Pre => {
                let (input, statistics) = norm.forward(values(&tokens));
                let part = self.part.forward(&input, &mut sum);
                (sum, part, input, statistics)
            }
            NormOrder::Post => {
                let part = self.part.forward(values(&tokens), &mut sum);
                let (out, statistics) = norm.forward(&sum);
                (out, part, sum, statistics)
            }
        };
        let seen = Seen {
            tokens,
            part,
            at_norm,
            statistics,
        };
        (out, seen)
    }

    /// # Shapes
    /// - `gradient`: `[E R, D]`, one after another
    pub(super) fn backward(&self, seen: &Seen, gradient: &[f32]) -> ResidualGradient {
        let norm = self.norm();
        let columns = norm.scale.len();
        let (tokens, at_norm) = (values(&seen.tokens), &seen.at_norm);
        let (of_tokens, [scale, shift], layers) = match self.order {
            NormOrder::Pre => {
                let mut inside = vec![0.0; tokens.len()];
                let how = Accum::Replace;
                let layers = (self.part).backward(&seen.part, at_norm, gradient, &mut inside, how);
                let of_norm = norm.backward(tokens, &seen.statistics, &mut inside);
                add_to_first(&mut inside, gradient, self.episodes);
                (inside, of_norm, layers)
            }
            NormOrder::Post => {
                let mut around = gradient.to_vec();
                let of_norm = norm.backward(at_norm, &seen.statistics, &mut around);
                let mut sum = spread_to_first(&around, self.episodes, tokens.len());
                let layers =
                    (self.part).backward(&seen.part, tokens, &around, &mut sum, Accum::Add);
                (sum, of_norm, layers)
            }
        };
        ResidualGradient {
            tokens: of_tokens,
            scale: tensor(scale, [columns]),
            shift: tensor(shift, [columns]),
            layers,
        }
    }

    fn norm(&self) -> Norm<'_> {
        Norm {
            scale: values(&self.scale),
            shift: values(&self.shift),
            epsilon: self.epsilon,
        }
    }
}

impl Part {
    /// Adds the result without the last bias to `out`.
    fn forward(&self, input: &[f32], out: &mut [f32]) -> PartSeen {
        match self {
            Self::Attention(attention, penalty) => {
                let seen = attention.forward(input, penalty.as_deref(), out);
                PartSeen::Attention(Box::new(seen))
            }
            Self::FeedForward(layers) => PartSeen::FeedForward(layers.forward(input, out)),
        }
    }

    /// Writes the gradient of the input into `out`, or adds it; returns those of the layers.
    fn backward(
        &self,
        seen: &PartSeen,
        input: &[f32],
        gradient: &[f32],
        out: &mut [f32],
        how: Accum,
    ) -> Vec<DenseGradient> {
        match (self, seen) {
            (Self::Attention(attention, _), PartSeen::Attention(attended)) => attention
                .backward(input, attended, gradient, out, how)
                .into(),
            (Self::FeedForward(layers), PartSeen::FeedForward(activated)) => {
                layers.backward(input, activated, gradient, out, how).into()
            }
            _ => unreachable!("a part sees what it has left"),
        }
    }

    fn last_bias(&self) -> &[f32] {
        match self {
            Self::Attention(attention, _) => attention.output.bias(),
            Self::FeedForward(layers) => layers.outer.bias(),
        }
    }
}
